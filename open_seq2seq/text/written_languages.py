"""How languages are written: scripts, alphabets, abbreviations. For sentences that people read aloud (sentence_cleaning.py)."""
import collections
import os
import unicodedata

from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text import languages
from open_seq2seq.text.character_table import COMMON, script_of
from open_seq2seq.text.text_file import read_text_file

_SCRIPTS = {
    "CYRILLIC": "ky kk ru uk be bg mk sr mn tg tt ba cv sah tyv",
    "LATIN": "tr az uz tk en de fr es it pt ca nl sv da nb fi et lv lt pl cs sk sl hr hu ro sq id ms vi sw eo eu cy",
    "ARABIC": "ar fa ur ug ps ckb", "EAST ASIAN": "zh ja ko yue", "HEBREW": "he yi", "DEVANAGARI": "hi mr ne",
    "GREEK": "el", "GEORGIAN": "ka", "ARMENIAN": "hy", "ETHIOPIC": "am ti", "BENGALI": "bn as", "TAMIL": "ta", "TELUGU": "te",
    "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa", "THAI": "th", "LAO": "lo", "KHMER": "km",
    "MYANMAR": "my", "TIBETAN": "bo",
}
_ALPHABETS = dict(languages.ALPHABETS, **{
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "en": "abcdefghijklmnopqrstuvwxyz",
    "de": "abcdefghijklmnopqrstuvwxyzäöüß", "az": "abcçdeəfgğhxıijkqlmnoöprsştuüvyz",
})
SCRIPT_OF_LANGUAGE = {code: script for script, codes in _SCRIPTS.items() for code in codes.split()}

# Abbreviations whose words do not depend on the sentence, and, with the value None, others, whose form does: "г." is год, года,
# город, города ... Keys are in lower case unless they stand before a name.
_ABBREVIATIONS = {
    "ky": {"ж.б.": "жана башкалар", "ж.б.у.с.": "жана башка ушул сыяктуу", "б.а.": "башкача айтканда", "м.": None, "б.": None,
           "мис.": None, "ж.": None, "к.": None, "т.": None, "д.": None, "кк.": None, "жж.": None, "обл.": None, "р.": None,
           "проф.": "профессор", "акад.": "академик", "млн": "миллион", "млрд": "миллиард",
           "өлк.": None, "б.з.ч.": "биздин заманга чейин"},
    "kk": {"т.б.": "тағы басқалар", "т.с.с.": "тағы сол сияқты", "яғ.": "яғни", "проф.": "профессор", "акад.": "академик",
           "ж.": None, "ғ.": None, "қ.": None, "б.": None, "обл.": None, "млн": "миллион", "млрд": "миллиард"},
    "ru": {"т.е.": "то есть", "и т.д.": "и так далее", "и т.п.": "и тому подобное", "т.к.": "так как", "т.н.": None, "г.": None,
           "гг.": None, "в.": None, "вв.": None, "др.": None, "пр.": None, "ул.": None, "им.": None, "проф.": None, "акад.": None,
           "руб.": None, "коп.": None, "тыс.": None, "млн": None, "млрд": None, "см.": None, "стр.": None, "рис.": None,
           "обл.": None, "р-н": None, "н.э.": "нашей эры", "св.": None, "д-р": "доктор"},
    "tr": {"vb.": "ve benzeri", "vs.": "vesaire", "Dr.": "Doktor", "Prof.": "Profesör", "Doç.": "Doçent", "Av.": "Avukat",
           "örn.": "örneğin", "yy.": "yüzyıl", "bkz.": "bakınız", "M.Ö.": "milattan önce", "M.S.": "milattan sonra", "s.": None,
           "cad.": None, "mah.": None},
    "en": {"Mr.": "Mister", "Mrs.": "Missus", "Dr.": "Doctor", "Prof.": "Professor", "e.g.": "for example", "i.e.": "that is",
           "etc.": "et cetera", "vs.": "versus", "Ms.": None, "St.": None, "p.": None, "pp.": None,
           "Jr.": "Junior", "Sr.": "Senior", "Inc.": None, "Ltd.": None, "Co.": None, "a.m.": None, "p.m.": None, "ca.": "circa",
           "U.S.": None, "Gen.": "General", "Capt.": "Captain", "Sgt.": "Sergeant", "approx.": "approximately"},
    "de": {"z.B.": "zum Beispiel", "z. B.": "zum Beispiel", "d.h.": "das heißt", "d. h.": "das heißt", "usw.": "und so weiter",
           "bzw.": "beziehungsweise", "Dr.": "Doktor", "Prof.": "Professor", "ca.": "circa", "u.a.": None, "u. a.": None,
           "Nr.": None, "St.": None, "Jh.": None, "Str.": None, "vgl.": None, "ggf.": "gegebenenfalls"},
}

