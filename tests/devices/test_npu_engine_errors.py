"""Failures of the graph engine, from the fake adapter, as a user reads them; every code of docs/ascend.md."""
import os
import re

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import select_device
from open_seq2seq.devices.npu_error_codes import CODES, MEMORY, OTHER, PEERS, code_of
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed import ProcessGroup
from open_seq2seq.distributed.lost_peers import is_caused_by_lost_peer
from open_seq2seq.errors import DeviceError
from tests.paths import REPOSITORY


class _Pair(ProcessGroup):
    rank, size, local_rank, local_size = 0, 2, 0, 2


@pytest.fixture
def failing_runs(fake_adapter, graph, monkeypatch):
    """Function (codes) -> the errors of a session that runs a graph called "training, 160 frames" once for every code."""
    product = tf.matmul([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]], name="product")

    def run(codes, group=None):
        monkeypatch.setenv("FAKE_ASCEND_FAIL", ",".join("product@%d:%s" % (run, code) for run, code in enumerate(codes, 1)))
        device = select_device("npu", group=group)
        device.name_runs([("training, 160 frames", [product])])
        errors = []
        with open_session(device) as session:
            for _ in codes:
                with pytest.raises((DeviceError, tf.errors.OpError)) as raised:
                    session.run({"product": product})
                errors.append(raised.value)
            assert session.run(product).shape == (2, 2)
        return errors
    return run


def test_every_code_is_explained(failing_runs):
    for code, error in zip(CODES, failing_runs([code.code for code in CODES])):
        assert isinstance(error, DeviceError) and error.exit_status == 4, code
        text = str(error)
        assert "training, 160 frames" in text and code.code in text and code.title in text, text
        assert code.advice[1:] in text, text
        if code.kind == MEMORY:
            assert text.startswith("out of memory in ") and code.code in error.out_of_memory
        else:
            assert error.out_of_memory is None and "Meaning: " + code.meaning in text, text


def test_an_inner_error_about_an_allocation_is_one_of_memory(failing_runs):
    [error] = failing_runs(["EZ9999 allocate"])
    assert "out of memory in training, 160 frames" in str(error) and "EZ9999" in error.out_of_memory
    assert '"EZ9999: Inner Error! [Malloc][Memory] Allocate 34359738368 bytes of device memory failed' in str(error)


def test_what_lost_peers_cause_is_left_to_the_group(failing_runs, monkeypatch, fake_adapter):
    for name, value in fake_adapter.environment(rank=0, size=2).items():
        monkeypatch.setenv(name, value)
    for error in failing_runs([code.code for code in CODES if code.kind == PEERS], _Pair()):
        assert isinstance(error, tf.errors.InternalError) and is_caused_by_lost_peer(str(error))


@pytest.mark.parametrize("code, ctc_is_the_cause", [("EL0004", False), ("EZ9999 allocate", False), ("EE9999", False),
                                                    ("EZ3002", True)])
def test_a_failing_start_names_its_graph_and_no_cause_that_it_does_not_have(fake_adapter, graph, monkeypatch, code,
                                                                           ctc_is_the_cause):
    variable = tf.get_variable("weights", [2], use_resource=False)
    device = select_device("npu")
    device.name_runs([("initialization of the variables", variable.initializer)], with_batch=False)
    monkeypatch.setenv("FAKE_ASCEND_FAIL", "MatMul:%s,weights:%s" % (code, code))
    for feed, name in ((None, "initialization and checks of the device"),
                       ({variable.initializer.inputs[1]: [1.0, 2.0]}, "setting the variables and checks of the device")):
        with open_session(device) as session, pytest.raises(DeviceError) as raised:
            device.start_session(session, graph, variable.initializer, feed)
        text = str(raised.value)
        assert name in text and code[:6] in text and "ower the batch size" not in text, text
        assert ("three short utterances" in text) == ("ctc_on_host" in text) == ctc_is_the_cause, text
    with open_session(device) as session, pytest.raises(DeviceError, match=" in setting all variables") as raised:
        session.run(variable.initializer, {variable.initializer.inputs[1]: [1.0, 2.0]})
        session.run([tf.assign(variable, [1.0, 2.0]).op])
    assert "ower the batch size" not in str(raised.value)


