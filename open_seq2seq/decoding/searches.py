"""The beam searches of coqui_stt_ctcdecoder and pyctcdecode behind one interface, with what they do unexpectedly corrected.

A search runs in one process, of its own (``search_worker``) or not. What it needs is a :class:`SearchSpec`, which can be pickled.
"""
import collections
import logging
import math
import sys
import types

import numpy as np

from open_seq2seq.decoding.alignment import align
from open_seq2seq.decoding.decoder import Character, Hypothesis
from open_seq2seq.decoding.kenlm_files import load_kenlm
from open_seq2seq.decoding.options import COQUI
from open_seq2seq.decoding.piece_alignment import align_pieces
from open_seq2seq.text.vocabulary import WORD_MARK, has_subwords

SearchSpec = collections.namedtuple("SearchSpec", "characters options library lm_file words is_constrained")
SearchSpec.__doc__ = """What a search needs.

characters: tuple, the labels of the vocabulary. options: the DecodingOptions. library: "coqui" or "pyctcdecode". lm_file: path of
the language model, for coqui of its scorer file; None without one. words: list of the words of the lexicon; None if they are
unknown or the library has them in its file. is_constrained: only the words of the lexicon may occur."""

_Found = collections.namedtuple("_Found", "text score acoustic_score")

NO_BEAM = -1e30          # Coqui returns -3.4e38 where pruning has left no transcript
LEAST_BLANK = 1e-5       # probability of the blank in a frame that is pruned
DROPPED = 1e-30          # a probability below is that of a dropped output
JUST_BELOW_1 = 1 - 1e-7  # reached by the sum of what is kept, and not without the least of it
UNKNOWN_FORBIDDEN = -1e4  # log10 probability that keeps unknown words out of pyctcdecode's result
WIDEST_TOKEN_LOGP, WIDEST_BEAM_LOGP = -35.0, -1e9  # pyctcdecode clips at log(1e-15), about -34.5
LN_10 = math.log(10.0)


def make_search(spec):
    """The search of a :class:`SearchSpec`, with the method ``search(log_probabilities)``."""
    return (CoquiSearch if spec.library == COQUI else PyctcdecodeSearch)(spec)


class _Search:
    """What both searches have in common."""

    def __init__(self, spec):
        self._spec, self._options = spec, spec.options
        self._labels = {character: label for label, character in enumerate(spec.characters)}

    def search(self, log_probabilities, with_characters=False):
        """Searches the best transcript of an utterance.

        Args:
          log_probabilities: float32 [valid frames, V + 1], normalized.
          with_characters: also find the frames of each character.

        Returns:
          Hypothesis.
        """
        if not len(log_probabilities):
            return Hypothesis("", 0.0, 0.0, [] if with_characters else None)
        found = self._find(log_probabilities)
        characters = self._aligned(found.text, log_probabilities) if with_characters else None
        return Hypothesis(found.text, float(found.score), float(found.acoustic_score), characters)

    def _find(self, log_probabilities):
        raise NotImplementedError

    def _aligned(self, text, log_probabilities):
        """The Characters of a text on its most probable path; with subwords, of the pieces of any way to write it."""
        if has_subwords(self._spec.characters):
            return align_pieces(log_probabilities, text, self._spec.characters)
        alignment, = align(log_probabilities[np.newaxis], np.array([len(log_probabilities)]),
                           [[self._labels[character] for character in text]], len(self._spec.characters))
        if alignment is None:
            return []
        characters = []
        for position, character in enumerate(text):
            frames = np.flatnonzero(alignment.positions == position)
            characters.append(Character(character, int(frames[0]), int(frames[-1]) + 1,
                                        float(alignment.log_probabilities[frames].mean())))
        return characters


