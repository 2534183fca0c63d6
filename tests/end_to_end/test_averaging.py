"""Moving averages of weights in training, and --mode=combine, by real commands."""
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.moving_average import COUNTER, SUFFIX, is_average
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.config.overrides import parse_overrides
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.distributed.group import Single
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.export.freeze.model_from_run import trained_model_from_run
from open_seq2seq.export.freeze.trained_model import read_weights
from open_seq2seq.training.averaging.batch_norm_statistics import reestimated, without_randomness

pytestmark = pytest.mark.slow


def numbers(text, what):
    return [float(number) for number in re.findall(r"^\*\*\*     Validation %s: +(\d+\.\d+)" % what, text, re.MULTILINE)]


def variables(checkpoint):
    reader = tf.train.load_checkpoint(str(checkpoint))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


TRAINING = ("--deterministic=True", "--iter_size=2", "--save_checkpoint_steps=1", "--num_checkpoints=9",
            "--print_samples_steps=None", "--lr_policy_params/decay_steps=8", "--encoder_params/dropout_keep_prob=0.8")


def test_moving_averages_in_training_evaluation_and_export(run_here, corpus):
    # two steps without averages; they begin at the weights of the second
    without = run_here("--mode=train", "--max_steps=2", *TRAINING)
    trained = run_here("--mode=train_eval", "--continue_learning", "--ema_decay=0.25", "--max_steps=6", "--eval_steps=6",
                       *TRAINING)
    assert (without.status, trained.status) == (0, 0), without.err + trained.err
    steps = {step: variables(corpus / "run" / ("model.ckpt-%d" % step)) for step in range(2, 7)}
    averages = [name for name in steps[6] if is_average(name)]
    assert len(averages) == 14 and steps[6][COUNTER] == 4  # 4 kernels, 4 gammas and betas, the decoder's kernel and bias
    for name in averages:
        weight = name[:-len(SUFFIX)]
        expected = steps[2][weight].astype(np.float64)
        for number, step in enumerate(range(3, 7)):
            decay = min(0.25, (1.0 + number) / (10.0 + number))
            expected = decay * expected + (1.0 - decay) * steps[step][weight]
            np.testing.assert_allclose(steps[step][name], expected, rtol=1e-5, atol=1e-6)
        assert np.abs(steps[6][name] - steps[6][weight]).max() > 0

    evaluated = run_here("--mode=eval")
    weights_alone = run_here("--mode=eval", "--evaluate_ema=False")
    assert "14 of them as moving averages" in evaluated.out and "as moving averages" not in weights_alone.out
    assert numbers(evaluated.out, "loss") == numbers(trained.out, "loss")[-1:] != numbers(weights_alone.out, "loss")
    exported = read_weights(trained_model_from_run(str(corpus / "run")))
    for name in averages:
        np.testing.assert_array_equal(exported[name[:-len(SUFFIX)]], steps[6][name])

    # resumed from the checkpoint of step 4, the averages are the same to the last bit
    (corpus / "again").mkdir()
    for path in (corpus / "run").glob("model.ckpt-4.*"):
        shutil.copy(str(path), str(corpus / "again"))
    again = run_here("--mode=train", "--logdir=again", "--continue_learning", "--ema_decay=0.25", "--max_steps=6", *TRAINING)
    assert again.status == 0, again.err
    reached = variables(corpus / "again" / "model.ckpt-6")
    for name in averages:
        np.testing.assert_array_equal(reached[name], steps[6][name])


def copy_with_nan(checkpoint, copy):
    """Writes a copy of a checkpoint in which one moving variance is not a number."""
    values = variables(checkpoint)
    name = next(name for name in sorted(values) if name.endswith("moving_variance"))
    values[name] = np.full_like(values[name], np.nan)
    write_checkpoint(str(copy), values, {})


