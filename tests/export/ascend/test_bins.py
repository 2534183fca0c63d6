"""Bins of the offline inference: written, read back, refused."""
import os

import numpy as np
import pytest

from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.export.ascend.bins import BinWriter, InputBins, frame_mask
from open_seq2seq.export.ascend.results import RESULT_NAMES, find_results, read_result, result_name


def halved(frames):
    return -(-frames // 2)


def features_of(length, frames=6, seed=0):
    padded = np.zeros([frames, 4], np.float32)
    padded[:length] = np.random.RandomState(seed).normal(size=[length, 4])
    return padded


def write(folder, lengths, dtype="float32", frames=6):
    with BinWriter(str(folder), dtype) as writer:
        for name, length in lengths.items():
            writer.add(name, features_of(length, frames), frame_mask(length, frames, halved))


def test_a_mask_counts_output_frames_with_a_valid_input():
    assert frame_mask(3, 6, halved).tolist() == [1, 1, 0]
    assert frame_mask(4, 6, halved).tolist() == [1, 1, 0]
    assert frame_mask(6, 6, halved).tolist() == [1, 1, 1]
    assert frame_mask(3, 6, halved).dtype == np.float32


def test_files_are_raw_little_endian_numbers(tmp_path):
    write(tmp_path, {"a": 3})
    assert sorted(os.listdir(str(tmp_path))) == ["input_0", "input_reshape"]
    stored = np.fromfile(str(tmp_path / "input_0" / "a.bin"), "<f4").reshape(1, 6, 4)
    np.testing.assert_array_equal(stored[0], features_of(3))
    assert (tmp_path / "input_reshape" / "a.bin").read_bytes() == b"\0\0\x80\x3f\0\0\x80\x3f\0\0\0\0"


@pytest.mark.parametrize("dtype,error", [("float32", 0), ("float16", 2e-3)])
@pytest.mark.parametrize("frames", [6, None])
def test_bins_are_read_back(tmp_path, dtype, error, frames):
    write(tmp_path, {"b": 5, "a": 3}, dtype)
    assert os.path.getsize(str(tmp_path / "input_0" / "a.bin")) == 24 * (4 if dtype == "float32" else 2)
    bins = InputBins(str(tmp_path), 4, halved, frames)
    assert bins.stems == ["a", "b"] and bins.frames == 6
    assert (bins.mask_length("a"), bins.mask_length("b")) == (2, 3)
    features, mask = bins.read("b")
    assert features.shape == (1, 6, 4) and features.dtype == mask.dtype == np.float32
    np.testing.assert_allclose(features[0], features_of(5), atol=error)
    assert mask.tolist() == [1, 1, 1]


def cut(path, size):
    with open(str(path), "rb+") as file:
        file.truncate(size)


def test_a_bin_of_wrong_length_is_refused(tmp_path):
    write(tmp_path, {"a": 3, "b": 5})
    cut(tmp_path / "input_0" / "b.bin", 95)
    bins = InputBins(str(tmp_path), 4, halved, 6)
    bins.read("a")
    with pytest.raises(DataError, match=r"input_0.b\.bin has 95 bytes, expected 96: float32 \[1, 6, 4\]"):
        bins.read("b")
    cut(tmp_path / "input_reshape" / "a.bin", 8)
    with pytest.raises(DataError, match=r"input_reshape.a\.bin has 8 bytes, .* 2 float32 frames, expected 3"):
        bins.read("a")


def test_bins_of_another_model_are_refused(tmp_path):
    write(tmp_path, {"a": 3})
    with pytest.raises(DataError, match=r"input_0.a\.bin has 96 bytes, expected 120"):
        InputBins(str(tmp_path), 5, halved, 6).read("a")
    with pytest.raises(DataError, match="which is 4 frames of 6 float32 features, but its mask has 3 frames, expected 2"):
        InputBins(str(tmp_path), 6, halved)


def test_a_first_bin_that_was_cut_short_is_refused(tmp_path):
    # without a static number of frames the first bin gives it
    for size, message in ((95, r"has 95 bytes, expected a multiple of 2 frames of 4 float32 features"),
                          (80, r"has 80 bytes, expected a multiple of 2 frames"), (0, r"has 0 bytes, expected a multiple"),
                          (64, r"has 64 bytes, which is 4 frames of 4 float32 features, but its mask has 3 frames, expected 2")):
        write(tmp_path, {"a": 3, "b": 5})
        cut(tmp_path / "input_0" / "a.bin", size)
        with pytest.raises(DataError, match=r"input_0.a\.bin " + message):
            InputBins(str(tmp_path), 4, halved, pad_to=2)
    write(tmp_path, {"a": 3, "b": 5})
    cut(tmp_path / "input_reshape" / "a.bin", 0)
    with pytest.raises(DataError, match=r"input_reshape.a\.bin \(0 bytes\) is not a mask"):
        InputBins(str(tmp_path), 4, halved)


def broken_link(path):
    os.symlink("missing", str(path))


def folder_at(path):
    path.mkdir()


def pipe_at(path):
    os.mkfifo(str(path))


@pytest.mark.parametrize("make, message", [(broken_link, "a link to a missing file: No such file"), (folder_at, "is not a file"),
                                           (pipe_at, "is not a file")])
def test_bins_that_are_no_files_are_refused(tmp_path, make, message):
    for kind in ("input_0", "input_reshape"):
        write(tmp_path, {"a": 3, "b": 5})
        os.remove(str(tmp_path / kind / "a.bin"))
        make(tmp_path / kind / "a.bin")
        with pytest.raises(DataError, match=r"bin .*%s.a\.bin.*%s" % (kind, message)):
            InputBins(str(tmp_path), 4, halved)
        with pytest.raises(DataError, match=message):
            InputBins(str(tmp_path), 4, halved, 6).read("a")
        # the next writing replaces it
    write_results(tmp_path / "results", "%s_0.bin", ["a"])
    make(tmp_path / "results" / "b_0.bin")
    with pytest.raises(DataError, match=r"bin .*b_0\.bin.*%s" % message):
        find_results(str(tmp_path / "results"), stems("a", "b"))
    with pytest.raises(DataError, match=message):
        read_result(str(tmp_path / "results" / "b_0.bin"), 3, 5)


def test_values_that_are_not_finite_are_refused(tmp_path):
    write(tmp_path, {"a": 3})
    broken = features_of(3)
    broken[1, 1] = np.nan
    broken.tofile(str(tmp_path / "input_0" / "a.bin"))
    with pytest.raises(DataError, match=r"a\.bin: 1 of 24 values are NaN or infinite"):
        InputBins(str(tmp_path), 4, halved, 6).read("a")
    np.array([0, 1, 1], np.float32).tofile(str(tmp_path / "input_reshape" / "a.bin"))
    with pytest.raises(DataError, match=r"a\.bin \(12 bytes\) is not a mask"):
        InputBins(str(tmp_path), 4, halved, 6).read("a")


def test_every_utterance_has_both_bins(tmp_path):
    write(tmp_path, {"a": 3, "b": 5})
    os.remove(str(tmp_path / "input_reshape" / "b.bin"))
    with pytest.raises(DataError, match=r"input_reshape has no b\.bin"):
        InputBins(str(tmp_path), 4, halved, 6)
    for name in ("a.bin",):
        os.remove(str(tmp_path / "input_reshape" / name))
    with pytest.raises(DataError, match=r"input_reshape holds no \.bin file"):
        InputBins(str(tmp_path), 4, halved, 6)
    with pytest.raises(DataError, match="--pre_process True writes it"):
        InputBins(str(tmp_path / "nowhere"), 4, halved, 6)


def test_a_failure_keeps_the_earlier_bins(tmp_path):
    write(tmp_path, {"old": 3})
    with pytest.raises(ZeroDivisionError), BinWriter(str(tmp_path)) as writer:
        writer.add("new", features_of(3), frame_mask(3, 6, halved))
        raise ZeroDivisionError
    assert sorted(os.listdir(str(tmp_path))) == ["input_0", "input_reshape"]
    assert os.listdir(str(tmp_path / "input_0")) == ["old.bin"]
    write(tmp_path, {"new": 3})
    assert os.listdir(str(tmp_path / "input_0")) == os.listdir(str(tmp_path / "input_reshape")) == ["new.bin"]


def test_bins_of_two_namings_are_refused(tmp_path):
    # "c_input_data" is a name of the port's for a file without extension, or the project's for c_input_data.wav
    write(tmp_path, {"a.wav_input_data": 3, "c_input_data": 3})
    assert InputBins(str(tmp_path), 4, halved, 6).stems == ["a.wav_input_data", "c_input_data"]
    for other in ("a", "b"):
        write(tmp_path, {"a.wav_input_data": 3, "c_input_data": 3, other: 3})
        with pytest.raises(DataError, match=r"input_0 holds bins of two namings: 1 like a\.wav_input_data\.bin and 1 like %s\.bin"
                           % other):
            InputBins(str(tmp_path), 4, halved, 6)


def test_features_beyond_float16_are_refused(tmp_path):
    with pytest.raises(DataError, match="a: 1 features are not finite as float16, the largest is 70000"):
        with BinWriter(str(tmp_path), "float16") as writer:
            writer.add("a", np.full([1, 1], 7e4, np.float32), np.ones([1], np.float32))
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "input_0").mkdir()
    (tmp_path / "input_0" / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError, match=r"holds thesis\.tex, which is not a bin"):
        write(tmp_path, {"a": 3})
    assert (tmp_path / "input_0" / "thesis.tex").read_text() == "years of work"