class CoquiSearch(_Search):
    """The search of coqui_stt_ctcdecoder: with a language model only words of its lexicon."""

    def __init__(self, spec):
        super().__init__(spec)
        import coqui_stt_ctcdecoder
        self._decode = coqui_stt_ctcdecoder.swigwrapper.ctc_beam_search_decoder
        self._alphabet = coqui_stt_ctcdecoder.Alphabet()
        self._alphabet.InitFromLabels(list(spec.characters))
        self._scorer = self._model = None
        options = spec.options
        if spec.lm_file is not None:
            self._scorer = coqui_stt_ctcdecoder.Scorer(options.alpha, options.beta, spec.lm_file, self._alphabet)
            self._model = load_kenlm(spec.lm_file)
        self._hot_words = {word.encode("utf-8"): weight for phrase, weight in options.hot_words.items()
                           for word in phrase.split()}

    def _find(self, log_probabilities):
        options = self._options
        found = self._best(*_for_coqui(log_probabilities, options.cutoff_prob, options.cutoff_top_n))
        if found is None:
            found = self._best(*_for_coqui(log_probabilities, 1.0, log_probabilities.shape[1]))
        if found is None:
            silence = float(log_probabilities[:, -1].sum())
            found = _Found("", silence, silence)
        return found

    def _best(self, probabilities, cutoff_prob, offset):
        # one result: if fewer beams are alive than are wanted, as with a small lexicon, the process ends by SIGSEGV
        results = self._decode(probabilities, self._alphabet, self._options.beam_width, cutoff_prob, probabilities.shape[1],
                               self._scorer, self._hot_words, 1)
        best = results[0]
        if best.confidence <= NO_BEAM:
            return None
        return self._scored(self._alphabet.Decode(best.tokens), best.confidence + offset)

    def _scored(self, text, confidence):
        # there may be a space at the end, or two
        words = text.split(" ") if self._model is not None else ()
        words = [word for word in words if word]
        if self._model is None or not words:
            return _Found(text.strip(" ") if self._model is None else "", confidence, confidence)
        text, options = " ".join(words), self._options
        language_score = options.alpha * LN_10 * self._model.score(text, bos=True, eos=False) + options.beta * len(words)
        score = confidence
        if options.score_sentence_end:
            score += options.alpha * LN_10 * (self._model.score(text, bos=True, eos=True)
                                              - self._model.score(text, bos=True, eos=False))
        return _Found(text, score, confidence - language_score)


class PyctcdecodeSearch(_Search):
    """The search of pyctcdecode: any word, words outside the lexicon at a cost; or only words of the lexicon.

    In a vocabulary without a space every character is a word, for language models of characters. Subwords make words.
    """

    def __init__(self, spec):
        super().__init__(spec)
        pyctcdecode = import_pyctcdecode()
        subwords = has_subwords(spec.characters)
        of_words = subwords or " " in spec.characters or spec.lm_file is None
        labels = list(spec.characters) if of_words else [WORD_MARK + character for character in spec.characters]
        if subwords:
            labels = [_LoneMark(label) if label == WORD_MARK else label for label in labels]
        self._joiner = " " if of_words else ""
        self._words = frozenset(spec.words or ())
        self._model = self._language_model(pyctcdecode) if spec.lm_file is not None else None
        alphabet = pyctcdecode.alphabet.Alphabet(labels + [""], subwords or not of_words)
        self._decoder = pyctcdecode.BeamSearchDecoderCTC(alphabet, self._model)
        self._hot_words = sorted(spec.options.hot_words) or None
        self._hot_word_weight = next(iter(spec.options.hot_words.values()), 0.0)

    def _language_model(self, pyctcdecode):
        options = self._options
        model = _corrected_language_model(pyctcdecode.language_model.LanguageModel)(
            load_kenlm(self._spec.lm_file), self._spec.words, alpha=options.alpha, beta=options.beta,
            unk_score_offset=options.unk_score_offset, score_boundary=options.score_sentence_end)
        if self._spec.is_constrained:
            model.forbid_other_words(self._words)
        return model

    def _find(self, log_probabilities):
        options = self._options
        pruned = _pruned(log_probabilities, options.cutoff_prob, options.cutoff_top_n)
        found = self._best(pruned, options.token_min_logp, options.beam_prune_logp)
        if found is None:
            found = self._best(log_probabilities, WIDEST_TOKEN_LOGP, WIDEST_BEAM_LOGP)
        if found is None:
            found = self._known_words_of_best(log_probabilities)
        silence = float(log_probabilities[:, -1].sum())
        # an empty transcript has no words that the language model could score; pyctcdecode counts an unknown one
        return found if found is not None and found.score >= silence else _Found("", silence, silence)

    def _best(self, log_probabilities, token_min_logp, beam_prune_logp):
        beams = self._beams(log_probabilities, token_min_logp, beam_prune_logp)
        for text, _, _, acoustic_score, score in beams:
            if not self._spec.is_constrained or self._words.issuperset(text.split()):
                return _Found(text if self._joiner else text.replace(" ", ""), float(score), float(acoustic_score))
        return None

    def _known_words_of_best(self, log_probabilities):
        """The best beam without its unknown words, where every beam has one, e.g. at the end of noise."""
        text, _, _, acoustic_score, _ = self._beams(log_probabilities, WIDEST_TOKEN_LOGP, WIDEST_BEAM_LOGP)[0]
        words = [word for word in text.split() if word in self._words]
        score, state = acoustic_score, self._model.get_start_state()
        for number, word in enumerate(words, 1):
            added, state = self._model.score(state, word, is_last_word=number == len(words))
            score += added
        return _Found(" ".join(words), float(score), float(acoustic_score))

    def _beams(self, log_probabilities, token_min_logp, beam_prune_logp):
        return self._decoder.decode_beams(
            log_probabilities, beam_width=self._options.beam_width, beam_prune_logp=beam_prune_logp,
            token_min_logp=token_min_logp, prune_history=False, hotwords=self._hot_words, hotword_weight=self._hot_word_weight)


