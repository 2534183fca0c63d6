"""HuBERT's masks, label alignment, losses, accuracies and gradients against fairseq's."""
import json
import os
import re
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.frame_targets import NO_TARGET, aligned_targets
from open_seq2seq.data.speech2text.span_masks import SpanMasks, number_of_spans, span_mask, with_same_counts
from open_seq2seq.decoders import ClusterPredictionDecoder
from open_seq2seq.encoders import EncoderOutput
from open_seq2seq.evaluation.pretraining_figures import PretrainingFigures
from open_seq2seq.losses import MaskedPredictionLoss
from open_seq2seq.losses.masked_prediction import SUMS, mean_square

pytestmark = pytest.mark.shared
CASES = ("tied_1set_rate50", "untied_2sets_rate100_padded", "tied_2sets_rate50_both", "duplicate_embedding", "skip_nomask")


@pytest.fixture
def hubert(goldens):
    return os.path.join(goldens, "hubert")


@pytest.mark.parametrize("case", CASES)
def test_loss_accuracies_and_gradients(case, hubert, graph):
    arrays, facts = np.load(os.path.join(hubert, "loss_%s.npz" % case)), _json(hubert, "loss.json")[case]
    logged, sets = facts["logging_output"], len(facts["K"])
    classes = tuple(count + 4 for count in facts["K"])
    outputs = tf.constant(arrays["encoder_x"])
    rows, frames = outputs.shape.as_list()[:2]
    targets = np.stack([_targets_of_frames(arrays["targets_%d" % number], facts["label_rate"] / 50.0, frames)
                        for number in range(sets)], 2)
    for number in range(sets):
        np.testing.assert_array_equal(targets[:, :, number], arrays["targets_aligned_%d" % number])
    params = {"final_dim": arrays["label_embs_concat"].shape[1], "untie_final_proj": facts["untie_final_proj"],
              "logit_temp": facts["logit_temp"], "initializer": None, "initializer_params": {}, "regularizer": None,
              "regularizer_params": {}}
    lengths = tf.constant((~arrays["frame_padding_mask"]).sum(1), tf.int32)
    cluster_output = ClusterPredictionDecoder(params, classes, "train")(EncoderOutput(outputs, lengths))
    penalty = facts["loss_weights"][0] if facts["loss_weights"] else 0.0
    loss = MaskedPredictionLoss({"pred_masked_weight": facts["pred_masked_weight"],
                                 "pred_nomask_weight": facts["pred_nomask_weight"], "feature_penalty": 0.0,
                                 "auxiliary_weights": {}})(
        cluster_output, tf.constant(targets), tf.constant(arrays["mask"]))
    # fairseq penalizes the outputs of its convolutions, padded frames included
    features = tf.constant(arrays["features"][:, :, :facts["T_features"]].transpose(0, 2, 1)[:, :facts["T_used"]])
    penalties = penalty * mean_square(features, tf.ones(features.shape.as_list()[:2]))
    variables = {variable.op.name.split("/", 1)[1]: variable for variable in tf.trainable_variables()}
    values = {"projection/kernel": arrays["final_proj_weight"].T, "projection/bias": arrays["final_proj_bias"],
              "label_embeddings/embeddings": arrays["label_embs_concat"]}
    assert set(values) == set(variables)
    summed = loss.loss * facts["logging_output"]["sample_size"]
    gradients = tf.gradients(summed, [outputs] + [variables[name] for name in sorted(values)])
    with tf.Session() as session:
        for name, value in values.items():
            variables[name].load(value, session)
        found, penalties, gradients = session.run([loss, penalties, gradients])
    np.testing.assert_allclose(found.loss * logged["sample_size"] + penalties * logged["sample_size"], arrays["loss"], rtol=1e-5)
    for number in range(sets):
        sums = dict(zip(SUMS, found.sums[number]))
        for letter, kind in (("m", "masked"), ("u", "unmasked")):
            if "count_%s_%d" % (letter, number) in logged:
                assert sums[kind] == logged["count_%s_%d" % (letter, number)]
                assert sums[kind + "_correct"] == logged["correct_%s_%d" % (letter, number)]
                np.testing.assert_allclose(sums[kind + "_loss"], arrays["per_frame_ce_%s_%d" % (kind, number)].sum(), rtol=1e-5)
    for gradient, name in zip(gradients, ["encoder_x", "label_embs_concat", "final_proj_bias", "final_proj_weight"]):
        expected = arrays["grad_" + name]
        expected = expected.T if name == "final_proj_weight" else expected
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())
    figures = PretrainingFigures(types.SimpleNamespace(size=classes, auxiliary=0))
    figures.add(found.sums, found.predicted, found.expected)
    figures = figures.figures()
    np.testing.assert_allclose(figures["masked_accuracy"], logged["correct_m_0"] / logged["count_m_0"])
    np.testing.assert_allclose(figures["loss_bits"], logged["loss_m_0"] / logged["count_m_0"] / np.log(2), rtol=1e-5)


