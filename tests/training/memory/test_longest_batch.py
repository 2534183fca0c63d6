"""The longest batch is computed, and nothing of the training is changed by it."""
import types

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import PREFETCHED_BATCHES
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.distributed.group import Single
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.graph_analysis import step_memory as step_memory_module
from open_seq2seq.graph_analysis.step_memory import BatchShape, StepMemory, largest_possible_bytes, step_memory
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.optimizers.lr_policies import fixed_lr
from open_seq2seq.optimizers.novograd import NovoGrad
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.memory import longest_batch
from open_seq2seq.training.memory.longest_batch import try_longest_batches

pytestmark = pytest.mark.slow

SECONDS = (0.4, 1.3, 0.5, 0.9, 1.1, 0.7)
TEXTS = ("a", "b", "abababab", "ab", "b", "a")  # the most labels are not the longest utterance's
LAYERS = [{"type": "conv1d", "kernel_size": [3], "stride": [2], "num_channels": 8},
          {"type": "conv1d", "kernel_size": [3], "num_channels": 8, "residual": True, "dropout_keep_prob": 0.8}]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A TrainingGraph whose every kind of state has begun to move, its session and its params."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = ["wav_filename,wav_filesize,transcript"]
    for number, (seconds, text) in enumerate(zip(SECONDS, TEXTS)):
        samples = np.random.RandomState(number).randn(int(16000 * seconds)) * 0.1
        soundfile.write(str(folder / ("%d.wav" % number)), samples, 16000, subtype="PCM_16")
        rows.append("%d.wav,1,%s" % (number, text))
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    (folder / "vocab.txt").write_text("a\nb\n")
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, {
        "batch_size_per_gpu": 2, "max_steps": 9, "iter_size": 2, "optimizer": NovoGrad, "lr_policy": fixed_lr,
        "lr_policy_params": {"learning_rate": 0.02}, "loss_scaling": "Backoff", "loss_scaling_params": {"step_window": 2},
        "ema_decay": 0.9, "data_layer": Speech2TextDataLayer, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "encoder_params": {"convnet_layers": LAYERS, "dropout_keep_prob": 1.0, "activation_fn": tf.nn.relu},
        "data_layer_params": {"num_audio_features": 8, "input_type": "logfbank", "vocab_file": str(folder / "vocab.txt"),
                              "dataset_files": [str(folder / "train.csv")], "pad_to": 16}}, "", report)
    for part in ("encoder", "decoder", "loss", "data_layer"):
        params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    assert not report.problems, report.problems
    device = Cpu()
    with tf.Graph().as_default():
        graph = TrainingGraph(Speech2Text, params, None, device, Single(), None)
        with tf.Session(config=device.session_config()) as session:
            session.run(graph.initialize)
            graph.start_data(session, 0)
            for _ in range(3):
                session.run(graph.shape_steps[0].accumulate_fetches())
                session.run(graph.shape_steps[0].update_fetches())
            yield types.SimpleNamespace(graph=graph, session=session, params=params, device=device)


def test_it_holds_the_longest_utterances_and_that_with_the_most_labels(training):
    graph, session = training.graph, training.session
    graph.start_longest_batch(session, 0)
    batch = graph.shape_steps[0].batch
    first, second = session.run(batch), session.run(batch)
    assert list(first.utterance_indices) == [1, 2] and graph.data_layer.longest_shape() == (2, 144, 8)
    assert first.features.shape == (2, 144, 8) and first.labels.shape == (2, 8)
    np.testing.assert_array_equal(first.utterance_indices, second.utterance_indices)
    # two a step, and as many as the data layer has ready while it is computed
    for _ in range(PREFETCHED_BATCHES + 1):
        session.run(batch.utterance_indices)
    with pytest.raises(tf.errors.OutOfRangeError):
        session.run(batch)


def test_a_batch_that_certainly_fits_is_not_computed(training, capsys, monkeypatch):
    monkeypatch.setattr(step_memory_module, "BYTES", 0)  # more than such a network takes
    largest, need, copies = bytes_of(training)
    assert need + copies < 2 * need + 1 < largest
    runs = []
    session = types.SimpleNamespace(graph=training.session.graph, run=runs.append)
    for available, line in ((largest + 1, "fits into memory: it takes at most"),
                            (2 * need + 1, "fits into memory by an estimate: about")):
        monkeypatch.setattr(longest_batch, "available_bytes", lambda available=available: available)
        try_longest_batches(session, training.params, training.graph, training.device, Single())
        out = capsys.readouterr().out
        assert line in out and not runs


