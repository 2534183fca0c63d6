"""Tasks in several processes: their results and reports, and a process that is killed."""
import os
import signal

import pytest

from open_seq2seq import worker_processes
from open_seq2seq.errors import StorageError
from open_seq2seq.worker_processes import map_unordered, report_utterance


def square(number):
    report_utterance()
    return number * number


def killed_with_the_lock(number):
    """Ends like a process that is killed while it reports an utterance."""
    worker_processes._report.__closure__[0].cell_contents.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_tasks_are_done_and_reported(workers):
    reported = []
    assert sorted(map_unordered(square, list(range(9)), workers, reported.append, "")) == [n * n for n in range(9)]
    assert reported[-1] == 9 and reported == sorted(reported)


def test_a_process_that_is_killed_while_it_reports_is_an_error():
    with pytest.raises(StorageError, match="a worker process was killed, perhaps because memory ran out. Use fewer"):
        list(map_unordered(killed_with_the_lock, [1, 2, 3], 2, lambda count: None, "Use fewer"))
