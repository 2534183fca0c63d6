"""The formats, byte for byte."""
import json

from open_seq2seq.decoding.transcript import TimedCharacter, Word, make_transcript
from open_seq2seq.decoding.writers import FORMATS, recording_names, textgrid_of

WORDS = [Word("tom", 0.5, 0.9, 0.987654, [TimedCharacter("tom", 0.5, 0.9, 0.987654)]),
         Word("&", 1.0, 1.1, 0.5), Word("<jerry>", 3599.9996, 3661.5, 1.0)]
TRANSCRIPT = make_transcript(WORDS, 3700.0)
EMPTY = make_transcript([], 2.0)


def written(name, transcript=TRANSCRIPT, recording="talks/my talk;1.flac"):
    return FORMATS[name][1](transcript, recording)


def test_text():
    assert written("text") == "tom & <jerry>\n" and written("text", EMPTY) == "\n"


def test_srt():
    assert written("srt") == ("1\n00:00:00,500 --> 00:00:01,100\ntom &\n\n"
                              "2\n01:00:00,000 --> 01:01:01,500\n<jerry>\n")
    assert written("srt", EMPTY) == ""


def test_vtt_escapes_and_marks_the_words():
    assert written("vtt") == ("WEBVTT\n\n00:00:00.500 --> 00:00:01.100\ntom <00:00:01.000>&amp;\n\n"
                              "01:00:00.000 --> 01:01:01.500\n&lt;jerry&gt;\n")
    assert written("vtt", EMPTY) == "WEBVTT\n"


def test_vtt_of_writing_without_spaces():
    transcript = make_transcript([Word("你", 0.1, 0.2, 1.0), Word("好", 0.2, 0.3, 1.0)], 1.0, "")
    assert written("vtt", transcript) == "WEBVTT\n\n00:00:00.100 --> 00:00:00.300\n你好\n"
    assert written("ctm", transcript, "a.wav") == "a 1 0.100 0.100 你 1.0000\na 1 0.200 0.100 好 1.0000\n"


def test_ctm_has_one_field_for_the_recording():
    assert written("ctm") == ("my_talk_1 1 0.500 0.400 tom 0.9877\nmy_talk_1 1 1.000 0.100 & 0.5000\n"
                              "my_talk_1 1 3600.000 61.500 <jerry> 1.0000\n")
    assert written("ctm", EMPTY) == ""


def test_json():
    record = json.loads(written("json"))
    assert list(record) == ["audio", "duration", "text", "words", "segments"]
    assert record["audio"] == "talks/my talk;1.flac" and record["duration"] == 3700.0 and record["text"] == "tom & <jerry>"
    assert record["words"][0] == {"text": "tom", "start": 0.5, "end": 0.9, "confidence": 0.9877,
                                  "characters": [{"text": "tom", "start": 0.5, "end": 0.9, "confidence": 0.9877}]}
    assert record["segments"] == [{"text": "tom &", "start": 0.5, "end": 1.1, "words": 2},
                                  {"text": "<jerry>", "start": 3599.9996, "end": 3661.5, "words": 1}]


def test_recordings_of_one_file_have_different_names():
    assert recording_names(["a/1.wav", "a/2.wav"]) == ["1", "2"]
    assert recording_names(["a/1.wav", "b/1.wav", "b/3 x;.wav"]) == ["a_1", "b_1", "3_x"]
    assert recording_names(["a/1.wav", "a/1.flac", "a/1.flac"]) == ["a_1.wav", "a_1.flac_1", "a_1.flac_2"]
    assert recording_names(["", ".wav"]) == ["_", ".wav"] and recording_names([]) == []


def test_a_textgrid_covers_the_recording_without_gaps_and_overlaps():
    characters = [TimedCharacter('"', 0.5, 0.7, 0.9), TimedCharacter("b", 0.7, 0.9, 0.9)]
    # the last word has no duration left
    words = [Word('"b', 0.5, 0.9, 0.9, characters), Word("c", 0.9, 1.2, 1.0), Word("d", 2.0, 2.0, 1.0)]
    lines = [line.strip() for line in textgrid_of(make_transcript(words, 2.0)).splitlines()]
    assert lines[:7] == ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = 2.000",
                         "tiers? <exists>", "size = 2"]
    tiers = [block.splitlines() for block in "\n".join(lines).split("item [")[2:]]
    for tier, name, texts in ((tiers[0], "words", ["", '""b', "c", ""]), (tiers[1], "characters", ["", '""', "b", ""])):
        assert tier[2] == 'name = "%s"' % name and tier[5] == "intervals: size = 4"
        assert [line[8:-1] for line in tier if line.startswith("text")] == texts
        starts = [float(line[7:]) for line in tier[6:] if line.startswith("xmin")]
        ends = [float(line[7:]) for line in tier[6:] if line.startswith("xmax")]
        assert starts[0] == 0 and ends[-1] == 2 and starts[1:] == ends[:-1] and all(a < b for a, b in zip(starts, ends))
