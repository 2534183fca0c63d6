"""run_evaluation: every utterance once, sums over all ranks, interruptions, non-finite rows."""
import math
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq import log_lines
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.evaluation_graph import frame_entropies
from open_seq2seq.evaluation.scoring import SUMMED, log_evaluation, note_on_uncounted, run_evaluation

REFERENCES = ["one two", "three", "four five six"]


class Layer:
    """The part of a data layer that scoring uses."""

    def __init__(self, transcripts=REFERENCES, unreadable=0):
        self.utterances = [types.SimpleNamespace(id="dev.csv:%d" % (number + 2), transcript=text, duration=1.5)
                           for number, text in enumerate(transcripts)]
        self.batches_per_epoch = 2
        self.run_time_rejections = [None] * unreadable
        self.elsewhere = 0

    def raise_if_too_many_rejected(self, elsewhere=0):
        self.elsewhere = elsewhere
        if len(self.run_time_rejections) + elsewhere > 1:
            raise DataError("too many rejected rows")


class TwoRanks(Single):
    """This rank and another one, whose numbers are given."""

    size = 2

    def __init__(self, **other):
        self.other = np.array([other.get(name, 0) for name in SUMMED], np.float64).view(np.int32)

    def gather(self, tensor):
        return tf.stack([tensor, tf.constant(np.pad(self.other, (0, tensor.shape.num_elements() - len(self.other)), "constant"))])


def batch(indices, transcripts, losses=None, counted=None, entropies=None, lengths=None):
    count = len(indices)
    return {"indices": np.array(indices), "transcripts": transcripts, "observed": ("seen", tuple(indices)),
            "losses": np.array(losses or [1.0] * count, np.float32),
            "counted": np.array([True] * count if counted is None else counted),
            "entropies": np.array(entropies or [0.0] * count, np.float32), "lengths": np.array(lengths or [10] * count)}


def evaluate(batches, layer=None, group=None, **options):
    evaluation = types.SimpleNamespace(data_layer=layer or Layer())
    evaluation.batches = lambda session, with_logits, observations: iter(batches)
    with tf.Graph().as_default(), tf.Session() as session:
        evaluation.graph = types.SimpleNamespace(exchange=Exchange(group or Single(), SUMMED))
        return run_evaluation(session, evaluation, **options)


ALL = [batch([2, 0], ["four five", "one two"], [3.0, 2.0], entropies=[4.0, 1.0], lengths=[20, 10]),
       batch([1], ["tree"], [4.0], entropies=[7.0], lengths=[10])]


def test_sums_and_means_do_not_depend_on_batches_or_their_order():
    for batches in (ALL, ALL[::-1]):
        result = evaluate(batches)
        assert result.loss == 3.0 and result.frame_entropy == pytest.approx(12.0 / 40)
        # one word deleted, one substituted, of six
        assert (result.word_error_rate.edits, result.word_error_rate.length) == (2, 6)
        assert (result.character_error_rate.edits, result.character_error_rate.length) == (5, 25)
        assert (result.sentence_error_rate.edits, result.sentence_error_rate.length) == (2, 3)
        assert (result.num_utterances, result.num_uncounted, result.num_unscored, result.audio_seconds) == (3, 0, 0, 4.5)
        assert result.transcripts == ["one two", "tree", "four five"]
        assert [utterance.transcript for utterance in result.utterances] == REFERENCES


def test_a_lost_utterance_is_an_error():
    with pytest.raises(DataError, match="only 2 of 3 utterances were scored, and 0 could not be read"):
        evaluate(ALL[:1])


def test_an_utterance_that_became_unreadable_is_not_lost():
    result = evaluate(ALL[:1], Layer(unreadable=1))
    assert (result.num_utterances, result.num_unscored) == (2, 1)
    assert result.word_error_rate.rate == pytest.approx(1 / 5)


def test_a_duplicate_utterance_is_an_error_in_one_batch_and_across_batches():
    for batches in (ALL + [batch([0], ["one two"])], [batch([1, 1], ["three", "three"])]):
        with pytest.raises(DataError, match="utterance dev.csv:[23] occurred twice"):
            evaluate(batches)


