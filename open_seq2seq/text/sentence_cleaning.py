"""Sentences that a person can read aloud in one way only: what is corrected in a sentence, and what excludes it."""
import collections
import re
import unicodedata

from open_seq2seq.errors import DataError
from open_seq2seq.text import languages
from open_seq2seq.text.character_table import COMMON, script_of
from open_seq2seq.text.sentence_splitting import CLOSING, DASHES, OPENING, STOPS, TERMINATORS, is_small
from open_seq2seq.text.spoken_numbers import NumberReader
from open_seq2seq.text.steps import is_punctuation
from open_seq2seq.text.syllables import count_syllables, estimated_seconds, has_vowel_letters, is_vowel

MARKUP, SYMBOL, NUMBER, ABBREVIATION = "web address or markup", "symbol", "number", "abbreviation"
FOREIGN, UNKNOWN_WORD, BRACKETS = "foreign word", "word outside the word list", "unpaired quotation marks or brackets"
FRAGMENT, REPEATED, SHORT, LONG = "not a complete sentence", "repeated letter", "too short", "too long"
DROP, SPELL, KEEP = "drop", "spell", "keep"

Cleaned = collections.namedtuple("Cleaned", "text seconds reason detail")
Cleaned.__doc__ = """A sentence. text: str, corrected. seconds: float, estimated; None if it was not estimated. reason: why it is
excluded, or None. detail: the word or character that is the reason."""

_MARKUP = re.compile(r"https?:|www\.|\w@\w|[<>{}|\\^~=_]|\[\[|\]\]|&\w+;|\w\.(?:com|org|net|ru|kg|kz|cn|tr)\b", re.IGNORECASE)
# zero-width space, marks of direction, soft hyphen, byte order mark, the Arabic tatweel, which only stretches words; not the
# joiners of Persian and Indic scripts
_INVISIBLE = {ord(character): None for character in "\u0640\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060"
              "\u2066\u2067\u2068\u2069\ufeff"}
_APOSTROPHES = {ord("\u2019"): "'", ord("\u02bc"): "'"}
_JOINERS = "\u200c\u200d"
_INNER = "-'\u2019\u02bc"  # inside words
_INNER_STOP = re.compile(r"(?<![.\s])\.(?!\.)(?=[%s]*\s*[^\s%s])" % (re.escape(CLOSING), re.escape(CLOSING + TERMINATORS)))
_HEBREW_ABBREVIATION = re.compile("[\u05d0-\u05ea]+(?:\u05f4[\u05d0-\u05ea]+|\u05f3)")
_REPEATED = re.compile(r"([^\W\d_])\1{3}")
_LIST_MARK = re.compile(r"^(?:[%s]\s*|\(?\d{1,2}[.)]\s+)+(?=\S)" % re.escape(DASHES))
_PAIRS = {"(": ")", "[": "]", "\u00ab": "\u00bb", "\u300c": "\u300d", "\u300e": "\u300f", "\uff08": "\uff09", "\u300a": "\u300b"}