def bytes_of(training):
    """(all tensors of the step with the longest batch, its estimate, the variables)."""
    fetches = list(training.graph.shape_steps[0].update_fetches().values())
    shape, trainable = BatchShape(2, 144, 8), {variable.op.name for variable in tf.trainable_variables()}
    need = step_memory(fetches, training.graph.shape_steps[0].batch, shape, trainable).total
    copies = sum(variable.shape.num_elements() * variable.dtype.size for variable in tf.global_variables())
    return largest_possible_bytes(fetches, shape), need, copies


def test_nothing_is_changed_to_the_last_bit(training, capsys, monkeypatch):
    monkeypatch.setattr(step_memory_module, "BYTES", 0)
    _, need, copies = bytes_of(training)
    monkeypatch.setattr(longest_batch, "available_bytes", lambda: need + copies + 1)
    variables = tf.global_variables() + tf.local_variables()
    names = {variable.op.name for variable in variables}
    assert any("loss_scale" in name for name in names) and any("gradient_sum" in name for name in names)
    before = [np.array(value) for value in training.session.run(variables)]
    try_longest_batches(training.session, training.params, training.graph, training.device, Single())
    assert "The longest batch, 2 utterances x 144 frames, 8 labels, fits into memory" in capsys.readouterr().out
    for variable, value, after in zip(variables, before, training.session.run(variables)):
        np.testing.assert_array_equal(value, after, err_msg=variable.op.name)
    # a step of the real data does change them
    training.graph.start_data(training.session, 0)
    training.session.run(training.graph.shape_steps[0].accumulate_fetches())
    training.session.run(training.graph.shape_steps[0].update_fetches())
    changed = [variable.op.name for variable, value, after in zip(variables, before, training.session.run(variables))
               if not np.array_equal(value, after)]
    assert "ForwardPass/w2l_encoder/conv11/kernel" in changed and len(changed) > 10


def test_the_estimate_grows_with_the_batch_and_stays_below_what_is_possible(training):
    shape_step = training.graph.shape_steps[0]
    fetches = list(shape_step.update_fetches().values())
    trainable = {variable.op.name for variable in tf.trainable_variables()}
    # the batch's own rows are static in the graph of a CPU
    short, long = (step_memory(fetches, shape_step.batch, BatchShape(2, frames, 8), trainable) for frames in (1600, 3200))
    assert short.fixed == long.fixed
    assert long.total - long.fixed == pytest.approx(2 * (short.total - short.fixed), rel=0.05)
    # 2 x 1600 feature frames, and behind a stride of 2 the outputs of two convolutions, their norms and a residual branch
    assert short.total - short.fixed > 2 * 1600 * 8 * 4 + 5 * 2 * 800 * 8 * 4
    assert largest_possible_bytes(fetches, BatchShape(2, 1600, 8)) > short.total


def test_rows_that_fit_are_counted_from_what_one_takes():
    need = StepMemory(total=1000, fixed=200, rows=8)
    assert [need.rows_within(limit) for limit in (1000, 999, 300, 299, 100)] == [8, 7, 1, 0, -1]


@pytest.mark.parametrize("fitting", [0, 1, 5, 14, 15])
def test_the_search_comes_to_the_largest_batch_that_fits(monkeypatch, fitting):
    tried = []

    def is_computed(params, graph, device, shape):
        tried.append(shape.rows)
        return shape.rows <= fitting
    monkeypatch.setattr(longest_batch, "_is_computed", is_computed)
    advice = [longest_batch._by_trial({"data_layer_params": {"batch_frames": frames}}, None, Cpu(), Single(),
                                      BatchShape(16, 144, 8)) for frames in (0, 2400)]
    assert advice == (["batch_size_per_gpu=%d fits" % fitting, "data_layer_params/batch_frames=%d fits" % (144 * fitting)]
                      if fitting else ["Not even one utterance fits"] * 2)
    del tried[4:]
    # each half of what is left; 16 itself is what ran out of memory
    assert len(tried) == 4 and 16 not in tried
