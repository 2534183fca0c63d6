"""The aligned paths against all paths, against a second algorithm on longer input, and in blocks of any length."""
import itertools
import tracemalloc

import numpy as np
import pytest

from open_seq2seq.data.speech2text.selection import frames_to_align
from open_seq2seq.decoding import alignment
from open_seq2seq.decoding.alignment import BLANK_STATE, align, characters_of, log_softmax, worst_window
from open_seq2seq.errors import DataError


def collapsed(path, blank):
    return [label for label, _ in itertools.groupby(path) if label != blank]


def best_of_all_paths(log_probabilities, labels, blank):
    """(score, path) of the most probable of all paths that collapse to the labels; (-inf, None) if none does."""
    frames, outputs = log_probabilities.shape
    paths = [path for path in itertools.product(range(outputs), repeat=frames) if collapsed(path, blank) == labels]
    scores = [sum(log_probabilities[frame, label] for frame, label in enumerate(path)) for path in paths]
    best = int(np.argmax(scores)) if paths else None
    return (-np.inf, None) if best is None else (scores[best], list(paths[best]))


def score_by_recursion(log_probabilities, labels, blank):
    """The best score by a plain dynamic program over the extended labels, one cell at a time."""
    extended = [blank] + [label for own in labels for label in (own, blank)]
    scores = [0.0] + [-np.inf] * (len(extended) - 1)
    for frame, outputs in enumerate(log_probabilities):
        scores = [max([scores[state]] + scores[max(state - 1, 0):state]
                      + ([scores[state - 2]] if state > 1 and extended[state] not in (blank, extended[state - 2]) else [])
                      + ([0.0] if frame == 0 and state == 1 else [])) + outputs[extended[state]]
                  for state in range(len(extended))]
    return max(scores[-2:])


def outputs_of(found, labels, blank):
    return [blank if position == BLANK_STATE else labels[position] for position in found.positions]


@pytest.mark.parametrize("block", [1, 2, 64])
def test_the_path_is_the_best_of_all(block, monkeypatch):
    monkeypatch.setattr(alignment, "BLOCK", block)
    random, blank, compared = np.random.RandomState(block), 0, 0
    for _ in range(12):
        lengths = random.randint(0, 6, 4)
        logits = random.normal(size=[4, 6, 4]) * 2
        transcripts = [random.randint(1, 4, random.randint(0, 4)).tolist() for _ in lengths]
        for row, found in enumerate(align(logits, lengths, transcripts, blank)):
            log_probabilities = log_softmax(logits[row, :lengths[row]])
            score, path = best_of_all_paths(log_probabilities, transcripts[row], blank)
            assert (found is None) == (path is None) == (frames_to_align(transcripts[row]) > lengths[row])
            if found is not None:
                assert outputs_of(found, transcripts[row], blank) == path
                assert found.log_probabilities.sum() == pytest.approx(score, abs=1e-12)
                assert found.best_log_probabilities == pytest.approx(log_probabilities.max(axis=-1))
                compared += 1
    assert compared > 15


@pytest.mark.parametrize("blank", [0, 28])
def test_long_transcripts_in_a_batch_of_unequal_ones(blank):
    random = np.random.RandomState(blank)
    lengths = [300, 131, 64, 200]
    logits = random.normal(size=[4, 300, 29]).astype(np.float32) * 3
    labels = [label for label in range(29) if label != blank]
    # the first one has many repeats, the third just fits
    transcripts = [random.choice(labels[:2], 90), random.choice(labels, 40), [labels[k % 2] for k in range(64)], []]
    for row, found in enumerate(align(logits, lengths, transcripts, blank)):
        log_probabilities = log_softmax(logits[row, :lengths[row]])
        score = score_by_recursion(log_probabilities, list(transcripts[row]), blank)
        assert found.log_probabilities.sum() == pytest.approx(score, abs=1e-9)
        path = outputs_of(found, list(transcripts[row]), blank)
        assert collapsed(path, blank) == list(transcripts[row])
        assert found.log_probabilities == pytest.approx(log_probabilities[np.arange(lengths[row]), path])
        # alone and with other frames after its end it is the same
        alone, = align(np.pad(logits[row:row + 1], [(0, 0), (0, 9), (0, 0)], mode="constant"), lengths[row:row + 1],
                       transcripts[row:row + 1], blank)
        assert np.array_equal(alone.positions, found.positions)


def test_characters_and_the_worst_window():
    log_probabilities = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.3, 0.1, 0.6],
                                [0.1, 0.8, 0.1]])
    found, = align(log_probabilities[np.newaxis], [6], [[0, 1, 1]], 2)
    assert found.positions.tolist() == [0, 1, 1, BLANK_STATE, BLANK_STATE, 2]
    assert [item[:3] for item in characters_of(found, "abb")] == [("a", 0, 1), ("b", 1, 3), ("b", 5, 6)]
    assert [np.exp(item.log_probability) for item in characters_of(found, "abb")] == pytest.approx([0.7, np.sqrt(0.48), 0.8])
    assert worst_window(found, 2) == (0.0, 0, 2)
    # the network does not hear the second character of "aa"
    found, = align(log_probabilities[np.newaxis], [6], [[0, 0]], 2)
    score, first, end = worst_window(found, 2)
    path = [outputs[label] for outputs, label in zip(log_probabilities, outputs_of(found, [0, 0], 2))]
    losses = np.array(path) - log_probabilities.max(axis=1)
    assert score == pytest.approx(min(losses[:-1] + losses[1:])) and losses[first:end].sum() == pytest.approx(score)
    empty = alignment.Alignment(np.zeros([0], int), np.zeros(0), np.zeros(0))
    assert worst_window(empty, 5) == (0.0, 0, 0) and characters_of(empty, "") == []


def test_memory_of_a_long_recording():
    frames, labels = 12000, 2000
    logits = np.random.RandomState(0).normal(size=[1, frames, 5]).astype(np.float32)
    transcript = (np.arange(labels) % 4).tolist()
    tracemalloc.start()
    found, = align(logits, [frames], [transcript], 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert collapsed(outputs_of(found, transcript, 4), 4) == transcript
    # a pointer of one byte for each state and frame would be 48 MB
    assert peak < 20e6


def test_invalid_input():
    logits = np.zeros([2, 5, 3])
    bad = logits.copy()
    bad[1, 3, 0] = np.nan
    with pytest.raises(DataError, match="utterance 1.*frame 3"):
        align(bad, [5, 5], [[0], [1]], 2)
    # beyond the valid frames it does not matter
    assert align(bad, [5, 3], [[0], [1]], 2)[1] is not None
    assert align(logits, [5, 0], [[0] * 4, []], 2)[0] is None and len(align(logits, [5, 0], [[0], []], 2)[1].positions) == 0
    for lengths, transcripts, blank, message in [([5], [[0]], 2, "shape"), ([6, 1], [[0], [0]], 2, "lengths"),
                                                 ([5, 5], [[2], [0]], 2, "transcript 0"), ([5, 5], [[0], [0]], 3, "blank")]:
        with pytest.raises(ValueError, match=message):
            align(logits, lengths, transcripts, blank)
