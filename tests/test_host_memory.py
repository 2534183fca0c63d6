"""What is available is the least of what the machine and the control groups leave; the files are those of a pretended system."""
import pytest

from open_seq2seq.host_memory import available_bytes, total_bytes

MEBIBYTE = 2 ** 20


@pytest.fixture
def write(tmp_path):
    def call(**files):
        for path, content in files.items():
            path = tmp_path / path.replace("__", "/").replace("dot", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return str(tmp_path)
    return call


MACHINE = {"proc__meminfo": "MemTotal:       8192 kB\nMemFree:         100 kB\nMemAvailable:   4096 kB\nSwapFree:  999999 kB\n"}


def test_the_machine(write):
    assert available_bytes(write(**MACHINE)) == 4 * MEBIBYTE


def test_elsewhere_than_on_linux_nothing_is_known(tmp_path):
    assert available_bytes(str(tmp_path)) is None


@pytest.mark.parametrize("limit, usage, inactive, available", [
    (3 * MEBIBYTE, 2 * MEBIBYTE, 0, MEBIBYTE), (3 * MEBIBYTE, 2 * MEBIBYTE, 1000, MEBIBYTE + 1000),
    (8 * MEBIBYTE, MEBIBYTE, 0, 4 * MEBIBYTE), ("max", MEBIBYTE, 0, 4 * MEBIBYTE), (MEBIBYTE, 2 * MEBIBYTE, 0, 0)])
def test_a_control_group_and_those_round_it(write, limit, usage, inactive, available):
    root = write(proc__self__cgroup="0::/jobs/training\n", sys__fs__cgroup__jobs__training__memorydotmax="max\n",
                 sys__fs__cgroup__jobs__memorydotmax="%s\n" % limit, sys__fs__cgroup__jobs__memorydotcurrent="%d\n" % usage,
                 sys__fs__cgroup__jobs__memorydotstat="active_file 77\ninactive_file %d\n" % inactive, **MACHINE)
    assert available_bytes(root) == available


def test_groups_of_the_first_version(write):
    root = write(proc__self__cgroup="9:cpu:/x\n4:memory:/jobs\n0::/\n",
                 sys__fs__cgroup__memory__jobs__memorydotlimit_in_bytes="5000",
                 sys__fs__cgroup__memory__jobs__memorydotusage_in_bytes="3000",
                 sys__fs__cgroup__memory__jobs__memorydotstat="inactive_file 1\ntotal_inactive_file 400\n", **MACHINE)
    assert available_bytes(root) == 2400


@pytest.mark.parametrize("limit, total", [(3 * MEBIBYTE, 3 * MEBIBYTE), (16 * MEBIBYTE, 8 * MEBIBYTE), ("max", 8 * MEBIBYTE)])
def test_total_memory_does_not_depend_on_what_is_used(write, limit, total):
    root = write(proc__self__cgroup="0::/jobs\n", sys__fs__cgroup__jobs__memorydotmax="%s\n" % limit, **MACHINE)
    assert total_bytes(root) == total
