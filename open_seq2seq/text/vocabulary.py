"""The characters a model writes: file, index of each, and the way from text to labels and back.

File format (OpenSeq2Seq's): UTF-8, one character a line, the first character of each line that is not empty; what follows
it on the line (a count, say) is ignored. Index = order of the lines; the CTC blank comes after the last one.
"""
import os
import unicodedata

from open_seq2seq.errors import DataError

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


class Vocabulary:
    """An ordered set of characters.

    Args:
      characters: a string or list of single characters, all different.

    Attributes:
      characters: tuple of them; a label is an index into it.
      size: their number, which is also the index of the CTC blank.
    """

    def __init__(self, characters):
        self.characters = tuple(characters)
        self._labels = {character: label for label, character in enumerate(self.characters)}
        assert len(self._labels) == len(self.characters), "characters repeat"

    @classmethod
    def from_file(cls, path):
        """Reads a vocabulary file.

        Args:
          path: relative to the working directory or, if there is no such file there, to the root of this repository,
            as public configs name ``open_seq2seq/test_utils/toy_speech_data/vocab.txt``.

        Raises:
          DataError: the file is missing, is not UTF-8 text, is empty, or has a character twice.
        """
        found = locate(path)
        try:
            # utf-8-sig takes away the byte order mark that some editors put in front
            with open(found, encoding="utf-8-sig", newline="") as file:
                lines = file.read().replace("\r\n", "\n").split("\n")
        except OSError as error:
            raise DataError("cannot read the vocabulary %s: %s" % (found, error.strerror))
        except UnicodeDecodeError as error:
            raise DataError("vocabulary %s is not UTF-8 text (byte %d); expected one character a line. A sentencepiece model "
                            "cannot be used here" % (found, error.start))
        return cls(_characters(found, lines))

    @property
    def size(self):
        return len(self.characters)

    def __len__(self):
        return len(self.characters)

    def encode(self, text):
        """Labels of a text.

        Returns:
          List of int, one a character.

        Raises:
          DataError: a character is not in the vocabulary; the message names each such character once.
        """
        try:
            return [self._labels[character] for character in text]
        except KeyError:
            raise DataError(self._describe_unknown(text))

    def decode(self, labels):
        """Text of a sequence of labels; IndexError for one outside the vocabulary, the blank included."""
        text = []
        for label in labels:
            if not 0 <= label < len(self.characters):
                raise IndexError("label %d is outside the vocabulary of %d characters" % (label, len(self.characters)))
            text.append(self.characters[label])
        return "".join(text)

    def _describe_unknown(self, text):
        unknown = []
        for character in text:
            if character not in self._labels and character not in unknown:
                unknown.append(character)
        message = "%s in %s not in the vocabulary" % (
            ", ".join("%r (%s)" % (character, unicodedata.name(character, "U+%04X" % ord(character)))
                      for character in unknown[:5]) + (", ..." if len(unknown) > 5 else ""),
            repr(text if len(text) <= 60 else text[:57] + "..."))
        if all(lower in self._labels for character in unknown for lower in character.lower()):
            message += "; in lower case it would be: lower the transcripts' case"
        return message


def locate(path):
    """The file that ``path`` names: relative to the working directory, else to the root of this repository.

    Raises:
      DataError: there is no such file in either place.
    """
    candidates = [path] if os.path.isabs(path) else [path, os.path.join(REPOSITORY, path)]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise DataError("vocabulary %s does not exist (looked in %s); set data_layer_params[\"vocab_file\"] to a file with one "
                    "character a line" % (path, " and ".join(os.path.dirname(os.path.abspath(c)) for c in candidates)))


def _characters(path, lines):
    characters, line_of = [], {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        character = line[0]
        if character in line_of:
            raise DataError("%s:%d: character %r was already on line %d; expected every character once, one a line"
                            % (path, number, character, line_of[character]))
        line_of[character] = number
        characters.append(character)
    if not characters:
        raise DataError("vocabulary %s is empty; expected one character a line, e.g. as in "
                        "open_seq2seq/test_utils/toy_speech_data/vocab.txt" % path)
    return characters