class _LoneMark(str):
    """The piece that is only the mark of a word's beginning, for pyctcdecode.

    pyctcdecode takes a piece that ends in the mark for one after which a word ends, and then splits the next piece of any
    hypothesis off. This one has no end, so it begins a word, and only in the hypotheses with it.
    """

    def __getitem__(self, key):
        return "" if key == slice(-1, None) else super().__getitem__(key)


def _corrected_language_model(base):
    """A class of pyctcdecode's language model that does not count the missing word after a space as an unknown one."""
    class LanguageModel(base):
        """See :func:`_corrected_language_model`."""

        _allowed = None

        def forbid_other_words(self, words):
            """Keeps all other words out of the result. Those that are not in the model, such as hot words, cost as before."""
            self._allowed, self._cost_of_unknown = words, self.unk_score_offset
            self._unigram_set = words
            self._char_trie = type(self._char_trie).fromkeys(words)
            self.unk_score_offset = UNKNOWN_FORBIDDEN

        def get_start_state(self):
            self._start = super().get_start_state()
            return self._start

        def score(self, prev_state, word, is_last_word=False):
            if word and (self._allowed is None or word not in self._allowed):
                return super().score(prev_state, word, is_last_word)
            if word:
                self.unk_score_offset = self._cost_of_unknown
                scored = super().score(prev_state, word, is_last_word)
                self.unk_score_offset = UNKNOWN_FORBIDDEN
                return scored
            # the end of an empty transcript is not scored
            ends = is_last_word and prev_state is not self._start
            return self.alpha * LN_10 * self._get_raw_end_score(prev_state) if ends else 0.0, prev_state
    return LanguageModel


def _for_coqui(log_probabilities, cutoff_prob, cutoff_top_n):
    """Probabilities that Coqui prunes as the options say, but for the blank, which stays in every frame.

    Where it drops the blank, beams die, and it may return a dead one, with the score -3.4e38. So the frames are pruned here: what
    is dropped is 0, the rest is scaled to a sum of 1, and Coqui's cutoff is just below 1.

    Args:
      log_probabilities: float32 [T', V + 1]. cutoff_prob, cutoff_top_n: see ``options``.

    Returns:
      (float64 [T', V + 1], the cutoff for Coqui, what has to be added to its scores)
    """
    if cutoff_prob >= 1.0 and cutoff_top_n >= log_probabilities.shape[1]:
        return np.exp(log_probabilities.astype(np.float64)), 1.0, 0.0
    kept = np.exp(_pruned(log_probabilities, cutoff_prob, cutoff_top_n).astype(np.float64))
    kept[kept < DROPPED] = 0.0
    kept[:, -1] = np.maximum(np.exp(log_probabilities[:, -1].astype(np.float64)), LEAST_BLANK)
    sums = kept.sum(axis=1, keepdims=True)
    return kept / sums, JUST_BELOW_1, float(np.log(sums).sum())


def _pruned(log_probabilities, cutoff_prob, cutoff_top_n):
    """Log probabilities in which the outputs that Coqui's pruning drops in a frame are -100."""
    outputs = log_probabilities.shape[1]
    if cutoff_prob >= 1.0 and cutoff_top_n >= outputs:
        return log_probabilities
    probabilities = np.exp(log_probabilities)
    ranked = np.sort(probabilities, axis=1)[:, ::-1]
    before = np.cumsum(ranked, axis=1) - ranked
    counts = np.minimum((before < cutoff_prob).sum(axis=1), cutoff_top_n)
    least = ranked[np.arange(len(ranked)), counts - 1]
    return np.where(probabilities >= least[:, np.newaxis], log_probabilities, np.float32(-100.0))


def import_pyctcdecode():
    """The package pyctcdecode; on NumPy before 1.20, too, where 0.5.0 cannot be imported.

    It imports two names of ``numpy.typing``, which NumPy has since 1.20, for annotations that are never evaluated.
    """
    try:
        import numpy.typing  # noqa: F401
    except ImportError:
        typing = sys.modules["numpy.typing"] = types.ModuleType("numpy.typing")
        typing.NBitBase = typing.NDArray = object
    # it warns about lexicons that are small, or that it does not get
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    import pyctcdecode
    return pyctcdecode
