"""Speed of the input pipeline, from audio files to padded batches of features, compared with librosa in a ``py_func``.

    python benchmarks/data.py

Each line is this project's data layer on a corpus of one format: 16-bit WAV and FLAC, utterances of 8 to 16 s (LibriSpeech's
average is 12 s), and WAV of 0.4 to 0.9 s (spoken digits). Everything runs in one process, in turns, with as many threads as the
process may use cores, and every turn of every candidate reads the same files from the page cache into batches of 16 (digits: 32):

- "librosa" is what OpenSeq2Seq does: a ``tf.data`` map with a ``py_func`` that calls ``librosa.load`` and
  ``librosa.feature.melspectrogram`` and normalizes the logarithm, then ``padded_batch`` and ``prefetch``.
- "librosa, fast" is the same with soundfile, and with the mel filters computed once.
- "decoding alone" is the machine's limit for reading: the same files into float32 samples by soundfile (WAV: ``np.fromfile``) in
  as many threads, without checks, features or batches.
- "reading alone" is that limit for shards of features (``cache_features``): the bytes of the shards.
- "products alone" is the limit for computing: the matrix products of the features at the speed of ``tf.matmul`` on large squares.

The last line is a training on utterances like strings of digits with the shipped configuration, augmentation included
(``--training_steps``): the share of its time that the steps waited for their batches.

``--memory`` instead measures the memory of the process during 3 epochs of 50,000 utterances of 0.3 s.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "--default_blas" not in sys.argv:
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[_library + "_NUM_THREADS"] = "1"  # before NumPy is imported; tf.data has as many threads as there are cores
warnings.filterwarnings("ignore", category=FutureWarning)

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.config.parameters import Report, check_parameters  # noqa: E402
from open_seq2seq.cores import usable_cores  # noqa: E402
from open_seq2seq.data.speech2text import features  # noqa: E402
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph  # noqa: E402
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer  # noqa: E402

SAMPLE_FREQ = 16000
FEATURES = {"num_audio_features": 64, "input_type": "logfbank", "norm_per_feature": True, "backend": "librosa", "pad_to": 16}
NUM_FFT, WINDOW, HOP = 512, 320, 160
LONG, SHORT, DIGIT_STRINGS = (8.0, 16.0), (0.4, 0.9), (1.0, 4.0)      # s
TRAINING_UTTERANCES = 400
EPOCHS, SHARD_EPOCHS = 10, 50  # of this project in a turn: without them the start of an iterator takes most of a turn
PREFETCHED = 4
MATMUL_SIZE = 1024
WARM_UP_TURNS, MINIMUM_TURNS = 1, 3
VOCABULARY = "abcdefghijklmnopqrstuvwxyz"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MEMORY_UTTERANCES, MEMORY_SECONDS, MEMORY_FILES, MEMORY_EPOCHS = 50000, 0.3, 500, 3


def write_corpus(directory, count, durations, extension, copies=1):
    """Writes harmonics of a varying pitch with noise as audio files, and a manifest.

    Args:
      directory: an existing folder.
      count: number of different recordings.
      durations: (shortest, longest) in s.
      extension: "wav" or "flac", both with 16 bits.
      copies: names (hard links) of each recording.

    Returns:
      (path of the manifest, list of the audio files, their seconds together).
    """
    rng, paths, seconds, rows = np.random.RandomState(0), [], 0.0, ["wav_filename,wav_filesize,transcript"]
    for number, duration in enumerate(np.linspace(*durations, num=count)):
        moments = np.arange(int(duration * SAMPLE_FREQ)) / SAMPLE_FREQ
        pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * moments + number)) / SAMPLE_FREQ
        voice = sum(np.sin(k * pitch) / k for k in range(1, 13)) * (1 + np.sin(2 * np.pi * 2.5 * moments))
        samples = 0.1 * voice + 0.01 * rng.standard_normal(len(moments))
        first = os.path.join(directory, "%06d.%s" % (number, extension))
        soundfile.write(first, samples / np.abs(samples).max() * 0.9, SAMPLE_FREQ, subtype="PCM_16")
        for copy in range(copies):
            path = first if copy == 0 else os.path.join(directory, "%06d-%04d.%s" % (number, copy, extension))
            if copy:
                os.link(first, path)
            paths.append(path)
            rows.append("%s,%d,%s" % (path, os.path.getsize(path), DIGITS[number % 10]))
            seconds += len(moments) / SAMPLE_FREQ
    manifest = os.path.join(directory, "manifest.csv")
    with open(manifest, "w") as file:
        file.write("\n".join(rows) + "\n")
    return manifest, paths, seconds


def make_layer(manifest, vocabulary, batch_size, cache_dtype=None):
    """The data layer of a training on one manifest; with ``cache_dtype``, its features come from shards that are built here."""
    check, given = Report(), dict(FEATURES, dataset_files=[manifest], vocab_file=vocabulary)
    if cache_dtype is not None:
        given.update(cache_features=True, cache_dtype=cache_dtype, cache_dir=os.path.join(os.path.dirname(manifest), cache_dtype))
    params = check_parameters(Speech2TextDataLayer.PARAMETERS, given, "data_layer_params", check)
    assert not check.problems, check.problems
    layer = Speech2TextDataLayer(params, "train", batch_size)
    if cache_dtype is not None:
        layer.cache.fill()
        layer.cache.wait()
        layer.cache.refresh()
        assert layer.cache.is_usable
    return layer


def layer_run(layer, batches):
    """A function that reads ``batches`` batches of the data layer's training from a new iterator."""
    return dataset_run(layer.training_dataset, batches)