def test_combine(run_here, corpus):
    trained = run_here("--mode=train_eval", "--max_steps=40", "--save_checkpoint_steps=8", "--eval_steps=8",
                       "--print_samples_steps=None")
    assert trained.status == 0, trained.err
    combined = run_here("--mode=combine", "--last=4", "--combine_weights=optimize", "--bn_batches=3")
    assert combined.status == 0, combined.err
    scores = dict((name, (float(loss), float(wer))) for name, loss, wer in re.findall(
        r"^\*\*\*     ([^ ].*): loss (\d+\.\d+), WER (\d+\.\d+)$", combined.out, re.MULTILINE))
    singles = {name: score for name, score in scores.items() if name.startswith("model.ckpt-")}
    assert sorted(singles) == ["model.ckpt-16", "model.ckpt-24", "model.ckpt-32", "model.ckpt-40"]
    # what evaluation in training measured of the same checkpoint on the same five utterances
    assert singles["model.ckpt-40"][0] == pytest.approx(numbers(trained.out, "loss")[-1], abs=2e-4)
    assert "their mean" in scores and len(scores) == 7
    result = re.search(r"^\*\*\* Result: .*? \(loss (\d+\.\d+), WER (\d+\.\d+)\); the best single", combined.out, re.MULTILINE)
    taken, rate = map(float, result.groups())
    assert (rate, taken) == min((wer, loss) for loss, wer in scores.values())
    folder = next((corpus / "run" / "combined").glob("model.ckpt-*.json"))
    averaged = json.loads(folder.read_text())["averaged"]
    assert averaged["loss"] == pytest.approx(taken, abs=1e-4) and averaged["utterances"] == 5
    assert sum(averaged["weights"]) == pytest.approx(1.0) and min(averaged["weights"]) >= 0.0

    evaluated = run_here("--mode=eval", "--logdir=run/combined")
    assert numbers(evaluated.out, "loss")[0] == pytest.approx(taken, abs=2e-4)
    assert run_here("--mode=infer", "--logdir=run/combined", "--infer_output_file=out.csv").status == 0
    assert set(read_weights(trained_model_from_run(str(corpus / "run" / "combined")))) == {
        name for name in variables(corpus / "run" / "model.ckpt-40")
        if name.startswith("ForwardPass/")}
    # the mean is written, whatever its score
    mean = run_here("--mode=combine", "--best=2", "--output=mean")
    assert mean.status == 0 and "*** Result: their mean" in mean.out, mean.err

    copy_with_nan(corpus / "run" / "model.ckpt-8", corpus / "non_finite" / "model.ckpt-8")
    both = "--checkpoints=%s,%s" % ("run/model.ckpt-40", "non_finite/model.ckpt-8")
    (corpus / "other.txt").write_text("a\nb\n")
    for words, status, message in (
            (("--mode=combine",), 2, "no checkpoints are given"),
            (("--mode=combine", "--last=9"), 3, "--last=9, and run has 5"),
            (("--mode=combine", "--last=1"), 2, "expected an integer at least 2"),
            (("--mode=combine", "--last=2", "--device=npu"), 2, "computes on a CPU or GPU"),
            (("--mode=combine", "--last=2", "--data_layer_params/vocab_file=other.txt"), 3, "has another vocabulary"),
            (("--mode=combine", both, "--output=non_finite_mean"), 3, "not finite .* the first is ForwardPass/.*moving_variance"),
            (("--mode=combine", "--last=2", "--output=config.py"), 2, "which is a file"),
            (("--mode=eval", "--last=2"), 2, "--last belongs to --mode=combine"),
            (("--mode=combine", "--last=2", "--encoder_params/convnet_layers/0/num_channels=8"), 3,
             r"conv11/kernel is \[5, 16, 8\] in the config, \[5, 16, 16\] in the checkpoints"),
            (("--mode=combine", "--last=2", "--output=run"), 2, "the folder of checkpoint")):
        failed = run_here(*words)
        assert failed.status == status and re.search(message, failed.err), (words, failed.err)


def test_batch_norm_is_measured_as_the_plain_mean_over_batches(corpus, monkeypatch):
    monkeypatch.chdir(str(corpus))
    overrides = parse_overrides(["--encoder_params/dropout_keep_prob=0.5",
                                 "--data_layer_params/augmentation={'speed_perturbation_ratio': 0.2}"])
    experiment = load_experiment("config.py", "train", overrides)
    params, draw = experiment.params["train"], np.random.RandomState(2)
    plain = build_data_layer(without_randomness(params), "train", Cpu(), Single())
    values, means, variances = {}, [], []
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(plain.training_dataset(0))
        batch = iterator.get_next()
        experiment.base_model(params, "train", plain.vocabulary.size)(batch)
        for variable in tf.global_variables():
            values[variable.op.name] = draw.uniform(0.2, 0.8, variable.shape.as_list()).astype(np.float32)
        session.run(iterator.initializer)
        kernel = tf.constant(values["ForwardPass/w2l_encoder/conv11/kernel"])
        mask = tf.expand_dims(tf.sequence_mask(batch.feature_lengths, tf.shape(batch.features)[1], dtype=tf.float32), 2)
        outputs = tf.nn.conv1d(batch.features * mask, kernel, 2, "SAME")
        for _ in range(3):
            rows = session.run(outputs).reshape(-1, 16).astype(np.float64)
            means.append(rows.mean(0))
            variances.append(rows.var(0, ddof=1))
    found = reestimated(experiment.base_model, params, values, 3, Cpu())
    bn = "ForwardPass/w2l_encoder/conv11/bn/"
    np.testing.assert_allclose(found[bn + "moving_mean"], np.mean(means, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[bn + "moving_variance"], np.mean(variances, 0), rtol=1e-3)
    changed = {name for name in values if not np.array_equal(found[name], values[name])}
    assert changed == {name for name in values if name.endswith(("moving_mean", "moving_variance"))}
    # nothing of it is drawn: once more is the same
    again = reestimated(experiment.base_model, params, values, 3, Cpu())
    np.testing.assert_array_equal(again[bn + "moving_mean"], found[bn + "moving_mean"])
