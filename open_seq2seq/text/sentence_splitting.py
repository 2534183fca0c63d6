"""Raw text to sentences, in any script.

The package pysbd (0.3.4) has rules for 23 languages, but none for Kyrgyz and Turkish, and splits after Russian "т.е." and Kazakh
"Проф."; people would record its errors. These rules leave text together where they are not sure; the abbreviation in it then
excludes it (sentence_cleaning.py).
"""
import re

# Unicode's Sentence_Terminal of living scripts: Latin, Armenian, Arabic, Indic, Myanmar, Ethiopic, Khmer, East Asian, Tibetan
STOPS = ".\uff0e"
MARKS = "!?\u2026\u203c\u203d\u2047\u2048\u2049"
OTHER_TERMINATORS = ("\u0589\u061e\u061f\u06d4\u0964\u0965\u104a\u104b\u1362\u1367\u1368\u17d4\u17d5\u3002\uff01\uff1f\uff61"
                     "\u0f0d\u0f0e")
TERMINATORS = STOPS + MARKS + OTHER_TERMINATORS
OPENING = "\"'([{\u00ab\u2018\u201a\u201c\u201e\u2039\u300c\u300e\uff08\u300a"
CLOSING = "\"')]}\u00bb\u2019\u201c\u201d\u203a\u300d\u300f\uff09\u300b"
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2022\u00b7*"
_BOTH_WAYS = "\"'\u201c\u2019"    # these open a quotation, too, then a letter follows
_END = re.compile(r"[%s]+(?:[%s]|[%s](?!\w))*" % (re.escape(TERMINATORS), re.escape("".join(
    mark for mark in CLOSING if mark not in _BOTH_WAYS)), re.escape(_BOTH_WAYS)))
_LAST_WORD = re.compile(r"\S+$")
_SPACED = frozenset(STOPS[0] + MARKS)  # these end a sentence only before a space; the others everywhere


def split_sentences(text, abbreviations=()):
    """Splits a paragraph.

    Args:
      text: str.
      abbreviations: abbreviations with a full stop, which do not end a sentence.

    Returns:
      List of str without spaces around them; joined they have all characters of the text but spaces.
    """
    known = {key.lower() for key in abbreviations}
    longest = max((key.count(" ") for key in known), default=0)
    sentences, start = [], 0
    for match in _END.finditer(text):
        if _ends(text, start, match, known, longest):
            sentences.append(text[start:match.end()].strip())
            start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def is_small(character):
    """Whether a character is in lower case, in a script whose sentences begin with capitals; those of Georgian do not."""
    return character.islower() and not "\u10d0" <= character <= "\u10ff"


def _ends(text, start, match, known, longest):
    """Whether the terminators of a match end a sentence."""
    after = text[match.end():match.end() + 80]
    if not after.strip():
        return True
    mark = match.group()
    if not _SPACED.issuperset(mark.rstrip(CLOSING)):
        # quoted speech within a Chinese or Japanese sentence
        return not (mark[-1] in CLOSING and after[0].isalpha())
    if not after[0].isspace():
        return False            # 3.5, example.org, Wow!!!1
    following = after.lstrip().lstrip(OPENING + DASHES).lstrip()
    if is_small(following[:1]):
        return False            # "Stop!" he said. and abbreviations before a lower-case word
    if mark[0] not in STOPS or len(mark.rstrip(CLOSING)) > 1:
        return True
    before = text[start:match.start() + 1]
    if _is_known(before, known, longest):
        return False
    word = _LAST_WORD.search(before).group().lstrip(OPENING)[:-1] if before.strip(". ") else ""
    # initials, U.S., numbered items and ordinals (19. Jahrhundert)
    return not (len(word) <= 1 and word.isalpha() and word.upper() != word.lower() or "." in word or word.isdigit() and (
        len(word) <= 2 or following[:1].isdigit()))


def _is_known(before, known, longest):
    """Whether the text ends with an abbreviation as a word of its own."""
    words = before.lower().split()[-(longest + 1):]
    return any(" ".join(words[-number:]).lstrip(OPENING) in known for number in range(1, len(words) + 1))
