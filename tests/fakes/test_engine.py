"""Failures of the graph engine and the precision of accelerated training, as a script with the adapter sees them."""
import pytest
import tensorflow.compat.v1 as tf


def products():
    matrix = tf.ones([2, 2])
    return tf.matmul(matrix, matrix, name="first"), tf.matmul(matrix, 2.0 * matrix, name="second")


def test_a_graph_fails_at_the_run_that_is_named(adapter, make_npu_config, monkeypatch):
    first, second = products()
    monkeypatch.setenv("FAKE_ASCEND_FAIL", "second@2:EL0004")
    with tf.Session(config=make_npu_config()) as session:
        session.run([first, first])
        session.run(second)
        with pytest.raises(tf.errors.InternalError, match=r"(?s)DoRunAsync Failed\nError Message is : \nEL0004: .*"
                                                          r"Failed to allocate memory requested by GE module.*\{\{node GeOp"):
            session.run(second)
        session.run(second)
    monkeypatch.setenv("FAKE_ASCEND_FAIL", "first:EI0006")
    with tf.Session() as session:
        session.run(first)  # on the host


def test_graphs_have_numbers(adapter, make_npu_config, monkeypatch):
    first, _ = products()
    from fake_ascend import sessions
    with tf.Session(config=make_npu_config()) as session:
        session.run(first)
        [graph] = sessions.graphs(session)
        monkeypatch.setenv("FAKE_ASCEND_FAIL", "%d@2:207001" % graph.number)
        with pytest.raises(tf.errors.InternalError, match="EE9999: Inner Error.*\n.*runtime result = 207001"):
            session.run(first)


def changes(session):
    from fake_ascend import sessions
    return sessions.state_of(session).engine.acceleration.changes


def test_every_graph_is_compiled_again_when_the_step_has_come(adapter, make_npu_config, monkeypatch):
    first, second = products()
    monkeypatch.setenv("TOTAL_STEP", "10")
    config = make_npu_config(experimental_accelerate_train_mode="fast|step|0.5", precision_mode="must_keep_origin_dtype")
    with tf.Session(config=config) as session:
        for step in range(8):
            monkeypatch.setenv("STEP_NOW", str(step))
            session.run([first, first])
            if step % 4 == 3:
                session.run(second)
        numbers = sorted({number for number, _, _ in changes(session)})
        assert changes(session) == [
            (numbers[0], 0, "allow_mix_precision_fp16"), (numbers[1], 3, "allow_mix_precision_fp16"),
            (numbers[0], 5, "must_keep_origin_dtype"), (numbers[1], 7, "must_keep_origin_dtype")]
        from fake_ascend import sessions
        assert [graph.builds for graph in sessions.graphs(session)] == [[2], [2]]


def test_the_loss_decides_as_well(adapter, make_npu_config, monkeypatch):
    first, _ = products()
    monkeypatch.setenv("TARGET_LOSS", "2")
    config = make_npu_config(experimental_accelerate_train_mode="fast1|loss", precision_mode_v2="origin")
    with tf.Session(config=config) as session:
        for loss in ("0", "9", "2.2", "2.05", "1"):
            monkeypatch.setenv("LOSS_NOW", loss)
            session.run(first)
        assert [change[1:] for change in changes(session)] == [(0, "mixed_bfloat16"), (2.05, "origin")]


@pytest.mark.parametrize("mode, parameters, message", [
    ("quick|step", {}, "first part is invalid: quick"), ("fast|epoch", {}, "second part is invalid: epoch"),
    ("fast|step|0.95", {}, "third part is invalid: 0.95 ,you can choose `0.2-0.9`"), ("fast", {}, "Format .* is invalid"),
    ("fast|step", {"precision_mode": "allow_mix_precision"}, "is not support with PRECISION_MODE: allow_mix_precision"),
    ("fast|loss", {"precision_mode": "allow_fp32_to_fp16"}, "LOSS_NOW is not set")])
def test_wrong_modes_are_errors_of_the_first_run(adapter, make_npu_config, monkeypatch, mode, parameters, message):
    first, _ = products()
    monkeypatch.setenv("STEP_NOW", "0")
    monkeypatch.setenv("TOTAL_STEP", "9")
    with tf.Session(config=make_npu_config(experimental_accelerate_train_mode=mode, **parameters)) as session:
        with pytest.raises(tf.errors.InternalError, match=message):
            session.run(first)
