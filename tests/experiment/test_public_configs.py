"""Configs in the form that NVIDIA OpenSeq2Seq and the Ascend ModelZoo published: same imports and keys, different values."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.description import describe
from open_seq2seq.experiment.loading import load_experiment

IMPORTS = """
# pylint: skip-file
import tensorflow as tf
import numpy as np
from open_seq2seq.models import Speech2Text
from open_seq2seq.encoders import {encoder}
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.data{data_module} import Speech2TextDataLayer
from open_seq2seq.losses import CTCLoss
from open_seq2seq.optimizers.lr_policies import poly_decay, cosine_decay, fixed_lr, transformer_policy
from open_seq2seq.optimizers.novograd import NovoGrad
base_model = Speech2Text
xavier = tf.contrib.layers.xavier_initializer
all_summaries = ['learning_rate', 'variables', 'gradients', 'larc_summaries', 'variable_norm', 'gradient_norm',
                 'global_gradient_norm']
vocabulary = "open_seq2seq/test_utils/toy_speech_data/vocab.txt"
def layer(kind, repeat, kernel, channels, **more):
    return dict(dict(type=kind, repeat=repeat, kernel_size=[kernel], stride=[1], num_channels=channels, padding="SAME",
                     dilation=[1]), **more)
steps = {{"save_summaries_steps": 100, "print_loss_steps": 10, "print_samples_steps": 2200, "eval_steps": 2200,
         "save_checkpoint_steps": 1100, "logdir": "jasper_log_folder", "num_checkpoints": 2}}
network = {{"initializer": xavier, "initializer_params": {{'uniform': False}}, "normalization": "batch_norm",
           "data_format": "channels_last"}}
masks = {{'n_freq_mask': 2, 'n_time_mask': 2, 'width_freq_mask': 6, 'width_time_mask': 6}}
"""

# Jasper 10x5 and 5x3 with masks, on eight GPUs in mixed precision
JASPER = IMPORTS.format(encoder="TDNNEncoder", data_module=".speech2text.speech2text") + """
dense = {"residual": True, "residual_dense": True}
base_params = dict(
    steps, random_seed=0, use_horovod=True, num_epochs=400, num_gpus=8, batch_size_per_gpu=32, iter_size=1,
    optimizer=NovoGrad,
    optimizer_params={"beta1": 0.95, "beta2": 0.98, "epsilon": 1e-08, "weight_decay": 0.001, "grad_averaging": False},
    lr_policy=poly_decay, lr_policy_params={"learning_rate": 0.02, "min_lr": 1e-5, "power": 2.0},
    larc_params={"larc_eta": 0.001}, dtype="mixed", loss_scaling="Backoff", summaries=all_summaries,
    encoder=TDNNEncoder,
    encoder_params=dict(network, dropout_keep_prob=0.7, activation_fn=tf.nn.relu, use_conv_mask=True, convnet_layers=[
        layer("conv1d", 1, 11, 32, stride=[2], dropout_keep_prob=0.8),
        layer("conv1d", 5, 11, 32, dropout_keep_prob=0.8, **dense),
        layer("conv1d", 5, 13, 48, dropout_keep_prob=0.8, **dense),
        layer("conv1d", 1, 29, 64, dilation=[2], dropout_keep_prob=0.6)]),
    decoder=FullyConnectedCTCDecoder,
    decoder_params={"initializer": xavier, "use_language_model": False, "infer_logits_to_pickle": False},
    loss=CTCLoss, loss_params={},
    data_layer=Speech2TextDataLayer,
    data_layer_params={"num_audio_features": 64, "input_type": "logfbank", "vocab_file": vocabulary,
                       "norm_per_feature": True, "window": "hanning", "precompute_mel_basis": True, "sample_freq": 16000,
                       "pad_to": 16, "dither": 1e-5, "backend": "librosa"})
train_params = {"data_layer": Speech2TextDataLayer, "data_layer_params": {
    "augmentation": masks, "dataset_files": ["/data/a.csv", "/data/b.csv"], "max_duration": 16.7, "shuffle": True}}
eval_params = {"data_layer": Speech2TextDataLayer,
               "data_layer_params": {"dataset_files": ["/data/dev.csv"], "shuffle": False}}