def test_label_alignment(hubert):
    cases = _json(hubert, "label_alignment.json")["model_alignment"]
    assert len(cases) > 5
    for case in cases:
        found = aligned_targets(np.arange(case["T_labels"]), case["feat2tar_ratio"], case["T_features"])
        assert found.tolist() == case["label_indices"], case


def test_masks_of_the_same_random_numbers_are_the_same(hubert):
    masks = np.load(os.path.join(hubert, "masks.npz"))
    names = [name for name in masks.files if not name.endswith("padding_mask")]
    assert len(names) == 7
    for name in names:
        seed, rows, frames, probability = (float(re.sub("[a-zA-Z]", "", part)) for part in name.split("_")[:4])
        random = np.random.RandomState(int(seed))
        # drawn for the batch, and with padding again for each row
        spans = [number_of_spans(random, int(frames), probability, 10, 2)] * int(rows)
        lengths = [int(frames)] * int(rows)
        found = []
        if name + "_padding_mask" in masks.files:
            lengths = (~masks[name + "_padding_mask"]).sum(1).tolist()
            spans = None
        for row, length in enumerate(lengths):
            own = number_of_spans(random, length, probability, 10, 2) if spans is None else spans[row]
            found.append(span_mask(random, length, own, 10))
        for row, mask in enumerate(with_same_counts(found, [random] * len(found))):
            np.testing.assert_array_equal(np.pad(mask, (0, int(frames) - len(mask)), "constant"), masks[name][row])


def test_statistics_of_masks(hubert):
    checked = 0
    for case in _json(hubert, "mask_statistics.json"):
        padded = "lengths" in case
        lengths = case["lengths"] if padded else [case["T"]] * case["B"]
        masks, shares = SpanMasks(7, case["mask_prob"], 10, 2, case["require_same_masks"]), []
        rows = np.arange(len(lengths))
        for batch in range(8 if len(lengths) > 8 else 60):
            found = masks.of_batch(lengths, rows, rows + 1000 * batch, max(lengths))
            assert not any(found[row, length - 1:].any() for row, length in enumerate(lengths) if length > 40)
            shares.append(found.sum() / float(sum(lengths)))
        mean, deviation = (case["masked_share_of_true_frames_mean"], case["std"]) if padded else (
            case["masked_share_mean"], case["masked_share_std_over_seeds"])
        assert abs(np.mean(shares) - mean) < 3 * deviation, case
        checked += 1
    assert checked > 10


def _json(folder, name):
    with open(os.path.join(folder, name)) as file:
        return json.load(file)


def _targets_of_frames(labels, ratio, frames):
    targets = np.full([len(labels), frames], NO_TARGET, np.int32)
    for row, own in enumerate(labels):
        found = aligned_targets(own, ratio, frames)
        targets[row, :len(found)] = found
    return targets
