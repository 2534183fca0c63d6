"""The beam search as a decoder: its processes, its language models, its errors."""
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.decoder import NonFiniteLogits
from open_seq2seq.decoding.kenlm_files import build_binary, build_binary_program, find_arpa_problem, inspect
from open_seq2seq.decoding.language_model import search_spec
from open_seq2seq.decoding.options import default_options
from open_seq2seq.decoding.scorer_file import lexicon_automaton
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text.vocabulary import Vocabulary
from tests.decoding.language_models import ARPA, BLANK, VOCABULARY, logits_of, needs_packages
from tests.paths import REPOSITORY

needs_packages("kenlm", "pygtrie")
if build_binary_program() is None:
    pytest.skip("build_binary is not installed; `bash scripts/setup.sh --decoding` builds it", allow_module_level=True)

TEXTS = ["the cat sat", "all", "", "the cat", "a cat sat"]


def batch_of(texts):
    rows = [logits_of(text) if text else logits_of(" ")[:1] for text in texts]
    logits = np.full([len(rows), max(map(len, rows)), BLANK + 1], np.nan, np.float32)  # padding is not read
    for row, values in zip(logits, rows):
        row[:len(values)] = values
    return logits, [len(row) for row in rows]


def options(**values):
    return default_options(decoding="beam", decoder_workers=2, beam_width=16, **values)


@pytest.fixture
def arpa(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    return str(path)


def unigrams():
    lines = ARPA[:ARPA.index("\\2-grams")].replace("ngram 2=5\n", "").splitlines()
    # the highest order has no back-off weights
    return "\n".join("\t".join(line.split("\t")[:2]) for line in lines) + "\n\n\\end\\\n"


@pytest.mark.parametrize("kind", ["arpa", "gzip", "unigrams", "probing", "trie", "quantized", "lexicon", "any_word"])
def test_kinds_of_language_models(tmp_path, arpa, kind):
    path, more = arpa, {}
    if kind == "gzip":
        path = str(tmp_path / "lm.arpa.gz")
        with gzip.open(path, "wt") as file:
            file.write(ARPA)
    elif kind == "unigrams":
        path = str(tmp_path / "uni.arpa")
        with open(path, "w") as file:
            file.write(unigrams())
    elif kind in ("probing", "trie", "quantized"):
        path = str(tmp_path / "lm.binary")
        build_binary(arpa, path, *{"probing": [], "trie": ["trie"], "quantized": ["-q", "8", "-b", "8", "trie"]}[kind])
        assert sorted(inspect(path).words) == ["a", "all", "cat", "sat", "the"]
    elif kind == "lexicon":
        (tmp_path / "words.txt").write_text("the\ncat\nsat\nall\na\n")
        more["lexicon"] = str(tmp_path / "words.txt")
    elif kind == "any_word":
        more["lexicon"] = False
    for _ in range(2):  # the second time from the file that the first has made
        with make_decoder(VOCABULARY, options(lm_path=path, **more)) as decoder:
            assert decoder.decode_logits(*batch_of(TEXTS)) == TEXTS
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith(("tmp", ".tmp.binary", ".tmp.binary.arpa"))]


def test_a_stream_of_batches_stays_in_order(arpa):
    greedy = make_decoder(VOCABULARY, default_options())
    batches = [batch_of([TEXTS[(number + row) % 4] for row in range(number % 5)] or ["all"]) for number in range(40)]
    with make_decoder(VOCABULARY, options(lm_path=arpa)) as decoder:
        futures = [decoder.submit(*batch) for batch in batches]
        for batch, future in zip(batches, futures):
            assert [found.text for found in future.result()] == greedy.decode_logits(np.nan_to_num(batch[0]), batch[1])
    with pytest.raises(ValueError, match="closed"):
        decoder.submit(*batches[0])


def test_decoders_agree_on_what_they_return(arpa):
    logits, lengths = batch_of(["the cat"])
    for chosen in (default_options(), options(), options(lm_path=arpa)):
        with make_decoder(VOCABULARY, chosen) as decoder:
            found, = decoder.hypotheses(logits, lengths)
            assert found.text == "".join(character.text for character in found.characters) == "the cat"
            assert [character.first_frame for character in found.characters] == list(range(1, 22, 3))
            assert decoder.submit(logits, lengths).result()[0].characters is None


