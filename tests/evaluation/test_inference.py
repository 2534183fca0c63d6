"""``--mode=infer`` with words and times: the formats, and the same times as in transcription."""
import contextlib
import csv
import json
import os

import pytest

from open_seq2seq.decoding.options import default_options
from open_seq2seq.transcription import Transcriber
from tests.paths import REPOSITORY


@pytest.fixture
def infer_here(monkeypatch, capsys, trained_digits, tmp_path):
    """Runs --mode=infer in this process on 6 utterances of the trained network: (exit status, stderr)."""
    with open(str(trained_digits.folder / "dev.csv"), newline="") as file:
        rows = list(csv.DictReader(file))[:6]
    with open(str(tmp_path / "some.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(dict(row, wav_filename=trained_digits.folder / row["wav_filename"]) for row in rows)
    monkeypatch.chdir(str(trained_digits.folder))
    monkeypatch.syspath_prepend(REPOSITORY)
    import run

    def call(*words):
        capsys.readouterr()
        status = run.main(["--config_file=config.py", "--device=cpu", "--mode=infer", "--test_files=%s" % (tmp_path / "some.csv")]
                          + [str(word) for word in words])
        return status, capsys.readouterr().err
    return call


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_words_have_the_times_of_transcription(trained_digits, infer_here, tmp_path, decoder):
    if decoder == "beam":
        pytest.importorskip("coqui_stt_ctcdecoder")
    status, err = infer_here("--infer_output_file=%s" % (tmp_path / "out.json"), "--decoder=%s" % decoder)
    assert status == 0, err
    records = json.loads((tmp_path / "out.json").read_text())
    assert len(records) == 6 and sum(len(record["words"]) for record in records) > 10
    options = default_options(decoding=decoder)
    with contextlib.closing(Transcriber(str(trained_digits.run / "logs"), decoding=options)) as transcriber:
        for record in records:
            transcript = transcriber.transcribe(record["audio"])
            assert transcript.text == record["text"] and transcript.duration == pytest.approx(record["duration"], abs=2e-3)
            for word, other in zip(transcript.words, record["words"]):
                assert (word.text, word.start, word.end) == (other["text"], other["start"], other["end"])
                assert word.confidence == pytest.approx(other["confidence"], abs=0.01)
                assert [character.start for character in word.characters] == [item["start"] for item in other["characters"]]


@pytest.mark.slow
def test_files_of_the_other_formats(infer_here, tmp_path):
    assert infer_here("--infer_output_file=%s" % (tmp_path / "out.ctm"))[0] == 0
    assert infer_here("--infer_output_file=%s" % (tmp_path / "out.csv"))[0] == 0
    with open(str(tmp_path / "out.csv"), newline="") as file:
        texts = {os.path.basename(row["wav_filename"])[:-4]: row["predicted_transcript"] for row in csv.DictReader(file)}
    words = [line.split() for line in (tmp_path / "out.ctm").read_text().splitlines()]
    assert {name: " ".join(word[4] for word in words if word[0] == name) for name in texts} == {
        # a model may put several spaces between two words
        name: " ".join(text.split()) for name, text in texts.items()}
    assert infer_here("--infer_output_file=%s" % (tmp_path / "subtitles"), "--format=srt")[0] == 0
    assert sorted(os.listdir(str(tmp_path / "subtitles"))) == sorted(name + ".srt" for name in texts)
    for name, text in texts.items():
        lines = (tmp_path / "subtitles" / (name + ".srt")).read_text().splitlines()
        assert " ".join(line for line in lines if line and not line[0].isdigit()).split() == text.split()
    for words, status, message in [(["--infer_output_file=%s" % (tmp_path / "all.srt")], 2, "data set has 6"),
                                   (["--infer_output_file=o.ctm", "--decoder_params/infer_logits_to_pickle=True"], 2, "ctm"),
                                   (["--infer_output_file=%s/x/o.ctm" % tmp_path], 3, "o.ctm")]:
        found, err = infer_here(*words)
        assert found == status and message in err, err
    assert not (tmp_path / "all.srt").exists()
