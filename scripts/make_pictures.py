#!/usr/bin/env python
"""Makes the pictures of the README and of docs/ from real runs, with Chromium.

    bash scripts/quickstart.sh              # once: the corpus and the model that the pictures show
    python scripts/make_pictures.py

The report of the quickstart's training, the page of its evaluation and the web page with a transcribed recording are
photographed. For docs/troubleshooting.md small trainings are made to go wrong (less than a minute of processor time each) and the
curves of their reports are photographed. A picture larger than 200 KB is an error.
"""
import argparse
import base64
import contextlib
import csv
import glob
import io
import os
import re
import subprocess
import sys
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.cli import Parser, exit_status_of  # noqa: E402
from open_seq2seq.errors import DataError, JasperError, UsageError  # noqa: E402
from open_seq2seq.files import replaced_file  # noqa: E402

CONFIG = os.path.join("configs", "speech2text", "jasper_mini_digits.py")
LARGEST = 200000                 # bytes
COLORS = 128
WIDTH, HIGHEST, MARGIN = 1100, 8000, 8   # CSS pixels

SMALL = ["--config_file=" + CONFIG, "--mode=train_eval", "--device=cpu", "--width_multiplier=0.5", "--batch_size_per_gpu=8",
         "--eval_steps=50", "--diagnostics_steps=25", "--try_worst_batch=False", "--save_summaries_steps=None",
         "--print_samples_steps=None", "--metrics_steps=5", "--bad_batches=0"]
FEW = ["--train_params/data_layer_params/augmentation=None", "--dropout_rate", "0.0"]

# name of the picture: (arguments of the training, number of its utterances (None: all), whether it reaches its last step, figures
# of its report)
TRAININGS = {
    "overfitting": (FEW + ["--max_steps=700"], 250, True, ("loss", "word_error_rate")),
    "underfitting": (["--max_steps=700", "--width_multiplier=0.35", "--lr_policy_params/learning_rate=0.03"], None, True,
                     ("loss", "word_error_rate")),
    "evaluation_differs": (FEW + ["--max_steps=250", "--encoder_params/bn_momentum=0.9999"], 64, True,
                           ("loss", "word_error_rate")),
    "no_words": (["--max_steps=300", "--lr_policy_params/learning_rate=0.0001", "--lr_policy_params/min_lr=0.0"], None, True,
                 ("loss", "word_error_rate")),
    "diverging": (["--max_steps=300", "--lr_policy_params/learning_rate=10.0", "--max_bad_steps=30"], None, False,
                  ("loss", "gradient_norm")),
}
PAGES = ("training_report", "evaluation_report", "web_page")


def parse(words):
    """The checked arguments."""
    parser = Parser(prog="make_pictures.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default=os.path.join("corpus", "digits"), metavar="DIR",
                        help="train.csv, dev.csv, test.csv (default: corpus/digits, as quickstart.sh makes it)")
    parser.add_argument("--model", default=os.path.join("runs", "quickstart", "model"), metavar="DIR",
                        help="logdir of a training that was evaluated (default: runs/quickstart/model)")
    parser.add_argument("--output", default=os.path.join("docs", "images"), metavar="DIR", help="default: docs/images")
    parser.add_argument("--only", metavar="NAME,...", help="only these: %s" % ", ".join(PAGES + tuple(sorted(TRAININGS))))
    arguments = parser.parse_args(words)
    names = arguments.only.split(",") if arguments.only else list(PAGES) + sorted(TRAININGS)
    unknown = [name for name in names if name not in PAGES + tuple(TRAININGS)]
    if unknown:
        raise UsageError("--only: %s is not a picture; expected some of %s, separated by commas" % (
            unknown[0], ", ".join(PAGES + tuple(sorted(TRAININGS)))))
    return arguments, names


