import types

import pytest

from open_seq2seq.evaluation.error_rates import ErrorRate
from open_seq2seq.evaluation.record import record_evaluation, recorded_word_error_rate

LAYER = types.SimpleNamespace(manifests=["corpus/dev.csv", "corpus/other.csv"])


def result(edits):
    return types.SimpleNamespace(word_error_rate=ErrorRate(edits, 8), character_error_rate=ErrorRate(1, 40), num_utterances=3)


def test_the_last_word_on_a_checkpoint_counts(tmp_path):
    first, second = str(tmp_path / "model.ckpt-5"), str(tmp_path / "model.ckpt-10")
    assert recorded_word_error_rate(first) is None
    for checkpoint, edits in ((first, 4), (second, 3), (second, 2)):
        record_evaluation(checkpoint, LAYER, result(edits))
    assert recorded_word_error_rate(first) == (0.5, "dev.csv, other.csv")
    assert recorded_word_error_rate(second) == (0.25, "dev.csv, other.csv")
    # the best model is one of those that were evaluated
    assert recorded_word_error_rate(str(tmp_path / "best_models" / "val_loss=1.2000-step-5")) == (0.5, "dev.csv, other.csv")
    assert recorded_word_error_rate(str(tmp_path / "model.ckpt-7")) is None


@pytest.mark.parametrize("damage", ["{\"step\": 5, \"we", "[]", "null", "{\"step\": 5}", "\x00"])
def test_damaged_lines_are_passed_over(tmp_path, damage):
    checkpoint = str(tmp_path / "model.ckpt-5")
    (tmp_path / "evaluations.jsonl").write_text(damage + "\n")
    record_evaluation(checkpoint, types.SimpleNamespace(), result(4))
    (tmp_path / "evaluations.jsonl").open("a").write(damage + "\n")
    assert recorded_word_error_rate(checkpoint) == (0.5, "SimpleNamespace")


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    record_evaluation(str(tmp_path / "gone" / "model.ckpt-5"), LAYER, result(4))
    assert "could not be recorded" in capsys.readouterr().out
