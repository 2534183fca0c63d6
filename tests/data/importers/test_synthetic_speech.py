"""Speech of espeak-ng: given sentences, and sentences of a grammar."""
import soundfile

from tests.fixtures.corpora import columns, samples_of, write


def test_synthetic_speech_in_several_languages(tmp_path, imported, capsys):
    write(tmp_path / "s.txt", "\u0421\u0430\u043b\u0430\u043c\n\nсегиз тогуз\n")
    words = ["synthetic_speech", "--sentences", tmp_path / "s.txt", "--repetitions", "3", "--language", "ky", "ru",
             "--variants", "m1", "f2"]
    found, _ = imported(*words)
    rows = found["s"]
    assert [row.transcript for row in rows] == ["\u0421\u0430\u043b\u0430\u043c", "сегиз тогуз"] * 3
    assert {columns(row)["language"] for row in rows} == {"ky", "ru"}
    assert {columns(row)["speaker"] for row in rows} == {"m1", "f2"}
    assert all(soundfile.info(row.audio_path).samplerate == 16000 and samples_of(row).std() > 100 for row in rows)
    first = [samples_of(row) for row in rows]
    again = [samples_of(row) for row in imported(*words, "--seed", "2", "--overwrite")[0]["s"]]
    assert any(len(one) != len(two) for one, two in zip(first, again))
    for option, value, close in (("--language", "kyr", "ky"), ("--variants", "m99", "m9")):
        place = words.index(option)
        imported(*(words[:place + 1] + [value] + words[place + 3:]), status=2)
        error = capsys.readouterr().err
        assert "%s %s: espeak-ng has no such" % (option, value) in error and close in error


def test_synthetic_sentences_have_the_hours_asked_for_and_voices_of_their_set(tmp_path, imported, capsys):
    words = ["synthetic_sentences", "--language", "tr", "--hours", "0.03", "0.002", "0", "--train_variants", "m1", "f1"]
    found, _ = imported(*words)
    assert sorted(found) == ["dev", "train"]
    seconds = sum(soundfile.info(row.audio_path).duration for row in found["train"])
    assert 0.9 * 108 < seconds < 1.1 * 108
    assert {(columns(row)["speaker"], columns(row)["gender"]) for row in found["train"]} == {("m1", "male"), ("f1", "female")}
    assert {columns(row)["speaker"] for row in found["dev"]} <= {"m4", "f4"}
    texts = [row.transcript for row in found["train"]]
    assert len(set(texts)) > 0.9 * len(texts) and not any(map(str.isdigit, "".join(texts))) and "\u0131" in "".join(texts)
    # the sentences of a set do not depend on its size
    shorter, _ = imported(*["0.01" if word == "0.03" else word for word in words], "--overwrite")
    assert [row.transcript for row in shorter["train"]] == texts[:len(shorter["train"])]
    for change, status, expected in ((["--dev_variants", "m1"], 2, "also in the set train"),
                                     (["--hours", "0", "0", "0"], 2, "more than 0 hours"),
                                     (["--hours", "x", "0", "0"], 2, "not a number of hours"),
                                     (["--test_variants", "m99"], 2, "m99: espeak-ng has no such variant")):
        imported(*(words + change), status=status)
        assert expected in capsys.readouterr().err