infer_params = {"data_layer": Speech2TextDataLayer,
                "data_layer_params": {"dataset_files": ["/data/test.csv"], "shuffle": False}}
"""

# with statistics of the features measured beforehand
JASPER_STATISTICS = JASPER + """
base_params["data_layer_params"].update(gain=6.1e-05, features_mean=np.full(64, -10.0), features_std_dev=np.full(64, 4.0))
train_params["data_layer_params"]["augmentation"] = {'speed_perturbation_ratio': [0.9, 1., 1.1]}
"""

# QuartzNet, and the small separable Jasper: float32, cosine decay, the last layer not separable
QUARTZNET = JASPER + """
residual = {"residual": True, "residual_dense": False}
base_params.update(dtype=tf.float32, lr_policy=cosine_decay,
                   lr_policy_params={"learning_rate": 0.01, "min_lr": 0.0, "warmup_steps": 1000})
del base_params["loss_scaling"], base_params["larc_params"]
base_params["encoder_params"].update(dropout_keep_prob=1.0, convnet_layers=[
    layer("sep_conv1d", 1, 33, 32, stride=[2]), layer("sep_conv1d", 5, 33, 32, **residual),
    layer("sep_conv1d", 1, 87, 32, dilation=[2], **residual), layer("conv1d", 1, 1, 64)])
"""

# a community config: an optimizer of tf.contrib, another policy, caches of features
COMMUNITY = JASPER + """
base_params.update(optimizer=tf.contrib.opt.LazyAdamOptimizer, optimizer_params={"beta1": 0.9, "beta2": 0.997, "epsilon": 1e-09},
                   lr_policy=transformer_policy, lr_policy_params={"learning_rate": 1.5, "warmup_steps": 4000, "d_model": 512})
"""

# Wav2Letter+, before data layers moved into base_params: L2, Momentum, parameters of a language model
W2L_PLUS = IMPORTS.format(encoder="TDNNEncoder", data_module="") + """
base_params = dict(
    steps, random_seed=0, use_horovod=True, num_epochs=200, num_gpus=8, batch_size_per_gpu=64, iter_size=1,
    optimizer="Momentum", optimizer_params={"momentum": 0.90},
    lr_policy=poly_decay, lr_policy_params={"learning_rate": 0.05, "power": 2.0}, larc_params={"larc_eta": 0.001},
    regularizer=tf.contrib.layers.l2_regularizer, regularizer_params={'scale': 0.001},
    dtype="mixed", loss_scaling="Backoff", summaries=all_summaries,
    encoder=TDNNEncoder,
    encoder_params=dict(network, dropout_keep_prob=0.7, activation_fn=lambda x: tf.minimum(tf.nn.relu(x), 20.0), convnet_layers=[
        layer("conv1d", 1, 11, 32, stride=[2], dropout_keep_prob=0.8), layer("conv1d", 3, 11, 32, dropout_keep_prob=0.8),
        layer("conv1d", 1, 29, 48, dilation=[2], dropout_keep_prob=0.6), layer("conv1d", 1, 1, 64, dropout_keep_prob=0.6)]),
    decoder=FullyConnectedCTCDecoder,
    decoder_params={"initializer": xavier, "use_language_model": False, "beam_width": 512, "alpha": 2.0, "beta": 1.5,
                    "decoder_library_path": "libctc_decoder_with_kenlm.so", "lm_path": "4-gram.binary",
                    "trie_path": "trie.binary", "alphabet_config_path": vocabulary},
    loss=CTCLoss, loss_params={})
def data(*files, **more):
    return {"data_layer": Speech2TextDataLayer, "data_layer_params": dict(
        num_audio_features=64, input_type="logfbank", vocab_file=vocabulary, dataset_files=list(files), **more)}
train_params = data("train.csv", max_duration=16.7, shuffle=True, syn_enable=False, syn_subdirs=[])
eval_params = data("dev.csv", shuffle=False)
infer_params = data("test.csv", shuffle=False)
"""

# the first Wav2Letter configs: another name of the encoder, layers with few keys, gradient clipping, block dropout
W2L_OLD = W2L_PLUS.replace("TDNNEncoder", "Wave2LetterEncoder") + """
base_params.update(use_horovod=False, num_epochs=500, dtype=tf.float32, optimizer="Adam", optimizer_params={},
                   max_grad_norm=15.0, regularizer_params={'scale': 0.0005}, random_seed=1)