def main(words):
    """Makes the pictures; returns the exit status."""
    arguments, names = parse(words)
    for path in (os.path.join(arguments.corpus, "train.csv"), os.path.join(arguments.corpus, "dev.csv"), arguments.model):
        if not os.path.exists(path):
            raise DataError("%s does not exist. `bash scripts/quickstart.sh` makes the corpus and the model; --corpus and "
                            "--model name others" % path)
    corpus, model, output = map(os.path.abspath, (arguments.corpus, arguments.model, arguments.output))
    os.makedirs(output, exist_ok=True)
    os.chdir(REPOSITORY)
    with tempfile.TemporaryDirectory(prefix="jasper-pictures-") as folder, open_browser() as browser:
        for name in names:
            path = os.path.join(output, name + ".png")
            if name in TRAININGS:
                shot = lambda: photograph_training(browser, name, corpus, folder)  # noqa: E731, B023
            else:
                shot = lambda: PHOTOGRAPHERS[name](browser, corpus, model)  # noqa: E731, B023
            write_picture(path, shot())
            print("%s: %.0f KB" % (path, os.path.getsize(path) / 1e3), flush=True)
    return 0


@contextlib.contextmanager
def open_browser():
    """A headless Chromium."""
    try:
        from tests.fixtures.chromium import Chromium, find_chromium
    except ImportError as error:
        raise UsageError("%s. The browser is driven by the code of the tests: pip install -r requirements-test.txt" % error)
    if find_chromium() is None:
        raise UsageError("no Chromium was found; `bash scripts/install_test_tools.sh` installs it (as root, on Debian)")
    browser = Chromium(size=(WIDTH, 900))
    try:
        yield browser
    finally:
        browser.close()


def photograph(browser, *selectors, **limits):
    """PNG bytes of what the elements cover together, with a margin.

    Args:
      browser: shows the page.
      selectors: of the elements.
      limits: ``height``: at most that many CSS pixels from the top.
    """
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    # a window as high as the page: no scroll bar, which would be gone in the picture and let the page become wider
    browser.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HIGHEST, deviceScaleFactor=1, mobile=False)
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    boxes = browser.evaluate("[%s].map(selector => document.querySelector(selector).getBoundingClientRect())"
                             ".map(box => [box.left, box.top, box.right, box.bottom])" % ", ".join(map(repr, selectors)))
    left, top = (max(0.0, min(box[side] for box in boxes) - MARGIN) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) + MARGIN for side in (2, 3))
    height = min(bottom - top, limits.get("height", HIGHEST))
    picture = browser.call("Page.captureScreenshot", format="png", clip={
        "x": left, "y": top, "width": min(right, WIDTH) - left, "height": height, "scale": 1})
    browser.call("Emulation.clearDeviceMetricsOverride")
    return base64.b64decode(picture["data"])


def keep_figures(browser, names):
    """Removes all other figures of a report from the page."""
    browser.evaluate("document.querySelectorAll('figure').forEach(figure => {if (!%r.includes(figure.id)) figure.remove()})"
                     % list(names))


