"""From the words that a model recognizes to what is typed: spoken punctuation, commands and replacements, in a file of the user.

The file is an INI file::

    [replacements]
    get hub = GitHub
    comma = ,
    new line = \\n

    [commands]
    delete that = delete

    [words]
    GitHub = 8

    [settings]
    capitalize = yes
"""
import collections
import configparser
import math
import os

from open_seq2seq.cli import closest
from open_seq2seq.decoding.options import DEFAULT_HOT_WORD_WEIGHT
from open_seq2seq.errors import UsageError

ACTIONS = {
    "delete": "deletes the last phrase",
    "delete_word": "deletes the last word",
    "stop": "ends the dictation until the key is pressed again",
}
"""What the commands of the section ``[commands]`` do."""

DEFAULT_FILE = r"""# Phrases of python -m open_seq2seq.dictate. Left of "=": words as the model writes them; right: what is done.

[replacements]
# \n is the Return key, \t the Tab key; punctuation is joined to the word before it
comma = ,
period = .
full stop = .
question mark = ?
exclamation mark = !
colon = :
semicolon = ;
open parenthesis = (
close parenthesis = )
new line = \n
new paragraph = \n\n

[commands]
# delete: the last phrase; delete_word: the last word; stop: end dictation until the key is pressed again
delete that = delete
delete word = delete_word
stop dictation = stop

[words]
# words and names that are recognized more often (with beam search) and written as they are here, one on each line; optionally
# with a weight, GitHub = 8, which without a language model has to be the same for all words

[settings]
# yes: the first letter of a sentence becomes a capital letter
capitalize = no
"""

_SECTIONS = ("replacements", "commands", "words", "settings")
_JOINED_TO_THE_LEFT = tuple(".,;:!?)]}%…»”")
_JOINED_TO_THE_RIGHT = tuple("([{«“")
_ENDS_A_SENTENCE = (".", "!", "?", "\n", "…")

Text = collections.namedtuple("Text", "text")
Text.__doc__ = """Text to type, as the user wrote it or as it was recognized; spaces around it are decided by :class:`Spacing`."""
Command = collections.namedtuple("Command", "action")
Command.__doc__ = """A command that was spoken; action: a key of :data:`ACTIONS`."""


class Phrases(collections.namedtuple("Phrases", "table hot_words capitalize")):
    """The checked contents of a file. table: dict from a tuple of spoken words to :class:`Text` or :class:`Command`; hot_words:
    dict from a word or phrase in lower case to its weight; capitalize: whether sentences begin with a capital letter."""

    @property
    def longest(self):
        """Number of words in the longest phrase."""
        return max(map(len, self.table), default=0)

    def characters(self):
        """All characters that the phrases can write."""
        return sorted(set("".join(item.text for item in self.table.values() if isinstance(item, Text))))


def default_path(environ=os.environ):
    """Where the user's file is expected, whether or not it exists."""
    folder = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(folder, "jasper", "dictation.ini")


def read_phrases(path=None):
    """Reads a file of phrases.

    Args:
      path: the file; None: the built-in English phrases, :data:`DEFAULT_FILE`.

    Returns:
      Phrases.

    Raises:
      UsageError: the file cannot be read, or is not a file of phrases. The message names line or section.
    """
    name, text = path, DEFAULT_FILE
    if path is not None:
        try:
            with open(path, encoding="utf-8-sig") as file:
                text = file.read()
        except UnicodeDecodeError as error:
            raise UsageError("%s: not UTF-8 (%s); save it as UTF-8" % (path, error))
        except OSError as error:
            raise UsageError("%s: cannot be read (%s). --print_phrases prints a file to begin with" % (path, error.strerror))
    parser = configparser.ConfigParser(delimiters=("=",), comment_prefixes=("#",), allow_no_value=True, interpolation=None,
                                       empty_lines_in_values=False)
    parser.optionxform = str
    try:
        parser.read_string(text, source=str(name))
    except configparser.Error as error:
        raise UsageError("%s; expected lines \"spoken words = text\" below a section such as [replacements]" % (
            str(error).replace("\n", " ")))
    for section in parser.sections():
        if section not in _SECTIONS:
            close = closest(section, _SECTIONS)
            raise UsageError("%s: unknown section [%s]%s; expected %s" % (
                name, section, " (did you mean [%s]?)" % close if close else "", ", ".join("[%s]" % known
                                                                                              for known in _SECTIONS)))
    table, hot_words = {}, {}
    for spoken, weight in _items(parser, "words"):
        hot_words[" ".join(spoken.lower().split())] = _weight(name, spoken, weight)
        if spoken != spoken.lower():
            _add(table, name, "words", spoken, Text(spoken))
    for spoken, written in _items(parser, "replacements"):
        if not written:
            raise UsageError("%s: [replacements] %s has no text; expected \"%s = text\"" % (name, spoken, spoken))
        _add(table, name, "replacements", spoken, Text(_unescaped(name, spoken, written)))
    for spoken, action in _items(parser, "commands"):
        if action not in ACTIONS:
            raise UsageError("%s: [commands] %s = %s: unknown action; expected one of %s" % (
                name, spoken, action, ", ".join("%s (%s)" % item for item in sorted(ACTIONS.items()))))
        _add(table, name, "commands", spoken, Command(action))
    return Phrases(table, hot_words, _capitalize(parser, name))


