"""The page of a report: its summary, its figures, and what it shows when there are few or damaged measurements."""
import base64
import html.parser
import io
import json
import os
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.log_lines import logged_output
from open_seq2seq.modes import run
from open_seq2seq.training.metrics import Metrics, read_metrics
from open_seq2seq.training.report.curves import MOST_POINTS, panels
from open_seq2seq.training.report.mode import report_after_training, write_report
from open_seq2seq.training.report.pictures import draw
from open_seq2seq.training.report.summary import summary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


class _Page(html.parser.HTMLParser):
    """The page as a browser reads it."""

    def __init__(self, path):
        super().__init__()
        self.images, self.rows, self.text = {}, [], ""
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            self.images[attributes["alt"].split(",")[0].split(" (")[0]] = attributes
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")

    @property
    def figures(self):
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Directory of a run of 30 steps that was resumed at 20."""
    tmp_path = tmp_path_factory.mktemp("measured")
    metrics = Metrics(str(tmp_path / "metrics.jsonl"))
    for first, last in ((0, 24), (20, 30)):
        metrics.write("start", first, last_step=40, steps_per_epoch=12, config="0123abcd", version="0.1.0", device="cpu",
                      utterances=96, padding_share=0.0274)
        for step in range(first + 1, last + 1):
            metrics.write("step", step, loss=100.0 / step, learning_rate=0.01, gradient_norm=5.0, loss_scale=8.0,
                          audio_seconds_per_second=50.0 + step, seconds_per_step=0.25)
            if step % 10 == 0:
                metrics.write("evaluation", step, data_set="dev.csv", loss=60.0 / step, word_error_rate={10: 0.9, 20: 0.25}.get(
                    step, 0.5))
                for data_set, entropy in (("train", 0.5), ("dev", 0.75)):
                    metrics.write("subset", step, data_set=data_set, loss=50.0 / step, word_error_rate=0.5, frame_entropy=entropy)
                metrics.write("layers", step, layers=[
                    {"layer": "conv11", "relative_change": 0.01, "gradient_norm": 2.0, "dead_channels": 0.25, "mean_drift": 0.1,
                     "variance_drift": 0.2},
                    {"layer": "<odd>", "relative_change": None, "gradient_norm": 4.0}])
    return str(tmp_path)


@pytest.fixture(scope="module")
def page_path(measured):
    return write_report(measured)


def test_the_page(page_path):
    page = _Page(page_path)
    figures = page.figures
    assert figures["Padding"] == "2.7 % of the frames"
    assert figures["Step"] == "30 of 40" and figures["Epochs"] == "2.50 (12 steps each)" and figures["Config"] == "0123abcd"
    assert figures["State"] == "running, or killed"
    assert figures["Training loss"] == "3.3333 at step 30" and figures["Loss scale"] == "8 at step 30"
    assert figures["dev.csv: WER"] == "50.00 % at step 30, best 25.00 % at step 20"
    assert figures["dev.csv: loss"] == "2.0000 at step 30, best 2.0000 at step 30"
    assert figures["Started"].endswith("resumed 1 times")
    assert set(page.images) == {
        "Loss", "Word error rate", "Entropy of the frame posteriors", "Learning rate", "Norm of the gradient", "Loss scale",
        "Speed", "Change of each layer between two reports", "Norm of each layer's gradient", "Dead channels of each layer",
        "Batch norm: moving mean against the training subset", "Batch norm: moving variance against the training subset"}
    assert page.images["Loss"]["alt"] == (
        "Loss, CTC loss (nats per utterance): training batches from 100 at step 1 to 3.333 at step 30; "
        "dev.csv from 6 at step 10 to 2 at step 30; train subset from 5 at step 10 to 1.667 at step 30; "
        "dev subset from 5 at step 10 to 1.667 at step 30")
    assert ["conv11", "1.00e-02", "2.00e+00", "0.250", "0.100", "0.200"] in page.rows
    assert ["<odd>", "", "4.00e+00", "", "", ""] in page.rows


def test_the_page_contains_its_figures(page_path):
    page = _Page(page_path)
    for attributes in page.images.values():
        kind, _, data = attributes["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        picture = ElementTree.fromstring(base64.b64decode(data))
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) > 5
    # neither scripts nor anything from elsewhere
    assert "<script" not in page.source and "http" not in page.source
    assert os.listdir(os.path.dirname(page_path)) == ["index.html"]


@pytest.mark.slow
def test_the_same_numbers_give_the_same_figure(measured):
    for panel in panels(read_metrics(os.path.join(measured, "metrics.jsonl")))[::8]:
        assert draw(panel, 12) == draw(panel, 12)


def test_how_a_run_ended(measured):
    entries = read_metrics(os.path.join(measured, "metrics.jsonl")) + [{"kind": "end", "step": 30, "reason": "max_hours"}]
    assert dict(summary(entries))["State"] == "ended at step 30: max_hours"
    entries.append({"kind": "start", "step": 30, "last_step": 60})
    assert dict(summary(entries))["State"].startswith("running") and dict(summary(entries))["Step"] == "30 of 60"


def test_steps_that_were_made_again_are_drawn_once(measured):
    loss = panels(read_metrics(os.path.join(measured, "metrics.jsonl")))[0].curves[0]
    assert loss.steps == list(range(1, 31)) and loss.values == [100.0 / step for step in range(1, 31)]


def test_long_curves_are_thinned_out(tmp_path):
    entries = [{"kind": "step", "step": step, "loss": float(step % 2)} for step in range(10 * MOST_POINTS)]
    curve = panels(entries)[0].curves[0]
    assert len(curve.steps) == MOST_POINTS and set(curve.values) == {0.5} and curve.steps[-1] == 10 * MOST_POINTS - 1


def test_values_that_are_not_numbers_leave_a_gap(tmp_path):
    metrics = Metrics(str(tmp_path / "metrics.jsonl"))
    for step, loss in ((1, 2.0), (2, float("nan")), (3, 0.0), (4, "1"), (5, True)):
        metrics.write("step", step, loss=loss, learning_rate=0.0)
    page = _Page(write_report(str(tmp_path)))
    assert page.images["Loss"]["alt"].endswith("from 2 at step 1 to 0 at step 3")


def test_a_run_that_has_just_begun(tmp_path, capsys):
    Metrics(str(tmp_path / "metrics.jsonl")).write("start", 0, last_step=10, steps_per_epoch=0)
    page = _Page(write_report(str(tmp_path)))
    assert page.figures["Step"] == "0 of 10" and "There are no figures yet" in page.text
    os.remove(str(tmp_path / "report" / "index.html"))
    report_after_training(str(tmp_path))
    assert not os.listdir(str(tmp_path / "report")) and capsys.readouterr().out == ""


@pytest.mark.parametrize("folders, title", [(("mine",), "Training of mine"), (("mine", "logs"), "Training of mine")])
def test_the_title_names_the_run(tmp_path, folders, title):
    directory = os.path.join(str(tmp_path), *folders)
    os.makedirs(directory)
    metrics = Metrics(os.path.join(directory, "metrics.jsonl"))
    metrics.write("step", 1, loss=1.0)
    # measured by a version that did not record the name of the run
    assert "<title>%s</title>" % title in _Page(write_report(directory)).source
    # checkpoints of a run need not be in its logdir
    metrics.write("start", 1, run="jasper <5x3>")
    page = _Page(write_report(directory))
    assert "<h1>Training of jasper &lt;5x3&gt;</h1>" in page.source


def test_evaluations_and_the_test_are_in_the_summary(tmp_path):
    metrics = Metrics(str(tmp_path / "metrics.jsonl"))
    for step, entropy in ((10, 0.5), (20, 0.25)):
        metrics.write("evaluation", step, data_set="dev.csv", loss=60.0 / step, word_error_rate=0.5, frame_entropy=entropy)
    metrics.write("test", 20, data_set="test.csv", loss=4.0, word_error_rate=0.125)
    page = _Page(write_report(str(tmp_path)))
    assert page.images["Entropy of the frame posteriors"]["alt"].endswith("dev.csv from 0.5 at step 10 to 0.25 at step 20")
    assert page.figures["test test.csv: WER"] == "12.50 % at step 20, best 12.50 % at step 20"
    assert page.figures["test test.csv: loss"] == "4.0000 at step 20, best 4.0000 at step 20"


def test_the_largest_numbers_of_float32_are_drawn(tmp_path):
    metrics = Metrics(str(tmp_path / "metrics.jsonl"))
    for step, sign in ((1, 1), (2, -1), (3, 1)):
        metrics.write("step", step, loss=sign * 3.4e38, learning_rate=1e-45, gradient_norm=3.4e38)
        metrics.write("layers", step, layers=[{"layer": "conv11", "relative_change": 3.4e38, "gradient_norm": 1e-45}])
    assert len(_Page(write_report(str(tmp_path))).images) == 5


def test_without_matplotlib(measured, tmp_path, monkeypatch, capsys):
    shutil.copy(os.path.join(measured, "metrics.jsonl"), str(tmp_path))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = _Page(write_report(str(tmp_path)))
    assert not page.images and "matplotlib is not installed" in page.text and page.figures["Step"] == "30 of 40"
    assert "matplotlib is not installed. Install it with pip install -r requirements.txt" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "{\n", "\0\0\0"])
def test_empty_or_damaged_measurements(tmp_path, content, capsys):
    with open(str(tmp_path / "metrics.jsonl"), "w") as file:
        file.write(content)
    with pytest.raises(DataError, match="metrics.jsonl has no readable measurement"):
        write_report(str(tmp_path))
    assert not os.path.exists(str(tmp_path / "report"))


def test_a_report_that_fails_does_not_stop_the_training(tmp_path, capsys):
    report_after_training(str(tmp_path))
    assert "The report could not be drawn: cannot read" in capsys.readouterr().out


@pytest.mark.parametrize("below", [(), ("logs",)])
def test_the_command(tmp_path, capsys, below):
    folder = os.path.join(str(tmp_path), *below)
    os.makedirs(folder, exist_ok=True)
    metrics = Metrics(os.path.join(folder, "metrics.jsonl"))
    for step in (1, 2):
        metrics.write("step", step, loss=1.0)
    run(["--mode=report", "--logdir", str(tmp_path)])
    assert capsys.readouterr().out == (
        "*** The measurements show nothing that docs/troubleshooting.md describes\n*** Report: %s\n" % os.path.join(
            folder, "report", "index.html"))
    assert list(_Page(os.path.join(folder, "report", "index.html")).images) == ["Loss"]


@pytest.mark.slow
def test_a_folder_whose_name_is_not_utf8(tmp_path):
    """Also the lines that earlier versions wrote there, with the name of the folder; and a log of the output in it."""
    folder = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9"))
    os.mkdir(folder)
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="ascii") as file:
        for step in (1, 2):
            file.write(json.dumps({"kind": "evaluation", "step": step, "data_set": "dev\udcff", "loss": 1.0}) + "\n")
            file.write(json.dumps({"kind": "step", "step": step, "loss": 1.0}) + "\n")
    # the command line takes UTF-8 only, but the current directory may have any name
    done = subprocess.run([sys.executable, os.path.join(ROOT, "run.py"), "--mode=report", "--logdir=."], cwd=folder,
                          capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert "2 damaged lines were skipped, the first: line 1 of" in done.stdout and r"contains \udcff" in done.stdout
    assert r"Training of caf\xe9" in _Page(os.path.join(folder, "report", "index.html")).text
    log = str(tmp_path / "stdout.log")
    with logged_output(log, None):
        sys.stdout.terminal = io.StringIO()
        report_after_training(folder)
    with open(log, encoding="utf-8") as file:
        assert r"Report: %s/caf\udce9/report/index.html" % tmp_path in file.read()


@pytest.mark.parametrize("words, error, message", [
    ([], UsageError, "--mode=report needs the directory of a run"),
    (["--logdir=nowhere"], DataError, "no metrics.jsonl in nowhere nor in nowhere/logs"),
    (["--logdir=nowhere", "--max_steps=3"], UsageError, "--max_steps is a key of a config"),
    (["--logdir=" + os.fsdecode(b"x\xff")], UsageError, r"logdir: 'x\\udcff' is not valid UTF-8"),
    (["--logdr=nowhere"], UsageError, "--logdr is a key of a config")])
def test_wrong_commands(words, error, message):
    with pytest.raises(error, match=message):
        run(["--mode=report"] + words)


@pytest.mark.slow
def test_in_a_browser(page_path, browser):
    tab = browser()
    tab.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    tab.open("file://" + page_path)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 300)")
    assert tab.evaluate("document.images.length") == 12 and tab.problems() == []
    assert {address.split(":")[0] for address in tab.requested_addresses()} == {"file", "data"}