def dataset_run(make_dataset, batches):
    """A function that reads ``batches`` batches of a new iterator of a dataset, in a separate session."""
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(make_dataset())
        # the operation, not its output: copying the output to NumPy would be measured, too
        drawn = tf.nest.flatten(iterator.get_next())[0].op
        cores = usable_cores()
        session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=cores, inter_op_parallelism_threads=cores))

    def run():
        session.run(iterator.initializer)
        for _ in range(batches):
            session.run(drawn)
    return run


def librosa_run(paths, batch_size, is_fast):
    """The same batches as an OpenSeq2Seq-like pipeline makes them."""
    check = Report()
    params = check_parameters(FeatureGraph.PARAMETERS, FEATURES, "params", check)
    assert not check.problems

    def fast(path):
        samples, _ = soundfile.read(path.decode(), dtype="float32")
        return features.extract_features(samples, params)

    def plain(path):
        samples, _ = librosa.load(path.decode(), sr=SAMPLE_FREQ)
        samples = samples / (np.abs(samples).max() + 1e-5)
        samples = np.append(samples[0], samples[1:] - np.float32(features.PREEMPHASIS) * samples[:-1])
        power = librosa.feature.melspectrogram(
            y=samples, sr=SAMPLE_FREQ, n_fft=NUM_FFT, hop_length=HOP, win_length=WINDOW, window=np.hanning(WINDOW), center=True,
            pad_mode="reflect", n_mels=FEATURES["num_audio_features"], fmin=0, fmax=SAMPLE_FREQ / 2)
        logarithms = np.log(power + features.MEL_FLOOR).T
        return ((logarithms - logarithms.mean(axis=0)) / logarithms.std(axis=0)).astype(np.float32)

    def example(path):
        computed = tf.numpy_function(fast if is_fast else plain, [path], tf.float32)
        computed.set_shape([None, FEATURES["num_audio_features"]])
        return computed, tf.shape(computed)[0]

    batches = len(paths) // batch_size

    def make_dataset():
        return tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).map(example, num_parallel_calls=usable_cores()) \
            .padded_batch(batch_size, ([None, FEATURES["num_audio_features"]], []), drop_remainder=True).prefetch(PREFETCHED)

    return dataset_run(make_dataset, batches)


def decoding_run(paths, reads_bytes=False):
    """A function that only decodes files (``reads_bytes``: only reads them), with one thread for each core."""
    def decode(path):
        if reads_bytes:
            return len(np.fromfile(path, np.uint8))
        if path.endswith(".wav"):
            return len(np.fromfile(path, "<i2").astype(np.float32))
        return len(soundfile.read(path, dtype="float32")[0])

    def run():
        with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
            for _ in pool.map(decode, paths):
                pass
    return run


