"""Speech2Text: its parts and their defaults, shared variables, and the top-level keys."""
import collections
import contextlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import Execution, TDNNEncoder
from open_seq2seq.errors import ConfigError
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text

Inputs = collections.namedtuple("Inputs", "features feature_lengths labels label_lengths utterance_indices")

# every key that OpenSeq2Seq's Model and EncoderDecoderModel accept
ORIGINAL_KEYS = """
    use_horovod batch_size_per_gpu data_layer logdir num_gpus gpu_ids load_model save_summaries_steps print_loss_steps
    print_samples_steps print_bench_info_steps save_checkpoint_steps num_checkpoints restore_best_checkpoint eval_steps finetune
    eval_batch_size_per_gpu hooks random_seed num_epochs max_steps bench_start data_layer_params optimizer optimizer_params
    freeze_variables_regex initializer initializer_params regularizer regularizer_params dtype lr_policy lr_policy_params
    max_grad_norm larc_params loss_scaling loss_scaling_params summaries iter_size lm_vocab_file processed_data_folder use_trt
    trt_precision_mode trt_max_workspace_size_bytes trt_minimum_segment_size trt_is_dynamic_op trt_maximum_cached_engines
    use_xla_jit encoder decoder encoder_params decoder_params loss loss_params""".split()


def base_params(**changes):
    return dict({
        "batch_size_per_gpu": 2, "data_layer": object, "encoder": TDNNEncoder, "decoder": FullyConnectedCTCDecoder,
        "loss": CTCLoss, "encoder_params": {
            "convnet_layers": [{"type": "conv1d", "kernel_size": [3], "stride": [2], "num_channels": 4}],
            "dropout_keep_prob": 0.8, "activation_fn": tf.nn.relu},
    }, **changes)


def check(**changes):
    report = Report()
    params = check_parameters(Speech2Text.PARAMETERS, base_params(**changes), "base_params", report)
    for part in ("encoder", "decoder", "loss"):
        if params[part] is not None:
            params[part + "_params"] = check_parameters(params[part].PARAMETERS, params[part + "_params"], part, report)
    return params, report


def checked(**changes):
    params, report = check(**changes)
    assert not report.problems, report.problems
    return params


def inputs():
    features = np.random.RandomState(0).randn(2, 20, 5).astype(np.float32)
    return Inputs(tf.constant(features), tf.constant([20, 15]), tf.constant([[0, 1, 2], [2, 0, 0]]), tf.constant([3, 1]),
                  tf.constant([0, 1]))


def test_training_output(graph):
    output = Speech2Text(checked(), "train", 3)(inputs())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        logits, lengths, best_path, loss = session.run(
            [output.logits, output.logit_lengths, output.best_path, output.loss])
    assert logits.shape == (2, 10, 4) and lengths.tolist() == [10, 8]
    assert best_path.dtype == np.int32
    np.testing.assert_array_equal(best_path, logits.argmax(2))
    np.testing.assert_allclose(loss.loss, loss.per_utterance.mean(), rtol=1e-6)
    assert loss.counted.tolist() == [True, True]


def test_inference_needs_neither_labels_nor_a_loss(graph):
    batch = inputs()._replace(labels=None, label_lengths=None)
    assert Speech2Text(checked(loss=None), "infer", 3)(batch).loss is None


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_missing_loss_is_refused(mode):
    with pytest.raises(ConfigError, match='"loss"'):
        Speech2Text(checked(loss=None), mode, 3)


def test_evaluation_and_training_share_the_variables(graph):
    params = checked()
    Speech2Text(params, "train", 3)(inputs())
    names = [variable.op.name for variable in tf.global_variables()]
    updates = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    Speech2Text(params, "eval", 3)(inputs())
    assert [variable.op.name for variable in tf.global_variables()] == names
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == updates == 2
    assert all(name.startswith("ForwardPass/") for name in names)


def test_weights_of_the_batch_reach_the_loss(graph):
    output = Speech2Text(checked(), "train", 3)(Batch(*inputs(), weights=tf.constant([0.0, 1.5])))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        loss, per_utterance = session.run([output.loss.loss, output.loss.per_utterance])
    assert per_utterance[0] > 0.1
    np.testing.assert_allclose(loss, 1.5 * per_utterance[1] / 2, rtol=1e-5)


