"""scripts/select_sentences.py: splitting, checks, estimated lengths, the choice, and what is refused."""
import collections
import csv
import gzip
import importlib.util
import math
import os
import random

import pytest

from open_seq2seq.text.sentence_cleaning import (
    ABBREVIATION,
    BRACKETS,
    FOREIGN,
    FRAGMENT,
    KEEP,
    LONG,
    MARKUP,
    NUMBER,
    REPEATED,
    SHORT,
    SPELL,
    SYMBOL,
    UNKNOWN_WORD,
    SentenceCleaner,
)
from open_seq2seq.text.sentence_selection import DUPLICATE, NOT_NEEDED, PER_LETTER, Candidate, Candidates, Selector
from open_seq2seq.text.sentence_splitting import split_sentences
from open_seq2seq.text.syllables import count_syllables, read_speed
from open_seq2seq.text.written_languages import written_language
from tests.paths import REPOSITORY


def script(name):
    specification = importlib.util.spec_from_file_location(name, os.path.join(REPOSITORY, "scripts", name + ".py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


select_sentences, corpus_statistics = script("select_sentences"), script("corpus_statistics")

TEXT = """Бүгүн күн жылуу, биз тоого чыктык. Апам алма, өрүк ж.б. алып келди. Өлкө 1991-жылы эгемен болду.
Мен 12 жаштамын, иним мектепте окуйт. Ал «Кайда барасың?» деп сурады. Биз Facebook аркылуу сүйлөшөбүз. Кел.
Бүгүн  күн жылуу — биз тоого чыктык! Щётка менен тазала, цирк көрдүк. Чоң атам үйдүн жанына бак тикти.
Көк асманда булуттар акырын жылып баратат. Жаз келгенде талаа гүлгө оронот. Балдар мектептен келишти
"""


@pytest.mark.parametrize("language, sentences", [
    ("ky", ["Проф. Асанов келди.", "Ал «Кайда барасың?» деп сурады.", "Кеттик!", "Ж. Асанов да келди."]),
    ("ru", ["Т.е. всё.", "А. С. Пушкин родился в Москве.", "Он спросил: «Где?»", "В 1999 г. он уехал…", "Да?!"]),
    ("tr", ["Dr. Ayşe geldi.", "İzmir 3.5 km uzakta.", "Gel!"]),
    ("en", ['"Stop!" he said.', "Mr. Smith paid $3.50 to U.S. people.", 'He said "Go."', "(Nobody went.)", "Then... nothing."]),
    ("de", ["Das war im 19. Jahrhundert.", "Er kam z. B. gestern.", "„Komm!“", "Sie ging."]),
    ("zh", ["你好。", "“你去哪儿？”他说。", "我回家！", "今天天气很好"]),
    ("ar", ["ذهب الولد إلى المدرسة.", "هل أكل؟", "نعم!"]), ("hi", ["राम घर गया।", "सीता आई॥"]),
    ("ka", ["დღეს კარგი ამინდია.", "ჩვენ წავედით."]), ("hy", ["Ես եկա։", "Դու գնացիր։"]), ("am", ["ሰላም ነው።", "ደህና።"]),
])
def test_paragraphs_are_split_into_sentences(language, sentences):
    known = written_language(language).abbreviations
    for space in ("",) if language == "zh" else (" ", "  "):
        assert split_sentences(space.join(sentences), known) == sentences


@pytest.mark.parametrize("language, sentence, reason, detail", [
    ("ky", "Биз Facebook аркылуу сүйлөшөбүз.", FOREIGN, "Facebook"), ("ky", "Қазақ тили жакшы.", FOREIGN, "Қазақ"),
    ("ky", "Ал АКШга кетти.", ABBREVIATION, "АКШга"), ("ky", "Ал беш км басты.", ABBREVIATION, "км"),
    ("ky", "Алма, өрүк ж.б. бар.", ABBREVIATION, "ж.б."), ("ky", "Ж. Асанов келди.", ABBREVIATION, "Ж."),
    ("ky", "Мен 12 жаштамын.", NUMBER, "12"), ("ky", "Ал XX кылымда жашаган.", FOREIGN, "XX"),
    ("en", "It was in XIV.", ABBREVIATION, "XIV"),
    ("ky", "Баасы 5 % арзан.", NUMBER, "5"), ("ky", "Баасы $ менен.", SYMBOL, "$"), ("ky", "Алма & өрүк.", SYMBOL, "&"),
    ("ky", "Бул ky.wikipedia.org деген сайт.", MARKUP, None), ("ky", "<b>Бул</b> китеп.", MARKUP, "<"),
    ("ky", "Ал (чарчап келди.", BRACKETS, "("), ("ky", "Ал «келди.", BRACKETS, "«"), ("en", 'He said "go.', BRACKETS, '"'),
    ("ky", "Балдар келишти", FRAGMENT, "no full stop at the end"), ("ky", "балдар келишти.", FRAGMENT, None),
    ("ky", "…", FRAGMENT, None),
    ("ky", "Ооооооо, кандай сонун!", REPEATED, "оооо"), ("ky", "Кел.", SHORT, None),
    ("zh", "我用 iPhone 打电话。", FOREIGN, "iPhone"),
    ("ar", "هذا كتاب book جيد.", FOREIGN, "book"), ("tr", "Bu bir av. Sonra gitti.", ABBREVIATION, "av."),
    ("en", "He paid Mr. Smith.", ABBREVIATION, "Mr."), ("en", "I like apples, pears etc. Then he left.", ABBREVIATION, "etc."),
    ("ru", " ".join(["Собака"] + ["бежала"] * 12) + ".", LONG, None),
    ("ky", "Бүгүн күн жылуу, биз тоого чыктык.", None, None), ("ru", "Он спросил: «Где ты был вчера?»", None, None),
    ("zh", "今天天气很好，我们去公园吧。", None, None), ("ar", "ذهب الولد إلى المدرسة اليوم.", None, None),
    ("ka", "დღეს ძალიან კარგი ამინდია.", None, None), ("he", "הילד הלך אתמול לבית הספר.", None, None),
    ("hi", "राम आज सुबह घर गया।", None, None),
    ("he", "הוא שירת בצה״ל שנתיים.", ABBREVIATION, "בצה״ל"), ("ky", "Мен\u0001 келдим.", SYMBOL, "U+0001"),
    ("cs", "Vlk prchl přes tmavý les domů.", None, None), ("tr", "Işık İzmir'de çok güzel parladı.", None, None),
])
def test_a_sentence_that_cannot_be_read_in_one_way_is_excluded(language, sentence, reason, detail):
    cleaned = SentenceCleaner(written_language(language), seconds=(2.0, 7.0)).clean(sentence)
    assert cleaned.reason == reason, cleaned
    assert detail in (None, cleaned.detail)


@pytest.mark.parametrize("language, sentence, expected", [
    ("ky", "Мен 12 жаштамын.", "Мен он эки жаштамын."), ("ky", "5 бала келди.", "Беш бала келди."),
    ("ky", "Алма, өрүк ж.б.", "Алма, өрүк жана башкалар."),
    ("tr", "Dr. Ayşe elma, armut vb. aldı.", "Doktor Ayşe elma, armut ve benzeri aldı."),
    ("tr", "2 gün geçti.", "İki gün geçti."),
    ("ru", "Т.е. он пришёл и т.д.", "То есть он пришёл и так далее."), ("en", "He met Dr. Smith.", "He met Doctor Smith."),
    ("ky", "1991-жылы болду.", NUMBER), ("tr", "Bu bir av. Sonra gitti.", ABBREVIATION),
    ("ru", "Он жил на ул. Мира.", ABBREVIATION),
    ("ru", "Яблоки и т.д. Потом ушёл.", ABBREVIATION), ("ky", "- Мeн келдим.", "Мен келдим."),
    ("ar", "هذا كتـــاب.", "هذا كتاب."),
    ("ky", "Ме\u00adн\u200b   келдим.", "Мен келдим."),
])
def test_numbers_and_abbreviations_become_words_where_these_are_certain(language, sentence, expected):
    if language == "ru":
        pytest.importorskip("num2words")
    numbers = SPELL if language in ("ky", "tr") else "drop"
    cleaned = SentenceCleaner(written_language(language), numbers, SPELL, seconds=(0.1, 9.0)).clean(sentence)
    assert (cleaned.reason or cleaned.text) == expected


def test_word_list_fragments_and_other_alphabets():
    language = written_language("xx", "abcdeé", {"ca.": None})
    cleaner = SentenceCleaner(language, fragments=KEEP, words={"abba", "é"}, seconds=(0.1, 9.0))
    assert [cleaner.clean(text).reason for text in ("abba É", "abba fa", "abba cab", "ca. abba")] == [
        None, FOREIGN, UNKNOWN_WORD, ABBREVIATION]


@pytest.mark.parametrize("language, text, expected", [
    ("ky", "Кыргызстан тоолуу өлкө.", 3 + 2 + 2), ("ru", "Молоко и сыр. Зоопарк", 3 + 1 + 1 + 3), ("kk", "Қазақстан", 3),
    ("tr", "Saat kaçta geldiniz?", 2 + 2 + 3),
    ("en", "The time table goes home", 1 + 1 + 2 + 1 + 1), ("de", "Schöne Häuser", 2 + 2),
    ("zh", "今天天气很好，", 6), ("ja", "きゃく", 2),
    ("ko", "안녕하세요", 5), ("hi", "नमस्ते", 3), ("ar", "كَتَبَ", 3), ("ar", "المدرسة", 3.5), ("cs", "vlk prst", 2),
    ("el", "Καλημέρα", 4),
    ("am", "ሰላም", 3), ("ka", "თბილისი", 3), (None, "", 0),
])
def test_syllables(language, text, expected):
    assert count_syllables(text, language) == pytest.approx(expected)


def test_speed_of_speech_is_measured():
    texts = ["та" * (number % 9 + 3) for number in range(40)]
    rate, silence = read_speed(texts, [0.8 + len(text) / 2 / 5.0 for text in texts])
    assert rate == pytest.approx(5.0) and silence == pytest.approx(0.8)


def offered(texts, **options):
    selector = Selector("ky", **options)
    for number, text in enumerate(texts):
        selector.offer(Candidate(str(number), 1.0 + len(text) / 8.0, text))
    return selector


def test_the_lazy_choice_is_that_of_a_full_search_and_begins_with_rare_letters():
    generator = random.Random(3)
    texts = ["".join(generator.choices("абвгдежз ", (60, 40, 30, 20, 10, 5, 2, 1, 40), k=generator.randrange(8, 40)))
             for _ in range(60)]
    every = collections.Counter("".join(texts).replace(" ", ""))
    counts, left, expected = collections.Counter(), dict(enumerate(texts)), []

    def gain(number):
        added = collections.Counter(texts[number].replace(" ", ""))
        return sum(math.log2(sum(every.values()) / every[letter]) * math.log((1 + counts[letter] + count) / (1 + counts[letter]))
                   for letter, count in added.items()) / max(1.0 + len(texts[number]) / 8.0, 5.0)
    while left:
        best = max(left, key=lambda number: (gain(number), -number))
        expected.append(best)
        counts.update(left.pop(best).replace(" ", ""))
    selector = offered(texts)
    assert [int(candidate.place) for candidate in selector.select()] == expected
    assert selector.letters == selector.available == every and not list(selector.remaining())
    first = offered(texts)
    chosen = list(first.select(count=3))
    assert set(first.letters) == set(every) and len(chosen) == 3 and len(list(first.remaining())) == 57
    assert sum(candidate.seconds for candidate in offered(texts).select(seconds=20.0)) == pytest.approx(20.0, abs=6.0)


def test_blocks_of_a_long_selection_contain_every_candidate_once():
    texts = ["аб" * (number % 40 + 1) + "вг"[number % 2] for number in range(300)] + ["щ", ""]
    selector = offered(texts, exact=2)
    chosen = [candidate.place for candidate in selector.select()]
    assert sorted(chosen, key=int) == [str(number) for number in range(302)] and chosen[-1] == "301"
    assert selector.letters == selector.available
    assert chosen == [candidate.place for candidate in offered(texts, exact=2).select()]
    # close to the exact choice: the first half has as many different letters, and as many of each within a few per cent
    exact = offered(texts)
    half, exact_half = offered(texts, exact=2), [candidate.text for candidate in exact.select(count=150)]
    assert len(set(exact_half) & {candidate.text for candidate in half.select(count=150)}) > 0.9 * len(set(exact_half))


def test_a_full_pool_still_takes_rare_letters():
    selector = offered(["аба"] * 400 + ["бац", "аба", "щаб"], pool=10)
    assert selector.size == PER_LETTER + 2 and selector.available["ц"] == selector.available["щ"] == 1
    assert {"щаб", "бац"} == {candidate.text for candidate in selector.select(count=2)}


def test_duplicates_are_found_on_disk_and_their_first_place_is_named(tmp_path):
    candidates = Candidates(str(tmp_path), memory=300)
    candidates.exclude("key 3", "recorded.csv:7")
    for number in range(30):
        candidates.add("key %d" % (number % 10), Candidate("a\tb%%.txt:%d" % number, 0.1 * number, "text %d" % number))
    duplicates = []
    unique = list(candidates.unique(lambda candidate, place: duplicates.append((candidate.text, place))))
    assert sorted(unique) == sorted(Candidate("a\tb%%.txt:%d" % number, 0.1 * number, "text %d" % number)
                                    for number in range(10) if number != 3)
    assert len(duplicates) == 21 and ("text 3", "recorded.csv:7") in duplicates and ("text 15", "a\tb%.txt:5") in duplicates


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Function (flags) -> (status, output) in a folder with ky.txt."""
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "ky.txt").write_text(TEXT, encoding="utf-8")

    def call(*flags):
        status = select_sentences.main(list(flags))
        captured = capsys.readouterr()
        return status, captured.out + captured.err
    return call


def table(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file][1:]


def test_every_sentence_is_selected_or_reported(run, tmp_path):
    status, output = run("--language", "ky", "ky.txt", "--output", "o.tsv", "--dropped", "d.tsv")
    assert status == 0, output
    chosen, dropped = table("o.tsv"), table("d.tsv")
    reasons = {text: (source, reason) for source, reason, _, text in dropped}
    assert len(chosen) + len(dropped) == len(split_sentences(TEXT.replace("\n", " "), {"ж.б."}))
    assert reasons["Мен 12 жаштамын, иним мектепте окуйт."] == ("ky.txt:2", NUMBER) and reasons["Кел."] == ("ky.txt:2", SHORT)
    assert reasons["Бүгүн күн жылуу — биз тоого чыктык!"] == ("ky.txt:3", DUPLICATE)
    assert [source for text, source, _ in chosen if "Щётка" in text] == ["ky.txt:3"]
    assert "no selected sentence has: в ф х" in output and "foreign word" in output and "Selected 6 of 13" in output

    # the order of the text does not matter, and the shorter selections are its beginning
    (tmp_path / "other.txt").write_text("\n".join(TEXT.splitlines()[::-1]), encoding="utf-8")
    assert "fewer sentences than --count 99" in run("--language", "ky", "ky.txt", "--count", "99", "--output", "n.txt")[1]
    for flags in (["other.txt"], ["ky.txt", "--count", "3"], ["ky.txt", "--hours", "0.003", "--dropped", "d.tsv"]):
        assert run("--language", "ky", *flags, "--output", "o.txt", "--force")[0] == 0
        words = [[word.strip(",.!—").lower() for word in line.split()] for line in open("o.txt", encoding="utf-8")]
        expected = [[word.strip(",.!—").lower() for word in text.split()] for text, _, _ in chosen[:len(words)]]
        clean = [[list(filter(None, line)) for line in lines] for lines in (words, expected)]
        assert clean[0] == clean[1] and len(words) == (3 if "ky.txt" in flags else 6)
    assert sum(reason == NOT_NEEDED for _, reason, _, _ in table("d.tsv")) == 3


def test_recorded_sentences_word_lists_wrapped_text_and_measured_speed(run, tmp_path):
    with open("m.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["wav_filename", "transcript", "duration"]] + [
            ["%d.wav" % number, "көк асманда булуттар " + "баратат " * (number % 5), str(1.5 + 0.5 * (number % 5))]
            for number in range(20)] + [["20.wav", "көк асманда булуттар акырын жылып баратат", "2.5"]])
    (tmp_path / "words.tsv").write_text("\n".join("%s\t%d" % (word, 1 + ("цирк" != word)) for word in set(
        TEXT.lower().replace(",", " ").replace(".", " ").split())), encoding="utf-8")
    (tmp_path / "book.txt").write_text("Көк асманда бу-\nлуттар акырын жылып баратат. Щётка\nменен тазала, цирк көрдүк.\n\n"
                                       "Жаз келгенде талаа\nгүлгө оронот.\n", encoding="utf-8")
    status, output = run("--language", "ky", "--wrapped", "book.txt", "--recorded", "m.csv", "--word_list", "words.tsv",
                         "--word_min_count", "2", "--speed_from", "m.csv", "--seconds", "2", "7", "--output", "o.tsv",
                         "--dropped", "d.tsv")
    assert status == 0 and "Speed of 21 recordings: 6." in output, output
    assert [(text, source) for text, source, _ in table("o.tsv")] == [("Жаз келгенде талаа гүлгө оронот.", "book.txt:5")]
    assert {(reason, detail, text[:6]) for _, reason, detail, text in table("d.tsv")} == {
        (DUPLICATE, "of m.csv:22", "Көк ас"), (UNKNOWN_WORD, "цирк", "Щётка ")}


@pytest.mark.parametrize("language, text", [
    ("ky", "Биз Ак-Суу айылына чыктык."), ("tr", "Irmak İzmir'den, Ağrı’ya kadar aktı."), ("fr", "L’eau de l'été n’est plus là."),
    ("uk", "Моя сімʼя і п’ять дерев."), ("ar", "ذهب الولد إلى المدرسة اليوم."), ("hi", "राम आज सुबह घर गया।"),
])
def test_every_word_of_a_text_is_in_the_counts_of_that_text(run, tmp_path, language, text):
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    assert corpus_statistics.main(["text.txt", "--language", language, "--counts", "counts"]) == 0
    status, output = run("text.txt", "--language", language, "--word_list", "counts/1-grams.tsv", "--seconds", "1", "9",
                         "--output", "o.txt")
    assert status == 0 and (tmp_path / "o.txt").read_text(encoding="utf-8") == text + "\n", output


BAD = [
    (["empty.txt"], 3, ["empty.txt", "no text"]), (["missing.txt"], 3, ["missing.txt", "No such file"]),
    (["latin.txt"], 3, ["latin.txt:2", "not UTF-8"]), (["nul.txt"], 3, ["nul.txt:1", "NUL"]),
    (["damaged.gz"], 3, ["damaged.gz", "gzip"]),
    (["few.csv"], 3, ["few.csv:1", "manifest"]),
    (["english.txt"], 3, ["english.txt", "no sentence", FOREIGN]),
    (["ky.txt", "--language", "xx"], 2, ["'xx'", "ky", "--alphabet"]),
    (["ky.txt", "--alphabet", "abcабв"], 2, ["LATIN", "CYRILLIC"]),
    (["ky.txt", "--alphabet", "12"], 2, ["12", "no script"][1:]),
    (["ky.txt", "--numbers", "spell", "--language", "mn"], 2, ["--numbers spell"] + (
        ["mn"] if importlib.util.find_spec("num2words") else ["scripts/setup.sh --data"])),
    (["ky.txt", "--abbreviation_file", "english.txt"], 3, ["english.txt:1", "tab"]),
    (["ky.txt", "--word_list", "bad.tsv"], 3, ["bad.tsv:2", "many"]),
    (["ky.txt", "--word_list", "english.txt", "--word_min_count", "2"], 3, ["english.txt:1", "count"]),
    (["ky.txt", "--speed_from", "few.csv"], 3, ["few.csv", "at least 20", "duration"]),
    (["ky.txt", "--seconds", "7", "3"], 2, ["--seconds", "7 3"]),
    (["ky.txt", "--output", "english.txt"], 2, ["english.txt", "--force"]),
    (["ky.txt", "--output", "ky.txt", "--force"], 2, ["ky.txt", "input"]),
    (["ky.txt", "--output", "absent/o.txt"], 3, ["absent/o.txt"]),
    (["ky.txt", "--dropped", "o.txt"], 2, ["o.txt", "same file"]), (["-", "-"], 2, ["once"]),
]


@pytest.mark.parametrize("flags, status, words", BAD, ids=[" ".join(flags) for flags, _, _ in BAD])
def test_bad_input_is_named_and_nothing_is_written(run, tmp_path, flags, status, words):
    contents = {"empty.txt": b" \n\n", "latin.txt": b"one\nna\xefve\n", "nul.txt": b"t\0wo\n",
                "english.txt": b"This is English.\n", "damaged.gz": gzip.compress(b"one two three\n" * 99)[:-12],
                "bad.tsv": "бир\t2\nэки\tmany\n".encode(),
                "few.csv": b"wav_filename,transcript,duration\n1.wav,a,1\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    if "--alphabet" not in flags and "--language" not in flags:
        flags = flags + ["--language", "ky"]
    found, output = run(*flags, *([] if "--output" in flags else ["--output", "o.txt"]))
    assert found == status, output
    for word in words:
        assert word in output
    assert sorted(os.listdir(".")) == sorted(list(contents) + ["ky.txt"])
    assert (tmp_path / "ky.txt").read_text(encoding="utf-8") == TEXT
    assert (tmp_path / "english.txt").read_bytes() == contents["english.txt"]


def test_a_language_or_letters_are_needed(run):
    assert run("ky.txt", "--output", "o.txt")[0] == 2
    (status, output) = run("ky.txt", "--output", "o.txt", "--alphabet", "абвгдеёжзийклмнңоөпрстуүфхцчшщъыьэюя")
    assert status == 0, output