def photograph_training(browser, name, corpus, folder):
    """Trains until it has gone wrong and photographs figures of its report."""
    arguments, count, ends, figures = TRAININGS[name]
    manifests = {"train": os.path.join(corpus, "train.csv"), "eval": os.path.join(corpus, "dev.csv")}
    if count is not None:
        manifests["train"] = write_few(manifests["train"], os.path.join(folder, name + ".csv"), count)
    logdir = os.path.join(folder, name)
    command = SMALL + arguments + ["--logdir=" + logdir] + [
        "--%s_params/data_layer_params/dataset_files=%r" % (mode, [path]) for mode, path in manifests.items()]
    done = subprocess.run([sys.executable, "run.py"] + command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ends != (done.returncode == 0):
        raise JasperError("the training of %s ended with status %d:\n%s" % (name, done.returncode, done.stdout[-3000:]))
    report(logdir)
    browser.open("file://" + os.path.join(logdir, "report", "index.html"))
    keep_figures(browser, figures)
    return photograph(browser, *("#" + figure for figure in figures))


def write_few(source, target, count):
    """Writes the first ``count`` utterances of a manifest to another one; returns its path."""
    with open(source, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[:count + 1]
    place = rows[0].index("wav_filename")
    for row in rows[1:]:
        row[place] = os.path.join(os.path.dirname(source), row[place])
    with open(target, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return target


def report(logdir):
    """Draws the report of a training; prints what its measurements show."""
    done = subprocess.run([sys.executable, "run.py", "--mode=report", "--logdir=" + logdir], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise JasperError("no report of %s:\n%s" % (logdir, done.stdout[-3000:]))
    print("\n".join(line for line in done.stdout.splitlines() if "troubleshooting" in line), flush=True)


def find_page(model, name):
    """Path of a page of the run's report."""
    found = glob.glob(os.path.join(model, "report", name)) + glob.glob(os.path.join(model, "*", "report", name))
    if not found:
        raise DataError("%s has no report/%s. A training writes index.html at its end, --mode=eval eval.html" % (model, name))
    return found[0]


def photograph_report(browser, corpus, model):
    """The report of the training: its most used figures."""
    report(model)
    browser.open("file://" + find_page(model, "index.html"))
    keep_figures(browser, ("loss", "word_error_rate", "gradient_norm", "layers_relative_change"))
    # the first rows of the table: all of them are as high as the figures
    browser.evaluate("[...document.querySelectorAll('h2 + table tr')].slice(6).forEach(row => row.remove())")
    return photograph(browser, "h1", ".pictures")


def photograph_evaluation(browser, corpus, model):
    """The page of the evaluation: its list of utterances, the worst one with several words open."""
    browser.open("file://" + find_page(model, "eval.html"))
    browser.wait_for("document.documentElement.dataset.ready")
    browser.evaluate("[...document.querySelectorAll('#utterances tbody')].find(body => body.querySelectorAll("
                     "'tr:first-child > *')[4].textContent > 3).querySelector('button.name').click()")
    browser.wait_for("document.querySelector('#utterances canvas, #utterances img')")
    # a picture must not contain where its maker keeps the files
    browser.evaluate("(walker => {while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(%r, "
                     "'corpus/digits')})(document.createTreeWalker(document.querySelector('#utterances'), NodeFilter.SHOW_TEXT))"
                     % corpus)
    return photograph(browser, "#utterances", height=1000)


def photograph_web_page(browser, corpus, model):
    """The page of ``transcribe --serve`` with a recording of the test set."""
    manifest = os.path.join(corpus, "test.csv" if os.path.exists(os.path.join(corpus, "test.csv")) else "dev.csv")
    with open(manifest, encoding="utf-8", newline="") as file:
        row = max(list(csv.DictReader(file))[:20], key=lambda row: len(row["transcript"]))
    server = subprocess.Popen([sys.executable, "-m", "open_seq2seq.transcribe", "--serve", "--port=0", "--model", model],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            address = re.search(r"http://\S+", line)
            if address:
                break
        else:
            raise JasperError("the web page did not start:\n%s" % "".join(said))
        browser.open(address.group())
        browser.wait_for("document.querySelector('#limits').textContent")
        browser.choose_files("#file", os.path.join(os.path.dirname(manifest), row["wav_filename"]))
        browser.wait_for("document.querySelector('#list .done')")
        browser.wait_for("document.querySelector('#result').getAttribute('aria-busy') === 'false'")
        browser.wait_for("document.querySelector('#transcript button')")
        return photograph(browser, "body", height=900)
    finally:
        server.terminate()
        server.wait()


PHOTOGRAPHERS = {"training_report": photograph_report, "evaluation_report": photograph_evaluation,
                 "web_page": photograph_web_page}


def write_picture(path, png):
    """Writes a PNG with few colors, so that it is small, atomically."""
    from PIL import Image
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS, dither=Image.NONE).save(file, "PNG", optimize=True)
    if len(file.getvalue()) > LARGEST:
        raise JasperError("%s would have %d KB; at most %d KB are allowed. Photograph a smaller part of the page" % (
            path, len(file.getvalue()) // 1000, LARGEST // 1000))
    with replaced_file(path, "wb") as target:
        target.write(file.getvalue())


if __name__ == "__main__":
    sys.exit(exit_status_of(main, sys.argv[1:]))