def test_non_finite_logits_are_named(arpa):
    logits, lengths = batch_of(["the cat", "all", "the cat"])
    logits[2, 4, 7] = np.nan
    for chosen in (default_options(), options(lm_path=arpa)):
        with make_decoder(VOCABULARY, chosen) as decoder:
            with pytest.raises(NonFiniteLogits, match="utterance 2 .*frame 4") as caught:
                decoder.hypotheses(logits, lengths)
            assert (caught.value.row, caught.value.frame) == (2, 4)
            with pytest.raises(NonFiniteLogits, match="utterance 2 .*frame 4"):
                decoder.decode_logits(logits, lengths)
            assert decoder.hypotheses(logits[:2], lengths[:2])[1].text == "all"


@pytest.mark.parametrize("with_lm", [True, False])
@pytest.mark.parametrize("pruning", [dict(cutoff_prob=0.999), dict(cutoff_prob=0.5, cutoff_top_n=1)])
def test_pruning_never_ends_a_process(arpa, with_lm, pruning):
    """coqui_stt_ctcdecoder ends by SIGSEGV if fewer texts are left than are wanted."""
    random = np.random.RandomState(5)
    with make_decoder(VOCABULARY, options(lm_path=arpa if with_lm else None, **pruning)) as decoder:
        for frames in (1, 2, 4, 30):
            logits = 6 * random.randn(60, frames, BLANK + 1)
            for found in decoder.submit(logits, [frames] * 60).result():
                assert -1e4 < found.score and found.acoustic_score < 1e-3


def processes_of(decoder):
    return decoder._pool._processes


def test_a_process_that_dies_is_an_error(arpa):
    logits, lengths = batch_of(["the cat"])
    with make_decoder(VOCABULARY, options(lm_path=arpa)) as decoder:
        for process in processes_of(decoder):
            process.kill()
            process.wait()
        with pytest.raises(DataError, match="ended by signal SIGKILL .*decoder_workers"):
            decoder.decode_logits(logits, lengths)
    assert all(process.poll() is not None for process in processes_of(decoder))


def test_processes_end_with_the_one_that_started_them(tmp_path, arpa):
    """Ctrl-C in the middle of a search, and a kill that leaves no time to clean up."""
    program = ("import numpy, time\n"
               "from open_seq2seq.decoding import make_decoder\n"
               "from open_seq2seq.decoding.options import default_options\n"
               "from open_seq2seq.text.vocabulary import Vocabulary\n"
               "decoder = make_decoder(Vocabulary(\" abc\"), default_options(decoding='beam', decoder_workers=2))\n"
               "print(*[process.pid for process in decoder._pool._processes], flush=True)\n"
               "while True:\n"
               "    decoder.submit(numpy.zeros([1, 2000, 5], 'float32'), [2000])\n")
    for number, status in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        searching = [int(word) for word in process.stdout.readline().split()]
        assert len(searching) == 2
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (status, -number)
        assert errors.count(b"Traceback") == (number == signal.SIGINT)
        until = time.monotonic() + 60
        while any(os.path.exists("/proc/%d" % pid) for pid in searching) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(os.path.exists("/proc/%d" % pid) for pid in searching)


def changed(old, new):
    assert old in ARPA
    return ARPA.replace(old, new)


@pytest.mark.parametrize("text, parts", [
    (None, ["No such file", "lm_path"]),
    ("the cat sat\nall the cats\n", ["\\data\\", "build_lm.py"]),
    ("", ["\\data\\"]),
    (changed("-1.1\tcat\t-0.2", "x\tcat\t-0.2"), ["line 10", "'x' is not a number"]),
    (changed("-1.1\tcat\t-0.2", "0.5\tcat\t-0.2"), ["line 10", "above 0"]),
    (changed("-0.2\tthe cat", "-0.2\tthe"), ["line 17", "2 words"]),
    (changed("-0.6\t<s> all\n", ""), ["line 21", "4 2-grams", "says 5"]),
    (changed("ngram 2=5\n", "ngram 2=five\n"), ["line 3", "ngram N=COUNT"]),
    (changed("\\end\\\n", ""), ["\\end\\", "truncated"]),
    (changed("-1.2\t</s>\n", "-1.2\tend\n"), ["</s>"]),
    (ARPA.replace("ngram 1=8\nngram 2=5\n", ""), ["order 0", "1 to 6"]),
    (ARPA.replace("ngram 2=5", "ngram 7=5"), ["order 7", "1 to 6"]),
    (ARPA.replace("the", "THE").replace("cat", "CAT").replace("sat", "SAT").replace("all", "ALL").replace("\ta\t", "\tA\t"),
     ["another alphabet", "lower case"]),
    (ARPA.replace("the", "кот").replace("cat", "кит").replace("sat", "сад").replace("all", "дом").replace("\ta\t", "\tи\t"),
     ["another alphabet", "0 of its 5 words"]),
], ids=["missing", "text", "empty", "not_a_number", "positive", "too_few_words", "count", "header", "truncated", "no_end",
        "order_0", "order_7", "upper_case", "other_alphabet"])
