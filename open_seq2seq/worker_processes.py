"""Processes that do independent tasks of a command, e.g. of an import. They end with the command, also when it is killed."""
import concurrent.futures
import itertools
import multiprocessing
import os

from open_seq2seq.errors import StorageError
from open_seq2seq.signals import follow_parent

_report = None                # function of the number of utterances that a task of this process has finished
_SECONDS = 0.5                # between two reports of other processes


def report_utterance():
    """To be called by a task for each utterance that it has finished."""
    if _report is not None:
        _report()


def map_unordered(function, tasks, workers, on_utterances, advice, initialize=None, arguments=()):
    """Yields ``function(task)`` for every task, in the order in which they finish.

    Args:
      function: of a module, for other processes.
      tasks: list of what pickle can store.
      workers: number of processes; 1: this one.
      on_utterances: function that receives the number of utterances that are finished, from time to time.
      advice: str, what to do if a process is killed, for the error.
      initialize, arguments: function of a module, and its arguments, that is called once in each process before its first task.

    Raises:
      StorageError: a process was killed.
      Exception: that of the first task that failed.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        if initialize is not None:
            initialize(*arguments)
        yield from _in_this_process(function, tasks, on_utterances)
        return
    # a forked child would inherit locks and threads, e.g. of the progress bar
    context = multiprocessing.get_context("spawn")
    counter, running = context.Value("q"), set()
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin, (os.getpid(), counter, initialize, arguments))
    try:
        left = iter(tasks)
        while True:
            for task in left:
                running.add(pool.submit(function, task))
                if len(running) >= 3 * workers:
                    break
            if not running:
                return
            done, running = concurrent.futures.wait(running, _SECONDS, concurrent.futures.FIRST_COMPLETED)
            # without the lock, which a worker that was killed may have held
            on_utterances(counter.get_obj().value)
            for future in done:
                yield future.result()
    except concurrent.futures.process.BrokenProcessPool:
        raise StorageError("a worker process was killed, perhaps because memory ran out. " + advice)
    finally:
        for future in running:
            future.cancel()
        pool.shutdown()


def _in_this_process(function, tasks, on_utterances):
    global _report
    numbers = itertools.count(1)
    _report = lambda: on_utterances(next(numbers))      # noqa: E731
    try:
        for task in tasks:
            yield function(task)
    finally:
        _report = None


def _begin(parent, counter, initialize, arguments):
    global _report

    def add_one():
        with counter.get_lock():
            counter.value += 1

    _report = add_one
    follow_parent(parent)
    if initialize is not None:
        initialize(*arguments)
