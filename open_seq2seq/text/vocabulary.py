"""The vocabulary: the characters that a model writes, the index of each, and the conversion of text to labels and back.

File format (OpenSeq2Seq's): UTF-8, one character per line. A count may follow the character, separated by blanks ("a 1234"); it
is ignored, as are empty lines. The index is the order of the lines; the CTC blank follows the last one. As in the alphabets of
Coqui STT and DeepSpeech, a line that starts with ``#`` is a comment, and ``\\#`` is the character ``#``.

A line ``<ky>`` is the tag of a language, a label that is not part of a text: where one model writes several languages, the first
label of a transcript may be that of its language.

A file ``*.model`` is a SentencePiece model, whose pieces are the labels: :mod:`open_seq2seq.text.subwords`.
"""
import os
import re
import unicodedata

from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import read_text_file, require_utf8_path

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

WORD_MARK = "\u2581"  # the beginning of a word in the pieces of a subword vocabulary
LANGUAGE = "[A-Za-z][A-Za-z0-9_-]*"  # a regular expression
MODEL = ".model"  # ending of a SentencePiece model's file

_TAG = re.compile("<(%s)>" % LANGUAGE)
_COUNT = re.compile(r"[ \t]+[0-9]+[ \t]*|[ \t]*")
_JOINERS = "\u200c\u200d"  # format characters that belong to the spelling of Persian and of Indic languages
# why no character of a Unicode category can be a label
_REFUSED_CATEGORIES = {
    "Cc": "a control or format character, which cannot be a label",
    "Cf": "a control or format character, which cannot be a label",
    "Zl": "a control or format character, which cannot be a label",
    "Zp": "a control or format character, which cannot be a label",
    "Cs": "a lone surrogate, which is half of a character",
    "Co": "a private-use character, which has no meaning in Unicode",
}
# of other categories, but without a visible form: Unicode's Default_Ignorable_Code_Point, and the empty Braille pattern
_INVISIBLE = frozenset(map(chr, [0x34f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0]))
_VARIATION_SELECTORS = frozenset(map(chr, [*range(0x180b, 0x180e), 0x180f, *range(0xfe00, 0xfe10), *range(0xe0100, 0xe01f0)]))
_REPLACEMENTS = {
    "\ufffd": "the sign of a wrong decoding: a program read the text in another encoding than it was written in",
    WORD_MARK: "SentencePiece's mark of the beginning of a word",
    "\ufffc": "a placeholder for an object of a document, such as a picture",
}


