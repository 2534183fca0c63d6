"""The importer frame_csv: shards, their readers, what is refused, damaged shards and interrupted imports."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.importers import __main__ as importers
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.shards import frame_examples
from open_seq2seq.data.shards.frame_examples import frame_dataset, open_frames, read_frames
from open_seq2seq.errors import DataError
from tests.paths import REPOSITORY

pytestmark = pytest.mark.usefixtures("graph")  # TensorFlow 2 runs eagerly outside a graph

ROWS = [("b", [0.5, -1e-3]), ("a", [3.0, 1e30]), ("b", [-0.0, 2.5]), ("c", [7.0, 8.0]), ("a", [1 / 3, 0.1])]


def write(path, rows, header=False):
    lines = ["label,f1,f2"] * header + ["%s,%s" % (label, ",".join(map(repr, values))) for label, values in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def run(*arguments):
    return run_importer(importers.main, ["frame-csv"] + list(map(str, arguments)))


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(str(folder)))}


def batches(dataset):
    iterator = tf.data.make_one_shot_iterator(dataset).get_next()
    found = []
    with tf.Session() as session:
        while True:
            try:
                found.append(session.run(iterator))
            except tf.errors.OutOfRangeError:
                return found


@pytest.mark.parametrize("header", [False, True])
def test_rows_are_read_back_as_they_were(tmp_path, capsys, header):
    assert run(write(tmp_path / "t.csv", ROWS, header), "--output", tmp_path / "o", "--rows_per_shard", 2) == 0
    assert "5 rows of 2 features, 3 labels, 3 shards" in capsys.readouterr().out
    data = open_frames(str(tmp_path / "o"))
    assert (data.labels, data.counts, [shard.rows for shard in data.shards]) == (["a", "b", "c"], [2, 2, 1], [2, 2, 1])
    features, labels = read_frames(str(tmp_path / "o"))
    np.testing.assert_array_equal(features, np.array([values for _, values in ROWS], np.float32))
    assert [data.labels[label] for label in labels] == [label for label, _ in ROWS]
    ordered = batches(frame_dataset(str(tmp_path / "o"), 2))
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in ordered]), features)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in ordered]), labels)
    shuffled = batches(frame_dataset(str(tmp_path / "o"), 5, shuffle_seed=1))[0]
    order = np.lexsort(shuffled[0].T), np.lexsort(features.T)
    np.testing.assert_array_equal(shuffled[0][order[0]], features[order[1]])
    np.testing.assert_array_equal(shuffled[1][order[0]], labels[order[1]])


def test_labels_of_training_number_those_of_dev(tmp_path, capsys):
    assert run(write(tmp_path / "t.csv", [("10", [1.0]), ("9", [2.0]), ("-1", [2.0])]), "--output", tmp_path / "o") == 0
    assert open_frames(str(tmp_path / "o")).labels == ["-1", "9", "10"]
    dev = write(tmp_path / "d.csv", [("10", [1.0]), ("9", [1.0])])
    assert run(dev, "--output", tmp_path / "p", "--labels", tmp_path / "o" / "labels.txt") == 0
    assert "1 labels have no row: -1" in capsys.readouterr().err
    assert read_frames(str(tmp_path / "p"))[1].tolist() == [2, 1]
    (tmp_path / "l").write_text("10\n")
    assert run(dev, "--output", tmp_path / "q", "--labels", tmp_path / "l") == 3
    assert "d.csv:2" in capsys.readouterr().err


@pytest.mark.parametrize("line, problem", [
    ("a,1", "1 features, expected 2"), ("a,1,2,3", "3 features, expected 2"), ("a,1,x", "feature 2 is 'x'"),
    ("a,1,", "feature 2 is ''"), ("a,nan,1", "feature 1 is nan"), ("a,1,-inf", "feature 2 is -inf"), ("a,1e39,1", "1e39"),
    ("a,1_0,1", "'1_0'"), (",1,2", "label is empty"), ("a", "no feature"), ('"a,1,2', "CSV"), ("\xff,1,2", "UTF-8")])
def test_wrong_rows_are_named_and_skipped_only_if_asked(tmp_path, capsys, line, problem):
    path = tmp_path / "t.csv"
    path.write_bytes(("b,1,2\n\nb,3,4\n%s\n" % line).encode("latin1"))
    assert run(path, "--output", tmp_path / "o") == 3
    error = capsys.readouterr().err
    assert problem in error and "t.csv" in error
    assert "manifest.json" not in os.listdir(str(tmp_path / "o"))
    if problem not in ("CSV", "UTF-8"):
        assert "t.csv:4" in error
        assert run(path, "--output", tmp_path / "o", "--max_skipped", 0.4) == 0
        assert sum(open_frames(str(tmp_path / "o")).counts) == 2
        assert "4,%s" % problem in (tmp_path / "o" / "skipped.csv").read_text().replace('"', "") or problem in (
            tmp_path / "o" / "skipped.csv").read_text()


def test_an_interrupted_import_continues_and_gives_the_same_files(tmp_path):
    rows = [(str(number % 3), [number / 7.0, -number]) for number in range(1000)]
    path = write(tmp_path / "t.csv", rows)
    assert run(path, "--output", tmp_path / "o", "--rows_per_shard", 100) == 0
    # ends like a kill in front of the seventh shard
    script = """if True:
        import os, sys
        from open_seq2seq.data.importers import frame_csv
        from open_seq2seq.data.shards import frame_examples
        write = frame_examples.write_examples
        frame_examples.write_examples = lambda path, *others: os._exit(9) if "00006" in path else write(path, *others)
        frame_csv.main(sys.argv[1:])
    """
    arguments = [path, "--output", str(tmp_path / "k"), "--rows_per_shard", "100"]
    assert subprocess.run([sys.executable, "-c", script] + arguments, cwd=REPOSITORY).returncode == 9
    assert "manifest.json" not in os.listdir(str(tmp_path / "k"))
    with pytest.raises(DataError, match="manifest.json.*not a complete import"):
        open_frames(str(tmp_path / "k"))
    first = (tmp_path / "k" / "frames-00000-of-00010.tfrecord").stat().st_mtime_ns
    assert run(*arguments) == 0
    assert files_of(tmp_path / "k") == files_of(tmp_path / "o")
    assert (tmp_path / "k" / "frames-00000-of-00010.tfrecord").stat().st_mtime_ns == first


def test_a_damaged_shard_is_found_and_written_again(tmp_path, capsys):
    path = write(tmp_path / "t.csv", ROWS)
    assert run(path, "--output", tmp_path / "o", "--rows_per_shard", 2) == 0
    intact, shard = files_of(tmp_path / "o"), tmp_path / "o" / "frames-00001-of-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(DataError, match="00001.*SHA-256"):
        read_frames(str(tmp_path / "o"))
    with pytest.raises(tf.errors.DataLossError):
        batches(frame_dataset(str(tmp_path / "o"), 2))
    shard.write_bytes(b"")
    with pytest.raises(DataError, match="00001.*0 bytes"):
        frame_dataset(str(tmp_path / "o"), 2)
    assert run(path, "--output", tmp_path / "o", "--rows_per_shard", 2) == 0
    assert files_of(tmp_path / "o") == intact
    other = write(tmp_path / "u.csv", ROWS[:3])
    capsys.readouterr()
    assert run(other, "--output", tmp_path / "o") == 2 and "--overwrite" in capsys.readouterr().err
    assert files_of(tmp_path / "o") == intact
    assert run(other, "--output", tmp_path / "o", "--overwrite") == 0
    assert len(read_frames(str(tmp_path / "o"))[1]) == 3
    assert [name for name in os.listdir(str(tmp_path / "o")) if name.startswith("frames-")] == ["frames-00000-of-00001.tfrecord"]
    manifest = json.loads((tmp_path / "o" / frame_examples.MANIFEST).read_text())
    assert manifest["source"]["csv"] == "u.csv" and manifest["rows"] == 3
