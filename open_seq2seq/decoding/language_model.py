"""What a beam search uses of a language model's file: checked against the vocabulary, and the library that can search with it."""
import importlib.util
import os

from open_seq2seq.decoding.kenlm_files import ARPA, BINARY, build_binary_program, inspect, load_kenlm
from open_seq2seq.decoding.options import COQUI, PYCTCDECODE
from open_seq2seq.decoding.scorer_file import scorer_file
from open_seq2seq.decoding.searches import SearchSpec
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text.text_file import read_text_file
from open_seq2seq.text.vocabulary import has_subwords, shown_labels

LEAST_SPELLED = 0.1    # part of a language model's words that the vocabulary must be able to spell
USUALLY_SPELLED = 0.9  # below this a note is printed
_PACKAGES = {COQUI: "coqui_stt_ctcdecoder", PYCTCDECODE: "pyctcdecode"}
_INSTALL = "Install it with bash scripts/setup.sh --decoding"


def search_spec(vocabulary, options):
    """Prepares a beam search.

    Args:
      vocabulary: a ``Vocabulary``.
      options: the ``DecodingOptions`` of a beam search.

    Returns:
      (SearchSpec, list of str: what a user should know).

    Raises:
      DataError: the language model or the lexicon is missing, damaged, or of another alphabet.
      UsageError: a package is missing, or the options do not fit the vocabulary or the library.
    """
    if getattr(vocabulary, "characters", None) is None:
        raise UsageError("a beam search needs a vocabulary with characters; that of the custom data layer has none")
    _require_spelled(vocabulary, options)
    _require_characters(options.search_library, vocabulary)
    if options.lm_path is None:
        library = _library(options, COQUI if not options.hot_words and not has_subwords(vocabulary.characters) else PYCTCDECODE)
        if options.hot_words and library == COQUI:
            raise UsageError("hot_words without a language model need pyctcdecode, and search_library is 'coqui'; remove it")
        return _checked(SearchSpec(vocabulary.characters, options, library, None, None, False)), []
    model = inspect(options.lm_path)
    if not vocabulary.separates_words:
        return _of_characters(vocabulary, options, model)
    words, notes = _lexicon(vocabulary, options, model)
    is_constrained = options.lexicon is not False
    subwords = has_subwords(vocabulary.characters)
    library = _library(options, PYCTCDECODE if subwords else _best_library(options, model, words, is_constrained))
    if library == COQUI:
        if not is_constrained:
            raise UsageError("lexicon is False, and search_library is 'coqui', which needs a lexicon; remove one of the two")
        missing = _missing_hot_words(options, model)
        if missing:
            raise UsageError("the hot word %r is not in the language model, and search_library is 'coqui', which finds words of "
                             "the language model only; remove search_library" % missing[0])
        file = scorer_file(model, words, vocabulary)
        return SearchSpec(vocabulary.characters, options, library, file, None, True), notes
    if words is not None and is_constrained:
        words = sorted(set(words).union(*[phrase.split() for phrase in options.hot_words]))
    return _checked(SearchSpec(vocabulary.characters, options, library, _binary(model, words, vocabulary), words,
                               is_constrained)), notes


def _require_characters(library, vocabulary):
    if library == COQUI and has_subwords(vocabulary.characters):
        raise UsageError("the vocabulary has subwords, and search_library is 'coqui', which searches with single characters; "
                         "remove search_library, and pyctcdecode is used")


def _checked(spec):
    """``spec``, if pyctcdecode can search with its hot words."""
    if spec.library == PYCTCDECODE and len(set(spec.options.hot_words.values())) > 1:
        raise UsageError("hot_words have different weights, %s; pyctcdecode, which this search uses, takes one weight for all of "
                         "them" % ", ".join("%s:%g" % item for item in sorted(spec.options.hot_words.items())))
    return spec


def _require_spelled(vocabulary, options):
    for phrase in options.hot_words:
        unknown = sorted(set(phrase) - vocabulary.alphabet)
        if unknown:
            raise UsageError("hot_words has %r, but %s not in the vocabulary, which is %s" % (
                phrase, ", ".join(map(repr, unknown)) + (" is" if len(unknown) == 1 else " are"),
                shown_labels(vocabulary.characters)))


