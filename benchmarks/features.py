"""Speed of feature extraction in audio seconds per second on one core, compared with librosa and with matrix products.

    python benchmarks/features.py

This project's "pipeline" reads WAV files and computes their features in ``tf.data`` with one thread, with the compiled engine;
the lines below it do not include the reading: the compiled engine, and the one in TensorFlow operations. librosa computes the
features of waveforms that are already in memory, as OpenSeq2Seq does: with the mel filters computed once
(``precompute_mel_basis``), and computed for each utterance, which is the default. All run in one process, in turns, with one
thread each. CPU time is measured, not wall time, so other processes on the machine have little effect. The utterances are
synthetic (harmonics and noise), 8 to 16 s long (LibriSpeech's average is 12 s), with ``--short`` 1 to 4 s (spoken digits).

The first table is the cost of the augmentation's effects, each applied to every utterance: audio seconds per second of one core,
and milliseconds for an utterance of 2.5 s. ``--effects`` prints only that.

The limit is that of TensorFlow operations: the time that the matrix products of the engine "graph" (two with the halves of the
Fourier basis, one with the mel filters) would take at the speed of ``tf.matmul`` on large square matrices. The compiled engine
computes a fast Fourier transform and is beyond it.
"""
import argparse
import collections
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[_library + "_NUM_THREADS"] = "1"  # before NumPy is imported

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.config.parameters import Report, check_parameters  # noqa: E402
from open_seq2seq.data.effects.channel import missing_file_codecs  # noqa: E402
from open_seq2seq.data.speech2text import features  # noqa: E402
from open_seq2seq.data.speech2text.audio import read_audio  # noqa: E402
from open_seq2seq.data.speech2text.compiled_features import CompiledFeatures  # noqa: E402
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph  # noqa: E402
from open_seq2seq.data.speech2text.waveform_effects import (  # noqa: E402
    BANDS,
    CODECS,
    NAMES,
    NOISE_KINDS,
    PAUSES,
    WaveformEffects,
)
from open_seq2seq.data.speech2text.waveform_effects import PARAMETERS as EFFECTS  # noqa: E402

SAMPLE_FREQ = 16000
DURATIONS = (8.0, 10.5, 12.0, 13.25, 14.5, 16.0)  # s
SHORT_DURATIONS = (1.0, 1.75, 2.25, 2.75, 3.25, 4.0)
PARAMS = {"num_audio_features": 64, "input_type": "logfbank", "norm_per_feature": True, "backend": "librosa"}
FILES_A_TURN = 12
MINIMUM_TURNS = 3
MATMUL_SIZE = 1024
LIMIT = "limit"
EFFECT_SECONDS = 2.5
EFFECT_UTTERANCES = 40
# effects of several kinds: (the key, the kinds that are measured)
KINDS = {"noise": ("kinds", [kind for kind in NOISE_KINDS if kind != "files"]), "band": ("kinds", BANDS),
         "pauses": ("contents", PAUSES),
         "codec": ("kinds", [kind for kind in CODECS if kind not in missing_file_codecs()])}


def make_waveforms(durations):
    """Harmonics of a varying pitch with noise: float32 [samples] each."""
    rng = np.random.RandomState(0)
    for duration in durations:
        time = np.arange(int(duration * SAMPLE_FREQ)) / SAMPLE_FREQ
        pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / SAMPLE_FREQ
        voice = sum(np.sin(k * pitch) / k for k in range(1, 25)) * (1 + np.sin(2 * np.pi * 2.5 * time))
        yield (0.1 * voice + 0.003 * rng.standard_normal(len(time))).astype(np.float32)


def read(path):
    return read_audio(path.decode(), SAMPLE_FREQ)


def waveform_of(path):
    waveform = tf.numpy_function(read, [path], tf.float32)
    waveform.set_shape([None])
    return waveform