class SentenceCleaner:
    """Corrects sentences of a language and checks them.

    Args:
      language: :class:`~open_seq2seq.text.written_languages.WrittenLanguage`.
      numbers, abbreviations: "drop" excludes sentences with them, "spell" writes them as words where these are certain.
      fragments: "keep" accepts sentences without a capital at the start and a full stop at the end.
      words: set of words in lower case that sentences may have; None: any.
      seconds: (least, most) of a recording.
      rate, silence: see :func:`~open_seq2seq.text.syllables.estimated_seconds`.

    Raises:
      DataError: numbers are to be spelled, and there are no number words of the language.
    """

    def __init__(self, language, numbers=DROP, abbreviations=DROP, fragments=DROP, words=None, seconds=(3.0, 7.0), rate=4.0,
                 silence=1.0):
        self.language, self._fragments, self._words = language, fragments, words
        self._least, self._most = seconds
        self._rate, self._silence = rate, silence
        self._numbers = NumberReader(language.code) if numbers == SPELL else None
        self._abbreviations = _Abbreviations(language.abbreviations, abbreviations == SPELL)
        self._letters = languages.LetterCorrection(language.code) if language.code in languages.CODES else None

    def clean(self, sentence):
        """The :class:`Cleaned` sentence."""
        text = self.tidied(sentence)
        reason, detail = self._problem_of_form(text)
        if reason is None:
            text, reason, detail = self._spelled(text)
        if reason is None:
            reason, detail = self._problem_of_words(text)
        if reason is None and self._fragments == DROP:
            reason, detail = self._missing_part(text)
        if reason is not None:
            return Cleaned(text, None, reason, detail)
        seconds = estimated_seconds(count_syllables(text, self.language.code), self._rate, self._silence)
        reason = SHORT if seconds < self._least else LONG if seconds > self._most else None
        return Cleaned(text, seconds, reason, reason and "%.1f s" % seconds)

    def tidied(self, sentence):
        """The sentence in composed form, without invisible characters, list marks, and more than one space."""
        text = unicodedata.normalize("NFC", sentence).translate(_INVISIBLE).replace("...", "\u2026")
        if self._letters is not None:
            text = self._letters.correct(text)
        return _LIST_MARK.sub("", " ".join(text.split()))

    def key(self, text):
        """What equal sentences have in common: their letters and numbers in lower case."""
        text = languages.lower(text, self.language.code)
        words = "".join(character if unicodedata.category(character)[0] in "LMN" else " " for character in text).split()
        return " ".join(words)

    def _problem_of_form(self, text):
        markup = _MARKUP.search(text)
        if markup:
            return MARKUP, markup.group()
        for character in text:
            kind = unicodedata.category(character)
            if not (kind[0] in "LMN" or character in " +-\u2212%" + _JOINERS or is_punctuation(character)):
                return SYMBOL, character if character.isprintable() else "U+%04X" % ord(character)
        repeated = _REPEATED.search(text)
        if repeated:
            return REPEATED, repeated.group()
        return (BRACKETS, _unpaired(text)) if _unpaired(text) else (None, None)

    def _spelled(self, text):
        """(text with words for numbers and abbreviations, reason, detail)."""
        begins_lower = is_small(text.lstrip(OPENING)[:1])
        text, problem = self._abbreviations.replaced(text)
        if problem:
            return text, ABBREVIATION, problem
        if self._numbers is not None:
            try:
                text = self._numbers.read(text)
            except DataError as error:
                return text, NUMBER, str(error).split("; ")[0]
        number = next((character for character in text if unicodedata.category(character)[0] == "N"), None)
        if number is not None:
            return text, NUMBER, next(word for word in text.split() if number in word)
        symbol = next((character for character in text if character == "%" or unicodedata.category(character)[0] == "S"), None)
        if symbol is not None:
            return text, SYMBOL, symbol
        return text if begins_lower else self._capitalized(text), None, None

    def _capitalized(self, text):
        for place, character in enumerate(text):
            if character.isalpha() and is_small(character):
                turkic = {"i": "\u0130", "\u0131": "I"} if self.language.code in languages.DOTLESS else {}
                return text[:place] + turkic.get(character, character.upper() if len(character.upper()) == 1 else character) + (
                    text[place + 1:])
            if character.isalpha():
                break
        return text

    def _problem_of_words(self, text):
        words = words_of(text)
        for word in words:
            lower = languages.lower(word, self.language.code)
            foreign = next((letter for letter in lower if not self._is_own(letter)), None)
            if foreign is not None:
                return FOREIGN, word
        for word in words:
            if _is_initialism(word) or self._lacks_vowels(word):
                return ABBREVIATION, word
        hebrew = _HEBREW_ABBREVIATION.search(text)
        if hebrew:
            return ABBREVIATION, hebrew.group()
        stop = _INNER_STOP.search(text)
        if stop:
            return ABBREVIATION, text[:stop.end()].split()[-1]
        unknown = next((word for word in words if self._words is not None and listed(
            word, self.language.code) not in self._words), None)
        if unknown is not None:
            return UNKNOWN_WORD, unknown
        return (None, None) if words else (FRAGMENT, "no words")

    def _is_own(self, letter):
        if unicodedata.category(letter)[0] != "L":
            return unicodedata.category(letter)[0] != "M" or self.language.letters is None or letter in self.language.letters
        if self.language.letters is not None:
            return letter in self.language.letters or letter == "\u02bc"
        return script_of(letter) in (self.language.script, COMMON)

    def _lacks_vowels(self, word):
        letters = [letter for letter in languages.lower(word, self.language.code) if letter.isalpha()]
        return len(letters) > 1 and has_vowel_letters(self.language.script) and not any(
            is_vowel(letter, self.language.code) for letter in letters)

    @staticmethod
    def _missing_part(text):
        if not text.rstrip(CLOSING).endswith(tuple(TERMINATORS)):
            return FRAGMENT, "no full stop at the end"
        first = text.lstrip(OPENING + "\u2026 ")[:1]
        if is_small(first):
            return FRAGMENT, "begins with the lower-case letter %s" % first
        return (None, None) if first.isalpha() else (FRAGMENT, "begins with %r" % first)


