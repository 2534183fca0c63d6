"""Letters of Kyrgyz, Kazakh and Turkish: the alphabets, and corrections of letters that look the same.

Texts of these languages are typed with keyboards of other languages, so a word may contain a Latin ``e`` among Cyrillic letters.
It looks right, but a model has another label for it.
"""
import re
import unicodedata

DOTLESS = ("tr", "az")  # I is the capital of ı, and İ of i
ALPHABETS = {
    "ky": "абвгдеёжзийклмнңоөпрстуүфхцчшщъыьэюя",
    "kk": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
    "tr": "abcçdefgğhıijklmnoöprsştuüvyzâîû",
}
CODES = tuple(ALPHABETS)

# without y: its capital may be У or Ү
_LATIN, _CYRILLIC = "aceopxihABCEHIKMOPTX", "асеорхіһАВСЕНІКМОРТХ"
# letters with hooks of other languages, and the Latin letters of the same shape
_HOOKED = {"\u04c8": "ң", "\u04ca": "ң", "\u04a5": "ң", "\u0275": "ө", "\u019f": "Ө", "\u04eb": "ө", "\u0259": "ә", "\u018f": "Ә"}
_LOOKALIKES = {
    "ky": dict(zip(_LATIN, _CYRILLIC), **_HOOKED),
    "kk": dict(zip(_LATIN, _CYRILLIC), **_HOOKED),
    # Romanian letters with a comma
    "tr": dict(zip(_CYRILLIC, _LATIN), **{"\u0219": "ş", "\u0218": "Ş"}),
}
NAMES = {"ky": "Kyrgyz", "kk": "Kazakh", "tr": "Turkish"}
_WORD = re.compile(r"[^\W\d_]+")


def lower(text, language=None):
    """Lower case by the rules of a language; None: of none.

    A dot above that follows i is removed for languages with a dotless i: software of other languages writes it for İ.
    """
    if language not in DOTLESS:
        return text.lower()
    # Python's lower() has two characters for I with a dot
    return text.replace("I\u0307", "i").translate({ord("I"): "\u0131", ord("\u0130"): "i"}).lower().replace("i\u0307", "i")


def normalization(language):
    """The steps of a config for transcripts of a language, a list; ``language`` is one of :data:`CODES`."""
    return [{"letters": language}, {"numbers": language}, {"lower": language}, "punctuation"]


def compared(characters, language):
    """A sentence for the log: which letters are not of the alphabet of a language, and which of the alphabet are missing."""
    letters = {character for character in characters if character.isalpha()}
    other = "".join(sorted(letters.difference(ALPHABETS[language])))
    missing = "".join(letter for letter in ALPHABETS[language] if letter not in letters)
    return "%s: %s; %s" % (
        NAMES[language], "letters outside the alphabet: %s" % other if other else "all letters are of the alphabet",
        "letters that no transcript has, so the model cannot write them: %s" % missing if missing else "no letter is missing")


class LetterCorrection:
    """Replaces letters by those of a language that look the same.

    A word is changed if it contains a letter of the language and consists of them afterwards; other words, such as names in
    another script, stay as they are.

    Args:
      language: one of :data:`CODES`.
    """

    def __init__(self, language):
        self._own = frozenset(ALPHABETS[language] + ALPHABETS[language].upper() + "\u0130")
        alike = _LOOKALIKES[language]
        capitals = {key.upper(): value.upper() for key, value in alike.items() if len(key.upper()) == 1}
        self._table = {ord(key): value for key, value in dict(capitals, **alike).items()
                       if key not in self._own and value in self._own}
        self._dotless = language in DOTLESS

    def correct(self, text):
        """The text in composed form with corrected words."""
        text = unicodedata.normalize("NFC", text)
        if self._dotless:
            text = text.replace("i\u0307", "i")
        return _WORD.sub(self._corrected, text)

    def _corrected(self, match):
        word = match.group()
        if self._own.issuperset(word) or self._own.isdisjoint(word):
            return word
        changed = word.translate(self._table)
        return changed if self._own.issuperset(changed) else word
