"""Sums over the ranks of one machine through shared memory, for what a training step on CPUs exchanges.

Horovod exchanges through TCP and negotiates in cycles: the messages of idle cycles, the copies into and out of the kernel and the
wait for the next cycle take more processor time than the sum itself. Here each rank writes its numbers into memory that all ranks
map, tells the others by a few bytes on Unix sockets that they are there, and adds the numbers of all ranks in the order of the
ranks: the sums are bit-equal on all of them and from run to run. A rank that waits uses no processor time, and the end of another
rank closes its socket.

This module does not import TensorFlow. An exchange blocks its thread, so all ranks have to make their exchanges in the same
order.
"""
import mmap
import os
import socket
import struct
import tempfile
import threading
import time
import urllib.parse

import numpy as np

from open_seq2seq.distributed.rendezvous_notes import ERRORS, RendezvousNotes
from open_seq2seq.errors import DeviceError
from open_seq2seq.log_lines import log_line

VARIABLE = "JASPER_SHARED_MEMORY"
"""Environment variable: 0 turns this module off, 1 or nothing leaves it on."""

CHUNK_NUMBERS = 1 << 19
"""float32 numbers that a rank writes at once, 2 MB; longer arrays are exchanged in several rounds."""

ALIGNMENT = 16  # numbers: TensorFlow takes arrays of Python without a copy only if they begin at a multiple of 64 bytes
_SLOTS_OF_RANK = 2  # the next chunk is written while slower ranks still read the last one
_SCOPE = "shared_memory"
_TICKET = struct.Struct("<IIQ")  # the round (in the first message the sender's rank), numbers and checksum of the exchange
_SECONDS_TO_CONNECT = 60.0
_CLOSED = "Connection closed by peer: another rank of this machine does not run any more (%s)"


def is_possible(environ):
    """Whether all ranks of the run are on this machine, and the user has not turned shared memory off.

    Args:
      environ: mapping of the environment variables, with Horovod's numbers.

    Raises:
      DeviceError: the user's variable is neither 0 nor 1.
    """
    text = environ.get(VARIABLE) or "1"
    if text not in ("0", "1"):
        raise DeviceError('%s is "%s", expected 0 (ranks of one machine exchange through TCP) or 1 (through shared memory). '
                          "Correct or unset it (default: 1)" % (VARIABLE, text[:40]))
    return (text == "1" and hasattr(socket, "AF_UNIX")
            and environ.get("HOROVOD_LOCAL_SIZE") == environ.get("HOROVOD_SIZE"))


def connect(rank, size, environ, run):
    """A :class:`SharedMemory` that is connected to all other ranks, or None on all ranks if one of them cannot take part.

    All ranks call it together, after each of them has started.

    Args:
      rank: this process's number.
      size: number of processes.
      environ: mapping of the environment variables.
      run: str, HOST:PID of rank 0, so that no rank reads the notes of an earlier run that used the same server.
    """
    notes = RendezvousNotes(environ, "%s_%s" % (_SCOPE, urllib.parse.quote(run, safe="")), 10)
    memory, problem = None, ""
    try:
        memory = _create(size, notes) if rank == 0 else _open(rank, size, notes)
    except (OSError, ValueError) as error:
        problem = str(error) or type(error).__name__
    if rank == 0 and memory is None:
        _put(notes, 0, "!" + problem)
    _put(notes, size + rank, "!" + problem if problem else "ready")
    answers = [_wait_for(notes, size + other) for other in range(size)]
    failed = [(other, answer[1:]) for other, answer in enumerate(answers) if answer != "ready"]
    if not failed:
        return memory
    if memory is not None:
        memory.close()
    if rank == 0:
        log_line("Ranks exchange gradients through TCP, because rank %d has no shared memory: %s" % failed[0])
    return None


def _put(notes, key, text):
    try:
        notes.put(key, text)
    except ERRORS:
        pass  # the others then time out and report it


def _wait_for(notes, key):
    deadline = time.monotonic() + _SECONDS_TO_CONNECT
    while time.monotonic() < deadline:
        try:
            text = notes.get(key)
        except ERRORS:
            text = None
        if text is not None:
            return text
        time.sleep(0.02)
    return "!no answer within %g s" % _SECONDS_TO_CONNECT


