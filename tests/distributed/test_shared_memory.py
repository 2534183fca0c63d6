"""Sums through shared memory: of several threads here, of four real processes in four_ranks.py."""
import functools
import mmap
import os
import socket
import threading
import time

import numpy as np
import pytest

from open_seq2seq.distributed import shared_memory
from open_seq2seq.distributed.lost_peers import is_caused_by_lost_peer
from open_seq2seq.distributed.shared_memory import CHUNK_NUMBERS, SharedMemory, is_possible
from open_seq2seq.errors import DeviceError


def connected(size):
    """The ``SharedMemory`` of every rank."""
    pairs = [socket.socketpair() for _ in range(size - 1)]
    mapped = mmap.mmap(-1, 4 * size * 2 * CHUNK_NUMBERS)
    first = SharedMemory(0, size, mapped, {rank: pair[0] for rank, pair in enumerate(pairs, 1)})
    return [first] + [SharedMemory(rank, size, mapped, {0: pair[1]}) for rank, pair in enumerate(pairs, 1)]


def together(functions):
    """What functions return, or the exceptions that they raise, each in a thread."""
    results = [None] * len(functions)

    def run(number):
        try:
            results[number] = functions[number]()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a rank waits forever"
    return results


@pytest.mark.parametrize("size", [2, 3])
def test_sums_of_many_arrays_over_several_chunks_are_the_same_bits_on_all_ranks(size):
    random = np.random.RandomState(0)
    # an array across the end of a chunk, one of several chunks, scalars, empty ones and one that is not contiguous
    shapes = [(3,), (), (CHUNK_NUMBERS - 40,), (0, 5), (7, 11), (2 * CHUNK_NUMBERS + 1,), (1, 1, 4)]
    arrays = [[random.standard_normal(shape).astype(np.float32) for shape in shapes] + [random.standard_normal((9, 4)).astype(
        np.float32).T] for _ in range(size)]
    ranks = connected(size)
    for factor in (1.0, 1.0 / size, 1.0):  # the memory is used again
        results = together([functools.partial(rank.sum, own, factor) for rank, own in zip(ranks, arrays)])
        for number, sums in enumerate(zip(*results)):
            expected = np.float32(factor) * arrays[0][number]
            for own in arrays[1:]:
                expected = expected + np.float32(factor) * own[number]
            for total in sums:
                assert total.dtype == np.float32 and total.shape == arrays[0][number].shape
                np.testing.assert_array_equal(total, expected)


def test_a_fast_rank_does_not_overwrite_what_a_slow_one_still_reads():
    ranks = connected(2)

    def repeated(rank, own):
        return [rank.sum([np.full(CHUNK_NUMBERS + 5, own + turn, np.float32)], 1.0)[0] for turn in range(40)]

    for sums in together([lambda: repeated(ranks[0], 1.0), lambda: repeated(ranks[1], 100.0)]):
        for turn, total in enumerate(sums):
            assert (total == 101.0 + 2 * turn).all()


def test_ranks_that_exchange_different_values_and_ranks_that_end_are_errors():
    ranks = connected(2)
    own = [np.zeros(3, np.float32)]
    different = together([lambda: ranks[0].sum(own, 1.0, 5), lambda: ranks[1].sum(own, 1.0, 6)])
    assert all(isinstance(error, ValueError) and "5" in str(error) and "6" in str(error) for error in different)
    ranks = connected(3)
    ended = together([lambda: ranks[0].sum(own, 1.0), ranks[1].close, lambda: ranks[2].sum(own, 1.0)])
    for error in ended[0], ended[2]:
        assert isinstance(error, ConnectionError) and is_caused_by_lost_peer(str(error))


class Notes:
    """The rendezvous server's notes, in memory."""

    known = None

    def __init__(self, environ, scope, timeout):
        self._scope = scope

    def put(self, rank, text):
        self.known[self._scope, rank] = text

    def get(self, rank):
        return self.known.get((self._scope, rank))


@pytest.mark.parametrize("full", [False, True])
def test_connecting_leaves_no_files_and_all_ranks_agree_where_there_is_no_room(full, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Notes, "known", {})
    monkeypatch.setattr(shared_memory, "RendezvousNotes", Notes)
    monkeypatch.setattr(shared_memory.tempfile, "mkdtemp", lambda prefix, dir: str(tmp_path / "ranks"))
    (tmp_path / "ranks").mkdir()
    if full:
        def fail(file, offset, length):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", fail)
    ranks = together([lambda rank=rank: shared_memory.connect(rank, 3, {}, "here:7") for rank in range(3)])
    assert list(tmp_path.iterdir()) == []
    if full:
        assert ranks == [None] * 3
        assert "No space left on device" in capsys.readouterr().out
    else:
        sums = together([functools.partial(rank.sum, [np.float32(number)], 1.0) for number, rank in enumerate(ranks)])
        assert sums == [[3.0]] * 3


def test_a_second_run_on_the_same_server_does_not_read_the_notes_of_the_first(monkeypatch):
    monkeypatch.setattr(Notes, "known", {})
    monkeypatch.setattr(shared_memory, "RendezvousNotes", Notes)
    monkeypatch.setattr(shared_memory, "_SECONDS_TO_CONNECT", 5.0)
    for run in "here:7", "here:8":
        # rank 1 first: it has to wait for the folder of this run
        late = functools.partial(lambda run: time.sleep(0.2) or shared_memory.connect(0, 2, {}, run), run)
        ranks = together([late, functools.partial(shared_memory.connect, 1, 2, {}, run)])
        assert together([functools.partial(rank.sum, [np.float32(2)], 1.0) for rank in ranks]) == [[4.0]] * 2


@pytest.mark.parametrize("environ, possible", [
    ({"HOROVOD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "2"}, True),
    ({"HOROVOD_SIZE": "4", "HOROVOD_LOCAL_SIZE": "2"}, False),
    ({"HOROVOD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "2", "JASPER_SHARED_MEMORY": "0"}, False),
    ({"HOROVOD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "2", "JASPER_SHARED_MEMORY": "1"}, True),
    ({"HOROVOD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "2", "JASPER_SHARED_MEMORY": ""}, True),
])
def test_only_ranks_of_one_machine_share_memory(environ, possible):
    assert is_possible(environ) is possible


@pytest.mark.parametrize("value", ["off", "no", "false", "2", "00"])
def test_a_switch_of_unknown_value_is_refused(value):
    with pytest.raises(DeviceError, match="JASPER_SHARED_MEMORY.*%s.*expected 0" % value):
        is_possible({"HOROVOD_SIZE": "2", "HOROVOD_LOCAL_SIZE": "2", "JASPER_SHARED_MEMORY": value})
