"""scripts/corpus_statistics.py: exact counts in limited memory, what one text has that another lacks, and what is refused."""
import collections
import csv
import gzip
import importlib.util
import json
import os
import random
import tracemalloc

import pytest

from open_seq2seq.errors import StorageError
from open_seq2seq.text.sorted_runs import MOST_RUNS, DiskCounter, SortedRuns, by_count
from open_seq2seq.text.text_statistics import COVERAGES, TextCounter
from tests.paths import REPOSITORY

specification = importlib.util.spec_from_file_location(
    "corpus_statistics", os.path.join(REPOSITORY, "scripts", "corpus_statistics.py"))
corpus_statistics = importlib.util.module_from_spec(specification)
specification.loader.exec_module(corpus_statistics)

KYRGYZ = "Бүгүн күн жылуу. Ак-Суу айылы!\nМен келдим — сен кеттиң.\n\nкүн чыкты\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Function (flags) -> (status, output) in a folder."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*flags):
        status = corpus_statistics.main(list(flags))
        captured = capsys.readouterr()
        return status, captured.out + captured.err
    return call


def some_text(seed, lines, words):
    generator = random.Random(seed)
    return [["w%d" % min(int(generator.paretovariate(0.7)), words) for _ in range(generator.randrange(1, 9))]
            for _ in range(lines)]


def counter_of(folder, text, **options):
    os.makedirs(str(folder))
    counter = TextCounter(str(folder), **options)
    for words in text:
        counter.add(" ".join(words))
    return counter


def ngrams(text, order):
    return collections.Counter(" ".join(words[start:start + order])
                               for words in text for start in range(len(words) - order + 1))


def test_counts_are_exact_when_nothing_fits_into_memory(tmp_path):
    text, known_text = some_text(1, 400, 300), some_text(2, 100, 200)
    counter = counter_of(tmp_path / "text", text, order=3, memory=6000)
    known = counter_of(tmp_path / "known", known_text, order=3, memory=6000)
    assert counter.num_runs > 20
    for order in (1, 2, 3):
        expected, expected_known = ngrams(text, order), ngrams(known_text, order)
        ranked = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
        assert list(counter.items(order)) == sorted(expected.items())
        os.mkdir(str(tmp_path / str(order)))
        assert list(counter.by_count(order, str(tmp_path / str(order)), 3000)) == ranked

        spectrum = counter.spectrum(order, 7)
        assert (spectrum.types, spectrum.tokens) == (len(expected), sum(expected.values()))
        assert spectrum.once == sum(count == 1 for count in expected.values()) and spectrum.top == ranked[:7]
        for share, types in spectrum.coverage:
            covered = [sum(count for _, count in ranked[:number]) for number in (types - 1, types)]
            assert covered[0] < share * spectrum.tokens <= covered[1]
        assert [share for share, _ in spectrum.coverage] == list(COVERAGES)

        for min_count in (1, 2):
            unseen = [item for item in ranked if expected_known[item[0]] < min_count]
            found = counter.unseen_in(known, order, 5, min_count)
            assert found.top == unseen[:5] and found.types == len(unseen) and found.all_types == len(expected)
            assert found.tokens == sum(count for _, count in unseen) and found.all_tokens == spectrum.tokens


def test_memory_does_not_grow_with_the_number_of_words(tmp_path):
    peaks = []
    for words in (3000, 12000):
        folder = tmp_path / str(words)
        folder.mkdir()
        tracemalloc.start()
        try:
            counter = DiskCounter(str(folder), 12000)
            for _ in range(2):
                for number in range(words):
                    counter.add("word-%d" % (number * 7919 % words))
            count = sum(1 for _ in counter.items())
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        # each run has about 60 words, so runs were merged, also for the smaller text
        assert count == words and 0 < counter.num_runs < MOST_RUNS
    assert peaks[1] < 1.2 * peaks[0]
    items = list(counter.items())
    assert {number for _, number in items} == {2} and items == sorted(items)


def test_records_of_one_key_keep_their_order_over_runs_that_are_merged(tmp_path):
    runs = SortedRuns(str(tmp_path), 1)     # each record is a run
    for number in range(3 * MOST_RUNS):
        runs.add("ab"[number % 2], str(number))
    assert list(runs) == [("a", str(number)) for number in range(0, 3 * MOST_RUNS, 2)] + [
        ("b", str(number)) for number in range(1, 3 * MOST_RUNS, 2)]
    assert list(by_count([("a", 2), ("b", 10), ("c", 2)], str(tmp_path), 1)) == [("b", 10), ("a", 2), ("c", 2)]


def test_a_temporary_file_that_cannot_be_written_is_named(tmp_path):
    counter = DiskCounter(str(tmp_path / "removed"), 1)
    with pytest.raises(StorageError, match="removed.*No such file.*TMPDIR"):
        counter.add("word")