def _create(size, notes):
    """Rank 0: makes the memory and accepts the connections of the other ranks; all of them connect to each other through it."""
    folder = tempfile.mkdtemp(prefix="jasper-ranks-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    path, address = os.path.join(folder, "memory"), os.path.join(folder, "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        num_bytes = 4 * size * _SLOTS_OF_RANK * CHUNK_NUMBERS
        with open(path, "xb+") as file:
            os.posix_fallocate(file.fileno(), 0, num_bytes)  # a full file system fails here and not in the middle of a step
            mapped = mmap.mmap(file.fileno(), num_bytes)
        listener.bind(address)
        listener.listen(size)
        listener.settimeout(_SECONDS_TO_CONNECT)
        notes.put(0, folder)
        peers = {}
        while len(peers) < size - 1:
            connection, _ = listener.accept()
            connection.settimeout(None)
            peers[_received(connection, _TICKET)[0]] = connection
        return SharedMemory(0, size, mapped, peers)
    finally:
        listener.close()
        for name in (path, address):
            if os.path.exists(name):
                os.unlink(name)
        os.rmdir(folder)


def _open(rank, size, notes):
    folder = _wait_for(notes, 0)
    if folder.startswith("!"):
        raise OSError(folder[1:])
    with open(os.path.join(folder, "memory"), "rb+") as file:
        mapped = mmap.mmap(file.fileno(), 4 * size * _SLOTS_OF_RANK * CHUNK_NUMBERS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(os.path.join(folder, "socket"))
    connection.sendall(_TICKET.pack(rank, 0, 0))
    return SharedMemory(rank, size, mapped, {0: connection})


def _received(connection, structure):
    data = b""
    while len(data) < structure.size:
        try:
            part = connection.recv(structure.size - len(data))
        except OSError as error:
            part, reason = b"", str(error)
        else:
            reason = "its socket has ended"
        if not part:
            raise ConnectionError(_CLOSED % reason)
        data += part
    return structure.unpack(data)


class SharedMemory:
    """The memory that all ranks of a machine have mapped; each has a slot of two chunks in it.

    Rank 0 is connected to all others. In a round each rank tells rank 0 that its chunk is written, and rank 0 then tells all
    others that every chunk is. (One of two ranks need not wait for that.)

    Args:
      rank, size: of this process.
      mapped: ``mmap`` of size * 2 * CHUNK_NUMBERS float32 numbers.
      peers: dict from ranks to connected sockets: rank 0 has those of all others, the others that of rank 0.
    """

    def __init__(self, rank, size, mapped, peers):
        self._rank, self._peers, self._mapped = rank, [peers[other] for other in sorted(peers)], mapped
        self._slots = np.frombuffer(mapped, np.float32).reshape(_SLOTS_OF_RANK, size, CHUNK_NUMBERS)
        self._round = 0
        self._lock = threading.Lock()

    def sum(self, arrays, factor, checksum=0):
        """Sums over all ranks of float32 arrays, each multiplied by ``factor`` first. All ranks call it together.

        Args:
          arrays: list of float32 arrays, of the same shapes on all ranks.
          factor: float.
          checksum: int that is the same on all ranks, of what is exchanged.

        Returns:
          List of new arrays of the same shapes.

        Raises:
          ConnectionError: another rank has ended.
          ValueError: another rank exchanges something else.
        """
        with self._lock:
            try:
                return self._sum(arrays, np.float32(factor), checksum)
            except (ConnectionError, ValueError):
                self.close()  # the other ranks stop as well
                raise

    def _sum(self, arrays, factor, checksum):
        sums, flat = _aligned_arrays(arrays)
        sources = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        starts = _starts(arrays)
        for begin in range(0, len(flat), CHUNK_NUMBERS):
            end = min(begin + CHUNK_NUMBERS, len(flat))
            slots = self._slots[self._round % _SLOTS_OF_RANK]
            own = slots[self._rank]
            for source, start in zip(sources, starts):
                first, last = max(start, begin), min(start + len(source), end)
                if first < last:
                    np.multiply(source[first - start:last - start], factor, out=own[first - begin:last - begin])
            self._wait_for_all(len(flat), checksum)
            total = flat[begin:end]
            np.add(slots[0][:end - begin], slots[1][:end - begin], out=total)
            for slot in slots[2:]:
                total += slot[:end - begin]
        return sums

    def _wait_for_all(self, numbers, checksum):
        """Returns when every rank has written its chunk."""
        ticket = _TICKET.pack(self._round & 0xffffffff, numbers & 0xffffffff, checksum)
        self._round += 1
        if self._rank == 0 and len(self._peers) > 1:
            tickets = [_received(peer, _TICKET) for peer in self._peers]
            self._send(ticket)
        else:
            self._send(ticket)
            tickets = [_received(peer, _TICKET) for peer in self._peers]
        if any(other != _TICKET.unpack(ticket) for other in tickets):
            raise ValueError("the ranks exchange different values: (round, numbers, checksum) is %s here, but on other ranks %s" %
                             (_TICKET.unpack(ticket), tickets))

    def _send(self, ticket):
        for peer in self._peers:
            try:
                peer.sendall(ticket)
            except OSError as error:
                raise ConnectionError(_CLOSED % error)

    def close(self):
        """Ends the connections; the memory is released with the last array that refers to it."""
        for peer in self._peers:
            peer.close()


def _starts(arrays):
    """Positions of arrays in a flat one, each aligned."""
    starts, position = [], 0
    for array in arrays:
        starts.append(position)
        position += -(-array.size // ALIGNMENT) * ALIGNMENT
    return starts


def _aligned_arrays(arrays):
    """(list of new arrays of the same shapes, the flat array that contains them), aligned as TensorFlow wants them."""
    numbers = sum(-(-array.size // ALIGNMENT) * ALIGNMENT for array in arrays)
    buffer = np.empty(numbers + ALIGNMENT, np.float32)
    shift = -(buffer.ctypes.data // 4) % ALIGNMENT
    flat = buffer[shift:shift + numbers]
    return [flat[start:start + array.size].reshape(array.shape) for start, array in zip(_starts(arrays), arrays)], flat