# results

def stems(*names):
    """Bins in the project's own naming."""
    return {name: [name] for name in names}


def write_results(folder, pattern, names, dtype=np.float32):
    os.makedirs(str(folder))
    for number, name in enumerate(names):
        np.full([3, 5], number, dtype).tofile(str(folder / (pattern % name)))


@pytest.mark.parametrize("tool,pattern", [
    ("msame", "%s_output_0.bin"), ("ais_bench", "%s_0.bin"), ("the public Ascend port", "davinci_%s_output0.bin")])
def test_results_of_every_tool_are_found(tmp_path, tool, pattern):
    # names whose results could be confused
    names = ["a", "a_output", "a_0", "davinci_a_output0"]
    write_results(tmp_path / "2026_01_31-12_00_00", pattern, names)
    folder, found_tool, paths = find_results(str(tmp_path), stems(*names))
    assert found_tool == tool and folder == str(tmp_path / "2026_01_31-12_00_00")
    assert [read_result(paths[name], 3, 5)[0, 0] for name in names] == [0, 1, 2, 3]
    assert find_results(folder, stems(*names))[2] == paths


@pytest.mark.parametrize("tool", sorted(RESULT_NAMES))
@pytest.mark.parametrize("bins_naming", [0, 1])
def test_results_are_found_whatever_the_naming_of_the_bins(tmp_path, tool, bins_naming):
    written = {"a-1": ("a-1.wav_input_data", "a-1"), "b_2": ("b_2.flac_input_data", "b_2")}
    for naming in (0, 1):
        folder = tmp_path / str(naming)
        folder.mkdir()
        for number, stem in enumerate(stems[naming] for stems in written.values()):
            np.full([3, 5], number, np.float32).tofile(str(folder / result_name(stem, tool)))
        found = find_results(str(folder), {name: [stems[bins_naming]] + list(stems) for name, stems in written.items()})
        assert found[:2] == (str(folder), tool)
        assert [read_result(found[2][name], 3, 5)[0, 0] for name in written] == [0, 1]


