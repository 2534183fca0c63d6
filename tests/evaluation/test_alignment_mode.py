"""``--mode=align`` with a trained network: times, files, and wrong transcripts at the top of the list."""
import csv
import json
import os
import re

import numpy as np
import pytest
import soundfile

from tests.paths import REPOSITORY

WORDS = "zero one two three four five six seven eight nine".split()


@pytest.fixture
def run_here(monkeypatch, capsys, trained_digits):
    """Runs run.py in this process in the folder of the trained network: (exit status, stdout, stderr)."""
    monkeypatch.chdir(str(trained_digits.folder))
    monkeypatch.syspath_prepend(REPOSITORY)
    import run

    def call(*words):
        capsys.readouterr()
        status = run.main(["--config_file=config.py", "--device=cpu"] + [str(word) for word in words])
        output = capsys.readouterr()
        return status, output.out, output.err
    return call


def rows_of(path):
    with open(str(path), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def planted(folder, path):
    """Writes dev.csv with 8 wrong transcripts and returns their file names: other words, one more, one less, another word."""
    rows, random, wrong = rows_of(folder / "dev.csv"), np.random.RandomState(3), []
    for number, row in enumerate(rows):
        row["wav_filename"] = str(folder / row["wav_filename"])
        words = row["transcript"].split()
        if number % 5 or len(words) < 2:
            continue
        place, kind = random.randint(len(words)), len(wrong) % 4
        other = WORDS[(WORDS.index(words[place]) + random.randint(1, 10)) % 10]
        changed = [[WORDS[(WORDS.index(word) + 3) % 10] for word in words], words[:place] + [other] + words[place:],
                   words[:place] + words[place + 1:], words[:place] + [other] + words[place + 1:]][kind]
        row["transcript"] = " ".join(changed)
        wrong.append(row["wav_filename"])
    with open(str(path), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return wrong


@pytest.mark.slow
def test_wrong_transcripts_are_at_the_top_of_the_list(trained_digits, run_here, tmp_path):
    wrong = planted(trained_digits.folder, tmp_path / "planted.csv")
    assert len(wrong) >= 5
    status, out, err = run_here("--mode=align", "--test_files=%s" % (tmp_path / "planted.csv"),
                                "--output=%s" % (tmp_path / "out"), "--format=ctm,csv,json,textgrid")
    assert status == 0, err
    rows = rows_of(tmp_path / "out" / "worst_first.csv")
    assert len(rows) == 40 and [float(row["score"]) for row in rows] == sorted(float(row["score"]) for row in rows)
    found = [row["wav_filename"] for row in rows[:len(wrong)]]
    # the network is wrong in some words itself
    assert len(set(found) & set(wrong)) >= 0.8 * len(wrong), rows[:len(wrong)]
    assert rows[0]["transcript"] in out and "worst_first.csv" in out
    # a correct transcript that the network transcribes costs nothing
    assert all(float(row["score"]) == 0.0 for row in rows if row["transcript"] == row["hypothesis"])

    records = json.loads((tmp_path / "out" / "alignment.json").read_text())
    transcripts = {row["wav_filename"]: row["transcript"] for row in rows_of(tmp_path / "planted.csv")}
    assert [record["audio"] for record in records] == list(transcripts)
    for record in records:
        assert record["text"] == transcripts[record["audio"]]
        info = soundfile.info(record["audio"])
        times = [time for word in record["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times) and times[-1] <= record["duration"] == pytest.approx(info.duration, abs=1e-3)
        for word in record["words"]:
            assert "".join(character["text"] for character in word["characters"]) == word["text"]
            starts = [character["start"] for character in word["characters"]]
            assert starts == sorted(starts) and starts[0] == word["start"]
    words = sum(len(text.split()) for text in transcripts.values())
    ctm = (tmp_path / "out" / "words.ctm").read_text().splitlines()
    assert len(ctm) == words and all(re.fullmatch(r"0000\d\d 1 \d+\.\d{3} \d+\.\d{3} [a-z]+ [01]\.\d{4}", line) for line in ctm)
    assert len(rows_of(tmp_path / "out" / "words.csv")) == words
    assert len(rows_of(tmp_path / "out" / "characters.csv")) == sum(len(text.replace(" ", "")) for text in transcripts.values())
    assert len([name for name in os.listdir(str(tmp_path / "out")) if name.endswith(".TextGrid")]) == 40


@pytest.mark.slow
def test_utterances_that_cannot_be_aligned_are_listed_with_the_reason(trained_digits, run_here, tmp_path):
    rows = rows_of(trained_digits.folder / "dev.csv")[:8]
    for row, text in zip(rows, ["", "one " * 200, "€uro"]):
        row["transcript"] = text
    with open(str(tmp_path / "bad.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(dict(row, wav_filename=trained_digits.folder / row["wav_filename"]) for row in rows)
    status, out, err = run_here("--mode=align", "--test_files=%s" % (tmp_path / "bad.csv"), "--output=%s" % (tmp_path / "out"),
                                "--eval_params/data_layer_params/max_rejected_fraction=0.5")
    assert status == 0, err
    listed = rows_of(tmp_path / "out" / "not_aligned.csv")
    assert sorted((row["reason"], row["id"].rpartition(":")[2]) for row in listed) == [
        ("character outside the vocabulary", "4"), ("empty transcript", "2"), ("too few frames for CTC", "3")]
    assert len(rows_of(tmp_path / "out" / "worst_first.csv")) == 5 and "2 utterances were not aligned" in out
    assert sorted(os.listdir(str(tmp_path / "out"))) == ["characters.ctm", "not_aligned.csv", "words.ctm", "worst_first.csv"]

    (tmp_path / "columns.csv").write_text("wav_filename,wav_filesize\n%s,1\n" % (trained_digits.folder / rows[0]["wav_filename"]))
    for words, expected, message in [
            (["--test_files=%s" % (tmp_path / "columns.csv")], 3, 'no column "transcript"'),
            (["--output=%s" % (tmp_path / "bad.csv")], 3, "--output"), (["--format=srt"], 2, "ctm, csv, json, textgrid")]:
        status, _, err = run_here("--mode=align", *words)
        assert status == expected and message in err, err


@pytest.mark.slow
def test_logits_that_are_not_finite_name_the_utterance(trained_digits, run_here, tmp_path):
    import tensorflow.compat.v1 as tf
    folder = tmp_path / "run"
    folder.mkdir()
    path = tf.train.latest_checkpoint(str(trained_digits.run / "logs"))
    reader = tf.train.load_checkpoint(path)
    # without the checksums of the training
    with tf.Graph().as_default(), tf.Session() as session:
        variables = []
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            if name.endswith("fully_connected/kernel"):
                # finite, as a checkpoint with NaN is refused, but the products overflow
                value = np.sign(value) * np.float32(3e38)
            variables.append(tf.Variable(value, name=name))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, str(folder / os.path.basename(path)), write_meta_graph=False)
    status, _, err = run_here("--mode=align", "--logdir=%s" % folder, "--restore_best_checkpoint=False")
    assert status == 3 and "dev.csv:" in err and "NaN" in err, err
    assert not (folder / "alignment" / "worst_first.csv").exists()
