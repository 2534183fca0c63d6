"""Subword vocabularies: what make_vocab.py trains, how models are read and used without the package, and what is refused."""
import os
import random
import subprocess
import sys
import unicodedata

import pytest

from open_seq2seq.checkpoints.subword_model import keep_model, kept_model, model_next_to
from open_seq2seq.config.parameters import Report
from open_seq2seq.errors import DataError
from open_seq2seq.export.description import check_characters
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.subwords import BPE, UNIGRAM, SubwordVocabulary, train_model
from open_seq2seq.text.vocabulary import WORD_MARK, Vocabulary
from tests.paths import REPOSITORY
from tests.text.test_make_vocab import line_with, make  # noqa: F401

sentencepiece = pytest.importorskip("sentencepiece", reason="bash scripts/setup.sh --data installs sentencepiece")

KYRGYZ = ["мен сени сүйөм", "бүгүн аба ырайы жакшы", "ал китеп окуп жатат", "өлкөбүз кооз тоолор бийик", "мен китеп окуп жатам"]
RUSSIAN = ["сегодня хорошая погода", "он читает книгу", "хорошая книга", "ёлка стоит в доме"]
CHINESE = ["今天天气很好", "我喜欢喝茶", "今天我喝茶", "天气很好我喜欢"]
ARABIC = ["السلام عليكم", "كيف حالك اليوم", "اليوم حالك جيد"]
SCRIPTS = [pytest.param(texts, id=name) for name, texts in (
    ("Kyrgyz", KYRGYZ), ("Russian", RUSSIAN), ("Chinese", CHINESE), ("Arabic", ARABIC))]


def characters_of(texts):
    return len(set("".join(texts)) - {" "}) + 1


@pytest.mark.parametrize("model_type", [UNIGRAM, BPE])
@pytest.mark.parametrize("texts", SCRIPTS)
def test_texts_of_any_script_are_written_and_read_back(make, tmp_path, texts, model_type):  # noqa: F811
    # how many pieces SentencePiece can find depends on its version
    size = characters_of(texts) + 2
    status, output = make(texts, "--subwords", str(size), "--model_type", model_type, "--output", "v.model")
    assert status == 0 and "%d subwords" % size in output
    vocabulary, package = Vocabulary.from_file("v.model"), sentencepiece.SentencePieceProcessor(model_file="v.model")
    assert vocabulary.size == size == len(package) - 1 and "<unk>" not in vocabulary.characters
    exported = Vocabulary.of(list(vocabulary.characters))
    for text in texts:
        labels = vocabulary.encode(text)
        assert [vocabulary.characters[label] for label in labels] == package.encode(text, out_type=str)
        assert vocabulary.decode(labels) == text == exported.decode(exported.encode(text))
        assert len(exported.encode(text)) <= len(labels)
    assert vocabulary.encode(" %s  %s " % (texts[0], texts[1])) == vocabulary.encode(texts[0] + " " + texts[1])
    assert vocabulary.encode(" ") == [] == vocabulary.encode("")
    # the counts of the table
    piece = vocabulary.characters[vocabulary.encode(texts[0])[0]]
    count = sum(package.encode(text, out_type=str).count(piece) for text in texts)
    assert str(count) in line_with(output, "│ %s " % piece).split()


@pytest.mark.parametrize("model_type", [UNIGRAM, BPE])
def test_the_same_transcripts_give_the_same_bytes_in_any_order(model_type):
    chooser = random.Random(1)
    words = ["".join(chooser.choice("бгдз") + chooser.choice("аои") for _ in range(chooser.randint(1, 4))) for _ in range(50)]
    texts = [" ".join(chooser.choice(words) for _ in range(8)) for _ in range(200)]
    first = train_model(texts, 40, model_type)
    assert train_model(texts[::-1], 40, model_type) == first
    script = "import sys; from open_seq2seq.text.subwords import train_model; " \
             "sys.stdout.buffer.write(train_model(sys.argv[3:], int(sys.argv[1]), sys.argv[2]))"
    other = subprocess.run([sys.executable, "-c", script, "40", model_type] + texts, stdout=subprocess.PIPE, check=True,
                           cwd=REPOSITORY, env=dict(os.environ, PYTHONHASHSEED="7", OMP_NUM_THREADS="2"))
    assert other.stdout == first


def test_the_configs_normalization_is_the_only_one():
    """SentencePiece's own one, nmt_nfkc, would change these characters; here they are labels."""
    texts = ["ｆｕｌｌ ½ №", "e\u0301 ﬁ", "ß ǅ"]
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    vocabulary = SubwordVocabulary.from_model("m", train_model(texts, characters_of(texts)))
    for text in texts:
        assert vocabulary.decode(vocabulary.encode(text)) == text
    steps = Normalization(["lower", "punctuation"], "drop", vocabulary)
    assert steps.apply("Full, ½!").text == "½"


def trained_by_others(folder, **options):
    """Path of a model that SentencePiece makes with its own defaults, in a process without TensorFlow (subword_training.py)."""
    (folder / "t").write_text("fi fo fa\n" * 3 + "of if \uff46\uff41\n", encoding="utf-8")
    options = dict(input=str(folder / "t"), model_prefix=str(folder / "m"), num_threads=1, minloglevel=2, **options)
    script = "import sentencepiece; sentencepiece.SentencePieceTrainer.train(**%r)" % options
    subprocess.run([sys.executable, "-c", script], check=True)
    return str(folder / "m.model")