def dataset_run(make_elements, function, session_config):
    """A function that reads ``FILES_A_TURN`` elements of an endless dataset in a separate session."""
    with tf.Graph().as_default():
        options = tf.data.Options()
        if hasattr(options, "autotune"):
            # newer releases add prefetching, which would be measured in another candidate's turn
            options.autotune.enabled = False
            options.experimental_optimization.inject_prefetch = False
        dataset = make_elements().repeat().map(function).with_options(options)
        iterator = tf.data.make_initializable_iterator(dataset)
        # the operation, not its output: copying the output to NumPy would be measured, too
        drawn = iterator.get_next().op
        session = tf.Session(config=session_config)
        session.run(iterator.initializer)

    def run():
        for _ in range(FILES_A_TURN):
            session.run(drawn)
    return run


def librosa_run(waveforms, params, keep_filters):
    def run():
        for _ in range(FILES_A_TURN // len(waveforms)):
            for waveform in waveforms:
                if not keep_filters:
                    features._librosa_mel_filters.cache_clear()
                features.extract_features(waveform, params)
    return run


def compiled_run(waveforms, compiled):
    def run():
        for _ in range(FILES_A_TURN // len(waveforms)):
            for waveform in waveforms:
                compiled.of_waveform(waveform)
    return run


def product_run(session_config):
    """(function that computes one product of two square matrices in a separate session, its FLOPs)."""
    with tf.Graph().as_default():
        left, right = (tf.get_variable(name, [MATMUL_SIZE, MATMUL_SIZE], use_resource=False) for name in ("left", "right"))
        product = tf.matmul(left, right).op
        session = tf.Session(config=session_config)
        session.run(tf.global_variables_initializer())
    return lambda: session.run(product), 2.0 * MATMUL_SIZE ** 3


def candidates_of(paths, waveforms, graph, params, session_config):
    """Name -> function that processes ``FILES_A_TURN`` utterances; the pipeline first."""
    samples, lengths = np.concatenate(waveforms), np.array([len(waveform) for waveform in waveforms])
    starts, compiled = np.cumsum(lengths) - lengths, CompiledFeatures(params)

    def stored(start, length):
        return graph(tf.slice(tf.constant(samples), [start], [length]))

    return collections.OrderedDict([
        ("pipeline", dataset_run(lambda: tf.data.Dataset.from_tensor_slices(paths),
                                 lambda path: compiled(waveform_of(path)), session_config)),
        ("compiled", compiled_run(waveforms, compiled)),
        ("graph", dataset_run(lambda: tf.data.Dataset.from_tensor_slices((starts, lengths)), stored,
                              session_config)),
        ("librosa, filters computed once", librosa_run(waveforms, params, True)),
        ("librosa, OpenSeq2Seq's default", librosa_run(waveforms, params, False)),
    ])


def cpu_seconds(run):
    """CPU time of all threads: the time that one core needs, independent of other processes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(candidates, product, seconds):
    """CPU seconds of every candidate and of the product in each turn: name -> list."""
    runs = collections.OrderedDict(candidates, **{LIMIT: product})
    for run in runs.values():
        run()  # the first call optimizes the graph and allocates memory
    measured = {name: [] for name in runs}
    start = time.perf_counter()
    while len(measured[LIMIT]) < MINIMUM_TURNS or time.perf_counter() - start < seconds:
        for name, run in runs.items():
            measured[name].append(cpu_seconds(run))
    return measured


def measure_effects():
    """Milliseconds of processor time that each effect takes for an utterance of 2.5 s: list of (name, milliseconds)."""
    waveform = next(make_waveforms([EFFECT_SECONDS])) * np.float32(0.3)
    waveform[::2][:len(waveform) // 8] = 0
    measured = []
    for name in NAMES:
        key, kinds = KINDS.get(name, (None, [None]))
        for kind in kinds:
            check = Report()
            params = check_parameters(EFFECTS, {name: {} if kind is None else {key: [kind]}}, "augmentation", check)
            assert not check.problems
            effects, seconds = WaveformEffects(params, SAMPLE_FREQ, 0, (10, lambda index: waveform)), []
            for position in range(-EFFECT_UTTERANCES, EFFECT_UTTERANCES):  # the first ones make rooms and babble
                start = time.process_time()
                effects.apply(waveform, (0, abs(position)))
                seconds.append(time.process_time() - start)
            milliseconds = 1e3 * float(np.mean(seconds[EFFECT_UTTERANCES:]))
            measured.append((name if kind is None else "%s: %s" % (name, kind), milliseconds))
    return measured


def report_effects(measured):
    """Prints the table of the effects, and the same as one JSON object."""
    print("%-34s %16s %12s" % ("effect", "audio s per s", "ms for 2.5 s"))
    for name, milliseconds in measured:
        print("%-34s %16.0f %12.2f" % (name, 1e3 * EFFECT_SECONDS / milliseconds, milliseconds))
    print(json.dumps({"title": "effects", "rows": [{"name": name, "milliseconds": milliseconds,
                                                    "audio_seconds_per_second": 1e3 * EFFECT_SECONDS / milliseconds}
                                                   for name, milliseconds in measured]}))


def report(measured, audio_seconds, flops, product_flops):
    """Prints a table and, as the last line, the same as one JSON object."""
    limit_seconds = np.multiply(measured.pop(LIMIT), flops / product_flops)
    pipeline = next(iter(measured.values()))
    print("TensorFlow %s, librosa %s; one core" % (tf.__version__, librosa.__version__))
    print("%-34s %16s %12s %18s" % ("", "audio s per s", "of limit", "pipeline speedup"))
    rows = []
    for name, seconds in measured.items():
        rows.append({"name": name, "audio_seconds_per_second": audio_seconds / float(np.median(seconds)),
                     "ratio_to_limit": float(np.median(limit_seconds / seconds)),
                     "speedup_of_pipeline": float(np.median(np.divide(seconds, pipeline)))})
        print("%-34s %16.0f %11.0f%% %17.2fx" % (name, rows[-1]["audio_seconds_per_second"], 100 * rows[-1]["ratio_to_limit"],
                                                 rows[-1]["speedup_of_pipeline"]))
    limit = float(np.median(limit_seconds))
    print("%-34s %16.0f" % ("limit (tf.matmul, %.0f GFLOP/s)" % (flops / limit / 1e9), audio_seconds / limit))
    print(json.dumps({"title": "features", "tensorflow": tf.__version__, "librosa": librosa.__version__, "rows": rows,
                      "limit_audio_seconds_per_second": audio_seconds / limit, "limit_gflops_per_second": flops / limit / 1e9,
                      "turns": len(pipeline)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of the measurement (default %(default)s)")
    parser.add_argument("--effects", action="store_true", help="only the effects of the augmentation")
    parser.add_argument("--short", action="store_true", help="utterances of 1 to 4 s instead of 8 to 16 s")
    arguments = parser.parse_args()
    report_effects(measure_effects())
    if arguments.effects:
        return
    durations = SHORT_DURATIONS if arguments.short else DURATIONS
    check = Report()
    params = check_parameters(FeatureGraph.PARAMETERS, PARAMS, "params", check)
    assert not check.problems
    session_config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    graph, waveforms = FeatureGraph(params), list(make_waveforms(durations))
    repetitions = FILES_A_TURN // len(waveforms)
    frames = repetitions * sum(graph.num_frames(len(waveform)) for waveform in waveforms)
    product, product_flops = product_run(session_config)
    with tempfile.TemporaryDirectory() as directory:
        paths = [os.path.join(directory, "%d.wav" % index) for index in range(len(waveforms))]
        for path, waveform in zip(paths, waveforms):
            soundfile.write(path, waveform / np.abs(waveform).max(), SAMPLE_FREQ, subtype="PCM_16")
        measured = measure(candidates_of(paths, waveforms, graph, params, session_config), product, arguments.seconds)
    report(measured, repetitions * sum(durations), 2.0 * frames * graph.multiplications_per_frame, product_flops)


if __name__ == "__main__":
    main()
