"""``--mode=eval`` of a trained network writes the page: its figures, its recordings, what the network heard, and a comparison."""
import json
import os
import re
import shutil
import sys
import types

import pytest

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture
def evaluate(monkeypatch, capsys, trained_digits, tmp_path):
    """Evaluates a copy of the trained network: (exit status, stdout, stderr, page, logdir); ``step``: of the checkpoint."""
    monkeypatch.chdir(str(trained_digits.folder))
    monkeypatch.syspath_prepend(REPOSITORY)
    import run

    def call(name, *words, step=300):
        logdir = tmp_path / name
        shutil.copytree(str(trained_digits.run), str(logdir))
        (logdir / "logs" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-%d"\n' % step)
        capsys.readouterr()
        status = run.main(["--config_file=config.py", "--device=cpu", "--mode=eval", "--logdir=%s" % logdir] + list(words))
        output = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=output.out, err=output.err, logdir=str(logdir),
                                     page=os.path.join(str(logdir), "logs", "report", "eval.html"))
    return call


def data_of(page):
    """(data of the page, {number: recording})."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    scripts = dict(re.findall('<script type="application/json" id="([a-z]+(?:-[0-9]+)?)">(.*?)</script>', text, re.DOTALL))
    evaluation = json.loads(scripts.pop("evaluation"))
    return evaluation, {int(name.split("-")[1]): json.loads(recording) for name, recording in scripts.items()}


def test_page_of_an_evaluation(evaluate, browser, trained_digits):
    first = evaluate("first", step=150)
    assert first.status == 0, first.err
    second = evaluate("second", "--compare=%s" % first.logdir)
    assert second.status == 0 and "Report: %s" % second.page in second.out, second.err

    evaluation, recordings = data_of(second.page)
    wer = re.search(r"Validation WER:  ([0-9.]+)", second.out).group(1)
    assert evaluation["headline"][0]["value"] == "%.2f %%" % (100 * float(wer)) and len(evaluation["columns"]["id"]) == 40
    assert dict(evaluation["facts"])["Checkpoint"].endswith("model.ckpt-300, step 300")
    assert sorted(recordings) == evaluation["embedded"] == list(range(40))
    # the best path of the stored posteriors is what the evaluation printed
    heard = [" ".join(word for word, _, _ in recordings[number]["words"]) for number in range(40)]
    assert heard == evaluation["columns"]["hypothesis"]
    assert {recording["features"]["title"] for recording in recordings.values()} == {"32 log-mel bands"}
    for number, recording in recordings.items():
        assert recording["duration"] == pytest.approx(evaluation["columns"]["duration"][number], abs=0.002)
        assert 0 <= recording["posteriors"]["duration"] - recording["duration"] < 0.05
    # the comparison is that of the two results
    with open(os.path.join(os.path.dirname(first.page), "eval.json"), encoding="utf-8") as file:
        before = json.load(file)
    errors = [entry["words"]["substitutions"] + entry["words"]["deletions"] + entry["words"]["insertions"]
              for entry in before["utterances"]]
    columns = evaluation["columns"]
    own = [sum(operations.count(letter) for letter in "SDI") for operations in columns["operations"]]
    assert columns["change"] == [here - there for here, there in zip(own, errors)] and min(columns["change"]) < 0
    assert evaluation["comparison"]["rows"][0][:3] == [
        "WER", "%.2f %%" % (100 * before["summary"]["wer"]), evaluation["headline"][0]["value"]]

    tab = browser()
    tab.open("file://" + second.page)
    assert tab.evaluate("document.querySelector('#comparison_title').textContent") == "Comparison with %s" % first.logdir
    tab.evaluate("(select => {select.value = 'better'; select.dispatchEvent(new Event('change'))})"
                 "(document.querySelector('#change'))")
    assert tab.evaluate("document.querySelectorAll('#utterance_table .name').length") == sum(
        change < 0 for change in columns["change"])
    tab.click("#heads th:nth-child(4) button")                    # the change: the worst first
    tab.evaluate("document.querySelector('#utterance_table .name').click()")
    tab.wait_for("document.querySelector('audio').readyState >= 2")
    assert tab.evaluate("document.querySelector('.other .line_names').textContent").startswith("Hypothesis of %s" % first.logdir)
    assert tab.problems() == []


def test_space_and_errors(evaluate, tmp_path, monkeypatch):
    small = evaluate("small", "--report_megabytes=0.1", "--report_recordings=30")
    assert small.status == 0, small.err
    evaluation, recordings = data_of(small.page)
    assert 3 <= len(recordings) < 30 and os.path.getsize(small.page) < 250e3
    # the worst one is there
    operations = evaluation["columns"]["operations"]
    rates = [sum(text.count(letter) for letter in "SDI") / (len(text) - text.count("I")) for text in operations]
    assert rates.index(max(rates)) in recordings
    none = evaluate("none", "--report_recordings=0")
    assert none.status == 0 and data_of(none.page)[1] == {} and len(data_of(none.page)[0]["columns"]["id"]) == 40

    with monkeypatch.context() as context:
        context.setitem(sys.modules, "PIL", None)
        bare = evaluate("bare", "--report_recordings=5")
    assert bare.status == 0 and "no pictures: Pillow is not installed" in bare.out
    assert [sorted(recording) for recording in data_of(bare.page)[1].values()] == [["audio", "duration"]] * 5

    # what cannot be compared is reported before the evaluation
    (tmp_path / "hypotheses.trn").write_text("one two (a_1)\n")
    with open(os.path.join(os.path.dirname(small.page), "eval.json"), encoding="utf-8") as file:
        content = json.load(file)
    content["utterances"][3].update(reference="one", hypothesis="one", alignment=[["C", "one", "one"]], words={
        "correct": 1, "substitutions": 0, "deletions": 0, "insertions": 0})
    (tmp_path / "other.json").write_text(json.dumps(content))
    for name, path, message in (("a", "nowhere", "nowhere"), ("b", tmp_path / "hypotheses.trn", "hypotheses only"),
                                ("c", tmp_path / "other.json", "1 of 40 utterances have other references")):
        wrong = evaluate(name, "--compare=%s" % path)
        assert wrong.status == 3 and message in wrong.err and "Running evaluation" not in wrong.out
        assert not os.path.exists(wrong.page)
