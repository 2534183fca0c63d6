import csv
import os
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import DataError
from open_seq2seq.text.vocabulary import Vocabulary

HEADER = b"wav_filename,wav_filesize,transcript\n"


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "m.csv"
        path.write_bytes(data)
        return str(path)
    return write


@pytest.mark.parametrize("transcript", ["null", "nan", "NaN", "NA", "12", "", "a  b", "True"])
def test_transcripts_are_text(write, transcript):
    row, = read_manifest(write(HEADER + ("a.wav,1,%s\n" % transcript).encode()))
    assert row.transcript == transcript and row.problem is None


@pytest.mark.parametrize("data", [
    HEADER + b"a.wav,1,hello\nb.wav,2,you\n",
    b"\xef\xbb\xbf" + HEADER + b"a.wav,1,hello\nb.wav,2,you\n",
    (HEADER + b"a.wav,1,hello\nb.wav,2,you\n").replace(b"\n", b"\r\n"),
    b"wav_filename,transcript\na.wav,hello\nb.wav,you",
    b"transcript, wav_filename ,speaker\nhello,a.wav,7\nyou,b.wav,8\n",
    HEADER + b'"a.wav",1,"hello"\n"b.wav",2,"you"\n',
])
def test_variants_of_the_same_manifest(write, data):
    assert [(row.row, row.wav_filename, row.transcript) for row in read_manifest(write(data))] == [
        (2, "a.wav", "hello"), (3, "b.wav", "you")]


def test_other_columns_are_kept_with_their_row(write):
    rows = read_manifest(write(b"speaker,transcript,wav_filename,,snr, speaker\n anna ,hello,a.wav,x,10,zoe\nben,you,b.wav\n"))
    assert [row.columns for row in rows] == [(("speaker", "anna"), ("snr", "10")), (("speaker", "ben"),)]
    assert read_manifest(write(HEADER + b"a.wav,1,hello\n"))[0].columns == ()


def read(path, **options):
    """((wav_filename, transcript) of each row, notes without the path)."""
    notes = []
    rows = read_manifest(path, note=notes.append, **options)
    assert all(row.problem is None for row in rows)
    return [(row.wav_filename, row.transcript) for row in rows], [note.partition("m.csv: ")[2] for note in notes]


def test_blanks_around_fields_are_removed_and_counted(write, tmp_path):
    path = write(b"wav_filename, wav_filesize, transcript\n 0.wav, 1, five\n1.wav,1,six\n2.wav,1,\xc2\xa0nine one \t\n")
    rows, notes = read(path)
    assert rows == [("0.wav", "five"), ("1.wav", "six"), ("2.wav", "nine one")]
    assert read_manifest(path)[0].audio_path == str(tmp_path / "0.wav")
    assert notes == ["in 2 of 3 rows blanks around the fields were removed; the first is on line 2"]


def test_a_blank_before_a_quoted_field_does_not_make_the_quotes_text(write):
    assert read(write(b'wav_filename, wav_filesize, transcript\n0.wav, 1, "one, two"\n1.wav, 1, six\n'))[0] == [
        ("0.wav", "one, two"), ("1.wav", "six")]
    # within a quoted field the same characters are text
    assert read(write(HEADER + b'0.wav,1,"say, ""two"", now"\n'))[0] == [("0.wav", 'say, "two", now')]


def test_a_file_whose_name_begins_with_a_blank_is_found(write, tmp_path):
    (tmp_path / " 0.wav").write_bytes(b"")
    assert read(write(HEADER + b" 0.wav,1,five\n")) == ([(" 0.wav", "five")], [])


def test_transcripts_are_composed_and_counted(write):
    decomposed = unicodedata.normalize("NFD", "caf\xe9 \xf6l").encode()
    rows, notes = read(write(HEADER + b"0.wav,1," + decomposed + b"\n1.wav,1,plain\n"))
    assert rows == [("0.wav", "caf\xe9 \xf6l"), ("1.wav", "plain")]
    assert notes == ["in 1 of 2 rows the transcript was converted to composed characters (Unicode NFC); the first is on line 2"]


def test_transcripts_stay_decomposed_for_a_vocabulary_of_combining_marks(write):
    text = unicodedata.normalize("NFD", "caf\xe9")
    assert read(write(HEADER + b"0.wav,1," + text.encode() + b"\n"), vocabulary=Vocabulary("acef\u0301")) == (
        [("0.wav", text)], [])
    assert read(write(HEADER + b"0.wav,1," + text.encode() + b"\n"), vocabulary=Vocabulary("acf\xe9"))[0] == [
        ("0.wav", "caf\xe9")]


def test_paths_are_relative_to_the_manifest(write, tmp_path):
    rows = read_manifest(write(HEADER + b"sub/a.wav,1,x\n/data/b.wav,1,y\n"))
    assert rows[0].audio_path == str(tmp_path / "sub" / "a.wav") and rows[0].wav_filename == "sub/a.wav"
    assert rows[1].audio_path == "/data/b.wav"


def test_row_numbers_are_lines_of_the_file(write):
    rows = read_manifest(write(HEADER + b'\na.wav,1,"two\nlines"\n\n,,\nb.wav,1,x\n'))
    assert [(row.row, row.transcript) for row in rows] == [(3, "two\nlines"), (7, "x")]


