"""Collective operations over Horovod in real processes."""
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.horovod_group import HorovodGroup
from tests.paths import REPOSITORY


@pytest.mark.slow
def test_sums_means_and_gathered_rows(four_ranks):
    for rank, results in enumerate(result["collectives"] for result in four_ranks):
        assert results["place"] == [rank, 4, rank, 4, rank == 0, "Horovod"]
        assert results["sums"] == [[10.0, 20.0], 30.0]
        # the gradient of a sum over ranks is the sum over ranks of the gradients: 10 = 1 + 2 + 3 + 4 for the losses' weights
        assert results["gradients"] == [[10.0, 10.0 * 30.0], 10.0 * 20.0]
        assert results["means"][0] == pytest.approx([2.5, 5.0], rel=1e-6) and results["means"][3] == pytest.approx(7.5, rel=1e-6)
        # four times 60,000 overflows float16
        assert results["means"][1] == pytest.approx([60000.0], rel=1e-3)
        assert results["gathered"] == [[[0, 7], [1, 7], [2, 7], [3, 7]]]
        assert results["gathered_shapes"] == [[4, 2]] and results["means_shapes"] == [[2], [1], [1], []]


@pytest.mark.slow
def test_variables_of_every_type_get_the_values_of_rank_0(four_ranks):
    first = four_ranks[0]["broadcast"]
    assert all(result["broadcast"] == first for result in four_ranks)
    assert first["global_step"] == 2
    assert first["resource"] == 1.0 and first["Variable_5"] is True
    assert first["Variable_3"] == first["Variable_4"] == [1, 1, 1]
    # two steps of momentum 0.9 with gradient 1: slots 1, then 1.9
    assert first["Variable/Momentum"] == pytest.approx([1.9] * 3)
    assert first["Variable"] == pytest.approx([1 - 0.1 * (1 + 1.9)] * 3)


@pytest.mark.slow
def test_mean_gradients_are_bit_equal_on_every_rank(four_ranks):
    results = [result["training"] for result in four_ranks]
    assert results[0]["own"] != results[1]["own"]
    expected = [sum(numbers) / 4 for numbers in zip(*[result["own"] for result in results])]
    assert results[0]["mean"] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert all(result["mean"] == results[0]["mean"] and result["trained"] == results[0]["trained"] for result in results)


@pytest.mark.slow
def test_the_exchanges_of_a_step_through_shared_memory_equal_those_of_horovod(four_ranks):
    results = [result["steps"] for result in four_ranks]
    for result in results:
        assert result["shared"] and result["shapes"] == [[2], [1, 2], [2], [700000], []]
        # s = 10 v; the sum over the ranks of s * r v is 10 s v
        assert result["second"] == [[100.0, 400.0]]
        # the weights of the losses are 1 to 4: d loss / d (r v) = 10 s + 10 * 10 v = 200 v
        assert result["gradient"] == [200.0, 400.0]
        assert result["equal"] == [True, True, True] and result["bits"] == results[0]["bits"]


def test_a_step_does_not_wait_for_the_exchanges_of_another_kind_of_step():
    group = HorovodGroup.__new__(HorovodGroup)
    group.size, group._memory = 2, object()
    with tf.Graph().as_default():
        statistics = group.sum_in_step([tf.ones([3])])
        with group.alternative():
            plain = group.average_gradients(statistics)
            loss = group.average_in_step([tf.ones([])])
        second_pass = group.sum_in_step([tf.zeros([3])])
        other = group.average_gradients(second_pass)

        def exchanges(tensors):
            """Names of the exchanges that a session runs to fetch tensors."""
            found, waiting = set(), [tensor.op for tensor in tensors]
            while waiting:
                operation = waiting.pop()
                if operation.type == "PyFunc":
                    if operation.name in found:
                        continue
                    found.add(operation.name)
                waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
            return found

        first, gradients, mean_loss, again, last = (exchanges(tensors) for tensors in (
            statistics, plain, loss, second_pass, other))
        assert (len(first), len(gradients), len(mean_loss), len(again), len(last)) == (1, 2, 3, 2, 3)
        assert first < gradients < mean_loss and first < again < last and last & mean_loss == first


def test_databases_of_sqlite_work_after_horovod_is_imported(tmp_path, needs_horovod):
    script = ("import sys\n"
              "from open_seq2seq.distributed.horovod_group import import_horovod\n"
              "import_horovod(0, 1)\n"
              "import sqlite3\n"
              "connection = sqlite3.connect(sys.argv[1])\n"
              "print(connection.in_transaction)\n"
              "connection.rollback()\n")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.db")], cwd=REPOSITORY, capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