class Vocabulary:
    """An ordered set of characters.

    Args:
      characters: a string or list of single characters and tags of languages such as "<ky>", all different.

    Attributes:
      characters: tuple of them; a label is an index into it. Of a subword vocabulary, its pieces.
      alphabet: frozenset of the characters that texts may have.
      languages: dict from the languages that have a tag to its label.
      size: the number of labels, which is also the index of the CTC blank.
      notes: list of str, what a user should know about how the file was read.
    """

    def __init__(self, characters):
        self.characters, self.notes = tuple(characters), []
        self._labels = {character: label for label, character in enumerate(self.characters)}
        assert len(self._labels) == len(self.characters), "characters repeat"
        self.languages = {label[1:-1]: number for label, number in self._labels.items() if is_tag(label)}
        self._tags = frozenset(self.languages.values())
        self.alphabet = frozenset(label for label in self.characters if not is_tag(label))

    model = sha256 = None  # of a subword vocabulary: bytes of its file, and their SHA-256

    @property
    def separates_words(self):
        """Whether texts have spaces between words."""
        return " " in self.alphabet

    @staticmethod
    def of(labels):
        """The vocabulary of a list of labels from a checkpoint or an exported model: of characters or of subwords."""
        if not has_subwords(labels):
            return Vocabulary(labels)
        from open_seq2seq.text.subwords import SubwordVocabulary  # extends this class
        return SubwordVocabulary(labels)

    @classmethod
    def from_file(cls, path):
        """Reads a vocabulary file.

        Args:
          path: relative to the working directory or, if the file does not exist there, to the root of this repository, as in
            public configs that name ``open_seq2seq/test_utils/toy_speech_data/vocab.txt``.

        Returns:
          Vocabulary; of a file ``*.model`` a :class:`~open_seq2seq.text.subwords.SubwordVocabulary`.

        Raises:
          DataError: the file is missing, is not UTF-8 text or has no characters; a line holds several characters or an invisible
            one; a character occurs twice. Or it is not a SentencePiece model.
        """
        found = locate(path)
        if found.endswith(MODEL):
            from open_seq2seq.text.subwords import SubwordVocabulary  # extends this class
            return SubwordVocabulary.from_model(found, _bytes_of(found))
        text = read_text_file(found, "vocabulary", "Expected one character per line; a SentencePiece model must be named *.model")
        characters, notes = _parse(found, re.split("\r\n|\r|\n", text))
        vocabulary = cls(characters)
        vocabulary.notes = notes
        return vocabulary

    @property
    def size(self):
        return len(self.characters)

    def __len__(self):
        return len(self.characters)

    def __contains__(self, character):
        return character in self.alphabet

    def encode(self, text):
        """Labels of a text.

        Returns:
          List of int, one per character.

        Raises:
          DataError: a character is not in the vocabulary; the message names each such character once.
        """
        try:
            return [self._labels[character] for character in text]
        except KeyError:
            raise DataError(self._describe_unknown(text))

    def decode(self, labels):
        """Text of a sequence of labels without the tags of languages; IndexError for one outside the vocabulary, or the blank."""
        text = []
        for label in labels:
            if not 0 <= label < len(self.characters):
                raise IndexError("label %d is outside the vocabulary of %d characters" % (label, len(self.characters)))
            if label not in self._tags:
                text.append(self.characters[label])
        return "".join(text)

    def composed(self, text):
        """The text in Unicode's composed form (NFC): "e" and a combining acute accent become "é".

        A text whose characters are all in the vocabulary is not changed, for vocabularies that include combining marks.
        """
        composed = unicodedata.normalize("NFC", text)
        if composed != text and self.alphabet.issuperset(text):
            return text
        return composed

    def _describe_unknown(self, text):
        unknown = []
        for character in text:
            if character not in self.alphabet and character not in unknown:
                unknown.append(character)
        one = len(unknown) == 1
        message = "%s in %s %s not in the vocabulary" % (
            ", ".join(described(character) for character in unknown[:5]) + (", ..." if len(unknown) > 5 else ""),
            repr(text if len(text) <= 60 else text[:57] + "..."), "is" if one else "are")
        if all(lower in self.alphabet for character in unknown for lower in character.lower()):
            message += "; the lower-case %s, so convert the transcripts to lower case" % (
                "character is" if one else "characters are")
        return message


def has_subwords(labels):
    """Whether labels are the pieces of a subword vocabulary."""
    return WORD_MARK in labels or any(len(label) > 1 and not is_tag(label) for label in labels)


def is_tag(label):
    """Whether a label of a vocabulary is the tag of a language, e.g. "<ky>"."""
    return len(label) > 2 and _TAG.fullmatch(label) is not None


def shown_labels(labels):
    """How a message shows the labels of a vocabulary: all characters, or the first pieces and their number."""
    if not has_subwords(labels):
        return repr("".join(labels))
    return "%d subwords (%s%s)" % (len(labels), ", ".join(map(repr, labels[:12])), ", ..." if len(labels) > 12 else "")