def product_run():
    """(function that computes one product of two square matrices with all cores, its FLOPs)."""
    with tf.Graph().as_default():
        left, right = (tf.get_variable(name, [MATMUL_SIZE, MATMUL_SIZE], use_resource=False) for name in ("left", "right"))
        product, cores = tf.matmul(left, right).op, usable_cores()
        # the first session of a process decides on the threads of all: another number would slow the pipelines down
        session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=cores, inter_op_parallelism_threads=cores))
        session.run(tf.global_variables_initializer())
    return lambda: session.run(product), 2.0 * MATMUL_SIZE ** 3


def wait_until_idle():
    """Waits until this process computes nothing: an endless dataset still prefetches batches that nobody asks for."""
    before = -1.0
    while time.process_time() - before > 0.001:
        before = time.process_time()
        time.sleep(0.01)


def measure(candidates, seconds):
    """Wall time of each turn: name -> array."""
    measured, start = {name: [] for name in candidates}, None
    for turn in range(10 ** 6):
        if turn == WARM_UP_TURNS:
            start = time.perf_counter()
        if turn >= WARM_UP_TURNS + MINIMUM_TURNS and time.perf_counter() - start > seconds:
            break
        for name, run in candidates.items():
            before = time.perf_counter()
            run()
            measured[name].append(time.perf_counter() - before)
            wait_until_idle()
    return {name: np.array(values[WARM_UP_TURNS:]) for name, values in measured.items()}


def measure_format(directory, vocabulary, title, extension, durations, count, batch_size, seconds, cache_dtype=None):
    """Prints the lines of one format, and returns them as a dict."""
    folder = os.path.join(directory, title.replace(" ", "_"))
    os.mkdir(folder)
    manifest, paths, audio_seconds = write_corpus(folder, count, durations, extension)
    layer, batches = make_layer(manifest, vocabulary, batch_size, cache_dtype), count // batch_size
    epochs = EPOCHS if cache_dtype is None else SHARD_EPOCHS
    candidates = {"this project": layer_run(layer, epochs * batches), "librosa": librosa_run(paths, batch_size, is_fast=False),
                  "librosa, fast": librosa_run(paths, batch_size, is_fast=True)}
    if cache_dtype is not None:
        candidates["reading alone"] = decoding_run([os.path.join(parent, name) for parent, _, names in os.walk(
            os.path.join(folder, cache_dtype)) for name in names], reads_bytes=True)
    else:
        candidates["decoding alone"] = decoding_run(paths)
        candidates["products alone"], product_flops = product_run()
    measured = measure(candidates, seconds)
    graph = FeatureGraph(check_parameters(FeatureGraph.PARAMETERS, FEATURES, "params", Report()))
    flops = 2.0 * graph.multiplications_per_frame * sum(graph.num_frames(utterance.num_samples) for utterance in layer.utterances)
    measured["this project"] /= epochs
    if cache_dtype is None:
        measured["products alone"] *= flops / product_flops
    ours, rows = measured["this project"], []
    print("%-34s %16s %14s %14s" % (title, "audio s per s", "utterances/s", "ours to this"))
    for name, values in measured.items():
        rows.append({"name": name, "audio_seconds_per_second": audio_seconds / float(np.median(values)),
                     "utterances_per_second": count / float(np.median(values)),
                     "ratio": float(np.median(values / ours)), "turns": len(values)})
        print("  %-32s %16.0f %14.0f %13.2fx" % (name, rows[-1]["audio_seconds_per_second"], rows[-1]["utterances_per_second"],
                                                 rows[-1]["ratio"]))
    sys.stdout.flush()
    return {"title": title, "rows": rows}


