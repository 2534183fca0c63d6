"""What a report says of measurements that show a known problem, and that it names the section of the page with the fix."""
import os
import re

import pytest

from open_seq2seq.training.report.symptoms import PAGE, lines, symptoms
from tests.paths import REPOSITORY

FALLING = [60.0, 40.0, 25.0, 15.0, 10.0, 7.0, 5.0, 4.0]


def run_of(batches, train=None, dev=None, train_wer=0.05, dev_wer=0.08, more=(), share=0.01):
    """Entries of a run with a loss of ``batches`` every 10 steps, and of the subsets ``train`` and ``dev`` at the same steps."""
    entries = [{"kind": "start", "step": 0, "device": "cpu"}]
    for place, loss in enumerate(batches):
        step = 10 * (place + 1)
        entries.append({"kind": "step", "step": step, "loss": loss, "data_wait_share": share})
        for name, losses, wer in (("train", train or batches, train_wer), ("dev", dev or batches, dev_wer)):
            entries.append({"kind": "subset", "step": step, "data_set": name, "loss": losses[place], "word_error_rate": wer})
    return entries + list(more) + [{"kind": "end", "step": 10 * len(batches), "reason": "the last step"}]


LAYERS = {"kind": "layers", "step": 80, "layers": [{"layer": "conv11", "dead_channels": 0.75, "mean_drift": 0.1}]}
CASES = {
    "good": (run_of(FALLING), []),
    "a few words more wrong on dev": (run_of(FALLING, train_wer=0.02, dev_wer=0.1), []),
    "automatic loss scaling": (run_of(FALLING, more=[{"kind": "skipped", "step": 3, "bad": False}]), []),
    "bad steps": (run_of(FALLING, more=[{"kind": "skipped", "step": 3, "bad": True, "skipped_steps": 7}]), ["loss-inf-or-nan"]),
    "diverged": (run_of(FALLING, more=[{"kind": "skipped", "step": 3, "bad": True},
                                       {"kind": "evaluation", "step": 80, "data_set": "dev.csv", "loss": None,
                                        "word_error_rate": 1.0, "utterances": 20, "without_finite_loss": 20}]),
                 ["loss-inf-or-nan"]),
    "dev rises": (run_of(FALLING, train=FALLING, dev=[60, 40, 30, 25, 26, 28, 31, 35]), ["good-on-the-training-data-bad-on-dev"]),
    "dev without words": (run_of([20, 10, 5, 1, 0.2, 0.1, 0.1, 0.1], train=[40, 25, 16, 7, 4, 2, 1.7, 1.6], train_wer=0.1,
                                 dev=[48, 48, 49, 52, 56, 58, 59, 60], dev_wer=1.0), ["good-on-the-training-data-bad-on-dev"]),
    "dev far worse": (run_of(FALLING, train_wer=0.01, dev_wer=0.4), ["good-on-the-training-data-bad-on-dev"]),
    "both bad": (run_of(FALLING, train_wer=0.5, dev_wer=0.6), ["bad-on-the-training-data-too"]),
    "evaluation differs": (run_of(FALLING, train=[90.0] * 8, dev=[95.0] * 8, train_wer=1.0, dev_wer=1.0),
                           ["low-loss-in-training-high-loss-in-evaluations"]),
    "no words": (run_of([60.0, 30.0] + [28.0] * 6, train_wer=1.0, dev_wer=1.0), ["wer-stays-at-100-"]),
    "dead channels": (run_of(FALLING, more=[LAYERS]), ["output-of-one-letter"]),
    "waits": (run_of(FALLING, share=0.6), ["slow-input"]),
    "does not fit": (run_of(FALLING, more=[{"kind": "evaluation", "step": 80, "data_set": "dev.csv", "loss": 4.0,
                                            "word_error_rate": 0.1, "utterances": 20, "without_finite_loss": 3}]),
                     ["text-that-does-not-fit-into-its-audio"]),
    "only evaluations": ([{"kind": "step", "step": 10 * place, "loss": loss} for place, loss in enumerate(FALLING)]
                         + [{"kind": "evaluation", "step": 70, "data_set": "dev.csv", "loss": 30.0, "word_error_rate": 1.0}],
                         ["wer-stays-at-100-"]),
    "no scores": ([{"kind": "step", "step": 10, "loss": 1.0}], []),
    "damaged": ([{"kind": "layers", "step": 1, "layers": ["x"]}, {"kind": "subset", "step": 1, "loss": None},
                 {"kind": "evaluation", "step": 2, "loss": 1.0, "word_error_rate": None}], []),
}


def slugs(text):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall("^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(CASES))
def test_symptoms_of_a_run(name):
    entries, sections = CASES[name]
    found = symptoms(entries)
    assert [symptom.section for symptom in found] == sections
    for line, section in zip(lines(found), sections):
        assert line.endswith("See %s#%s" % (PAGE, section))


def test_the_numbers_are_those_of_the_run():
    text, = [symptom.text for symptom in symptoms(CASES["dev rises"][0])]
    for losses, trend in ([60.0] * 2 + [28.0] * 22, "no longer falls (28, a quarter of the training earlier 28)"), (
            [60.0 - step for step in range(24)], "still falls (39.5, a quarter of the training earlier 45.5)"):
        stuck, = [symptom.text for symptom in symptoms(run_of(losses, train_wer=1.0, dev_wer=1.0))]
        assert trend in stuck and "100 % at step 240" in stuck
    skipped, = [symptom.text for symptom in symptoms(CASES["bad steps"][0])]
    assert "7 steps were skipped" in skipped and "after step 3" in skipped
    assert "rose from 25 at step 40 to 35 at step 80" in text and "fell from 15 to 4" in text


def test_every_section_is_on_the_page():
    with open(os.path.join(REPOSITORY, *PAGE.split("/")), encoding="utf-8") as file:
        anchors = slugs(file.read())
    assert {section for _, sections in CASES.values() for section in sections} - anchors == set()