def test_results_of_two_namings_or_tools_are_refused(tmp_path):
    known = {name: [name + ".wav_input_data", name] for name in "ab"}
    write_results(tmp_path / "r", "davinci_%s.wav_input_data_output0.bin", ["a", "b"])
    for file in ("davinci_a_output0.bin", "a_0.bin", "b.wav_input_data_output_0.bin"):
        np.zeros([3, 5], np.float32).tofile(str(tmp_path / "r" / file))
        with pytest.raises(DataError, match=r"holds results of two runs: 2 named like davinci_a.wav_input_data_output0.bin and 1 "
                           "like %s.*remove the results of one" % file):
            find_results(str(tmp_path / "r"), known)
        os.remove(str(tmp_path / "r" / file))
    # half of the utterances in each naming
    os.rename(str(tmp_path / "r" / "davinci_b.wav_input_data_output0.bin"), str(tmp_path / "r" / "davinci_b_output0.bin"))
    with pytest.raises(DataError, match="holds results of two runs: 1 named like .* and 1 like davinci_"):
        find_results(str(tmp_path / "r"), known)


def test_utterances_whose_results_overwrite_each_other_are_refused(tmp_path):
    # the port keeps dots, and ais_bench cuts a name at its first one
    write_results(tmp_path / "r", "%s_0.bin", ["a"])
    with pytest.raises(DataError, match="ais_bench gives the results of 2 utterances 1 names only"):
        find_results(str(tmp_path / "r"), {"a_b": ["a.b.wav_input_data"], "a_c": ["a.c.wav_input_data"]})


