"""Syllables of written text, estimated from its letters, and so the time that a person takes to read it.

Alphabets with vowel letters: one syllable for each vowel (Cyrillic, Turkish), or for each group of vowels (other Latin). Chinese,
Japanese, Korean and Ethiopic: one for each character. Scripts of India: one for each letter without virama. Scripts that write no
or few short vowels: a share of the letters. Good enough to choose sentences of about one length; read_speed() measures the rest.
"""
import functools
import re
import unicodedata

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.text import languages
from open_seq2seq.text.character_table import script_of

RATE = 4.0       # syllables per second of people who read sentences aloud, without the silence at both ends
SILENCE = 1.0    # seconds before and after the speech of a recording
FEWEST_RECORDINGS = 20
_VOWELS = {
    "CYRILLIC": frozenset("аәӓеёиоөӧуүұўӱыӹэєюяіїѣ"), "GREEK": frozenset("αεηιουω"), "LATIN": frozenset("aeiouyıæœøəɛɔɨʉ"),
    "GEORGIAN": frozenset("აეიოუ"), "ARMENIAN": frozenset("աեէըիոօ"),
}
_CONSONANT_SYLLABLES = {"cs": "rl", "sk": "rlŕĺ", "sl": "r", "hr": "r", "sr": "рr", "mk": "р"}  # vlk, prst
_SINGLE_VOWELS = languages.DOTLESS + ("uz", "tk", "sw", "eo")   # Latin, but neighboring vowels are different syllables
_LONG_VOWELS = ("ky", "mn", "sah", "tyv")                       # a doubled letter is one long vowel
_LETTER_SHARES = {"ARABIC": 0.5, "HEBREW": 0.5, "SYRIAC": 0.5, "THAANA": 0.5, "THAI": 0.4, "LAO": 0.4, "KHMER": 0.5,
                  "MYANMAR": 0.6, "TIBETAN": 0.5}
_SYLLABIC = frozenset(["EAST ASIAN", "ETHIOPIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU",
                       "KANNADA", "MALAYALAM", "SINHALA"])
_OTHER_SHARE = 0.4
_SMALL_KANA = frozenset("ゃゅょぁぃぅぇぉゎャュョァィゥェォヮ")
_SHORT_VOWEL_MARKS = frozenset(chr(code) for code in list(range(0x064b, 0x0651)) + list(range(0x05b1, 0x05bc)))
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*")
_VIRAMA = 9  # combining class


def is_vowel(letter, language=None):
    """True, False, or None for letters of scripts without vowel letters; ``letter`` is in lower case."""
    script = _script(letter)
    if script not in _VOWELS:
        return None
    plain = letter if letter in _VOWELS[script] else unicodedata.normalize("NFD", letter)[0]
    return plain in _VOWELS[script] or letter in _CONSONANT_SYLLABLES.get(language, "")


def has_vowel_letters(script):
    """Whether the script has letters for vowels, so that a word without them is an abbreviation."""
    return script in _VOWELS


def count_syllables(text, language=None):
    """Estimated number of syllables, a float.

    Args:
      text: str without numbers and abbreviations.
      language: code, which decides how vowels that touch are counted; None: by the script only.
    """
    text = unicodedata.normalize("NFC", languages.lower(text, language))
    total = sum(_of_vowels(word, language) for word in _WORD.findall(text) if _script(word[0]) in _VOWELS)
    return total + sum(_of_other_scripts(character) for character in text) + _of_marked_words(text)


def estimated_seconds(syllables, rate=RATE, silence=SILENCE):
    """Seconds of a recording."""
    return silence + syllables / rate


def read_speed(texts, seconds, language=None):
    """(syllables per second, seconds of silence) of recordings, by least squares.

    Raises:
      DataError: there are fewer than 20 recordings, or their durations do not grow with the syllables.
    """
    if len(texts) < FEWEST_RECORDINGS:
        raise DataError("there are %d recordings with a duration, expected at least %d" % (len(texts), FEWEST_RECORDINGS))
    syllables = np.array([count_syllables(text, language) for text in texts])
    if np.ptp(syllables) > 0:
        slope, silence = np.polyfit(syllables, np.array(seconds, float), 1)
        if slope > 0:
            return float(1.0 / slope), float(max(silence, 0.0))
    raise DataError("the durations of %d recordings do not grow with the number of syllables of their transcripts; check that "
                    "transcripts and durations belong together" % len(texts))


def _of_vowels(word, language):
    total, before = 0, None
    for letter in word:
        vowel = is_vowel(letter, language)
        if vowel:
            if _script(letter) in ("LATIN", "GREEK") and language not in _SINGLE_VOWELS:
                total += not before
            else:
                total += not (before == letter and language in _LONG_VOWELS)
        before = letter if vowel else None
    if language == "en" and total > 1 and word[-1] == "e" and len(word) > 2 and not is_vowel(word[-2]) and not (
            word[-2] == "l" and not is_vowel(word[-3])):
        total -= 1  # the last e of "time", but not that of "table"
    return max(total, 0)


def _of_other_scripts(character):
    kind = unicodedata.category(character)[0]
    if kind == "M":
        return -1.0 if unicodedata.combining(character) == _VIRAMA else 0.0
    script = _script(character) if kind == "L" else None
    if script is None or script in _VOWELS or script == "common":
        return 0.0
    if script in _SYLLABIC:
        return 0.0 if character in _SMALL_KANA else 1.0
    return _LETTER_SHARES.get(script, _OTHER_SHARE)


def _of_marked_words(text):
    """What the short vowels add where they are written: each is a syllable instead of a share of the letters."""
    added = 0.0
    for word in text.split():
        marks = sum(character in _SHORT_VOWEL_MARKS for character in word)
        letters = sum(_LETTER_SHARES.get(_script(character), 0.0) for character in word)
        if letters and marks > 0.6 * letters:
            added += marks - letters
    return added


@functools.lru_cache(maxsize=1 << 17)
def _script(character):
    return script_of(character)