def test_statistics_of_files_stdin_and_manifests(run, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(KYRGYZ, encoding="utf-8")
    with gzip.open("b.txt.gz", "wb") as file:
        file.write("КҮН жылуу\n".encode())
    status, output = run("a.txt", "--known", "b.txt.gz", "--output", "s.json", "--counts", "counts")
    assert status == 0 and "8 (72.73 %), 8 different" in output and "CYRILLIC SMALL LETTER" in output
    found = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert (found["lines"], found["words"], found["words_per_line"]["longest"]) == (3, 11, 5)
    assert found["ngrams"][0]["top"][0] == {"type": "күн", "count": 2} and found["ngrams"][1]["tokens"] == 8
    assert found["character_counts"]["ү"] == 4 and "—" not in found["character_counts"]
    assert found["unseen"][0]["tokens"] == 8 and "күн" not in [entry["type"] for entry in found["unseen"][0]["top"]]
    assert (tmp_path / "counts" / "1-grams.tsv").read_text(encoding="utf-8").startswith("күн\t2\nайылы\t1\nак-суу\t1\n")
    assert sorted(os.listdir("counts")) == ["1-grams.tsv", "2-grams.tsv", "characters.tsv"]

    with open("m.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["wav_filename", "text"], ["1.wav", "IŞIK ışık"]])
    with open("a.txt", "rb") as stdin:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stdin}))
        assert run("-", "--manifest", "m.csv", "--column", "text", "--language", "tr", "--output", "s.json", "--force")[0] == 0
    found = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert found["words"] == 13 and {"type": "ışık", "count": 2} in found["ngrams"][0]["top"]
    assert run("a.txt", "--raw", "--output", "s.json", "--force")[0] == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["character_counts"]["—"] == 1


def test_characters_are_counted_where_words_have_no_spaces(run, tmp_path):
    (tmp_path / "zh.txt").write_text("天气好，我们一起去天气好的公园吧，然后回家吃饭。\n你好\n", encoding="utf-8")
    (tmp_path / "long.txt").write_text("今天天气很好我们一起去公园里散步吧然后回家吃饭再见了\n", encoding="utf-8")
    status, output = run("zh.txt", "--units", "characters", "--output", "s.json")
    found = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert status == 0 and found["words"] == found["characters"] == 23 and "--units" not in output
    assert "天气" in [entry["type"].replace(" ", "") for entry in found["ngrams"][1]["top"]]
    assert "--units characters" in run("long.txt")[1]


BAD = [
    (["empty.txt"], 3, ["empty.txt", "no text"]),
    (["a.txt", "--known", "empty.txt"], 3, ["empty.txt", "no text"]),
    (["missing.txt"], 3, ["missing.txt", "No such file"]),
    (["latin.txt"], 3, ["latin.txt:2", "not UTF-8", "iconv"]),
    (["nul.txt"], 3, ["nul.txt:2", "NUL"]),
    (["wide.txt"], 3, ["wide.txt:1", "UTF-16"]),
    (["damaged.gz"], 3, ["damaged.gz", "gzip"]),
    ([], 2, ["no text", "--manifest"]),
    (["-", "--known", "-"], 2, ["stdin", "once"]),
    (["a.txt", "--order", "7"], 2, ["--order", "6"]),
    (["a.txt", "--language", "Kyrgyz"], 2, ["Kyrgyz", "ky"]),
    (["a.txt", "--known_min_count", "2"], 2, ["--known"]),
    (["a.txt", "--output", "b.txt"], 2, ["b.txt", "--force"]),
    (["a.txt", "--output", "absent/s.json"], 3, ["absent/s.json", "No such file"]),
    (["a.txt", "--counts", "b.txt"], 2, ["b.txt", "folder"]),
    (["a.txt", "--counts", "absent/counts"], 3, ["absent/counts", "No such file"]),
    (["empty.txt", "--counts", "counts"], 3, ["empty.txt"]),
]


@pytest.mark.parametrize("flags, status, words", BAD, ids=[" ".join(flags) or "nothing" for flags, _, _ in BAD])
def test_bad_input_is_named_and_nothing_is_written(run, tmp_path, flags, status, words):
    contents = {"empty.txt": b" \n\n", "latin.txt": b"one\nna\xefve\n", "nul.txt": b"one\ntwo\0\n", "a.txt": b"one\n",
                "b.txt": b"x\n", "wide.txt": "one two three".encode("utf-16"),
                "damaged.gz": gzip.compress(b"one two three\n" * 99)[:-12]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found, output = run(*flags, *([] if "--output" in flags or "--counts" in flags else ["--output", "s.json"]))
    assert found == status, output
    for word in words:
        assert word in output
    assert sorted(os.listdir(".")) == sorted(contents) and (tmp_path / "b.txt").read_bytes() == b"x\n"
