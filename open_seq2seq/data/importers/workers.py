"""Processes that do the units of work of an import. They end with the importer, also when it is killed."""
import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
import sys

from open_seq2seq.errors import StorageError

_PR_SET_PDEATHSIG = 1


def map_unordered(function, tasks, workers):
    """Yields ``function(task)`` for every task, in the order in which they finish.

    Args:
      function: of a module, for other processes.
      tasks: list of what pickle can store.
      workers: number of processes; 1: this one.

    Raises:
      StorageError: a process was killed.
      Exception: that of the first task that failed.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            yield function(task)
        return
    # a forked child would inherit locks and threads, e.g. of the progress bar
    pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (os.getpid(),))
    try:
        left, running = iter(tasks), set()
        while True:
            for task in left:
                running.add(pool.submit(function, task))
                if len(running) >= 3 * workers:
                    break
            if not running:
                return
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except concurrent.futures.process.BrokenProcessPool:
        raise StorageError("a worker process of the import was killed, perhaps because memory ran out. Run the command again "
                           "with fewer --workers; finished work is kept")
    finally:
        for future in running:
            future.cancel()
        pool.shutdown()


def _begin(parent):
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # Ctrl-C is handled by the importer
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
