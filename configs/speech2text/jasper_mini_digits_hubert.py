"""Pre-training of the encoder of jasper_mini_digits.py without transcripts (HuBERT), for a CPU.

For: a corpus with much audio and few transcripts; jasper_mini_digits_finetune.py trains the result with transcripts.
Cost: about that of a step of jasper_mini_digits.py.
Expected WER: none, it has no transcripts.

Data: train.csv and dev.csv (or .tsv) in $JASPER_DATA/digits (corpus/digits by default), next to them the cluster labels train.km,
dev.km and dict.km.txt, which --mode=labels writes (docs/pretraining.md).
"""
import tensorflow.compat.v1 as tf
from jasper_mini_digits import base_params, eval_params, infer_params, train_params  # noqa: F401

from open_seq2seq.data import PretrainingDataLayer
from open_seq2seq.decoders import ClusterPredictionDecoder
from open_seq2seq.losses import MaskedPredictionLoss
from open_seq2seq.models import HubertPretraining

base_model = HubertPretraining

# optimizer, encoder and features are those of the network that is fine-tuned
base_params = dict(
    {key: value for key, value in base_params.items() if key != "print_samples_steps"},
    logdir="runs/jasper_mini_digits_hubert",
    max_steps=5000,
    decoder=ClusterPredictionDecoder,
    decoder_params={
        "final_dim": 128,
        "initializer": tf.glorot_uniform_initializer,
    },
    loss=MaskedPredictionLoss,
    data_layer=PretrainingDataLayer,
    data_layer_params=dict(
        {key: value for key, value in base_params["data_layer_params"].items() if key != "vocab_file"},
        label_sets=["km"],
        label_rate=100,
        # spans of 200 ms, as in HuBERT: 5 frames of 40 ms
        mask_prob=0.8,
        mask_length=5,
    ),
)

train_params = {
    # without the augmentation, parts of which change the length of the audio
    "data_layer_params": {key: value for key, value in train_params["data_layer_params"].items() if key != "augmentation"},
}
