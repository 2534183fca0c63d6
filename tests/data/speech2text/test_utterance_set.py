"""Accepted and rejected rows of a set of manifests."""
import numpy as np
import pytest
import soundfile

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.rejection import MISSING_FILE, NOT_NORMALIZED, RejectedData
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
from open_seq2seq.errors import DataError

RATE = 16000


@pytest.fixture
def write(tmp_path):
    """A function that writes a manifest of utterances and a vocabulary and returns the checked params."""
    tone = 0.3 * np.sin(np.arange(RATE) * 0.2)

    def write(*transcripts, vocabulary="abc\u00e9 ", separator=",", **params):
        for number in range(len(transcripts)):
            soundfile.write(str(tmp_path / ("%d.wav" % number)), tone[:8000 + 160 * number], RATE, subtype="PCM_16")
        rows = "".join("%d.wav%s%s\n" % (number, separator, text) for number, text in enumerate(transcripts))
        (tmp_path / "m.csv").write_text("wav_filename,transcript\n" + rows, encoding="utf-8")
        (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        report = Report()
        checked = check_parameters(Speech2TextDataLayer.PARAMETERS, dict(
            {"num_audio_features": 16, "input_type": "logfbank", "dataset_files": str(tmp_path / "m.csv"),
             "vocab_file": str(tmp_path / "vocab.txt")}, **params), "params", report)
        assert not report.problems
        return checked
    return write


def utterance_set(params, mode="train", **options):
    return UtteranceSet.from_manifests(params, mode, lambda num_samples: num_samples // 160, **options)


def test_changes_to_the_text_are_noted_once_and_give_the_right_labels(write, capsys, tmp_path):
    found = utterance_set(write("ab", "cafe\u0301 a".replace("f", ""), " b ", separator=", "))
    assert [utterance.labels for utterance in found.utterances] == [(0, 1), (2, 0, 3, 4, 0), (1,)]
    assert [utterance.transcript for utterance in found.utterances] == ["ab", "ca\u00e9 a", "b"]
    assert capsys.readouterr().out.replace(str(tmp_path), "").splitlines() == [
        "*** Note: manifest /m.csv: in 3 of 3 rows blanks around the fields were removed; the first is on line 2",
        "*** Note: manifest /m.csv: in 1 of 3 rows the transcript was converted to composed characters (Unicode NFC); the first "
        "is on line 3"]


def test_notes_of_the_vocabulary_are_printed(write, capsys, tmp_path):
    params = write("ab")
    (tmp_path / "vocab.txt").write_text("# letters\na\nb\n")
    assert utterance_set(params).vocabulary.characters == ("a", "b")
    assert capsys.readouterr().out.startswith("*** Note: vocabulary %s: 1 comment line is skipped" % (tmp_path / "vocab.txt"))


def test_only_the_first_worker_prints_and_writes(write, capsys, tmp_path):
    params = write(" ab", "x", "c", max_rejected_fraction=0.5)
    rejected_file = str(tmp_path / "rejected.csv")
    found = utterance_set(params, rejected_file=rejected_file, is_first_worker=False)
    assert len(found.utterances) == 2 and len(found.rejections) == 1
    assert capsys.readouterr().out == "" and not (tmp_path / "rejected.csv").exists()
    utterance_set(params, rejected_file=rejected_file)
    assert "*** train data: 1 of 3 utterances skipped: 1 character outside the vocabulary" in capsys.readouterr().out
    assert "m.csv,3,1.wav,character outside the vocabulary" in (tmp_path / "rejected.csv").read_text()


def test_a_subset_has_its_own_state(write):
    whole = utterance_set(write(*["a", "b", "c", "ab", "bc", "ca"]))
    subset = whole.subset(3, seed=1)
    assert [utterance.index for utterance in subset.utterances] == [0, 1, 2]
    rows = [utterance.row for utterance in subset.utterances]
    assert rows == sorted(rows) and len(set(rows)) == 3
    assert [utterance.row for utterance in whole.subset(3, seed=1).utterances] == rows
    assert {tuple(utterance.row for utterance in whole.subset(3, seed).utterances) for seed in range(20)} != {tuple(rows)}
    assert len(whole.subset(10, 0).utterances) == 6
    subset.reject_at_run_time(subset.utterances[0], RejectedData(MISSING_FILE, "deleted"), must_go_on=False)
    assert len(subset.run_time_rejections) == 1 and not whole.run_time_rejections and not whole.rejections.items
    # any number of a subset's files may become unusable, but not all of them in silence
    subset.rejections.raise_if_too_many()


def test_a_file_is_rejected_once_at_run_time(write, capsys, tmp_path):
    found = utterance_set(write("a", "b", "c", "a", max_rejected_fraction=0.3), rejected_file=str(tmp_path / "rejected.csv"))
    first, second = found.utterances[:2]
    for _ in range(2):
        found.reject_at_run_time(first, RejectedData(MISSING_FILE, "deleted"), must_go_on=True)
    assert found.run_time_rejections == [first] and len(found.rejections) == 1
    assert capsys.readouterr().err == "skipped utterance %s: missing file: deleted\n" % first.id
    assert "m.csv,2,0.wav,missing file,deleted" in (tmp_path / "rejected.csv").read_text()
    found.reject_at_run_time(second, RejectedData(MISSING_FILE, "deleted"), must_go_on=False)
    with pytest.raises(DataError, match="2 of 4 utterances"):
        found.reject_at_run_time(second, RejectedData(MISSING_FILE, "deleted"), must_go_on=True)


STEPS = {"normalization": ["lower", "punctuation"], "unknown_characters": "drop"}


def test_the_steps_of_the_config_change_labels_references_and_rejections(write, capsys):
    params = write("AB\u2014c", "a, x cafe\u0301!", "xyz...", "c", max_rejected_fraction=0.5, separator=',"', **STEPS)
    manifest = params["dataset_files"]
    with open(manifest, encoding="utf-8") as file:
        text = file.read().replace("\n", '"\n').replace('transcript"', "transcript")
    with open(manifest, "w", encoding="utf-8") as file:
        file.write(text)
    for mode in ("train", "eval"):
        found = utterance_set(params, mode)
        assert [utterance.transcript for utterance in found.utterances] == ["ab c", "a ca\u00e9", "c"]
        assert [utterance.labels for utterance in found.utterances] == [(0, 1, 4, 2), (0, 4, 2, 0, 3), (2,)]
        assert [(item.row, item.reason.name) for item in found.rejections] == [(4, "empty transcript")]
        assert "'xyz...'" in found.rejections.items[0].detail and "punctuation" in found.rejections.items[0].detail
        assert "Note: normalization changed 2 of 4 transcripts (lower 1, punctuation 2" in capsys.readouterr().out
    # inference uses every row
    assert [utterance.transcript for utterance in utterance_set(params, "infer").utterances] == [
        "ab c", "a ca\u00e9", "xyz...", "c"]


def test_a_number_that_cannot_be_read_rejects_the_row(write):
    pytest.importorskip("num2words")
    params = write("5 a", "5th a", vocabulary="five a", max_rejected_fraction=0.5, normalization=[{"numbers": "en"}])
    found = utterance_set(params)
    assert [utterance.transcript for utterance in found.utterances] == ["five a"]
    assert [(item.row, item.reason) for item in found.rejections] == [(3, NOT_NORMALIZED)]
    assert "'5th'" in found.rejections.items[0].detail


def test_without_steps_nothing_changes(write, capsys):
    params = write("a  b", "c A", max_rejected_fraction=0.5)
    assert [utterance.labels for utterance in utterance_set(params).utterances] == [(0, 4, 4, 1)]
    assert "normalization" not in capsys.readouterr().out
