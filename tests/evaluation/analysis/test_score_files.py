"""Files of transcripts: formats, missing ids, errors; and the files that sclite reads."""
import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.sclite_files import parse_trn, plain_text, sclite_ids, sclite_text, stm_lines, trn_lines
from open_seq2seq.evaluation.analysis.score_files import read_transcripts, score_transcripts, write_evaluation
from open_seq2seq.evaluation.analysis.summary import summarize
from open_seq2seq.evaluation.utterance_scores import score_utterance


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8"))
        return str(path)
    return write


FILES = {"ref.trn": "the cat (anna-1)\r\n;; a comment\n\n (anna-2)\nun été (ben_3)\n",
         "text": "anna-1 the   cat\nanna-2\nben_3 un été\n",
         "hyp.csv": "wav_filename,predicted_transcript\nwav/anna-1.wav,the cat\nwav/anna-2.wav,\n"
                    "wav/ben_3.wav,un e\u0301te\u0301\n",
         "out.txt": 'wav_filename,predicted_transcript\nanna-1.flac,the cat\nanna-2.wav,""\nben_3.wav,un été\n',
         "dev.csv": "transcript,speaker,wav_filename,wav_filesize\nthe cat,anna,anna-1.wav,1\n,anna,anna-2.wav,1\n"
                    "un été,ben,ben_3.wav,1\n"}


@pytest.mark.parametrize("references", ["ref.trn", "text", "dev.csv"])
@pytest.mark.parametrize("hypotheses", sorted(FILES))
def test_equal_transcripts_in_all_formats(write, references, hypotheses):
    texts = dict(FILES)
    if references == "dev.csv":  # two CSV files have the same names of audio files
        texts.update({name: text.replace("wav/", "").replace(".flac", ".wav") for name, text in FILES.items()})
    files = [read_transcripts(write(name, texts[name])) for name in (references, hypotheses)]
    scores, missing, ignored = score_transcripts(*files)
    assert [score.words for score in scores] == [(2, 0, 0, 0), (0, 0, 0, 0), (2, 0, 0, 0)]
    assert (missing, ignored) == ([], 0)
    if references != "text":
        assert [score.columns["speaker"] for score in scores] == ["anna", "anna", "ben"]


def test_missing_hypotheses(write):
    references = read_transcripts(write("ref.trn", FILES["ref.trn"]))
    hypotheses = read_transcripts(write("hyp.trn", "a cat (anna-1)\nelse (zoe-1)\n"))
    with pytest.raises(DataError, match=r"hyp\.trn has no hypothesis for 2 of 3 references .*anna-2, ben_3.*--mode present"):
        score_transcripts(references, hypotheses)
    scores, missing, ignored = score_transcripts(references, hypotheses, "present")
    assert ([score.id for score in scores], missing, ignored) == (["anna-1"], ["anna-2", "ben_3"], 1)
    scores, missing, _ = score_transcripts(references, hypotheses, "all")
    assert [score.words.deletions for score in scores] == [0, 0, 2] and len(missing) == 2


@pytest.mark.parametrize("name, text, message", [
    ("a.trn", "one (a-1)\ntwo\n", r"a\.trn:2: the line does not end with an id.*'two'"),
    ("a.trn", "{ one / two } (a-1)\n", r"a\.trn:1: a-1 has alternatives"),
    ("a.trn", "one (a-1)\ntwo (a-1)\n", r"1 ids occur more than once: a-1"),
    ("a.csv", "path,text\nx,y\n", r"columns 'path,text'; expected wav_filename and transcript or predicted_transcript"),
    ("a.csv", "wav_filename,transcript\nx.wav,one, two\n", r"a\.csv:2: 3 fields, the first line has 2"),
    ("a.csv", 'wav_filename,transcript\nx.wav,"one\n', r"a\.csv:2: not a row of CSV"),
    ("a.json", '{"utterances": [{"id": 1}]}', r"a\.json is not an evaluation \(KeyError"),
    pytest.param("a.json", "[" * 100000, r"a\.json is not an evaluation", id="nested too deeply"),
    ("text", "\n\n", r"has no transcript"), ("text", "a\0b", "NUL character")])
