#!/usr/bin/env python
"""Shows what a config's augmentation makes of training audio: WAV files to hear, pictures of the waveforms and features, a page.

    python scripts/preview_augmentation.py --config_file=FILE --output=DIR

writes, for a few utterances of the training data, the audio as it is, with the whole augmentation, and with each of its effects
alone: DIR/index.html to hear and see all of it, DIR/N.png with the features as the model gets them, and DIR/N_EFFECT.wav.
--effect=NAME shows effects with their defaults that the config need not have. Other --key=value arguments change the config, as
those of run.py do. docs/robustness.md explains the effects.
"""
import argparse
import html
import io
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.config.overrides import parse_overrides  # noqa: E402
from open_seq2seq.config.report import Report, did_you_mean  # noqa: E402
from open_seq2seq.errors import StorageError, UsageError  # noqa: E402

MOST_UTTERANCES = 50
WIDTH, ROW = 11.0, 1.15   # inches
FEATURE_RANGE = 3.0       # deviations; features are normalized
# keys of the augmentation that are not effects of their own, by the name under which they are shown
OTHERS = {"speed": ("speed_perturbation_ratio",), "noise_level": ("noise_level_min", "noise_level_max"),
          "masks": ("n_freq_mask", "n_time_mask", "adaptive_time_masks")}