class _Abbreviations:
    """Replaces abbreviations by words, or finds them.

    Args:
      known: dict to words or None. spells: whether those with words are replaced.
    """

    def __init__(self, known, spells):
        self._spells = spells
        self._words = {key.lower(): (key, words) for key, words in known.items()}
        alternatives = sorted(map(re.escape, self._words), key=lambda key: (-len(key), key))
        self._pattern = re.compile(r"(?<![^\s%s])(?:%s)(?![^\W_])" % (re.escape(OPENING), "|".join(alternatives)),
                                   re.IGNORECASE) if alternatives else None

    def replaced(self, text):
        """(text with words, None), or (text, the abbreviation that cannot be written as words)."""
        if self._pattern is None:
            return text, None
        parts, end = [], 0
        for match in self._pattern.finditer(text):
            found = match.group()
            key, words = self._words.get(found.lower(), (found, None))
            after = text[match.end():]
            is_last = not after.strip(CLOSING + TERMINATORS + " ")
            of_name = key[0].isupper()
            if of_name and not found[0].isupper():
                continue    # a word in lower case like it, e.g. Turkish "av."
            # one before a name must have a name after it; after another one with a full stop, a capital may begin a new sentence
            uncertain = is_last if of_name else found[-1] in STOPS and after.lstrip(" " + OPENING)[:1].isupper()
            if not self._spells or words is None or uncertain:
                return text, found
            parts += [text[end:match.start()], words]
            if is_last and found[-1] in STOPS and not after.strip(CLOSING + " "):
                parts.append(found[-1])     # its full stop also ends the sentence
            end = match.end()
        return "".join(parts) + text[end:], None


class _WordTable(dict):
    """For ``str.translate``: characters outside words to spaces. Marks, e.g. Indic vowels, are not in the ``\\w`` of ``re``."""

    def __missing__(self, code):
        character = chr(code)
        self[code] = character if unicodedata.category(character)[0] in "LM" or character in _INNER + _JOINERS else " "
        return self[code]


_WORD_TABLE = _WordTable()


def words_of(text):
    """The words of a text, a list: letters with their marks, and hyphens and apostrophes between them."""
    return [word for word in (part.strip(_INNER) for part in text.translate(_WORD_TABLE).split()) if word]


def listed(word, language):
    """How a word is written in a word list: in lower case, with plain apostrophes."""
    return languages.lower(unicodedata.normalize("NFC", word).translate(_APOSTROPHES), language)


def _is_initialism(word):
    """Whether a word is written in capitals, or has some inside."""
    parts = re.split("[-'\u2019\u02bc]", word)
    return any(len(part) > 1 and part.isupper() and part.lower() != part
               or any(letter.isupper() for letter in part[1:]) for part in parts)


def _unpaired(text):
    """The first quotation mark or bracket without its partner, or None."""
    expected = []
    for character in text:
        if character in _PAIRS:
            expected.append((_PAIRS[character], character))
        elif character in _PAIRS.values():
            if not expected or expected.pop()[0] != character:
                return character
    if expected:
        return expected[0][1]
    quotes = sum(text.count(mark) for mark in "\u201c\u201d\u201e")
    return '"' if text.count('"') % 2 else "\u201c" if quotes % 2 else None
