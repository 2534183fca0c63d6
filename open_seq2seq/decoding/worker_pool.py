"""Processes that search next to the network: a bounded queue of utterances, results in order.

The libraries keep Python's interpreter lock during a search, so threads would stop the network. The processes are started by
``subprocess``, not forked: a fork of a process that runs TensorFlow can hang, and ``multiprocessing`` would import the user's
main module again in each of them.
"""
import concurrent.futures
import os
import queue
import signal
import subprocess
import sys
import threading

import open_seq2seq
from open_seq2seq.cores import usable_cores
from open_seq2seq.decoding.search_worker import read_message, write_message
from open_seq2seq.errors import DataError

MOST_WORKERS = 32     # by default; each holds about 40 MB, and the language model is shared
WAITING_PER_WORKER = 8
SHORTEST_QUEUE = 64   # utterances


class WorkerPool:
    """Search processes.

    Args:
      spec: the ``SearchSpec``.
      count: number of processes; None: one for each core that this process may use, at most :data:`MOST_WORKERS`.

    Attributes:
      size: the number of processes.

    Raises:
      JasperError, RuntimeError: what the search of ``spec`` raised when it was made.
    """

    def __init__(self, spec, count=None):
        self.size = count or min(usable_cores(), MOST_WORKERS)
        self._tasks = queue.Queue()
        self._free = threading.Semaphore(max(SHORTEST_QUEUE, WAITING_PER_WORKER * self.size))
        self._is_closed = False
        self._processes = [_start() for _ in range(self.size)]
        self._threads = []
        try:
            for process in self._processes:
                write_message(process.stdin, spec)
            for process in self._processes:
                _result(process, "before the first utterance")
        except BaseException:
            self._end()
            raise
        self._threads = [threading.Thread(target=self._serve, args=(process,), name="search", daemon=True)
                         for process in self._processes]
        for thread in self._threads:
            thread.start()

    def submit(self, utterances, with_characters=False):
        """Starts the search of utterances; waits while too many are unfinished.

        Args:
          utterances: list of float32 [valid frames, V + 1], log probabilities.
          with_characters: see ``searches``.

        Returns:
          ``concurrent.futures.Future`` of the list of their Hypotheses.
        """
        if self._is_closed:
            raise ValueError("the decoder is closed")
        batch = _Batch(len(utterances))
        for number, log_probabilities in enumerate(utterances):
            self._free.acquire()
            self._tasks.put((batch, number, (log_probabilities, with_characters)))
        return batch.future

    def close(self):
        """Ends the processes; results that are not there yet are cancelled."""
        if not self._is_closed:
            self._is_closed = True
            self._end()

    def _end(self):
        for process in self._processes:
            process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            process.wait()
            process.stdout.close()
            try:
                process.stdin.close()
            except OSError:
                pass
        while not self._tasks.empty():
            task = self._tasks.get()
            if task is not None:
                task[0].fail(concurrent.futures.CancelledError())

    def _serve(self, process):
        """Passes tasks to a process until there are no more; runs in a thread."""
        for batch, number, message in iter(self._tasks.get, None):
            try:
                if not self._is_closed:
                    write_message(process.stdin, message)
                    batch.add(number, _result(process, "in an utterance of %d frames" % len(message[0])))
                else:
                    batch.fail(concurrent.futures.CancelledError())
            except BaseException as error:
                batch.fail(concurrent.futures.CancelledError() if self._is_closed else _named(error, process, message))
            finally:
                self._free.release()


class _Batch:
    """The results of a batch, which arrive in any order."""

    def __init__(self, size):
        self.future = concurrent.futures.Future()
        self._results, self._missing, self._lock = [None] * size, size, threading.Lock()
        if not size:
            self.future.set_result([])

    def add(self, number, result):
        with self._lock:
            self._results[number] = result
            self._missing -= 1
            if not self._missing and not self.future.done():
                self.future.set_result(self._results)

    def fail(self, error):
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


def _start():
    """A process of ``search_worker``."""
    # its libraries would start threads for all cores
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    root = os.path.dirname(os.path.dirname(os.path.abspath(open_seq2seq.__file__)))
    environment["PYTHONPATH"] = os.pathsep.join([root] + [path for path in [environment.get("PYTHONPATH")] if path])
    return subprocess.Popen([sys.executable, "-m", "open_seq2seq.decoding.search_worker"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=environment, start_new_session=True)


def _result(process, when):
    """The answer of a process; raises what it raised, and DataError if it ended."""
    try:
        answer = read_message(process.stdout)
    except EOFError:
        raise _ended(process, when)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _named(error, process, message):
    return _ended(process, "in an utterance of %d frames" % len(message[0])) if isinstance(error, BrokenPipeError) else error


def _ended(process, when):
    status = process.wait()
    cause = "by signal %s" % signal.Signals(-status).name if status < 0 else "with exit status %d" % status
    return DataError("a process of the beam search ended %s %s. If memory ran out, set decoder_workers to fewer processes or "
                     "lower beam_width; if the language model is damaged, build it again" % (cause, when))
