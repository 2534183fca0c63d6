"""Evaluations and comparisons as a user makes them: run.py --mode=eval, scripts/score.py, scripts/compare_evaluations.py."""
import csv
import json
import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY


def run_script(name, *words, folder=None):
    return subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts", name)] + list(words), cwd=str(folder),
                          capture_output=True, text=True, timeout=120)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ref.trn").write_text("the cat sat (anna-1)\na cat (ben-1)\nyes (ben-2)\n")
    (tmp_path / "a.trn").write_text("the hat sat (anna-1)\na cat (ben-1)\nyes (ben-2)\n")
    (tmp_path / "b.txt").write_text("anna-1 the cat sat\nben-1 a\n")
    return tmp_path


def test_files_are_scored_and_compared(files):
    done = run_script("score.py", "ref.trn", "a.trn", "--output", "a.json", folder=files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["%WER 16.67 [ 1 / 6, 0 ins, 0 del, 1 sub ]", "%SER 33.33 [ 1 / 3 ]",
                                            "Scored 3 sentences, 0 not present in hyp."]
    assert "cat -> hat" in done.stdout and "By speaker: 2 groups" in done.stdout
    missing = run_script("score.py", "ref.trn", "b.txt", folder=files)
    assert missing.returncode == 3 and "1 of 3 references" in missing.stderr and "ben-2" in missing.stderr
    everything = run_script("score.py", "ref.trn", "b.txt", "--mode", "all", "--output", "b.json", folder=files)
    assert everything.stdout.splitlines()[0] == "%WER 33.33 [ 2 / 6, 0 ins, 2 del, 0 sub ] [PARTIAL]"
    assert everything.stdout.splitlines()[2] == "Scored 3 sentences, 1 not present in hyp."
    compared = run_script("compare_evaluations.py", "a.json", "b.json", folder=files)
    assert compared.returncode == 0 and "WER of A 16.67 %, of B 33.33 %" in compared.stdout, compared.stderr
    assert "worse: ben-1, 0 -> 1 errors" in compared.stdout and "better: anna-1, 1 -> 0 errors" in compared.stdout
    same = run_script("compare_evaluations.py", "a.trn", "a.json", "--references", "ref.trn", "--json", folder=files)
    assert json.loads(same.stdout)["matched_pairs"]["p"] == 1.0
    no_references = run_script("compare_evaluations.py", "a.trn", "b.txt", folder=files)
    assert no_references.returncode == 2 and "--references" in no_references.stderr
    no_column = run_script("score.py", "ref.trn", "a.trn", "--group_by", "snr", folder=files)
    assert no_column.returncode == 3 and "ref.trn has no column snr; it has speaker" in no_column.stderr
    over_input = run_script("score.py", "ref.trn", "a.trn", "--output", os.path.join("..", files.name, "a.trn"), folder=files)
    assert over_input.returncode == 2 and "a.trn" in over_input.stderr and "hat sat" in (files / "a.trn").read_text()
    absent = run_script("score.py", "ref.trn", "gone.trn", folder=files)
    assert absent.returncode == 3 and "gone.trn" in absent.stderr and "Traceback" not in absent.stderr


def add_columns(path, speakers):
    with open(str(path), newline="") as file:
        rows = list(csv.reader(file))
    with open(str(path), "w", newline="") as file:
        csv.writer(file).writerows([rows[0] + ["speaker", "snr"]] + [
            row + [speakers[place % len(speakers)], str(5 * (place % 2))] for place, row in enumerate(rows[1:])])


@pytest.mark.slow
def test_an_evaluation_leaves_every_utterance_and_can_be_compared(run_here, corpus):
    add_columns(corpus / "dev.csv", ["anna", "ben"])
    with open(str(corpus / "dev.csv"), "a", newline="") as file:
        file.write("wav/gone.wav,1,one,ben,5\n")
    (corpus / "wav" / "empty.wav").write_bytes((corpus / "wav" / "dev0.wav").read_bytes())
    with open(str(corpus / "dev.csv"), "a", newline="") as file:
        file.write("wav/empty.wav,1,,anna,0\n")
    assert run_here("--mode=train").status == 0
    few = "--data_layer_params/max_rejected_fraction=0.5"
    done = run_here("--mode=eval", few, "--group_by=snr")
    assert done.status == 0, done.err
    assert "1 of 6 utterances have an empty transcript" in done.out and "dev.csv:8" in done.out
    folder = corpus / "run" / "report"
    content = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
    printed = [line for line in done.out.splitlines() if "%WER" in line or "Validation WER" in line]
    assert printed == ["***     Validation WER:  %.4f" % content["summary"]["wer"],
                       "***     " + content["summary"]["kaldi"][0]] and printed[1].endswith("[PARTIAL]")
    utterances = content["utterances"]
    assert [utterance["wav_filename"] for utterance in utterances] == ["wav/dev%d.wav" % place for place in range(5)] + [
        "wav/empty.wav"]
    assert utterances[0]["columns"] == {"speaker": "anna", "snr": "0"} and utterances[0]["duration"] > 0.5
    assert all(utterance["loss"] > 0 and 0 < utterance["entropy"] < 4 for utterance in utterances[:5])
    assert utterances[5]["reference"] == "" and utterances[5]["wer"] in (None, 0.0)
    assert [(row["id"], row["reason"]) for row in content["rejected"]] == [("dev.csv:7", "missing file")]
    assert content["summary"]["not_scored"] == ["dev.csv:7"] and content["step"] == 6
    assert [grouping["by"] for grouping in content["summary"]["groupings"]] == ["speaker", "length", "noise"]
    trn = (folder / "ref.trn").read_text().splitlines()
    assert trn[0] == utterances[0]["reference"] + " (anna-dev0)" and trn[5] == " (anna-empty)"
    # what --mode=infer writes is scored the same, and an evaluation is equal to itself
    assert run_here("--mode=infer", "--infer_output_file=hyp.csv", few).status == 0
    scored = run_script("score.py", "dev.csv", "hyp.csv", "--mode", "present", folder=corpus)
    assert "*** " + "    " + scored.stdout.splitlines()[0] == printed[1], scored.stderr
    assert run_here("--mode=infer", "--infer_output_file=hyp.trn", few).status == 0
    assert (corpus / "hyp.trn").read_text() == (folder / "hyp.trn").read_text()
    over_manifest = run_here("--mode=infer", "--infer_output_file=" + os.path.join("run", "..", "dev.csv"), few)
    assert over_manifest.status == 2 and "dev.csv" in over_manifest.err
    for other in (["run"], ["hyp.csv", "--references", "run"]):
        compared = run_script("compare_evaluations.py", "run", *other, "--json", folder=corpus)
        assert compared.returncode == 0, compared.stderr
        result = json.loads(compared.stdout)
        assert (result["utterances"], result["changed"], result["difference"]) == (6, 0, 0.0)
    _check_missing_references(run_here, corpus)


def _check_missing_references(run_here, corpus):
    with open(str(corpus / "dev.csv"), newline="") as file:
        rows = list(csv.reader(file))[:6]
    empty = [rows[0][:3]] + [row[:2] + [""] for row in rows[1:]]
    for rows_without, message in ((empty, "the references are missing: none of the 5"),
                                  ([row[:2] for row in rows], 'no column "transcript"')):
        with open(str(corpus / "dev.csv"), "w", newline="") as file:
            csv.writer(file).writerows(rows_without)
        done = run_here("--mode=eval")
        assert done.status == 3 and message in done.err and "dev.csv" in done.err, done.err
    with open(str(corpus / "dev.csv"), "w", newline="") as file:
        csv.writer(file).writerows(rows)
    done = run_here("--mode=eval", "--group_by=gender")
    assert done.status == 3 and "no column gender" in done.err and "speaker" in done.err
    assert run_here("--mode=infer", "--group_by=gender").status == 2