def is_installed(library):
    """Whether the package of a library, "coqui" or "pyctcdecode", is installed."""
    return importlib.util.find_spec(_PACKAGES[library]) is not None


def _library(options, preferred):
    """The library that the options name, or the preferred one, or the other if that is not installed."""
    chosen = options.search_library or (preferred if is_installed(preferred) else PYCTCDECODE)
    if not is_installed(chosen):
        raise UsageError("a beam search needs the package %s, which is not installed. %s" % (_PACKAGES[chosen], _INSTALL))
    return chosen


def _best_library(options, model, words, is_constrained):
    """Coqui's search is many times faster, but takes words of the language model only, and no ARPA file."""
    if not is_constrained or words is None or _missing_hot_words(options, model):
        return PYCTCDECODE
    return COQUI if model.kind == BINARY or build_binary_program() is not None else PYCTCDECODE


def _missing_hot_words(options, model):
    if not options.hot_words or model.words is None:
        return []
    known = set(model.words)
    return [word for phrase in options.hot_words for word in phrase.split() if word not in known]


def _binary(model, words, vocabulary):
    """A file that processes can share: a binary, if KenLM's tool for it is there."""
    if model.kind == ARPA and build_binary_program() is not None and words and not has_subwords(vocabulary.characters):
        return scorer_file(model, words, vocabulary)
    load_kenlm(model.path)
    return model.path


def _lexicon(vocabulary, options, model):
    """(the words that the search may write, or None if they are unknown; notes)."""
    characters, notes = vocabulary.alphabet, []
    if isinstance(options.lexicon, str):
        text = read_text_file(options.lexicon, "lexicon", "Expected one word per line")
        words, source = [line.split()[0] for line in text.splitlines() if line.split()], "lexicon %s" % options.lexicon
    elif model.words is None:
        if options.lexicon is False:
            return None, ["language model %s has no list of its words (build_binary -v): unknown beginnings of words cannot be "
                          "distinguished" % model.path]
        raise DataError("language model %s has no list of its words: it was built with build_binary -v. Build it again without "
                        "-v, or set lexicon to a file with one word per line" % model.path)
    else:
        words, source = model.words, "language model %s" % model.path
    spelled = [word for word in words if characters.issuperset(word)]
    _require_alphabet(source, words, spelled, characters)
    if len(spelled) < USUALLY_SPELLED * len(words):
        notes.append("%s: %d of %d words have characters outside the vocabulary and cannot be found, e.g. %r" % (
            source, len(words) - len(spelled), len(words), _unspelled(words, characters)))
    return spelled, notes


def _require_alphabet(source, words, spelled, characters):
    if words and len(spelled) >= LEAST_SPELLED * len(words):
        return
    if not words:
        raise DataError("%s has no words" % source)
    hint = "Build it from text that was normalized like the transcripts: scripts/build_lm.py"
    if sum(characters.issuperset(word.lower()) for word in words) > len(words) / 2:
        hint = "Its words are in upper case: build it from text in lower case (scripts/build_lm.py)"
    raise DataError("%s is of another alphabet: the vocabulary %r can spell %d of its %d words, not e.g. %r. %s" % (
        source, "".join(sorted(characters)), len(spelled), len(words), _unspelled(words, characters), hint))


def _unspelled(words, characters):
    return next(word for word in words if not characters.issuperset(word))


def _of_characters(vocabulary, options, model):
    """The search with a language model whose words are single characters, for a vocabulary without a space."""
    library = _library(options, PYCTCDECODE)
    if library == COQUI:
        raise UsageError("the vocabulary has no space, and search_library is 'coqui', which needs words; remove it")
    if model.words is not None:
        known = [word for word in model.words if word in vocabulary.characters]
        if len(known) < LEAST_SPELLED * len(model.words):
            raise DataError("the vocabulary has no space, so language model %s must be one of single characters: only %d of its "
                            "%d words are characters of the vocabulary. Build it from text with a space after each character" % (
                                model.path, len(known), len(model.words)))
    load_kenlm(model.path)
    return _checked(SearchSpec(vocabulary.characters, options, library, os.path.abspath(model.path),
                               list(vocabulary.characters), False)), []