def test_wrong_arpa_files(tmp_path, text, parts):
    path = str(tmp_path / "lm.arpa")
    if text is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    with pytest.raises(DataError) as caught:
        make_decoder(VOCABULARY, options(lm_path=path)).close()
    assert all(part in str(caught.value) for part in parts + [path]), str(caught.value)
    assert os.listdir(str(tmp_path)) == ["lm.arpa"] * (text is not None)


def test_right_arpa_files_have_no_problem(arpa, tmp_path):
    assert find_arpa_problem(arpa) is None
    (tmp_path / "unigrams.arpa").write_text(unigrams())
    assert find_arpa_problem(str(tmp_path / "unigrams.arpa")) is None


@pytest.mark.parametrize("kind", ["probing", "trie"])
@pytest.mark.parametrize("damage", ["half", "header", "words", "order", "version"])
def test_damaged_binaries(tmp_path, arpa, kind, damage):
    path = str(tmp_path / "lm.binary")
    build_binary(arpa, path, kind)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    end = inspect(path).end
    if damage == "order":
        content[88] = 0
    elif damage == "version":
        content = content.replace(b"version 5", b"version 4")
    else:
        content = content[:{"half": end // 2, "header": 60, "words": end + 12}[damage]]
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(DataError, match="truncated|order 0|binary format"):
        make_decoder(VOCABULARY, options(lm_path=path)).close()


def test_scorer_packages_are_refused(tmp_path, arpa):
    with make_decoder(VOCABULARY, options(lm_path=arpa)):
        scorer, = [name for name in os.listdir(str(tmp_path)) if name.endswith(".scorer")]
    with pytest.raises(DataError, match="scorer package.*ARPA"):
        make_decoder(VOCABULARY, options(lm_path=str(tmp_path / scorer))).close()


@pytest.mark.parametrize("values, error, parts", [
    (dict(hot_words={"café": 5.0}), UsageError, ["café", "'é'", "vocabulary"]),
    (dict(hot_words={"cat": 5.0, "zebra": 2.0}), UsageError, ["different weights", "cat:5"]),
    (dict(hot_words={"zebra": 2.0}, search_library="coqui"), UsageError, ["'zebra'", "search_library"]),
    (dict(lexicon=False, search_library="coqui"), UsageError, ["lexicon is False", "coqui"]),
    (dict(lexicon="missing.txt"), DataError, ["missing.txt"]),
], ids=["alphabet", "weights", "unknown_hot_word", "coqui_any_word", "no_lexicon"])
def test_options_that_do_not_fit(arpa, values, error, parts):
    needs_packages("coqui_stt_ctcdecoder")
    with pytest.raises(error) as caught:
        search_spec(VOCABULARY, options(lm_path=arpa, **values))
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_hot_words(arpa):
    logits, lengths = batch_of(["the cat bat"])
    for hot_words, expected in (({}, ("cat", "sat")), ({"bat": 12.0}, ("bat",))):
        with make_decoder(VOCABULARY, options(lm_path=arpa, hot_words=hot_words)) as decoder:
            assert decoder.decode_logits(logits, lengths)[0].split()[-1] in expected


def test_a_language_model_without_its_words_needs_a_lexicon(tmp_path, arpa):
    path = str(tmp_path / "lm.binary")
    build_binary(arpa, path, "-v")
    with pytest.raises(DataError, match="build_binary -v.*lexicon"):
        make_decoder(VOCABULARY, options(lm_path=path)).close()
    (tmp_path / "words.txt").write_text("the\ncat\nsat\n")
    with make_decoder(VOCABULARY, options(lm_path=path, lexicon=str(tmp_path / "words.txt"))) as decoder:
        assert decoder.decode_logits(*batch_of(["the cat sat"])) == ["the cat sat"]


def test_a_folder_that_cannot_be_written_is_not_needed(tmp_path, arpa, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path).startswith(str(tmp_path / "cache"))
                        or os.path.basename(path) == "build_binary")
    with make_decoder(VOCABULARY, options(lm_path=arpa)) as decoder:
        assert decoder.decode_logits(*batch_of(["the cat"])) == ["the cat"]
    assert os.listdir(os.path.dirname(arpa)) != [] and len(os.listdir(str(tmp_path / "cache" / "jasper-ascend"))) == 1


def test_a_vocabulary_without_a_space_takes_models_of_characters(tmp_path, arpa):
    vocabulary = Vocabulary("我你他好")
    path = tmp_path / "characters.arpa"
    path.write_text("\\data\\\nngram 1=7\nngram 2=2\n\n\\1-grams:\n-2\t<unk>\n-99\t<s>\t-0.3\n-1\t</s>\n-1\t我\t-0.2\n"
                    "-1\t你\t-0.2\n-1\t他\t-0.2\n-1\t好\t-0.2\n\n\\2-grams:\n-0.1\t你 好\n"
                    "-0.2\t好 </s>\n\n\\end\\\n", encoding="utf-8")
    with make_decoder(vocabulary, options(lm_path=str(path))) as decoder:
        found, = decoder.hypotheses(logits_of("你好", vocabulary)[np.newaxis], [8])
        assert found.text == "你好" and [character.text for character in found.characters] == ["你", "好"]
    with pytest.raises(DataError, match="no space.*single characters"):
        make_decoder(vocabulary, options(lm_path=arpa)).close()


def test_the_automaton_is_minimal():
    # "ab" and "cb" share their end; by hand: start, after a or c, after b, end
    assert lexicon_automaton([(1, 2), (3, 2)], space=0) == [[(1, 1), (3, 1)], [(2, 2)], [(0, 3)], []]
    words = [(1,), (1, 2), (1, 2, 3), (2, 3)]
    states = lexicon_automaton(words, space=0)

    def accepted(state, prefix):
        for label, following in states[state]:
            if label == 0:
                assert states[following] == []
                yield prefix
            else:
                yield from accepted(following, prefix + (label,))
    assert sorted(accepted(0, ())) == words


def test_missing_packages_are_named(tmp_path, arpa):
    """In a Python without the packages: a folder of its own hides them."""
    for name in ("coqui_stt_ctcdecoder", "pyctcdecode", "kenlm"):
        (tmp_path / (name + ".py")).write_text("raise ImportError('hidden')\n")
    program = ("import importlib.util, sys\n"
               "find = importlib.util.find_spec\n"
               "importlib.util.find_spec = lambda name: None if name in ('coqui_stt_ctcdecoder', 'pyctcdecode') else find(name)\n"
               "from open_seq2seq.decoding import make_decoder\n"
               "from open_seq2seq.decoding.options import default_options\n"
               "from open_seq2seq.errors import UsageError\n"
               "from open_seq2seq.text.vocabulary import Vocabulary\n"
               "for path in (None, sys.argv[1]):\n"
               "    try:\n"
               "        make_decoder(Vocabulary(' abc'), default_options(decoding='beam', lm_path=path))\n"
               "    except UsageError as error:\n"
               "        print(error)\n"
               "print(make_decoder(Vocabulary(' abc'), default_options()).decode_logits([[[1, 2, 0, 0, 0]]], [1]))\n")
    done = subprocess.run([sys.executable, "-c", program, arpa], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True,
                          env=dict(os.environ, PYTHONPATH=str(tmp_path)), text=True)
    first, second, greedy = done.stdout.splitlines()
    assert "pyctcdecode" in first and "setup.sh --decoding" in first
    assert "setup.sh --decoding" in second
    assert greedy == "['a']"
    shutil.rmtree(str(tmp_path))