def measure_waiting(directory, steps):
    """Trains the shipped digits configuration, with its augmentation, on utterances like strings of digits.

    Returns:
      dict with the share of the time that the steps waited for their batches.
    """
    folder, log = os.path.join(directory, "corpora", "digits"), os.path.join(directory, "run")
    os.makedirs(folder)
    manifest, _, _ = write_corpus(folder, TRAINING_UTTERANCES, DIGIT_STRINGS, "wav")
    for name in ("train.csv", "dev.csv"):
        shutil.copy(manifest, os.path.join(folder, name))
    shares = []
    command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--mode=train", "--logdir=" + log, "--max_steps=%d" % steps,
               "--config_file=" + os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")]
    done = subprocess.run(command, env=dict(os.environ, JASPER_DATA=os.path.join(directory, "corpora")), cwd=REPOSITORY,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit("the training ended with exit status %d:\n%s" % (done.returncode, done.stdout[-3000:]))
    for folder, _, names in os.walk(log):
        if "metrics.jsonl" in names:
            with open(os.path.join(folder, "metrics.jsonl")) as file:
                shares += [record["data_wait_share"] for record in map(json.loads, file)
                           if record.get("data_wait_share") is not None]
    assert shares, "no data_wait_share in metrics.jsonl"
    print("training on digits, %d steps: waiting for data %.2f %% of the time (median; largest interval %.2f %%)" % (
        steps, 100 * np.median(shares), 100 * np.max(shares)))
    return {"title": "waiting", "median": float(np.median(shares)), "largest": float(np.max(shares)), "intervals": len(shares)}


def resident_mib():
    """Resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2.0 ** 20


def measure_memory(directory, vocabulary, utterances, batch_size):
    """Prints the memory during the epochs, and returns it as a dict."""
    manifest, paths, _ = write_corpus(directory, MEMORY_FILES, (MEMORY_SECONDS, MEMORY_SECONDS), "wav",
                                      copies=-(-utterances // MEMORY_FILES))
    layer = make_layer(manifest, vocabulary, batch_size)
    batches = len(paths) // batch_size
    with tf.Graph().as_default():
        drawn = layer.training_dataset().make_one_shot_iterator().get_next().features.op
        session = tf.Session()
        epochs, start = [], time.perf_counter()
        for epoch in range(MEMORY_EPOCHS):
            samples = []
            for batch in range(batches):
                session.run(drawn)
                if batch % (batches // 20 + 1) == 0 and (epoch or batch):
                    samples.append(resident_mib())
            epochs.append({"mean_mib": float(np.mean(samples)), "largest_mib": float(np.max(samples))})
            print("epoch %d of %d utterances: %.0f MiB, at most %.0f MiB, %.0f s" % (
                epoch, len(paths), epochs[-1]["mean_mib"], epochs[-1]["largest_mib"], time.perf_counter() - start))
    change = max(abs(epoch["mean_mib"] / epochs[0]["mean_mib"] - 1) for epoch in epochs)
    print("largest change from the first epoch: %.2f %%" % (100 * change))
    return {"title": "memory", "utterances": len(paths), "epochs": epochs, "largest_change": change}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of each format (default %(default)s)")
    parser.add_argument("--count", type=int, default=64, help="files of each format (default %(default)s)")
    parser.add_argument("--training_steps", type=int, default=200, help="steps of the training; 0: none (default %(default)s)")
    parser.add_argument("--default_blas", action="store_true",
                        help="leave the threads of NumPy's products as they are, as OpenSeq2Seq does; by default one, which is "
                             "faster for librosa")
    parser.add_argument("--memory", action="store_true", help="only the memory during 3 epochs")
    parser.add_argument("--utterances", type=int, default=MEMORY_UTTERANCES, help="for --memory (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        vocabulary = os.path.join(directory, "vocabulary.txt")
        with open(vocabulary, "w") as file:
            file.write("\n".join([" "] + list(VOCABULARY)) + "\n")
        if arguments.memory:
            results = [measure_memory(directory, vocabulary, arguments.utterances, 32)]
        else:
            print("TensorFlow %s, librosa %s, %d cores" % (tf.__version__, librosa.__version__, usable_cores()))
            results = [measure_format(directory, vocabulary, title, extension, durations, count, batch_size, arguments.seconds,
                                      *cache_dtype)
                       for title, extension, durations, count, batch_size, *cache_dtype in (
                           ("WAV", "wav", LONG, arguments.count, 16), ("FLAC", "flac", LONG, arguments.count, 16),
                           ("WAV of digits", "wav", SHORT, 10 * arguments.count, 32),
                           ("shards of float32", "wav", LONG, arguments.count, 16, "float32"),
                           ("shards of float16", "wav", LONG, arguments.count, 16, "float16"))]
            if arguments.training_steps:
                results.append(measure_waiting(directory, arguments.training_steps))
    print(json.dumps({"title": "data", "tensorflow": tf.__version__, "librosa": librosa.__version__, "cores": usable_cores(),
                      "results": results}))


if __name__ == "__main__":
    main()