def test_an_interrupted_evaluation_has_no_result_and_reads_no_further():
    asked = []
    result = evaluate(ALL, is_interrupted=lambda: asked.append(None) or True)
    assert result is None and len(asked) == 1
    # on this rank nothing was interrupted, on the other it was
    assert evaluate(ALL, group=TwoRanks(interrupted=1)) is None


def test_utterances_without_a_finite_loss_or_finite_logits():
    result = evaluate([
        batch([0, 1], ["one two", "three"], [2.0, float("inf")], [True, False], entropies=[3.0, float("nan")], lengths=[6, 100]),
        batch([2], [""], [float("nan")], [False], entropies=[float("inf")])])
    assert result.loss == 2.0 and result.frame_entropy == 0.5
    assert result.num_utterances == 3 and result.num_uncounted == 2
    assert [utterance.id for utterance in result.uncounted] == ["dev.csv:3", "dev.csv:4"]
    assert note_on_uncounted(result) == ("2 utterances have no finite CTC loss and are excluded from the mean loss (not from the "
                                         "WER): dev.csv:3, dev.csv:4")
    none = evaluate([batch([0, 1, 2], REFERENCES, counted=[False] * 3, entropies=[float("nan")] * 3)])
    assert math.isnan(none.loss) and math.isnan(none.frame_entropy) and none.word_error_rate.rate == 0.0


def test_the_other_ranks_share_is_in_the_figures_and_not_in_the_lists():
    other = {"utterances": 1, "loss": 5.0, "counted": 1, "audio_seconds": 1.5, "word_error_rate_edits": 1,
             "word_error_rate_length": 1, "entropy": 8.0, "frames": 10}
    result = evaluate(ALL[:1], group=TwoRanks(**other))
    assert result.num_utterances == 3 and result.audio_seconds == 4.5 and result.loss == pytest.approx(10.0 / 3)
    assert (result.word_error_rate.edits, result.word_error_rate.length) == (2, 6)
    assert result.frame_entropy == pytest.approx(13.0 / 40)
    assert result.transcripts == ["one two", "four five"]


def test_unreadable_files_of_all_ranks_count_together():
    layer = Layer(unreadable=1)
    with pytest.raises(DataError, match="too many rejected rows"):
        evaluate(ALL[:1], layer, TwoRanks(unscored=1))
    assert layer.elsewhere == 1


def test_what_is_fetched_in_addition_is_observed_batch_by_batch():
    seen = []
    evaluate(ALL, observe=seen.append, observations=[()])
    assert seen == [("seen", (2, 0)), ("seen", (1,))]


def test_progress_lines_and_the_printed_figures_keep_their_form(capsys):
    log_evaluation(evaluate(ALL, Layer(), verbose=True))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == ["*** Processed 1/2 batches", "*** Processed 2/2 batches", "***     Validation loss: 3.0000 ",
                         "***     Validation WER:  0.3333", "***     Validation CER:  0.2000"]
    assert lines[5].startswith("***     3 utterances, 6 words, 4.5 s of audio in ")
    assert lines[5].endswith("33.3 % of the sentences without an error")


def test_in_the_format_of_the_modelzoo_port_only_the_wer_is_named_validation(capsys, monkeypatch):
    monkeypatch.setattr(log_lines, "_log_format", "modelzoo")
    log_evaluation(evaluate(ALL))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["***     Validation WER:  0.3333", "***     CER:  0.2000, loss: 3.0000"]
    assert [line for line in lines if "Validation" in line] == lines[:1]


def test_frame_entropies_by_hand():
    logits = np.zeros([2, 3, 4], np.float32)
    logits[1, :, 0] = [100.0, np.log(3.0), 0.0]
    with tf.Graph().as_default(), tf.Session() as session:
        entropies = session.run(frame_entropies(tf.constant(logits), tf.constant([3, 2])))
    # uniform over four: ln 4; certain: 0; 1/2 and three times 1/6; the third frame of the second is padding
    assert entropies == pytest.approx([3 * math.log(4), 0.5 * math.log(2) + 0.5 * math.log(6)], rel=1e-5)