@pytest.mark.parametrize("line, problem", [
    (b"a.wav,1,yes, please", r"has 4 fields, the first line has 3: a field that contains a comma"),
    (b"a.wav,1", "has 2 fields, the first line has 3: the transcript is missing"),
    (b",1,hello", "names no audio file"),
])
def test_malformed_rows_have_a_problem(write, line, problem):
    rows = read_manifest(write(HEADER + line + b"\nb.wav,1,fine\n"))
    assert problem in rows[0].problem and rows[0].row == 2
    assert rows[1].problem is None


def test_a_path_that_is_not_utf8_is_refused(tmp_path):
    path = os.path.join(os.fsencode(str(tmp_path)), b"gr\xf6sse.csv")
    with open(path, "wb") as file:
        file.write(HEADER + b"a.wav,1,x\n")
    with pytest.raises(DataError, match=r"the file name .*gr\\xf6sse.csv is not valid UTF-8"):
        read_manifest(os.fsdecode(path))


def test_inference_needs_no_transcripts(write):
    rows = read_manifest(write(b"wav_filename\na.wav\nb.wav\n"), transcripts=False)
    assert [row.transcript for row in rows] == ["", ""]
    rows = read_manifest(write(HEADER + b"a.wav\nb.wav,1,known\n"), transcripts=False)
    assert [(row.transcript, row.problem) for row in rows] == [("", None), ("known", None)]


@pytest.mark.parametrize("data, message", [
    (b"wav_filename,wav_filesize\na.wav,1\n", r'no column "transcript"; its first line is "wav_filename,wav_filesize", expected'),
    (b"wav_file_name,transcript\na.wav,x\n", r'no column "wav_filename" \(is "wav_file_name" meant\?\)'),
    (b"wav_filename;wav_filesize;transcript\na.wav;1;x\n", "fields must be separated by commas"),
    (b"a.wav,1,hello\n", 'no column "wav_filename"'),
    (b"wav_filename,transcript,transcript\na,b,c\n", r'm.csv:1: column "transcript" occurs 2 times'),
    (b"", "is empty; expected the line wav_filename,wav_filesize,transcript"),
    (b"\n\n", "is empty; expected the line"),
    (HEADER, "has a header but no rows"),
    (HEADER + b"a.wav,1,fine\nb.wav,1,caf\xe9\n", r"m.csv:3: the manifest is not UTF-8 text \(byte 0xe9 at position 61\)"),
    (b"\xef\xbb\xbf" + HEADER + b"b.wav,1,caf\xe9\n", r"m.csv:2: the manifest is not UTF-8 text \(byte 0xe9 at position 51\)"),
    (HEADER + b'a.wav,1,x\nb.wav,1,"never closed\nc.wav,1,y\n', r"m.csv:3: not a row of CSV"),
    (HEADER.decode().encode("utf-16"), "m.csv:1: the manifest is UTF-16 text, expected UTF-8. .* iconv -f utf-16 -t utf-8"),
    (HEADER.decode().encode("utf-16-be"), "m.csv:1: the manifest is UTF-16BE text, .* iconv -f utf-16be -t utf-8"),
    (HEADER.decode().encode("utf-32"), "m.csv:1: the manifest is UTF-32 text, .* iconv -f utf-32 -t utf-8"),
    (HEADER + b"a.wav,1," + b"x" * 200000 + b"\n", r"m.csv:2: not a row of CSV: field larger than field limit"),
    (b"RIFF\0\0\0\0", "m.csv:1: the manifest contains a NUL character"),
])
def test_invalid_manifests_are_refused(write, data, message):
    with pytest.raises(DataError, match=message):
        read_manifest(write(data))


@pytest.mark.parametrize("name, message", [("no.csv", "No such file"), ("n\0.csv", "embedded null byte"), ("", "Is a directory")])
def test_a_path_that_is_not_a_file(tmp_path, name, message):
    with pytest.raises(DataError, match="cannot read the manifest .*: %s.*dataset_files" % message):
        read_manifest(str(tmp_path / name))


# without a carriage return, which Python 3.7's writer does not quote
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff\r"))


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(st.from_regex(r"[a-z0-9 _,\"']*\.wav", fullmatch=True), TEXT), min_size=1),
       terminator=st.sampled_from(["\n", "\r\n"]), mark=st.booleans())
def test_the_output_of_a_csv_writer_is_read(tmp_path_factory, rows, terminator, mark):
    path = str(tmp_path_factory.mktemp("manifest") / "m.csv")
    with open(path, "w", newline="", encoding="utf-8-sig" if mark else "utf-8") as file:
        writer = csv.writer(file, lineterminator=terminator)
        writer.writerow(["wav_filename", "wav_filesize", "transcript"])
        for wav_filename, transcript in rows:
            writer.writerow([wav_filename, 1, transcript])
    assert [(row.wav_filename, row.transcript, row.problem) for row in read_manifest(path)] == [
        (wav_filename.strip(), unicodedata.normalize("NFC", transcript.strip()), None) for wav_filename, transcript in rows]
    os.remove(path)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=80)
@given(data=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(
    [b"a.wav", b",", b'"', b"\n", b"\r", b"x", b" ", b"\0", b"\xff", b"wav_filename,transcript\n"])).map(b"".join)))
def test_any_bytes_are_rows_or_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("manifest") / "m.csv"
    path.write_bytes(b"wav_filename,transcript\n" + data)
    try:
        rows = read_manifest(str(path))
    except DataError as error:
        assert "m.csv" in str(error)
    else:
        assert rows and all(row.row >= 2 for row in rows)
