import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.transfer import network_layers, transfer_into, valid_checkpoint
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import CheckpointError, UsageError

ENCODER, OUTPUT = "ForwardPass/w2l_encoder/", "ForwardPass/fully_connected_ctc_decoder/fully_connected/"
SLOTS = "Loss_Optimization/"
# in the order that a network makes them
SHAPES = [(ENCODER + "conv11/kernel", [3, 2, 4]), (ENCODER + "conv11/bn/gamma", [4]), (ENCODER + "conv21/kernel", [3, 4, 4]),
          (ENCODER + "conv21/res_0/kernel", [1, 4, 4]), (OUTPUT + "kernel", [4, 4]), (OUTPUT + "bias", [4])]
PARAMS = {"drop_layers": 0, "evaluate_ema": True, "copy_letters": True}


def names_of(*layers):
    return [name for name, _ in SHAPES if any(name.startswith(layer) for layer in layers)]


@pytest.fixture
def source(tmp_path):
    """A checkpoint whose network's variables are all 1, their slots 2, with the vocabulary "abc"."""
    values = {name: np.ones(shape, np.float32) for name, shape in SHAPES}
    values.update({SLOTS + name + "/NovoGrad": np.full(shape, 2.0, np.float32) for name, shape in SHAPES})
    values["global_step"] = np.int64(70)
    path = str(tmp_path / "model.ckpt-70")
    write_checkpoint(path, values, {"vocabulary": ["a", "b", "c"]})
    return path


def network(outputs=4, changes=(), averages=False):
    """Variables of the network, all 0, and what belongs to them."""
    for name, shape in SHAPES:
        shape = [outputs if name.startswith(OUTPUT) and i == len(shape) - 1 else size for i, size in enumerate(shape)]
        shape = dict(changes).get(name, shape)
        if shape is not None:
            tf.get_variable(name, shape, initializer=tf.zeros_initializer())
            tf.get_variable(SLOTS + name + "/NovoGrad", shape, initializer=tf.zeros_initializer())
            if averages:
                tf.get_variable(name + "/ExponentialMovingAverage", shape, initializer=tf.constant_initializer(-1.0))
    tf.train.get_or_create_global_step()