ORIGINAL, ALL = "original", "augmentation"

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>%(title)s</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
img { display: block; width: 100%%; height: auto; } td, th { text-align: left; padding: .1rem .8rem .1rem 0; }
audio { height: 2rem; max-width: 60vw; }
</style>
</head>
<body>
<main>
<h1>%(title)s</h1>
%(sections)s
</main>
</body>
</html>
"""


def parse(words):
    """(the flags, list of Override of the config)."""
    parser = Parser(prog="preview_augmentation.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config_file", type=file_path, required=True, metavar="FILE", help="the config, a Python file")
    parser.add_argument("--output", type=file_path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--utterances", type=whole_number(1), default=3, metavar="N",
                        help="how many utterances (default: %(default)s)")
    parser.add_argument("--effect", action="append", metavar="NAME",
                        help="only this effect, with the config's values or else its defaults; can be given several times")
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="another one draws other random numbers")
    arguments, others = parser.parse_known_args(words)
    if arguments.utterances > MOST_UTTERANCES:
        parser.error("--utterances is %d, expected at most %d" % (arguments.utterances, MOST_UTTERANCES))
    return arguments, parse_overrides(others)


def variants_of(augmentation, chosen):
    """Name -> checked params of an augmentation, the whole one and each of its effects alone.

    Args:
      augmentation: checked params, or None.
      chosen: names of effects, or None for those of the config.

    Raises:
      UsageError: an unknown effect, or nothing to show.
    """
    from open_seq2seq.config.parameters import check_parameters
    from open_seq2seq.data.speech2text.augmentation import Augmentation
    from open_seq2seq.data.speech2text.waveform_effects import NAMES, with_recipe

    for name in chosen or ():
        if name not in NAMES + tuple(OTHERS):
            raise UsageError("--effect=%s is unknown %s" % (name, did_you_mean(name, NAMES + tuple(OTHERS))))
    nothing = check_parameters(Augmentation.PARAMETERS, {}, "augmentation", Report())
    given, variants = augmentation or nothing, {}
    if chosen is None and any(given[key] != nothing[key] for key in given):
        variants[ALL] = given
    completed = with_recipe(given)
    for name in NAMES:
        if completed[name] is not None if chosen is None else name in chosen:
            params = completed[name] or check_parameters(Augmentation.PARAMETERS, {name: {}}, "augmentation", Report())[name]
            variants[name] = dict(nothing, **{name: dict(params, probability=1.0)})
    for name, keys in OTHERS.items():
        is_given = any(given[key] != nothing[key] for key in keys)
        if chosen is not None and name in chosen and not is_given:
            raise UsageError('--effect=%s has no defaults; set augmentation["%s"] in the config' % (name, keys[0]))
        if is_given and (chosen is None or name in chosen):
            kept = keys + (("width_freq_mask", "width_time_mask", "adaptive_time_width") if name == "masks" else ())
            variants[name] = dict(nothing, **{key: given[key] for key in kept})
    if not variants:
        raise UsageError("the config has no augmentation in its training section; name effects to show with their defaults, "
                         "e.g. --effect=%s (known: %s)" % (NAMES[0], ", ".join(NAMES)))
    return variants


def preview(words):
    """Runs the command."""
    arguments, overrides = parse(words)
    import numpy as np
    import tensorflow.compat.v1 as tf

    from open_seq2seq.data.speech2text.audio import read_audio
    from open_seq2seq.data.speech2text.augmentation import Augmentation
    from open_seq2seq.data.speech2text.feature_graph import make_feature_function
    from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.log_lines import log_line
    from open_seq2seq.progress import ProgressBar

    tf.logging.set_verbosity(tf.logging.ERROR)
    params = load_experiment(arguments.config_file, "train", overrides).params["train"]["data_layer_params"]
    variants = variants_of(params["augmentation"], arguments.effect)
    try:
        os.makedirs(arguments.output, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot create %s: %s" % (arguments.output, error.strerror))
    features_of, rate = make_feature_function(params), params["sample_freq"]
    found = UtteranceSet.from_manifests(params, "train", features_of.num_frames, None, None, is_first_worker=True)
    chosen = np.sort(np.random.RandomState(arguments.seed).permutation(len(found.utterances))[:arguments.utterances])
    utterances = [found.utterances[index] for index in chosen]

    def read(utterance):
        return read_audio(utterance.audio_path, rate, params["max_missing_fraction"])

    voices = len(found.utterances), lambda index: read(found.utterances[index])
    with tf.Graph().as_default():
        waveform, seed = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [2])
        fetches = {ORIGINAL: (waveform, features_of(waveform, seed))}
        for name, values in variants.items():
            augmentation = Augmentation(values, rate, arguments.seed, voices)
            changed = augmentation.waveform(waveform, seed)
            fetches[name] = changed, augmentation.features(features_of(changed, seed), seed)
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        sections = []
        with tf.Session(config=config) as session, ProgressBar(len(utterances), description="preview") as bar:
            for number, utterance in enumerate(utterances, 1):
                results = session.run(fetches, {waveform: read(utterance), seed: (arguments.seed, int(utterance.index))})
                sections.append(write_utterance(arguments.output, number, utterance, results, rate, params["window_stride"]))
                bar.update(number)
    title = "Augmentation of %s" % os.path.basename(arguments.config_file)
    page = PAGE % {"title": html.escape(title), "sections": "\n".join(sections)}
    write(os.path.join(arguments.output, "index.html"), page.encode("utf-8", "backslashreplace"))
    log_line("Preview of %d utterances: %s" % (len(utterances), os.path.join(arguments.output, "index.html")))


def write(path, content):
    """Writes bytes atomically."""
    from open_seq2seq.files import replaced_file
    with replaced_file(path, "wb") as file:
        file.write(content)


def write_utterance(folder, number, utterance, results, rate, stride):
    """Writes the WAVs and the picture of an utterance; returns its section of the page."""
    import numpy as np
    import soundfile

    rows = []
    for name, (waveform, _) in results.items():
        path, stream, peak = "%d_%s.wav" % (number, name), io.BytesIO(), float(np.abs(waveform).max())
        # 16-bit files hold -1..1
        soundfile.write(stream, waveform / max(peak, 1.0), rate, format="WAV", subtype="PCM_16")
        write(os.path.join(folder, path), stream.getvalue())
        rows.append('<tr><th scope="row">%s</th><td><audio controls preload="none" src="%s"></audio></td>'
                    "<td>%.2f s, peak %.3g%s</td></tr>" % (
                        html.escape(name), html.escape(path), len(waveform) / float(rate), peak,
                        ", made quieter here" if peak > 1 else ""))
    picture = "%d.png" % number
    drawn = draw(results, rate, stride)
    if drawn is not None:
        write(os.path.join(folder, picture), drawn)
    return '<h2>%s: %s</h2>\n<table>%s</table>\n%s' % (
        html.escape(utterance.wav_filename), html.escape(utterance.transcript), "\n".join(rows),
        '<img src="%s" alt="Waveforms and features of %s">' % (picture, html.escape(", ".join(results))) if drawn else "")


def draw(results, rate, stride):
    """The waveform and the features of each variant below each other: bytes of a PNG; None without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    import numpy as np

    with matplotlib.rc_context({"font.size": 8, "axes.titlesize": 9}):
        figure = Figure(figsize=(WIDTH, ROW * len(results) + 0.4), constrained_layout=True)
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(results), 2, squeeze=False, sharex=True, gridspec_kw={"width_ratios": [1, 2]})
        for (left, right), (name, (waveform, features)) in zip(axes, results.items()):
            left.plot(np.arange(len(waveform)) / float(rate), waveform, linewidth=0.4, color="#0072B2")
            peak = float(np.abs(waveform).max()) or 1.0
            left.set_ylim(-1.05 * peak, 1.05 * peak)
            left.set_title(name, loc="left")
            right.imshow(features.T, origin="lower", aspect="auto", cmap="viridis", vmin=-FEATURE_RANGE, vmax=FEATURE_RANGE,
                         interpolation="nearest", extent=(0, len(features) * stride, 0, features.shape[1]))
            right.set_ylabel("feature")
        # a picture sets the limits of the axis that all rows share
        axes[0, 0].set_xlim(0, max(max(len(waveform) / float(rate), len(features) * stride)
                                   for waveform, features in results.values()))
        for axis in axes[-1]:
            axis.set_xlabel("s")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def main(words):
    """Runs the command line and returns its exit status."""
    return exit_status_of(preview, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
