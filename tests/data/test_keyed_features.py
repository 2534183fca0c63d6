"""Features by key: .npz shards, Kaldi's archives written here and by Kaldi's own code."""
import os

import numpy as np
import pytest

from open_seq2seq.data.keyed_features import KaldiFeatures, NpzFeatures, key_of, write_kaldi, write_npz
from open_seq2seq.errors import DataError

FEATURES = {"b/2 x.wav": np.arange(12.0).reshape(4, 3), "a/1.wav": np.ones([1, 3]), "/abs/ä.wav": np.zeros([2, 3]) - 0.5}


@pytest.mark.parametrize("write, read, extension", [(write_npz, NpzFeatures, "npz"), (write_kaldi, KaldiFeatures, "scp")])
def test_written_features_are_read(tmp_path, write, read, extension):
    if extension == "scp":
        pytest.importorskip("kaldiio")
    path = str(tmp_path / ("train_0_1." + extension))
    pairs = [(key_of(name), values.astype(np.float32)) for name, values in FEATURES.items()]
    # an utterance that a manifest lists twice has the same features
    write(path, pairs + pairs[:1])
    if extension == "scp":
        with open(path, encoding="utf-8") as file:
            keys = [line.split()[0] for line in file]
        assert keys == sorted(keys, key=str.encode) and "b/2%20x.wav" in keys
        # the index names the archive where it was; it is also found next to the index
        os.makedirs(str(tmp_path / "moved"))
        for name in os.listdir(str(tmp_path)):
            if name.startswith("train"):
                os.rename(str(tmp_path / name), str(tmp_path / "moved" / name))
        path = str(tmp_path / "moved" / "train_0_1.scp")
    found = read([path])
    assert set(found) == {key_of(name) for name in FEATURES} and "c" not in found
    for name, values in FEATURES.items():
        assert tuple(found.shape(key_of(name))) == values.shape
        np.testing.assert_array_equal(found.read(key_of(name)), values)
    with pytest.raises(DataError, match="same key|have the key"):
        write(path, [("a", np.zeros([1, 2], np.float32)), ("a", np.ones([1, 2], np.float32))])


def _index(archive, folder):
    """An .scp for an archive of the reference numbers."""
    with open(archive, "rb") as file:
        content = file.read()
    path = os.path.join(folder, "index.scp")
    with open(path, "w") as file:
        for key in KEYS:
            file.write("%s %s:%d\n" % (key, archive, content.index(b"%s \0B" % key.encode()) + len(key) + 1))
    return path


KEYS = ("utt-a", "utt-b", "utt-c", "utt-d", "utt-one")


@pytest.mark.parametrize("name, case, tolerance", [
    ("kio_float", "original", 0), ("kaldiio_double", "original", 0), ("kio_cm_kSpeechFeature", "kaldi_kSpeechFeature", 2e-6),
    ("kio_cm_kAutomaticMethod", "kaldi_kAutomaticMethod", 2e-6), ("kio_cm_kTwoByteAuto", "kaldi_kTwoByteAuto", 2e-6),
    ("kio_cm_kTwoByteSignedInteger", "kaldi_kTwoByteSignedInteger", 2e-3), ("kaldiio_cm5", "kaldiio_cm5", 2e-6)])
def test_archives_of_kaldi(goldens, tmp_path, name, case, tolerance):
    pytest.importorskip("kaldiio")
    decoded = np.load(os.path.join(goldens, "kaldi", "io_decoded.npz"))
    features = KaldiFeatures([_index(os.path.join(goldens, "kaldi", "io", name + ".ark"), str(tmp_path))])
    for key in KEYS:
        expected = decoded["%s/%s" % (case, key)]
        assert tuple(features.shape(key)) == expected.shape
        np.testing.assert_allclose(features.read(key), expected, atol=tolerance, rtol=0)


def test_index_with_ranges(goldens):
    pytest.importorskip("kaldiio")
    folder = os.path.join(goldens, "kaldi", "io")
    whole = KaldiFeatures([os.path.join(folder, "kio_float.scp")]).read("utt-a")
    ranges = KaldiFeatures([os.path.join(folder, "range.scp")])
    np.testing.assert_array_equal(ranges.read("utt-a"), whole[2:6])
    assert tuple(ranges.shape("utt-a2")) == (4, 4) and ranges.read("utt-a3").tolist() == whole[:, 1:3].tolist()


def test_damaged_files_are_named(tmp_path):
    pytest.importorskip("kaldiio")
    command = tmp_path / "command.scp"
    for place in ("touch %s |", "touch %s |[0:1]", "| touch %s", "touch %s | [0:1,0:1]"):
        command.write_text("utt %s\n" % place % (tmp_path / "made"))
        with pytest.raises(DataError, match="commands are not run"):
            KaldiFeatures([str(command)])
    assert not (tmp_path / "made").exists()
    missing = tmp_path / "missing.scp"
    missing.write_text("utt %s:12\n" % (tmp_path / "none.ark"))
    with pytest.raises(DataError, match="none.ark"):
        KaldiFeatures([str(missing)]).shape("utt")
    (tmp_path / "cut.npz").write_bytes(b"PK\3\4cut")
    with pytest.raises(DataError, match="cut.npz"):
        NpzFeatures([str(tmp_path / "cut.npz")])