def test_the_loss_receives_the_host_scope(graph):
    @contextlib.contextmanager
    def host_scope():
        with tf.name_scope("kept_on_the_host"):
            yield

    Speech2Text(checked(), "train", 3, Execution(host_scope=host_scope))(inputs())
    losses = [operation.name for operation in graph.get_operations() if operation.type.startswith("CTCLoss")]
    assert losses and all("kept_on_the_host" in name for name in losses)


class PlainLoss:
    """A custom loss that accepts neither weights nor a host scope."""

    PARAMETERS = ()

    def __init__(self, params):
        self.params = params

    def __call__(self, logits, logit_lengths, labels, label_lengths):
        return tf.reduce_sum(logits)


class KeywordLoss(PlainLoss):
    """A custom loss that accepts any argument."""

    def __init__(self, params, **settings):
        super().__init__(params)
        self.settings = settings

    def __call__(self, *tensors, **others):
        return sorted(self.settings) + sorted(others)


def test_a_custom_loss_receives_the_arguments_that_it_accepts(graph):
    batch = Batch(*inputs(), weights=tf.ones([2]))
    assert Speech2Text(checked(loss=PlainLoss), "train", 3)(batch).loss.shape.as_list() == []
    model = Speech2Text(checked(loss=KeywordLoss), "train", 3)
    assert model(batch).loss == ["data_params", "host_scope", "weights"]
    assert model(batch._replace(weights=None)).loss == ["data_params", "host_scope"]


def test_parts_take_the_models_initializer_and_regularizer_unless_they_have_their_own(graph):
    params = checked(regularizer=lambda: tf.nn.l2_loss, initializer=tf.constant_initializer, initializer_params={"value": 2.0},
                     decoder_params={"initializer": tf.constant_initializer, "initializer_params": {"value": 3.0}})
    Speech2Text(params, "train", 3)(inputs())
    regularized = [tensor.op.name.split("/Regularizer")[0] for tensor in tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
    assert regularized == ["ForwardPass/w2l_encoder/conv11/kernel", "ForwardPass/w2l_encoder/conv11/bn/gamma",
                           "ForwardPass/fully_connected_ctc_decoder/fully_connected/kernel"]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.trainable_variables()})
    assert (values["ForwardPass/w2l_encoder/conv11/kernel"] == 2.0).all()
    assert (values["ForwardPass/fully_connected_ctc_decoder/fully_connected/kernel"] == 3.0).all()


def test_every_key_of_the_original_is_accepted():
    assert set(ORIGINAL_KEYS) <= {parameter.name for parameter in Speech2Text.PARAMETERS}


def test_keys_for_gpus_are_reported():
    _, report = check(num_gpus=8, use_trt=True, trt_precision_mode="FP16")
    assert not report.problems
    assert [note.split(" has no effect")[0] for note in report.notes] == [
        'base_params["num_gpus"]', 'base_params["use_trt"]', 'base_params["trt_precision_mode"]']


@pytest.mark.parametrize("given, expected", [
    (tf.float32, tf.float32), (tf.float16, tf.float16), ("mixed", "mixed"), ("float16", tf.float16), (np.float32, tf.float32)])
def test_dtype(given, expected):
    assert checked(dtype=given)["dtype"] == expected


@pytest.mark.parametrize("key, value", [
    ("dtype", tf.int32), ("dtype", "mixd"), ("dtype", 3), ("dtype", tf.float64), ("batch_size_per_gpu", 0), ("iter_size", 1.5),
    ("loss_scaling", "backof"), ("freeze_variables_regex", "conv["), ("max_grad_norm", -1), ("num_epochs", "ten"),
    ("dtype", 1)])
def test_wrong_values_are_refused(key, value):
    _, report = check(**{key: value})
    assert len(report.problems) == 1
    assert report.problems[0].startswith('base_params["%s"]' % key)


def test_required_keys():
    report = Report()
    check_parameters(Speech2Text.PARAMETERS, {}, "base_params", report)
    missing = sorted(problem.split('"')[1] for problem in report.problems)
    assert missing == ["batch_size_per_gpu", "data_layer", "decoder", "encoder"]
