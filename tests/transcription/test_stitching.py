"""Two paths of the same frames are joined into one."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.decoding.word_times import BestPath
from open_seq2seq.transcription.stitching import Stitcher, find_seam

BLANK = 9


def labels(text):
    """Digits are labels, 0 the space; a dot is the blank."""
    return np.array([BLANK if character == "." else int(character) for character in text])


def path_of(text, loud=True):
    frames = labels(text)
    return BestPath(frames, np.zeros(len(frames), np.float32), np.full(len(frames), loud))


def text_of(frames):
    return "".join("." if label == BLANK else str(label) for label in frames)


def joined(left, right, planned=None):
    left, right = labels(left), labels(right)
    seam = find_seam(left, right, len(left) // 2 if planned is None else planned, BLANK)
    frames = text_of(np.concatenate([left[:seam], right[seam:]])).replace(".", " ").split()
    return "".join(frames), seam


def test_equal_paths_are_joined_at_the_planned_frame():
    for planned in (20, 28, 40):
        assert find_seam(labels("." * 60), labels("." * 60), planned, BLANK) == planned


def test_a_spike_that_moved_is_neither_lost_nor_duplicated():
    assert joined("..1.......2.....", "..1......2......", planned=9)[0] == "12"
    assert joined("..1.....2.......", "..1..........2..", planned=10)[0] == "12"
    assert joined("..1..........2..", "..1.....2.......", planned=10)[0] == "12"


def test_a_space_in_different_places_of_a_pause_is_kept_once():
    assert joined("..1.....0..........2..", "..1.............0..2..")[0] == "102"
    assert joined("..1.............0..2..", "..1.....0..........2..")[0] == "102"


def test_wrong_output_at_the_ends_of_windows_is_not_used():
    assert joined("..1....2...3....4..77777", "888.2.12...3....4..5...6")[0] == "123456"


def test_a_seam_within_a_long_spike_does_not_repeat_it():
    left, right = labels("....1111111....."), labels("....1111111.....")
    seam = find_seam(left, right, 7, BLANK)
    assert text_of(np.concatenate([left[:seam], right[seam:]])) == "....1111111....."


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(4, 12)), min_size=6, max_size=12), st.randoms(use_true_random=False))
def test_spikes_that_move_by_a_frame_never_change_the_text(spikes, random):
    frames = sum(gap for _, gap in spikes) + 6

    def reading():
        path, position = np.full(frames, BLANK), 2
        for label, gap in spikes:
            path[position + random.choice((0, 1))] = label
            position += gap
        return path
    left, right = reading(), reading()
    seam = find_seam(left, right, frames // 2, BLANK)
    heard = [label for label in np.concatenate([left[:seam], right[seam:]]) if label != BLANK]
    assert heard == [label for label, _ in spikes]


def settled(pieces):
    return [(piece.first_frame, text_of(piece.path.labels), piece.after_pause) for piece in pieces]


def test_pieces_follow_each_other_without_gap_or_overlap():
    stitcher = Stitcher(BLANK, 0.02)
    assert settled(stitcher.add(path_of("1.2.3.4."), 0, overlap_frame=4, cut_frame=6)) == [(0, "1.2.", False)]
    assert settled(stitcher.add(path_of("3.4.5.6."), 4)) == [(4, "3.", False), (6, "4.5.6.", False)]
    # a new stretch after silence
    assert settled(stitcher.add(path_of("7."), 100)) == [(100, "7.", False)]


@pytest.mark.parametrize("quiet_frames,after_pause", [(20, True), (10, False)])
def test_a_seam_within_a_pause_ends_a_word(quiet_frames, after_pause):
    loud = np.ones(100, bool)
    loud[50 - quiet_frames // 2:50 + quiet_frames // 2] = False
    silent = path_of("." * 100)._replace(loud=loud)
    stitcher = Stitcher(BLANK, 0.02)
    stitcher.add(silent, 0, overlap_frame=0, cut_frame=50)
    assert [piece.after_pause for piece in stitcher.add(silent, 0)] == [False, after_pause]