del base_params["larc_params"], base_params["loss_scaling"]
base_params["decoder_params"] = {
    "initializer": xavier, "use_language_model": False, "lm_weight": 2.0, "word_count_weight": 1.5,
    "valid_word_count_weight": 2.5, "lm_binary_path": "lm.binary", "lm_trie_path": "trie"}
base_params["encoder_params"].update(bn_momentum=0.001, drop_block_prob=0.05, drop_block_index=-1, convnet_layers=[
    {"type": "conv1d", "repeat": 3, "kernel_size": [7], "stride": [1], "num_channels": 20, "padding": "SAME"},
    {"type": "conv1d", "repeat": 1, "kernel_size": [1], "stride": [1], "num_channels": 40, "padding": "SAME"}])
"""

PUBLIC = {"jasper": JASPER, "jasper_statistics": JASPER_STATISTICS, "quartznet": QUARTZNET, "w2l_plus": W2L_PLUS,
          "w2l_old": W2L_OLD}


@pytest.mark.parametrize("mode", ["train", "eval", "infer", "train_eval", "describe"])
@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_they_load_in_every_mode(write_config, name, mode):
    experiment = load_experiment(write_config(PUBLIC[name], complete=False), mode)
    for params in experiment.params.values():
        assert params["data_layer_params"]["num_audio_features"] == 64
        assert params["encoder_params"]["convnet_layers"][-1]["stride"] == [1]
    # keys without effect are noted, and there are no other notes
    assert all("has no effect" in note for note in experiment.notes)
    assert any('["num_gpus"]' in note for note in experiment.notes)


def test_values_arrive(write_config):
    train = load_experiment(write_config(JASPER_STATISTICS, complete=False), "train").params["train"]
    assert train["optimizer_params"]["weight_decay"] == 0.001 and train["larc_params"]["larc_mode"] == "clip"
    assert train["data_layer_params"]["augmentation"]["speed_perturbation_ratio"] == [0.9, 1.0, 1.1]
    np.testing.assert_array_equal(train["data_layer_params"]["features_mean"], np.full(64, -10.0))
    assert train["loss_scaling"] == "Backoff" and train["loss_scaling_params"]["step_window"] == 2000
    old = load_experiment(write_config(W2L_OLD, complete=False), "train").params["train"]
    assert old["encoder"].__name__ == "TDNNEncoder" and old["optimizer"] is tf.train.AdamOptimizer
    assert old["max_grad_norm"] == 15.0 and old["encoder_params"]["convnet_layers"][0]["dilation"] == [1]


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_their_networks_can_be_built(write_config, name):
    experiment = load_experiment(write_config(PUBLIC[name], complete=False), "describe")
    described = describe(experiment.base_model, experiment.params["describe"])
    assert described.variables["ForwardPass/fully_connected_ctc_decoder/fully_connected/bias"] == [29]


@pytest.mark.slow
def test_an_optimizer_of_contrib(write_config):
    path = write_config(COMMUNITY, complete=False)
    if tf.__version__.startswith("1."):
        train = load_experiment(path, "train").params["train"]
        assert train["optimizer"].__name__ == "LazyAdamOptimizer" and train["optimizer_params"]["beta2"] == 0.997
    else:
        with pytest.raises(ConfigError, match="contrib.opt is not in TensorFlow 2"):
            load_experiment(path, "train")


@pytest.mark.parametrize("line", [
    "from open_seq2seq.encoders import DeepSpeech2Encoder",
    "from open_seq2seq.models import Text2Text",
    "from open_seq2seq.decoders import JointCTCAttentionDecoder",
    "from open_seq2seq.decoders.rnn_decoders import RNNDecoder",
    "from open_seq2seq.data.text2text.text2text import ParallelTextDataLayer",
    "from open_seq2seq.losses import BasicSequenceLoss",
])
def test_other_kinds_of_models_are_refused_with_the_supported_ones(write_config, line):
    with pytest.raises(ConfigError, match="config.py:1: .*This project has convolutional CTC speech models: base_model"):
        load_experiment(write_config(line + "\n", complete=False), "train")