def _items(parser, section):
    return parser.items(section) if parser.has_section(section) else []


def _capitalize(parser, name):
    for key, value in _items(parser, "settings"):
        if key != "capitalize":
            raise UsageError("%s: [settings] unknown key %s; expected capitalize" % (name, key))
        if str(value).lower() not in ("yes", "no"):
            raise UsageError("%s: [settings] capitalize is %s, expected yes or no" % (name, value))
        return value.lower() == "yes"
    return False


def _weight(name, word, text):
    if text is None or not text.strip():
        return DEFAULT_HOT_WORD_WEIGHT
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise UsageError("%s: [words] %s = %s: the weight is not a finite number, e.g. %s = 8" % (name, word, text, word))
    return weight


def _unescaped(name, spoken, text):
    out, characters = [], iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in ("n", "t", "\\"):
                raise UsageError("%s: [replacements] %s: unknown escape \\%s; expected \\n (Return), \\t (Tab) or \\\\" % (
                    name, spoken, following))
            character = {"n": "\n", "t": "\t", "\\": "\\"}[following]
        out.append(character)
    return "".join(out)


def _add(table, name, section, spoken, item):
    words = tuple(spoken.lower().split())
    # a replacement of a word of [words] is how that word is written
    if section == "commands" and words in table:
        raise UsageError("%s: [%s] %s is in [replacements] or [words] as well; remove one of the two" % (name, section, spoken))
    table[words] = item


class PhraseFinder:
    """Finds phrases in words that arrive one after the other. A word that may begin a phrase waits for the next one.

    Args:
      phrases: Phrases.
    """

    def __init__(self, phrases):
        self._phrases = phrases
        self._prefixes = {words[:length] for words in phrases.table for length in range(1, len(words))}
        self._waiting = []

    def add(self, words):
        """Takes words; returns the list of Text and Command that are decided."""
        found = []
        for word in words:
            self._waiting.append(word)
            found += self._decided(False)
        return found

    def end(self):
        """The items of the words that are left, at the end of a phrase."""
        return self._decided(True)

    def _decided(self, ended):
        found = []
        while self._waiting:
            spoken = tuple(word.lower() for word in self._waiting)
            if spoken in self._prefixes and not ended:
                break
            length = next((length for length in range(min(len(spoken), self._phrases.longest), 0, -1)
                           if spoken[:length] in self._phrases.table), 0)
            found.append(self._phrases.table[spoken[:length]] if length else Text(self._waiting[0]))
            del self._waiting[:length or 1]
        return found


class Spacing:
    """Joins texts: spaces between words, none before punctuation; capital letters, if the user wants them.

    Args:
      capitalize: whether the first letter of a sentence becomes a capital letter.
      separator: the text between two words of the model.
    """

    def __init__(self, capitalize=False, separator=" "):
        self._capitalize, self._separator = capitalize, separator
        self._before = ""

    @property
    def before(self):
        """The text that was typed before, as far as it decides on the next space; "" at the beginning."""
        return self._before

    @before.setter
    def before(self, text):
        self._before = text[-2:]

    def join(self, text):
        """``text`` with the space before it that it needs; it becomes the text before the next one."""
        if self._capitalize and (not self._before or self._before.rstrip(" ").endswith(_ENDS_A_SENTENCE)):
            text = text[:1].upper() + text[1:]
        apart = (self._before and not self._before.endswith(("\n", "\t", " ") + _JOINED_TO_THE_RIGHT)
                 and not text.startswith(("\n", "\t", " ") + _JOINED_TO_THE_LEFT))
        joined = (self._separator if apart else "") + text
        self._before = joined[-2:]
        return joined