WrittenLanguage = collections.namedtuple("WrittenLanguage", "code script letters abbreviations")
WrittenLanguage.__doc__ = """How a language is written. code: str or None. script: see
:func:`~open_seq2seq.text.character_table.script_of`. letters: frozenset of letters in lower case; None: all of the script.
abbreviations: dict to the words, or to None where they depend on the sentence."""


def written_language(code, alphabet=None, abbreviations=None):
    """The :class:`WrittenLanguage` of a code.

    Args:
      code: of a language that is listed here; any other, or None, with ``alphabet``.
      alphabet: iterable of letters that replaces the language's; None: the language's, or all letters of its script.
      abbreviations: dict to add.

    Raises:
      UsageError: the language is unknown; ``alphabet`` has no letters, or letters of several scripts.
    """
    if alphabet is None and code not in SCRIPT_OF_LANGUAGE:
        raise UsageError("the language %r is unknown; known are %s. For another language give its letters with --alphabet or "
                         "--vocab_file" % (code, " ".join(sorted(SCRIPT_OF_LANGUAGE))))
    letters, script = _ALPHABETS.get(code), SCRIPT_OF_LANGUAGE.get(code)
    if alphabet is not None:
        letters = {lower for letter in alphabet for lower in languages.lower(unicodedata.normalize("NFC", letter), code)
                   if unicodedata.category(lower)[0] in "LM"}
        scripts = {script_of(letter) for letter in letters} - {COMMON}
        if len(scripts) != 1 or script not in (None, *scripts):
            raise UsageError("the alphabet %r has letters of %s, expected letters of %s" % (
                "".join(sorted(letters))[:60], " and ".join(sorted(scripts)) or "no script", script or "one script"))
        script, = scripts
    return WrittenLanguage(code, script, frozenset(letters) if letters is not None else None,
                           dict(_ABBREVIATIONS.get(code, {}), **abbreviations or {}))


def read_abbreviations(path):
    """Reads a file of abbreviations: one a line, a tab, and the words; nothing after the tab: they cannot be written as words.

    Raises:
      DataError: the file cannot be read, or a line has another form; the message names it.
    """
    form = "expected the abbreviation, a tab and its words, e.g. km<TAB>kilometre"
    found = {}
    for number, line in enumerate(read_text_file(path, "file of abbreviations", "It has one a line; " + form).split("\n"), 1):
        line = unicodedata.normalize("NFC", line.strip("\r\n "))
        if line and not line.startswith("#"):
            key, tab, words = (part.strip() if part != "\t" else part for part in line.partition("\t"))
            if not tab or not key or "\t" in words:
                raise DataError("%s:%d: the line is %r; %s" % (path, number, line[:60], form))
            if key in found:
                raise DataError("%s:%d: the abbreviation %r is already on an earlier line" % (path, number, key))
            found[key] = words or None
    if not found:
        raise DataError("%s contains no abbreviations; %s" % (os.fspath(path), form))
    return found
