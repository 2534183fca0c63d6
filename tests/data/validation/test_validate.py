"""Every defect that validation knows is planted and found in its row, with its reason; clean data have none."""
import csv
import io
import json
import os

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import fsdd
from open_seq2seq.data.validation.checks import CHECKS, ERROR, INFO, WARNING
from open_seq2seq.data.validation.command import run_validation
from open_seq2seq.data.validation.repair import write_repaired
from open_seq2seq.data.validation.validate import validate
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text.steps import Normalization
from tests.data.validation.conftest import RATE, WORDS, sentence, speech

FILLER = 24
LIMITS = {"min_duration": 0.1, "max_duration": 25.0, "max_feature_length": 2400, "max_label_length": 250}


def encoded(samples, form, subtype="PCM_16"):
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format=form, subtype=subtype)
    return stream.getvalue()


def plant(train):
    """Adds a row with each defect. Returns a list of (check, row, what the reason must tell)."""
    add, planted = train.add, []

    def expect(check, row, *facts):
        planted.append((check, row, facts))

    expect("missing_file", add("absent.wav"), "absent.wav")
    expect("unreadable_audio", add("text.wav", content=b"this is not audio at all, but it has the name"), "begins with")
    whole = encoded(speech(2, 500), "WAV")
    expect("truncated_audio", add("cut.wav", content=whole[:len(whole) // 2]), "bytes")
    expect("truncated_audio", add("cut.flac", content=encoded(speech(2, 501), "FLAC")[:-9000]))
    expect("audio_note", add("cut a little.wav", content=whole[:-200]), "bytes")
    expect("empty_audio", add("zero.wav", np.zeros(0)), "without samples")
    expect("empty_audio", add("nothing.wav", content=b""), "0 bytes")
    expect("impossible_rate", add("rate.wav", speech(2, 502), rate=1000), "1000 Hz")
    with_nan = speech(2, 503)
    with_nan[20000] = np.nan
    expect("nan_audio", add("nan.wav", with_nan, subtype="FLOAT"), "1.250 s")
    one = speech(2, 504)
    expect("cancelling_channels", add("inverted.wav", np.stack([one, -one], 1)), "remix 1")
    expect("silent_audio", add("silent.flac", np.zeros(2 * RATE)), "2.000 s")
    expect("clipped_audio", add("clipped.flac", np.clip(8 * speech(2, 505), -0.99, 0.99)), "% of the samples")
    expect("clipped_audio", add("clipped, then turned down.wav", 0.4 * np.clip(8 * speech(2, 506), -1, 1)))
    expect("quiet_audio", add("quiet.flac", 0.005 * speech(2, 507)), "dB")
    pause = speech(2, 508)
    pause[8000:24000] = 0
    expect("digital_silence", add("pause.flac", pause), "50 %")
    expect("offset", add("offset.flac", 0.3 * speech(2, 509) + 0.2), "of the peak")
    smooth = np.convolve(speech(2, 510), np.hanning(65) / 32, "same")
    expect("narrow_band", add("narrow.flac", smooth), "kHz")
    telephone = add("telephone.wav", speech(2, 511, 8000), rate=8000)
    expect("several_rates", telephone, "8000 Hz", "16000 Hz")
    expect("low_rate", telephone, "8000 Hz, the model's is 16000 Hz")
    studio = add("studio.wav", speech(2, 512, 48000), rate=48000)
    expect("several_rates", studio, "48000 Hz")
    expect("high_rate", studio, "48000 Hz")
    expect("several_channels", add("stereo.wav", np.stack([speech(2, 513), speech(2, 514)], 1)), "2 channels")
    expect("empty_transcript", add("a.flac", speech(2, 515), " "), "no transcript")
    expect("unknown_character", add("b.flac", speech(2, 516), "caf\u00e9 bar sun 7"), "'\u00e9'", "'7'")
    expect("reserved_word", add("w.flac", speech(2, 541), "bal <unk> bel </s>"), "</s>, <unk> in")
    expect("other_duration", add("x.flac", speech(2, 542), duration="2.1"), "has 2.000 s, the manifest states 2.1")
    train.rows[3]["duration"], train.rows[4]["duration"] = "2.1", "unknown"      # 2.125 s
    expect("several_genders", add("y.flac", speech(2, 543), gender="F", speaker="train0"), "train0: F, but male in row 2")
    train.rows[0]["gender"], train.rows[4]["gender"] = "male", "Male"
    expect("nonprintable_character", add("c.flac", speech(2, 517), "bal bel\u200bbil bol"), "U+200B")
    expect("nonprintable_character", add("d.flac", speech(2, 518), "bal bel\tbil bol"), "U+0009")
    expect("not_nfc", add("e.flac", speech(2, 519), "cafe\u0301 bal bel"))
    expect("blanks", add("f.flac", speech(2, 520), " bal bel bil bol"), "around the transcript")
    expect("blanks", add("g.flac", speech(2, 521), "bal  bel bil bol"), "several blanks")
    expect("blanks", add("h.flac", speech(2, 522), "bal\u00a0bel bil bol"), "U+00A0")
    # 1 s has 50 frames: 30 equal letters need 59
    expect("too_few_frames", add("i.flac", speech(1, 523), "a" * 30), "50 frames", "30 labels with 29 repeats need 59")
    expect("speaking_rate", add("j.flac", speech(2.5, 524), sentence(77, 28)), "characters per second")
    expect("speaking_rate", add("k.flac", speech(2.5, 525), "a"), "0.4 characters per second")
    expect("duration", add("l.flac", speech(12, 526), sentence(78, 28)), "12.000 s")
    expect("duration", add("m.flac", speech(0.3, 527), "bal"), "0.300 s")
    expect("duplicate_id", add("train 0.flac", None, train.rows[0]["transcript"]), "also in row 2")
    expect("duplicate_id", add("n.flac", speech(2, 528), id="same"))
    train.rows[-1]["id"], train.rows[1]["id"] = "same", "same"
    expect("duplicate_audio", add("copy.flac", None, train.rows[2]["transcript"]), "row 4", "train 2.flac")
    (train.folder / "copy.flac").write_bytes((train.folder / "train 2.flac").read_bytes())
    (train.folder / "other words.flac").write_bytes((train.folder / "train 3.flac").read_bytes())
    other = add("other words.flac", None, "bal bel bil bol")
    expect("conflicting_transcripts", other, "'bal bel bil bol', but row 5")
    expect("conflicting_transcripts", 5, "but row %d has 'bal bel bil bol'" % other)
    repeated = [add("%s.flac" % name, speech(2, 530 + ord(name)), "no no no") for name in "opr"]
    expect("repeated_transcript", repeated[0], "3 recordings of 'no no no'")
    expect("other_size", add("s.flac", speech(2, 540)), "states 17")
    train.rows[-1]["wav_filesize"] = "17"
    expect("beyond_limit", add("q.flac", speech(30, 531), sentence(79, 60)), "30.000 s, the limit is 25 s")
    expect("beyond_limit", add("t.flac", speech(0.05, 532), "bal"), "0.050 s, the limit is 0.1 s")
    expect("beyond_limit", add("u.flac", speech(24.5, 533), sentence(80, 60)), "2450 frames, the limit is 2400")
    expect("beyond_limit", add("v.flac", speech(20, 534), sentence(81, 64)), "255 labels, the limit is 250")
    return planted


def test_every_defect_is_found_in_its_row(corpus, data_set, tmp_path):
    train, evaluation = corpus("train").fill(FILLER), corpus("eval").fill(FILLER, seed=200)
    planted = plant(train)
    # evaluation data that were in the training
    evaluation.rows[0]["speaker"] = train.rows[6]["speaker"]
    evaluation.rows[1]["transcript"] = train.rows[8]["transcript"]
    (evaluation.folder / "eval 2.flac").write_bytes((train.folder / "train 9.flac").read_bytes())
    planted += [("speaker_overlap", 8, ("train2", "eval.csv:2")), ("text_overlap", 10, ("eval.csv:3",)),
                ("audio_overlap", 11, ("eval.csv:4",))]
    sets = [data_set([train, str(tmp_path / "absent.csv")], limits=LIMITS), data_set([evaluation], "eval", "eval")]
    # a row with a field too many
    with open(sets[0].manifests[0], "a") as file:
        file.write("z.wav,0,one, two,,,,\n")
    planted.append(("malformed_row", len(train.rows) + 2, ("double quotes",)))
    for decode in (False, True):
        validation = validate(sets, [("train", "eval")], decode)
        reasons = {(finding.check, finding.row): finding.detail for finding in validation.findings}
        for check, row, facts in planted:
            if decode or not CHECKS[check].is_full:
                missing = [fact for fact in facts if fact not in reasons.get((check, row), "")]
                assert (check, row) in reasons and not missing, "%s in row %d: %r lacks %s" % (
                    check, row, reasons.get((check, row)), missing)
        # nothing is found in clean rows
        clean = {(finding.check, finding.row) for finding in validation.findings if finding.row is not None
                 and finding.set == "train" and finding.row <= FILLER + 1}
        assert clean == {("conflicting_transcripts", 5), ("audio_overlap", 11), ("text_overlap", 10)} | {
            ("speaker_overlap", number + 2) for number in range(FILLER) if number % 4 == 2}
        assert {finding.set for finding in validation.findings} == {"train"}
        assert ("unreadable_manifest", None) in reasons and "absent.csv" in reasons["unreadable_manifest", None]
    assert {check for check, _, _ in planted} | {
        "unreadable_manifest", "audio_differs", "not_normalized", "cut_off_manifest", "one_speaker"} == set(CHECKS)


def test_a_manifest_that_may_be_cut_off_and_a_set_with_one_speaker(corpus, data_set):
    data = corpus("data").fill(20)
    for row in data.rows:
        row["speaker"] = "ann"
    source = data_set([data])
    with open(source.manifests[0], "rb+") as file:
        file.truncate(os.path.getsize(source.manifests[0]) - len("nn\r\n"))      # the speaker of the last row is now "a"
    (found,) = validate([source], []).findings
    assert (found.check, found.row) == ("cut_off_manifest", 21) and found.detail.endswith(",a'")
    source = data_set([data])
    (found,) = validate([source], []).findings
    assert (found.check, found.row) == ("one_speaker", 2) and "20 rows are by ann" in found.detail


def test_sets_that_sound_different(corpus, data_set):
    train, evaluation = corpus("train").fill(FILLER), corpus("eval")
    for number in range(FILLER):
        evaluation.add("%d.flac" % number, np.convolve(speech(2, 300 + number), np.hanning(65) / 32, "same"), speaker="other")
    validation = validate([data_set([train]), data_set([evaluation], "eval", "eval")], [("train", "eval")])
    found = {finding.check: finding.detail for finding in validation.findings}
    assert set(found) == {"audio_differs", "text_overlap"} or set(found) == {"audio_differs"}
    assert "eval against train: nothing above" in found["audio_differs"]


def test_copies_in_another_format_are_found_where_audio_is_decoded(corpus, data_set):
    train = corpus("train").fill(4)
    samples, _ = soundfile.read(str(train.folder / "train 1.flac"), dtype="int16")
    row = train.add("copy.wav", samples, train.rows[1]["transcript"])
    for decode, expected in ((False, []), (True, [("duplicate_audio", row)])):
        validation = validate([data_set([train])], [], decode)
        assert [(finding.check, finding.row) for finding in validation.findings if finding.severity != INFO] == expected


def test_transcripts_are_normalized_as_in_training(corpus, data_set, model, tmp_path):
    data = corpus("data").fill(3)
    # equal after normalization, so these two do not conflict
    data.add("a.flac", speech(2, 40), "Bal, Bel!")
    data.add("b.flac", transcript="bal bel")
    (data.folder / "b.flac").write_bytes((data.folder / "a.flac").read_bytes())
    emptied, unknown = data.add("c.flac", speech(2, 41), "!?"), data.add("d.flac", speech(2, 42), "Bal \u00c9t.")
    data.add("e.flac", speech(2, 43), "Bal\u200b  bel.")
    steps = Normalization(["lower", "punctuation"], vocabulary=model.vocabulary)
    validation = validate([data_set([data], normalization=steps)], [])
    found = {(finding.check, finding.row): finding.detail for finding in validation.findings if finding.severity == ERROR}
    assert set(found) == {("not_normalized", emptied), ("unknown_character", unknown), ("unknown_character", unknown + 1)}
    assert "'\u00e9'" in found["unknown_character", unknown]
    write_repaired(str(tmp_path), validation, ["train"])
    # the steps are not applied to the repaired copy: the config keeps them
    assert [row["transcript"] for row in read(tmp_path / "fixed.csv")][3:] == ["Bal, Bel!", "Bal bel."]


def test_an_evaluation_may_have_what_training_may_not(corpus, data_set):
    data = corpus("data").fill(3)
    empty, long = data.add("e.flac", speech(1, 40), ""), data.add("l.flac", speech(0.5, 41), "abcdefghijklmnopqrstuvwxyz a")
    silent = data.add("s.flac", np.zeros(RATE), "")

    def severities(mode):
        findings = validate([data_set([data], mode, mode)], []).findings
        return {(finding.check, finding.row): finding.severity for finding in findings}

    assert severities("eval") == {("empty_transcript", empty): WARNING, ("empty_transcript", silent): WARNING,
                                  ("too_few_frames", long): WARNING}
    assert severities("train") == {("empty_transcript", empty): ERROR, ("empty_transcript", silent): ERROR,
                                   ("too_few_frames", long): ERROR, ("silent_audio", silent): ERROR}
    assert severities("infer") == {("silent_audio", silent): ERROR}


@pytest.mark.parametrize("decode", [False, True])
def test_clean_data_have_no_findings(fsdd_recordings, corpus, data_set, tmp_path, decode):
    fsdd.main(["--recordings", fsdd_recordings, "--output", str(tmp_path / "digits"), "--train_utterances", "60", "--seed", "3",
               "--workers", "1"])
    digits = [data_set([str(tmp_path / "digits" / (name + ".csv"))], name, "train" if name == "train" else "eval")
              for name in ("train", "dev")]
    made = [data_set([corpus("own").fill(30)], "own"), data_set([corpus("other").fill(30, seed=100)], "other", "eval")]
    validation = validate(digits + made, [("train", "dev"), ("own", "other")], decode)
    assert [finding for finding in validation.findings if finding.severity != INFO] == []


def read(path):
    with open(str(path), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_repaired_copy(corpus, data_set, tmp_path):
    train = corpus("train").fill(FILLER)
    plant(train)
    train.add("note.flac", speech(2, 600), "bal\u200b \u00a0bel\n", comment=" kept, as it is ")
    source = data_set([train])
    before = open(source.manifests[0], "rb").read()
    validation = validate([source], [])
    repair = write_repaired(str(tmp_path), validation, ["train"])["train"]
    assert open(source.manifests[0], "rb").read() == before
    rows, dropped = read(tmp_path / "fixed.csv"), read(tmp_path / "dropped.csv")
    assert repair.kept == len(rows) and repair.kept + repair.dropped == len(train.rows)
    by_name = {os.path.basename(row["wav_filename"]): row for row in rows}
    assert len(by_name) == len(rows)
    assert {name: by_name[name + ".flac"]["transcript"] for name in "cdfgh"} == {
        "c": "bal belbil bol", "d": "bal bel bil bol", "f": "bal bel bil bol", "g": "bal bel bil bol", "h": "bal bel bil bol"}
    assert by_name["note.flac"] == {
        "wav_filename": os.path.join("train", "note.flac"), "wav_filesize": str(os.path.getsize(str(train.folder / "note.flac"))),
        "transcript": "bal bel", "speaker": "", "gender": "", "id": "", "duration": "", "comment": "kept, as it is"}
    # the first of two equal recordings stays; of conflicting ones none
    assert "train 2.flac" in by_name and "copy.flac" not in by_name
    assert "train 3.flac" not in by_name and "other words.flac" not in by_name
    reasons = {row["wav_filename"]: row["reason"] for row in dropped}
    assert reasons["cut.wav"] == "truncated audio file" and reasons["b.flac"] == "character outside the vocabulary"
    # a repaired copy has nothing to repair, and no errors
    again = validate([data_set([str(tmp_path / "fixed.csv")])], [])
    assert [finding for finding in again.findings if finding.severity == ERROR or finding.check in ("blanks", "not_nfc")] == []
    with pytest.raises(UsageError, match="--output"):
        run_validation([data_set([str(tmp_path / "fixed.csv")])], [], str(tmp_path), ["train"])


def test_the_files_of_a_validation_say_the_same(corpus, data_set, tmp_path, capsys):
    train = corpus("train").fill(FILLER)
    planted = plant(train)
    with pytest.raises(DataError, match="validation.html") as raised:
        run_validation([data_set([train])], [], str(tmp_path / "out"), ["train"])
    with open(str(tmp_path / "out" / "validation.json")) as file:
        result = json.load(file)
    counts = {check["check"]: check["count"] for check in result["checks"]}
    assert counts["clipped_audio"] == 2 and counts["blanks"] == 3 and set(counts) == set(CHECKS)
    assert sum(finding["severity"] == ERROR for finding in result["findings"]) == int(str(raised.value).split()[0])
    printed = " ".join(capsys.readouterr().out.split())
    assert all(CHECKS[check].title.split()[0] in printed for check, _, _ in planted)
    histograms = result["sets"][0]["histograms"]
    usable = sum(count for _, count in histograms["duration"])
    assert sum(count for _, count in histograms["sample_rate"]) == usable
    assert ["48000 Hz", 1] in histograms["sample_rate"]
    # levels of all but digital silence
    assert sum(count for _, count in histograms["level"]) == usable - 1


def test_processes_find_what_one_process_finds(corpus, data_set):
    train = corpus("train").fill(70)
    plant(train)
    one, two = (validate([data_set([train])], [], workers=workers) for workers in (1, 2))
    assert one.findings == two.findings and one.facts == two.facts


def test_words_of_this_test_suffice():
    assert len(set(WORDS)) >= 100