def test_the_newest_of_several_runs_is_taken(tmp_path):
    for number, folder in enumerate(("20260131_120000", "20250131_120000")):
        write_results(tmp_path / folder, "%s_0.bin", ["a"])
        os.utime(str(tmp_path / folder), (1000 + number, 1000 + number))
    assert find_results(str(tmp_path), stems("a"))[0] == str(tmp_path / "20250131_120000")


def test_missing_and_unknown_results_are_refused(tmp_path):
    write_results(tmp_path / "r", "%s_0.bin", ["a", "b"])
    with pytest.raises(DataError, match="results of 2 of the 4 utterances; c_0.bin is missing, like others"):
        find_results(str(tmp_path), stems("a", "b", "c", "d"))
    with pytest.raises(DataError, match=r"holds b_0\.bin, which is not the result of any of the 1 utterances"):
        find_results(str(tmp_path), stems("a"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no result .bin file"):
        find_results(str(tmp_path / "empty"), stems("a"))
    (tmp_path / "empty" / "a_output_0.txt").write_text("0.5 0.5")
    with pytest.raises(DataError, match="a_output_0.txt: run the tool with --outfmt BIN"):
        find_results(str(tmp_path / "empty"), stems("a"))


def test_half_of_a_float32_result_is_not_taken_for_float16(tmp_path):
    write_results(tmp_path / "r", "%s_0.bin", ["a", "b"])
    cut(tmp_path / "r" / "b_0.bin", 30)
    with pytest.raises(DataError, match=r"b_0\.bin has 30 bytes, other results have 60. It was cut short"):
        find_results(str(tmp_path), stems("a", "b"))


def test_a_result_is_float32_or_float16(tmp_path):
    path = tmp_path / result_name("a")
    assert path.name == "davinci_a_output0.bin"
    logits = np.arange(15, dtype=np.float32).reshape(3, 5)
    for dtype in ("<f4", "<f2"):
        logits.astype(dtype).tofile(str(path))
        assert read_result(str(path), 3, 5).dtype == np.float32
        np.testing.assert_array_equal(read_result(str(path), 3, 5), logits)
    cut(path, 29)
    with pytest.raises(DataError, match=r"has 29 bytes, expected 60 \(float32\) or 30 \(float16\)"):
        read_result(str(path), 3, 5)
    logits[1, 2] = np.inf
    logits.tofile(str(path))
    with pytest.raises(DataError, match=r"1 of 15 logits are NaN or infinite.*force_fp32"):
        read_result(str(path), 3, 5)