def transferred(source, weights_only=True, characters=("a", "b", "c"), **params):
    """(RestoreReport, dict of variables' names -> their largest value)."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        report, _ = transfer_into(session, source, dict(PARAMS, **params), characters, weights_only)
        return report, {variable.op.name: session.run(variable).max() for variable in tf.global_variables()}


def check(values, reinitialized, slots, step):
    """Asserts that all of the network except ``reinitialized`` equals the source."""
    for name, _ in SHAPES:
        assert values[name] == (0.0 if name in reinitialized else 1.0), name
        assert values[SLOTS + name + "/NovoGrad"] == (0.0 if name in reinitialized or not slots else 2.0), name
    assert values["global_step"] == step


def test_the_same_network_is_restored_without_its_optimizer(source, graph, capsys):
    network()
    report, values = transferred(source)
    check(values, [], slots=False, step=0)
    assert len(report.restored) == 6 and report.reshaped == [] and report.missing == []
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["*** Restored 6 of 6 variables of the network from " + source,
                     "***     restored layers: w2l_encoder/conv11, w2l_encoder/conv21, "
                     "fully_connected_ctc_decoder/fully_connected"]


def test_everything_is_restored_when_a_training_is_continued(source, graph, capsys):
    network()
    check(transferred(source, weights_only=False)[1], [], slots=True, step=70)
    assert "restored as well: 7 variables of the optimizer and of the training state" in capsys.readouterr().out


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("outputs, characters, copy, reason", [
    (6, tuple("abcde"), False, "vocabulary changed from 'abc' to 'abcde'"),
    (4, tuple("abd"), False, "vocabulary changed from 'abc' to 'abd'"),
    (4, tuple("xyz"), True, "vocabulary changed from 'abc' to 'xyz'"),
    (6, None, True, "vocabulary changed from 4 to 6 outputs")])
def test_another_vocabulary_reinitializes_the_output_layer_and_nothing_else(source, graph, capsys, outputs, characters, copy,
                                                                          reason, weights_only):
    network(outputs)
    _, values = transferred(source, weights_only, characters, copy_letters=copy)
    check(values, names_of(OUTPUT), slots=not weights_only, step=0 if weights_only else 70)
    printed = capsys.readouterr().out
    assert "reinitialized: fully_connected_ctc_decoder/fully_connected (%s)" % reason in printed
    assert "only in the checkpoint" not in printed and "of another shape" not in printed
    assert ("none of the 3 letters is in the checkpoint's vocabulary" in printed) == (characters == tuple("xyz"))


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("averages", [True, False])
def test_letters_that_both_vocabularies_have_are_copied_by_name(graph, tmp_path, capsys, weights_only, averages):
    shapes = dict(SHAPES, **{OUTPUT + "kernel": [4, 5], OUTPUT + "bias": [5]})
    values = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    values.update({SLOTS + name + "/NovoGrad": np.full(shape, 2.0, np.float32) for name, shape in shapes.items()})
    values[OUTPUT + "kernel"] = np.arange(20.0, dtype=np.float32).reshape(4, 5)
    values[OUTPUT + "bias"] = np.array([1.0, 2.0, 4.0, 8.0, 16.0], np.float32)
    values.update({name + "/ExponentialMovingAverage": values[name] + 100.0 for name in names_of(OUTPUT)
                   if averages and weights_only})
    values["global_step"] = np.int64(70)
    write_checkpoint(str(tmp_path / "model.ckpt-70"), values, {"vocabulary": [" ", "a", "k", "I"]})
    network(6, averages=averages)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        transfer_into(session, str(tmp_path / "model.ckpt-70"), PARAMS, ("k", "\u04e9", "i", " ", "a"), weights_only)
        found = {variable.op.name: session.run(variable) for variable in tf.global_variables()}
    trained = {name: values.get(name + "/ExponentialMovingAverage", values[name]) for name in names_of(OUTPUT)}
    kernel, bias = found[OUTPUT + "kernel"], found[OUTPUT + "bias"]
    np.testing.assert_array_equal(kernel[:, [0, 3, 4, 5]], trained[OUTPUT + "kernel"][:, [2, 0, 1, 4]])  # k, space, a, blank
    np.testing.assert_array_equal(kernel[:, 1:3], np.zeros([4, 2]))  # the initial values
    np.testing.assert_array_equal(bias[[0, 3, 4, 5]], trained[OUTPUT + "bias"][[2, 0, 1, 4]])
    np.testing.assert_allclose(bias[1:3], trained[OUTPUT + "bias"][:3].mean())
    assert found[SLOTS + OUTPUT + "kernel/NovoGrad"].max() == 0.0
    if averages:
        np.testing.assert_array_equal(found[OUTPUT + "kernel/ExponentialMovingAverage"], kernel)
    printed = capsys.readouterr().out
    assert "partly copied: fully_connected_ctc_decoder/fully_connected (vocabulary changed" in printed
    assert "letters copied by name: 3 of 5, and the blank: 'k a'" in printed and "new letters: '\u04e9i'" in printed
    assert "'i' and 'I'" in printed  # perhaps meant to be the same, which is for the user to decide


@pytest.mark.parametrize("drop_layers, reinitialized", [(1, [OUTPUT]), (2, [OUTPUT, ENCODER + "conv21/"])])
def test_dropped_layers_are_reinitialized_with_slots_and_averages(source, graph, capsys, drop_layers, reinitialized):
    network()
    check(transferred(source, False, drop_layers=drop_layers)[1], names_of(*reinitialized), slots=True, step=70)
    assert capsys.readouterr().out.count("reinitialized: ") == drop_layers


def test_dropping_all_layers_is_refused(source, graph):
    network()
    with pytest.raises(UsageError, match="drop_layers is 3, but the network has 3 layers, including the output layer"):
        transferred(source, drop_layers=3)


def test_what_does_not_match_is_listed_and_the_rest_restored(source, graph, capsys):
    network(changes={ENCODER + "conv11/kernel": [5, 2, 4], ENCODER + "conv21/res_0/kernel": None})
    tf.get_variable(ENCODER + "conv11/bn/beta", [4])
    report, values = transferred(source)
    assert values[ENCODER + "conv11/kernel"] == 0.0 and values[ENCODER + "conv21/kernel"] == 1.0
    assert report.reshaped == [ENCODER + "conv11/kernel is [5, 2, 4] here, [3, 2, 4] in the checkpoint"]
    lines = capsys.readouterr().out
    assert "Restored 4 of 6 variables" in lines and "restored layers: w2l_encoder/conv21, fully_connected" in lines
    assert "reinitialized because of another shape: %s\n" % report.reshaped[0] in lines
    assert "initialized, not in the checkpoint: %sconv11/bn/beta\n" % ENCODER in lines
    assert "only in the checkpoint: %sconv21/res_0/kernel\n" % ENCODER in lines


def test_a_continued_training_has_to_match_except_for_its_outputs(source, graph):
    network(changes={ENCODER + "conv11/kernel": [5, 2, 4]})
    with pytest.raises(CheckpointError, match="another architecture"):
        transferred(source, weights_only=False)


def test_a_checkpoint_in_which_nothing_matches_is_refused(source, graph):
    tf.get_variable("ForwardPass/other_encoder/layer1/kernel", [3])
    with pytest.raises(CheckpointError, match="nothing in checkpoint .*model.ckpt-70 matches the network: it has 6 "
                                              "variables of a network .*the config's network has 1 "
                                              ".ForwardPass/other_encoder/layer1/kernel."):
        transferred(source)


def test_averages_of_reinitialized_layers_are_reset(source, graph, tmp_path):
    network(averages=True)
    values = {variable.op.name: np.full(variable.shape.as_list(), 5, variable.dtype.base_dtype.as_numpy_dtype)
              for variable in tf.global_variables()}
    averaged = str(tmp_path / "model.ckpt-80")
    write_checkpoint(averaged, values, {"vocabulary": ["a", "b", "c"]})
    _, found = transferred(averaged, weights_only=False, characters=tuple("xyz"))
    for name, _ in SHAPES:
        assert found[name + "/ExponentialMovingAverage"] == (0.0 if name.startswith(OUTPUT) else 5.0)


def test_weights_are_restored_from_the_averages_that_were_evaluated(source, graph, tmp_path):
    network()
    values = {name: np.full(shape, 3.0, np.float32) for name, shape in SHAPES}
    values.update({name + "/ExponentialMovingAverage": np.full(shape, 4.0, np.float32) for name, shape in SHAPES[:3]})
    averaged = str(tmp_path / "model.ckpt-80")
    write_checkpoint(averaged, values, {})
    report, found = transferred(averaged)
    assert [found[name] for name, _ in SHAPES] == [4.0] * 3 + [3.0] * 3 and len(report.averaged) == 3


def test_layers_are_counted_from_the_output(graph):
    network(averages=True)
    layers = network_layers(tf.global_variables())
    assert [(layer, len(members)) for layer, members in layers.items()] == [
        (OUTPUT[:-1], 2), (ENCODER + "conv21", 2), (ENCODER + "conv11", 2)]


def test_load_model_names_a_checkpoint_or_a_directory_and_changes_neither(source, tmp_path):
    write_checkpoint(str(tmp_path / "best_dev-60"), {"a": np.zeros(2, np.float32)}, {})
    write_checkpoint(str(tmp_path / "model.ckpt-71"), {"a": np.zeros(2, np.float32)}, {})
    with open(str(tmp_path / "model.ckpt-71.data-00000-of-00001"), "wb") as file:
        file.write(b"x")
    assert valid_checkpoint(source) == source and valid_checkpoint(str(tmp_path)) == source
    assert valid_checkpoint(str(tmp_path), best=True) == str(tmp_path / "best_dev-60")
    assert (tmp_path / "model.ckpt-71.index").exists()
    with pytest.raises(CheckpointError, match="model.ckpt-71 is damaged: .* has 1 bytes"):
        valid_checkpoint(str(tmp_path / "model.ckpt-71"))
    with pytest.raises(CheckpointError, match="there is no checkpoint .*nowhere and no such directory"):
        valid_checkpoint(str(tmp_path / "nowhere"))