def test_invalid_files(write, name, text, message):
    with pytest.raises(DataError, match=message):
        read_transcripts(write(name, text))


def test_files_without_a_common_id(write):
    with pytest.raises(DataError, match="no id of .*the first ones are a-1 and b-1, b-2"):
        score_transcripts(read_transcripts(write("a.trn", "one (a-1)\n")), read_transcripts(write("b.trn", "x (b-1)\ny (b-2)\n")))
    same = read_transcripts(write("c.csv", "wav_filename,transcript\nx/1.wav,one\ny/1.wav,two\n"))
    with pytest.raises(DataError, match=r"c\.csv: 1 audio files have the same name \(1\)"):
        score_transcripts(same, read_transcripts(write("d.trn", "one (1)\n")))


def test_an_evaluation_is_found_in_the_folder_of_a_run(write, tmp_path):
    scores = [score_utterance("dev.csv:2", "one \u2028 two", "on\u00e9", "a.wav", None, {"snr": "5"}, 1.0, 2.0, 0.1),
              score_utterance("dev.csv:3", "", "")]
    os.makedirs(str(tmp_path / "run" / "report"))
    for some in (scores, []):
        write_evaluation(str(tmp_path / "run" / "report" / "eval.json"), {"step": 3}, summarize(some), some)
        with open(str(tmp_path / "run" / "report" / "eval.json"), encoding="utf-8") as file:
            content = json.load(file)
        assert content["step"] == 3 and content["format"] == 1 and len(content["utterances"]) == len(some)
        if some:
            assert read_transcripts(str(tmp_path / "run")).scores == scores
    with pytest.raises(DataError, match=r"has no evaluation; expected .*eval\.json"):
        read_transcripts(str(tmp_path / "run" / ".."))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1, max_size=5)
                | st.text("{}();@*%237BDA", min_size=1, max_size=6), max_size=4))
def test_words_for_sclite_can_be_read_again_and_stay_different(words):
    written = sclite_text(" ".join(words))
    assert plain_text(written) == " ".join(words) and len(written.split()) == len(words)
    assert not re.search("[{};()]", written) and not written.startswith("*") and "@" not in written.split()
    line, = trn_lines(["a-1"], [" ".join(words)])
    if words:
        assert parse_trn(line, "") == [("a-1", " ".join(words))]


def test_ids_are_different_and_begin_with_the_speaker():
    names = ["x/a.wav", "y/a.wav", "A.wav", "61-70968-0000.flac", "b c(1).wav", "anna_5.wav"] + ["z.wav"] * 3
    ids = sclite_ids(names, ["anna", "anna", "anna", "61", "B b", "anna", "bb", "Bb", "ü"])
    assert ids[:6] == ["anna-a", "anna-a_2", "anna-A_3", "61-70968-0000", "Bb-b_c_1_", "anna_5"]
    assert len({name.lower() for name in ids}) == len(ids)
    # different speakers remain different, also without regard to case
    assert len({re.split("[-_]", name)[0].lower() for name in ids[4:5] + ids[6:]}) == 4
    assert sclite_ids(["a.wav", "unknown-b.wav"], None) == ["unknown-a", "unknown-b"]


def test_references_with_times():
    assert list(stm_lines(["b", "a"], ["s1", "s2"], [1.5, 2.0], ["one; two", ""])) == [
        "a 1 s2 0.000 2.000 \n", "b 1 s1 0.000 1.500 one%3B two\n"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["a.trn", "a.csv", "a.json", "text", "a.txt"]),
       data=st.binary(max_size=40) | st.text("{}[]()\",:;\n\r ab\u2028/", max_size=30).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_transcripts_or_an_error(name, data, tmp_path):
    path = tmp_path / name
    for content in (data, b"wav_filename,transcript\n" + data):
        path.write_bytes(content)
        try:
            assert read_transcripts(str(path)).texts
        except DataError as error:
            assert name in str(error)