def test_a_model_of_others_is_used_unless_it_changes_texts(tmp_path):
    vocabulary = Vocabulary.from_file(trained_by_others(tmp_path, vocab_size=9, user_defined_symbols=["\uff41x"]))
    assert not {"<s>", "</s>", "<unk>"} & set(vocabulary.characters) and vocabulary.size == 6
    assert vocabulary.decode(vocabulary.encode("fo fa")) == "fo fa"
    with pytest.raises(DataError, match="normalization of the SentencePiece model.*m.model.*nfkc"):
        vocabulary.encode("\uff41")
    path = trained_by_others(tmp_path, vocab_size=270, byte_fallback=True, hard_vocab_limit=False)
    with pytest.raises(DataError, match="m.model.*byte_fallback"):
        Vocabulary.from_file(path)


def test_unknown_characters_and_marks_are_named():
    vocabulary = SubwordVocabulary.from_model("m", train_model(KYRGYZ, characters_of(KYRGYZ) + 2))
    for text, expected in (("мен qq", "'q' .LATIN SMALL LETTER Q."), ("Мен", "lower case"), (WORD_MARK, "LOWER ONE EIGHTH")):
        with pytest.raises(DataError, match=expected):
            vocabulary.encode(text)
        with pytest.raises(DataError, match=expected):
            Vocabulary.of(vocabulary.characters).encode(text)
    assert "м" in vocabulary and " " in vocabulary and "q" not in vocabulary and WORD_MARK not in vocabulary
    with pytest.raises(DataError, match="a b.*mark"):
        train_model(["a b" + WORD_MARK], 5)


@pytest.mark.parametrize("texts, flags, expected", [
    (KYRGYZ, ["--subwords", "5"], ["--subwords is 5", "at least %d" % characters_of(KYRGYZ)]),
    (CHINESE, ["--subwords", "500"], ["--subwords is 500", "at most"]),
    (KYRGYZ, ["--subwords", "40", "--output", "v.txt"], ["v.txt", "*.model"]),
    (KYRGYZ, ["--output", "v.model"], ["v.model", "--subwords"]),
    (KYRGYZ, ["--model_type", "bpe"], ["--model_type", "--subwords"]),
    (["ab", "cd"], ["--subwords", "4", "--min_count", "2"], ["no transcript is left", "every character is excluded"]),
])
def test_what_cannot_be_made_is_refused(make, texts, flags, expected):  # noqa: F811
    try:
        status, output = make(texts, *flags)
    except SystemExit as stop:
        status, output = stop.code, None
    assert status != 0 and not os.path.exists("v.model") and not os.path.exists("v.txt")
    if output is not None:
        assert all(text in output for text in expected[:1]) or expected[-1] in output


def test_rows_with_characters_that_are_left_out_do_not_train(make):  # noqa: F811
    assert make(["ab ab", "ba ab", "ab zz q"], "--subwords", "3", "--exclude", "q", "--output", "v.model")[0] == 0
    vocabulary = Vocabulary.from_file("v.model")
    assert vocabulary.alphabet == frozenset("ab ")


@pytest.mark.parametrize("damage", [
    lambda data: data[:-3], lambda data: data[:20], lambda data: b"", lambda data: b"a\nb\nc\n", lambda data: b"\xff" * 100,
    lambda data: data.replace(WORD_MARK.encode("utf-8"), b"\xff\xfe\xfd")])
def test_a_damaged_model_is_refused(tmp_path, damage):
    path = tmp_path / "v.model"
    path.write_bytes(damage(train_model(KYRGYZ, characters_of(KYRGYZ) + 2)))
    with pytest.raises(DataError, match="v.model.*SentencePiece model"):
        Vocabulary.from_file(str(path))


def test_without_the_package_models_are_read_and_decoded(tmp_path):
    path = tmp_path / "v.model"
    path.write_bytes(train_model(KYRGYZ, characters_of(KYRGYZ) + 2))
    script = """if True:
        import sys
        sys.modules["sentencepiece"] = None
        from open_seq2seq.text.vocabulary import Vocabulary
        vocabulary = Vocabulary.from_file(sys.argv[1])
        exported = Vocabulary.of(vocabulary.characters)
        assert exported.decode(exported.encode("мен")) == "мен" == vocabulary.decode(exported.encode("мен"))
        try:
            vocabulary.encode("мен")
        except Exception as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, check=True, cwd=REPOSITORY,
                            env=dict(os.environ, PYTHONIOENCODING="utf-8"))
    assert b"sentencepiece" in result.stdout and b"setup.sh --data" in result.stdout


@pytest.mark.parametrize("pieces, problem", [
    (["a" + WORD_MARK, "b"], "beginning"), ([WORD_MARK, "ab", "ab"], "twice"), ([WORD_MARK, "a\u200bb"], "U\\+200B"),
    ([WORD_MARK, "a b"], "space")])
def test_pieces_that_an_export_cannot_have(pieces, problem):
    report = Report()
    check_characters(pieces, "vocabulary", report)
    assert any(problem.replace("\\", "") in text for text in report.problems)


def test_the_model_is_kept_next_to_the_checkpoint(tmp_path):
    model = train_model(KYRGYZ, characters_of(KYRGYZ) + 2)
    vocabulary = SubwordVocabulary.from_model("m", model)
    checkpoint = str(tmp_path / "logs" / "model.ckpt-1")
    keep_model(checkpoint, vocabulary.model, vocabulary.sha256)
    with open(model_next_to(checkpoint, vocabulary.sha256), "rb") as file:
        assert file.read() == model
    assert kept_model(checkpoint) is None  # no manifest names it