def test_the_quoted_text_is_the_engines_own(failing_runs):
    text = str(failing_runs(["EJ0001"])[0])
    assert '"EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running."' in text
    assert "TraceBack" not in text and "PID" not in text


@pytest.mark.parametrize("text, code, kind", [
    ("Memory_Allocation_Failure(EL0004): Failed to allocate memory.", "EL0004", MEMORY),
    # the reason, not its consequences
    ("EE9999: Inner Error!\n  rtMalloc execute failed, reason=[driver error:out of memory]", "EE9999", MEMORY),
    ("EE9999: Inner Error!\n  EL0004: Failed to allocate memory.", "EL0004", MEMORY),
    ("open device 2 failed, runtime result = 207001.", "207001", MEMORY),
    # memory of the host is not the device's
    ("EE9999: Inner Error!\n  Host memory malloc failed, size=16.\n  allocate host memory", "EE9999", OTHER),
    ("EI0006: Getting socket times out.", "EI0006", PEERS),
    ("EL0008: Insufficient events", "EL0008", OTHER), ("E12345: anything", "E12345", OTHER),
    ("E99999: anything", "E99999", OTHER), ("EX1234: anything", "EX1234", OTHER),
    # neither sizes nor names of operations are codes
    ("size = 207001, type VE00041x, return 99", None, None), ("XE10001", None, None),
])
def test_the_code_of_a_text(text, code, kind):
    found = code_of(text)
    assert (None, None) == (code, kind) if found is None else (found.code, found.kind) == (code, kind)
    if code in ("EL0008", "E99999", "EX1234"):
        assert ("error of the driver" if code == "EL0008" else "of an unknown module (%s)" % code[1]) in found.title
        assert "docs/ascend.md does not list" in found.meaning


def test_errors_that_are_not_the_engines_stay_as_they_are(fake_adapter):
    device = select_device("npu")
    for kind, text in ((tf.errors.InternalError, "Blas GEMM launch failed"), (tf.errors.OutOfRangeError, "EL0004: x"),
                       (tf.errors.InvalidArgumentError, "GEOP EL0004: x")):
        assert device.failure(kind(None, None, text), []) is None
    text = str(device.failure(tf.errors.InternalError(
        None, None, "[GEOP] GE session build graph failed, domi_ret : 1343225857\nError Message is : \n something new"), []))
    assert '"something new"' in text and "without a known error code" in text


def test_out_of_memory_on_other_devices(graph):
    device = select_device("cpu")
    first, second, shared = (tf.no_op(name=name) for name in ("first", "second", "shared"))
    device.name_runs([("training", [first, shared]), ("evaluation, 96 frames", {"of": second, "with": shared})])
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nmore")
    assert str(device.failure(error, {"a": second, "b": [shared]})) == (
        "out of memory in evaluation, 96 frames: OOM when allocating tensor. Lower the batch size")
    assert device.failure(error, shared).out_of_memory == "OOM when allocating tensor"
    assert "in the run of shared: " in str(device.failure(error, shared))


def test_the_documentation_lists_exactly_these_codes():
    with open(os.path.join(REPOSITORY, "docs", "ascend.md"), encoding="utf-8") as file:
        rows = dict(re.findall(r"^\| `([0-9A-Z]{6})` \| (.+) \|$", file.read(), re.MULTILINE))
    expected = {code.code: "%s: %s | %s" % (code.title, code.meaning, code.advice) for code in CODES}
    assert set(rows) == set(expected)
    assert not {code: (rows[code], row) for code, row in expected.items() if rows[code] != row}
