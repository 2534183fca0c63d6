"""Speed of a step of pre-training next to that of a CTC step of the same encoder; part "step" of benchmarks/pretraining.py."""
import os
import time

import numpy as np

CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "speech2text")
CLUSTERS = 100


def measure_step(seconds=8.0, rows=16, labels=30, steps=6):
    """Milliseconds of a step (forward, backward, update), and shares of the speed of a matrix product, of both models in turns.

    A share counts the multiplications of the model's own layers, three times those of the forward pass (``--mode=describe``).
    Pre-training's projection is among them; its cosines with the label embeddings and its gradient by the features are not.
    """
    import tensorflow.compat.v1 as tf

    from open_seq2seq.data.speech2text.dataset import Batch
    from open_seq2seq.data.speech2text.frame_targets import PretrainingBatch
    from open_seq2seq.data.speech2text.span_masks import SpanMasks
    from open_seq2seq.devices import select_device
    from open_seq2seq.distributed.group import Single
    from open_seq2seq.experiment.description import describe
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.training.graph import ShapeStepBuilder
    from open_seq2seq.training.requests import Requests
    tf.logging.set_verbosity(tf.logging.ERROR)
    random, runs, frames, flops = np.random.RandomState(0), {}, int(100 * seconds), {}
    for name, config, classes in (("ctc", "jasper_mini_digits.py", 28),
                                  ("hubert", "jasper_mini_digits_hubert.py", (CLUSTERS + 4,))):
        experiment = load_experiment(os.path.join(CONFIGS, config), "train")
        params = experiment.params["train"]
        features = random.randn(rows, frames, params["data_layer_params"]["num_audio_features"]).astype(np.float32)
        batch = Batch(features, np.full([rows], frames, np.int32), random.randint(0, 28, [rows, labels]).astype(np.int32),
                      np.full([rows], labels, np.int32), np.arange(rows, dtype=np.int32), np.ones([rows], np.float32),
                      np.arange(rows))
        flops[name] = 3.0 * describe(experiment.base_model, params).flops_per_audio_second * seconds * rows
        if name == "hubert":
            outputs = params["encoder"].output_frames(params["encoder_params"], frames)
            mask = SpanMasks(0, mask_length=5).of_batch([outputs] * rows, range(rows), range(rows), outputs)
            targets = random.randint(4, CLUSTERS + 4, [rows, outputs, 1]).astype(np.int32)
            batch = PretrainingBatch(*batch, targets=targets, mask=mask)
        runs[name] = _step(experiment.base_model, params, classes, batch, select_device("cpu", True, params, Single()), Single(),
                           ShapeStepBuilder, Requests)
        runs[name]()
    square = random.randn(1024, 1024).astype(np.float32)
    times, limits = {name: [] for name in runs}, []
    for _ in range(steps):
        for name, run in runs.items():
            times[name].append(_seconds(run))
        limits.append(_seconds(lambda: square @ square))
    limit = 2.0 * 1024 ** 3 / min(limits)
    figures = {"%s_step_ms" % name: 1e3 * min(found) for name, found in times.items()}
    figures.update(("%s_share_of_limit" % name, flops[name] / min(found) / limit) for name, found in times.items())
    return dict(figures, step_limit_gflops=limit / 1e9)


def _step(base_model, params, classes, batch, device, group, builder, requests):
    """A function that makes a step with a batch of arrays."""
    import tensorflow.compat.v1 as tf
    with tf.Graph().as_default() as graph:
        inputs = type(batch)(*[tf.placeholder(value.dtype, [len(value)] + [None] * (value.ndim - 1)) for value in batch])
        inputs.features.set_shape([None, None, batch.features.shape[2]])
        if hasattr(batch, "targets"):
            inputs.targets.set_shape([None, None, batch.targets.shape[2]])
        step = builder(base_model, params, classes, 1000, 100, device, group, requests(group))(inputs)
        session = tf.Session(graph=graph, config=device.session_config())
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return lambda: session.run(step.update_fetches(), dict(zip(inputs, batch)))


def step_text(result):
    """The figures as a line."""
    return "step: pre-training %.1f ms, CTC %.1f ms; %.1f %% and %.1f %% of a matrix product's %.0f GFLOP/s" % (
        result["hubert_step_ms"], result["ctc_step_ms"], 100 * result["hubert_share_of_limit"],
        100 * result["ctc_share_of_limit"], result["step_limit_gflops"])


def _seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