def _bytes_of(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError("cannot read the vocabulary %s: %s" % (path, error.strerror or error))


def described(character):
    """How a message names a character: ``'é' (LATIN SMALL LETTER E WITH ACUTE)``."""
    return "%r (%s)" % (character, unicodedata.name(character, "U+%04X" % ord(character)))


def check_labels(characters):
    """What is wrong with the characters of a vocabulary, each by itself and the spaces together.

    Args:
      characters: sequence of single characters, and tags of languages.

    Returns:
      (problems, notes): a list of (index, str) of the characters that cannot be a label, in order, and a list of str about
      unusual ones. The texts begin with the character's code point and name.
    """
    problems, notes = [], []
    spaces = sorted({character for character in characters if not is_tag(character) and unicodedata.category(character) == "Zs"})
    for index, character in enumerate(characters):
        problem = None if is_tag(character) else _problem_of(character)
        if problem is None and character in spaces and character != " ":
            if len(spaces) == 1:
                notes.append("%s is the only space; a normal space in a transcript (U+0020) is not in the vocabulary"
                             % _code_point(character))
            else:
                other = next(space for space in spaces if space != character)
                problem = "a space, and so is %s; keep one of them" % _code_point(other)
        if problem is not None:
            problems.append((index, "%s is %s" % (_code_point(character), problem)))
    return problems, notes


def _problem_of(character):
    """Why a character cannot be a label by itself; None if it can."""
    category, code = unicodedata.category(character), ord(character)
    if character in _JOINERS:
        return None
    if code & 0xfffe == 0xfffe or 0xfdd0 <= code <= 0xfdef:
        return "a noncharacter, which Unicode excludes from texts"
    if character in _VARIATION_SELECTORS:
        return "a variation selector, which is invisible by itself"
    if category == "Cn":
        return "not assigned to a character in Unicode %s" % unicodedata.unidata_version
    if character in _INVISIBLE:
        return "an invisible character"
    return _REPLACEMENTS.get(character) or _REFUSED_CATEGORIES.get(category)


def _code_point(character):
    """``U+00E9 (LATIN SMALL LETTER E WITH ACUTE)``, without the name where Unicode gives none."""
    name = unicodedata.name(character, "")
    return "U+%04X%s" % (ord(character), " (%s)" % name if name else "")


def locate(path):
    """The file that ``path`` names: relative to the working directory, else to the root of this repository.

    Raises:
      DataError: no such file exists in either place, or the path is not valid UTF-8.
    """
    require_utf8_path(path)
    candidates = [path] if os.path.isabs(path) else [path, os.path.join(REPOSITORY, path)]
    for candidate in candidates:
        if "\0" not in candidate and os.path.isfile(candidate):
            return candidate
    raise DataError("vocabulary %s does not exist (looked in %s); set data_layer_params[\"vocab_file\"] to a file with one "
                    "character per line, or to a SentencePiece model *.model" % (
                        path, " and ".join(os.path.dirname(os.path.abspath(c)) for c in candidates)))


def _parse(path, lines):
    """(list of the characters, list of notes) of the lines of a vocabulary file."""
    characters, line_of, comments, composed, bare_hash = [], {}, [], [], None
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        if line.startswith("#"):
            if line.strip() == "#" and bare_hash is None:
                bare_hash = number
            comments.append(number)
            continue
        character = _character(path, number, line[1:] if line.startswith("\\#") else line)
        if character not in line:
            composed.append(character)
        if character in line_of:
            raise DataError("%s:%d: character %r is already on line %d; expected every character once, one per line"
                            % (path, number, character, line_of[character]))
        line_of[character] = number
        characters.append(character)
    if bare_hash is not None and all(lines[number - 1].strip() == "#" for number in comments):
        raise DataError("%s:%d: the line is '#', which starts a comment, but the file has no other comment. Write \\# for the "
                        "character #, or delete the line" % (path, bare_hash))
    if not characters:
        raise DataError("vocabulary %s is empty; expected one character per line, e.g. as in "
                        "open_seq2seq/test_utils/toy_speech_data/vocab.txt" % path)
    problems, notes = check_labels(characters)
    if problems:
        index, problem = problems[0]
        raise DataError("%s:%d: %s. Delete the line" % (path, line_of[characters[index]], problem))
    notes = ["vocabulary %s: %s" % (path, note) for note in notes]
    if comments:
        notes.append("vocabulary %s: %d comment %s skipped (line %d: %r); write \\# for the character #" % (
            path, len(comments), "lines are" if len(comments) > 1 else "line is", comments[0], lines[comments[0] - 1][:60]))
    if composed:
        notes.append("vocabulary %s: %d %s read in composed form (Unicode NFC), the first is %s" % (
            path, len(composed), "characters are" if len(composed) > 1 else "character is", described(composed[0])))
    return characters, notes


def _character(path, number, line):
    """The one character of a line, or the tag of a language."""
    tag = _TAG.match(line)
    if tag is not None and _COUNT.fullmatch(line[tag.end():]):
        return tag.group()
    # the character and the combining marks that follow it
    end = 1
    while end < len(line) and unicodedata.combining(line[end]):
        end += 1
    character = unicodedata.normalize("NFC", line[:end])
    if len(character) != 1 and len(line[:end]) == 1:
        character = line[:end]  # one of those that NFC decomposes
    if len(character) != 1 or not _COUNT.fullmatch(line[end:]):
        shown = repr(line if len(line) <= 60 else line[:57] + "...")
        raise DataError("%s:%d: the line is %s, expected a single character, which a count may follow after a blank, or the tag "
                        "of a language, e.g. <ky>. Subwords need a SentencePiece model, named *.model (scripts/make_vocab.py "
                        "--subwords); a comment starts with #"
                        % (path, number, shown))
    return character
