"""Digits written as words; what cannot be read reliably is an error instead of a wrong word.

Kyrgyz, Kazakh and Turkish have their own tables (turkic_numbers.py); the package num2words reads the other languages. num2words
0.5.14 drops the minus sign in some languages (Bengali, Vietnamese), and loses zeros after the decimal point or the whole fraction
in others (Persian, Italian). It raises errors for what it lacks. So every result is compared with the words of similar numbers: a
number that is read like another one is refused.
"""
import functools
import re
import unicodedata
from decimal import Decimal

from open_seq2seq.errors import DataError
from open_seq2seq.text.turkic_numbers import CODES, number_words

SETUP = "bash scripts/setup.sh --data"
MOST_DIGITS = 15
_OPENING = "([{<\"'\u00ab\u201e\u201c\u201d\u2018\u201a\u2039\u00bf\u00a1"
_CLOSING = ".,;:!?)]}>\"'\u00bb\u201d\u201c\u2019\u203a\u2026\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\u060c\u061f\u061b\u0964"
# languages whose decimal separator is a point; a comma separates thousands there, and the reverse elsewhere
_POINT = frozenset(["am", "bn", "cy", "en", "es_GT", "es_NI", "he", "ja", "kn", "ko", "te", "th"])
_ENDLESS = frozenset(["am"])  # num2words does not return for large numbers
_WITHOUT_SPACES = frozenset(["ja", "th"])  # a number may touch letters there

_SPACED = re.compile(r"(?<!\S)[(\"]?[-\u2212]?\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+(?!\d)")
_DIGITS = re.compile(r"\d")


class NumberReader:
    """Replaces the numbers of a text by words.

    Args:
      language: ky, kk or tr, or a code of num2words, e.g. "en" or "ru".

    Raises:
      DataError: the language is unknown, or num2words is needed and not installed.
    """

    def __init__(self, language):
        self.language, self._cache = language, {}
        self._num2words = None if language in CODES else _num2words_for(language)
        self._decimal, self._thousands = (".", ",") if language in _POINT or language.startswith("en") else (",", ".")
        decimal, thousands = re.escape(self._decimal), re.escape(self._thousands)
        self._number = re.compile(r"([-\u2212]?)(\d{1,3}(?:%s\d{3})+|\d+)(?:%s(\d+))?" % (thousands, decimal))

    def read(self, text, keep=()):
        """A text with words instead of numbers.

        Args:
          text: str.
          keep: characters that may stay in number words; other hyphens become spaces, commas are removed.

        Raises:
          DataError: the text has a number that cannot be read reliably.
        """
        if not any(map(_is_numeric, set(text))):
            return text
        spaced = _SPACED.search(text)
        if spaced:
            raise DataError("%r is one number or several; write it without spaces, or as words" % spaced.group().strip())
        if self.language in _WITHOUT_SPACES:
            text = re.sub(r"(?<=[^\W\d_a-zA-Z])(?=[-\u2212]?\d)|(?<=\d)(?=[^\W\d_a-zA-Z])", "\0", text)
        parts = re.split(r"([\s\0]+)", text)
        return "".join(self._word(part, keep) for part in parts).replace("\0", "")

    def _word(self, word, keep):
        if not any(map(_is_numeric, word)):
            return word
        start, end = 0, len(word)
        while start < end and word[start] in _OPENING:
            start += 1
        while end > start and word[end - 1] in _CLOSING:
            end -= 1
        match = self._number.fullmatch(word[start:end])
        if match is None:
            raise DataError("%r is not a plain number in the language %s; expected e.g. 12, 1%s500, 3%s14 or -5. Write it as "
                            "words" % (word, self.language, self._thousands, self._decimal))
        return word[:start] + _plain_words(self._words(*match.groups("")), keep) + word[end:]

    def _words(self, sign, whole, fraction):
        """The words of a number as the table or num2words writes them."""
        whole = whole.replace(self._thousands, "")
        key = sign, whole, fraction
        if key not in self._cache:
            shown = "%s%s%s" % (sign, whole, self._decimal + fraction if fraction else "")
            if len(whole) > 1 and whole[0] in _zeros(whole):
                raise DataError("%r begins with a zero, so it is not a quantity; write it as words, as it is spoken" % shown)
            if len(whole) + len(fraction) > MOST_DIGITS:
                raise DataError("%r has more than %d digits; write it as words, as it is spoken" % (shown, MOST_DIGITS))
            if self._num2words is None:
                words = number_words(self.language, _ascii(whole), _ascii(fraction), bool(sign))
            else:
                words = self._checked(sign, whole, fraction)
            if words is None:
                raise DataError("%r cannot be read reliably in the language %s; write it as words" % (shown, self.language))
            self._cache[key] = words
        return self._cache[key]

    def _checked(self, sign, whole, fraction):
        """The words of num2words, or None where they are those of another number."""
        words = self._ask(whole, fraction)
        if words is not None and fraction:
            words = self._checked_fraction(whole, fraction, words)
        if words is not None and sign:
            negative = self._ask(whole, fraction, negative=True)
            # "-5" has to be a word for minus and the words of 5
            words = negative if negative and negative != words and negative.endswith(words) else None
        return words

    def _checked_fraction(self, whole, fraction, words):
        """The words of a decimal fraction, or None where they are those of another number."""
        before = self._ask(whole)
        # some languages have another form of the number before the fraction
        rest = words[len(before):] if before and words.startswith(before) else words
        shorter, unshifted = fraction.rstrip("0"), fraction.lstrip("0")
        others = {self._ask(whole, other) for other in (shorter, unshifted) if other != fraction}
        tenfold = self._ask(str(int(fraction) * 10))
        if not rest.strip() or "," in rest or words in others | {before} or int(fraction) and tenfold and rest.endswith(tenfold):
            return None
        return words

    def _ask(self, whole, fraction="", negative=False):
        """What num2words writes for a number; None for an error, or if it is not words."""
        number = Decimal("%d.%s" % (int(whole), _ascii(fraction))) if fraction else int(whole)
        try:
            words = self._num2words(-number if negative else number, lang=self.language)
        except Exception:  # it has errors of its own, and bugs of any type
            return None
        if not isinstance(words, str) or not words.strip() or not all(map(_is_of_words, words)):
            return None
        return " ".join(words.split())


def _num2words_for(language):
    """The function of num2words. DataError: it is not installed or lacks the language."""
    try:
        import num2words
    except ImportError:
        raise DataError("the package num2words is not installed; install it with: " + SETUP)
    languages = set(num2words.CONVERTER_CLASSES) - _ENDLESS
    if language not in languages:
        raise DataError("there are no number words for the language %r, only for: %s. Write the numbers of the transcripts as "
                        "words" % (language, " ".join(sorted(languages.union(CODES)))))
    return num2words.num2words


@functools.lru_cache(maxsize=4096)
def _is_numeric(character):
    # digits, fractions, Roman numerals, digits in circles; not ideographs that mean a number
    return not character.isalpha() and unicodedata.category(character).startswith("N") or unicodedata.category(character) == "Nl"


def _zeros(digits):
    return [digit for digit in digits if unicodedata.digit(digit) == 0]


def _ascii(digits):
    return "".join(str(unicodedata.digit(digit)) for digit in digits)


def _is_of_words(character):
    return character in " ,-'" or unicodedata.category(character)[0] in "LM"


def _plain_words(words, keep):
    """Number words without the punctuation that some languages write in them."""
    words = words.replace(",", "")
    return words if "-" in keep else words.replace("-", " ")
