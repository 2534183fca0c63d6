"""Text of any origin, converted to the words that a model with a given vocabulary can write.

Transcripts are used as they are, and training rejects one that has a character outside the vocabulary. Text of books and web
pages has capitals, punctuation and typographic characters, which :class:`TextNormalizer` converts or removes; what it cannot
convert, such as digits, is left for the caller to exclude, as training does.
"""
import collections
import unicodedata

from open_seq2seq.text.steps import APOSTROPHE, APOSTROPHES, Normalization, is_punctuation
from open_seq2seq.text.vocabulary import described

SPECIAL_WORDS = ("<s>", "</s>", "<unk>")  # words with a meaning in language models
EXAMPLES = 3

_INVISIBLE = ("Cf", "Mn")  # format characters, e.g. soft hyphen and byte order mark; marks that NFC could not compose


class TextNormalizer:
    """Converts words to the characters of a vocabulary.

    - Unicode's composed form (NFC), as in training: :meth:`Vocabulary.composed`.
    - A letter that is in the vocabulary only in the other case gets that case.
    - Punctuation that the vocabulary lacks separates words; an apostrophe is removed; both leave sentences that sound the same.
      Typographic apostrophes become ``'``, compatibility characters (ligatures, full-width letters) what they stand for.
    - Nothing else is changed: digits, symbols that are spoken (``%``, ``&``, ``$``) and letters of other alphabets are unknown.

    Args:
      vocabulary: :class:`~open_seq2seq.text.vocabulary.Vocabulary` that includes a space.
      normalization: :class:`~open_seq2seq.text.steps.Normalization` of the config. Its steps come first; its replacements of
        unknown characters apply to what the conversion leaves. None: none.
    """

    def __init__(self, vocabulary, normalization=None):
        self._vocabulary, self._normalization = vocabulary, normalization or Normalization()
        self._known = vocabulary.alphabet
        self._replacements, self._words = {}, {}

    def normalize(self, text):
        """Converts a text.

        Args:
          text: str, one line.

        Returns:
          (words, unknown): list of str, and the first character without a replacement (the words are incomplete then), or None.

        Raises:
          Refused: the config's steps cannot be applied to the text.
        """
        if self._normalization.steps:
            text = self._normalization.apply(self._vocabulary.composed(text), unknown=False).text
        words, cache = [], self._words
        for word in text.split():
            found = cache.get(word)
            if found is None:
                found = self._convert(word)
                # words repeat; those of an unbounded number of spellings are not worth the memory
                if len(cache) < 2000000:
                    cache[word] = found
            if found[1] is not None:
                return words, found[1]
            words.extend(found[0])
        return words, None

    def _convert(self, word):
        composed = self._vocabulary.composed(word)
        if not all(character in self._known for character in composed):
            parts = []
            for character in composed:
                replacement = self._replacements.get(character)
                if replacement is None:
                    replacement = self._replacements[character] = self._replacement(character)
                if replacement is _UNKNOWN:
                    return (), character
                parts.append(replacement)
            composed = "".join(parts)
        words = tuple(composed.split())
        special = next((found for found in words if found in SPECIAL_WORDS), None)
        return words, None if special is None else special

    def _replacement(self, character):
        """What a character becomes: str, or ``_UNKNOWN``."""
        if character in APOSTROPHES:
            return APOSTROPHE if APOSTROPHE in self._known else ""
        for candidate in (character, unicodedata.normalize("NFKC", character)):
            for form in (candidate, candidate.lower(), candidate.upper()):
                if form and all(part in self._known or part.isspace() for part in form):
                    return form
        category = unicodedata.category(character)
        if category in _INVISIBLE:
            return ""
        if is_punctuation(character):
            return " "
        replacement = self._normalization.replacement(character)
        return _UNKNOWN if replacement == character else replacement


_UNKNOWN = object()


class Dropped:
    """Counts the sentences that were excluded, by reason, with examples.

    Attributes:
      counts: dict from reason to number, in the order of the first occurrence.
    """

    def __init__(self):
        self.counts, self._examples, self._characters = collections.OrderedDict(), {}, collections.Counter()

    def add(self, reason, place, text, character=None):
        """Counts a sentence.

        Args:
          reason: str. place: ``file:line``. text: the sentence. character: the unknown character that caused it, or None.
        """
        self.counts[reason] = self.counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append("%s: %r" % (place, text if len(text) <= 80 else text[:77] + "..."))
        if character is not None:
            self._characters[character] += 1

    @property
    def total(self):
        return sum(self.counts.values())

    def lines(self):
        """List of str for the user: every reason with its count and examples."""
        lines = []
        for reason, count in self.counts.items():
            lines.append("  %d %s, e.g. %s" % (count, reason, "; ".join(self._examples[reason])))
        if self._characters:
            lines.append("  most frequent of the unknown: %s" % ", ".join(
                "%s %d" % (described(name) if len(name) == 1 else repr(name), count)
                for name, count in self._characters.most_common(8)))
        return lines
