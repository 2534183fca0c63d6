"""The steps that a config chooses for its transcripts: ``data_layer_params["normalization"]`` and ``["unknown_characters"]``.

The same steps are applied to the transcripts of training, to the references of evaluations, to the text of a language model, and,
because an exported model carries them, to the references that it is scored with. docs/text.md describes the steps.
"""
import collections
import os
import re
import unicodedata

from open_seq2seq.config.parameters import Kind, Parameter, child_path, did_you_mean, shown
from open_seq2seq.errors import DataError
from open_seq2seq.text import languages
from open_seq2seq.text.spoken_numbers import NumberReader
from open_seq2seq.text.text_file import read_text_file
from open_seq2seq.text.vocabulary import REPOSITORY
from open_seq2seq.text.vocabulary import described as described_character

NFKC, LETTERS, NUMBERS, LOWER, PUNCTUATION, MAP = "nfkc", "letters", "numbers", "lower", "punctuation", "map"
ORDER = (NFKC, LETTERS, NUMBERS, LOWER, PUNCTUATION)  # a map may be anywhere
REFUSE, DROP = "refuse", "drop"
SPACE, REMOVE = "space", "remove"
APOSTROPHE, APOSTROPHES = "'", "'\u2019\u2018\u02bc\u02b9\u00b4`\u2032\uff07"
SPOKEN = "%&@#*/\\\u00a7\u2030\u2116"  # of Unicode's punctuation, but spoken: a sentence without them says something else
EXAMPLES = 3
MOST_PASSES = 8

_LOWER_LANGUAGES = languages.CODES + tuple(code for code in languages.DOTLESS if code not in languages.CODES)
_EXPECTED = ('a list of steps: "nfkc", {"letters": LANGUAGE}, {"numbers": LANGUAGE}, "lower", "punctuation" or '
             '{"punctuation": "remove"}, {"map": {CHARACTER: TEXT}}')
_MAP_LINES = 'one character, a tab and its replacement a line, which may be empty'
_INNER_APOSTROPHE = re.compile(r"(?<=[^\W\d_])[%s](?=[^\W\d_])" % APOSTROPHES)


def is_punctuation(character):
    """Whether a character is punctuation that nobody speaks."""
    return unicodedata.category(character).startswith("P") and character not in SPOKEN or character in APOSTROPHES


class CharacterMap(Kind):
    """A dict from single characters to texts, or the path of a file; checking reads the file, so the config contains the map."""

    description = "a dict from single characters to texts, or the path of a file with " + _MAP_LINES
    own_types = (dict,)

    def check(self, value, path, report):
        try:
            value = _read_map(value) if isinstance(value, str) else value
        except DataError as error:
            report.problem(path, "names a map that cannot be used: %s" % error)
            return {}
        if not isinstance(value, dict) or not value:
            return self._expected(value, path, report)
        checked = collections.OrderedDict()
        for key, text in value.items():
            composed = unicodedata.normalize("NFC", key) if isinstance(key, str) else ""
            if len(composed) != 1:
                report.problem(path, "has the key %s%s, expected single characters" % (
                    shown(key), " of %d characters" % len(composed) if composed else ""))
            elif not isinstance(text, str):
                report.problem(child_path(path, key), "is %s, expected a text, which may be empty" % shown(text))
            elif composed in checked:
                report.problem(path, "has %s twice, composed and decomposed" % described_character(composed))
            else:
                checked[composed] = unicodedata.normalize("NFC", text)
        for key, text in checked.items():
            again = next((other for other in text if other != checked.get(other, other)), None)
            if again is not None:
                report.problem(path, "replaces %r by %r, and %r by %r: applied again it would change its own result. Give the "
                               "final text for each character" % (key, text, again, checked[again]))
        return dict(checked)


class NormalizationSteps(Kind):
    """A list of steps; the value is in the form that JSON stores, with the contents of map files.

    Args:
      loads_languages: whether the language of "numbers" is checked, for which num2words must be installed.
    """

    description = _EXPECTED
    own_types = (list, tuple, str, dict)

    def __init__(self, loads_languages=True):
        self._loads_languages = loads_languages

    def check(self, value, path, report):
        if isinstance(value, (str, dict)):
            report.problem(path, "is %s, expected %s" % (shown(value), "a list: [%s]" % shown(value)))
            return []
        if not isinstance(value, (list, tuple)):
            return self._expected(value, path, report)
        before = len(report.problems)
        steps = [self._step(step, child_path(path, index), report) for index, step in enumerate(value)]
        if len(report.problems) == before:
            self._check_order(steps, path, report)
        if len(report.problems) == before:
            _check_maps(steps, path, report)
        return steps

    def _step(self, step, path, report):
        name, option = step, None
        if isinstance(step, dict) and len(step) == 1:
            (name, option), = step.items()
        if not isinstance(name, str):
            self._expected(step, path, report)
        elif name == MAP and option is not None:
            return {MAP: CharacterMap().check(option, child_path(path, MAP), report)}
        elif name == NUMBERS and isinstance(option, str):
            try:
                if self._loads_languages:
                    NumberReader(option)
            except DataError as error:
                report.problem(child_path(path, NUMBERS), "is %r: %s" % (option, error))
        elif name in (NUMBERS, MAP):
            report.problem(path, 'is %s, expected %s' % (shown(step), '{"numbers": LANGUAGE}, e.g. {"numbers": "en"}' if
                                                         name == NUMBERS else '{"map": {CHARACTER: TEXT}} or {"map": FILE}'))
        elif name == LETTERS and option not in languages.CODES:
            report.problem(path, 'is %s, expected {"letters": LANGUAGE} with one of the languages %s' % (
                shown(step), ", ".join(languages.CODES)))
        elif name == LOWER and option not in (None,) + _LOWER_LANGUAGES:
            report.problem(path, 'is %s, expected "lower", or {"lower": LANGUAGE} with one of %s: "tr" and "az" have I as the '
                           'capital of \u0131' % (shown(step), ", ".join(_LOWER_LANGUAGES)))
        elif name == PUNCTUATION and option not in (None, SPACE, REMOVE):
            report.problem(path, 'is %s, expected "punctuation", which puts a space in its place, or {"punctuation": "remove"}'
                           % shown(step))
        elif name == NFKC and option is not None:
            report.problem(path, "is %s, expected \"nfkc\", which has no option" % shown(step))
        elif name not in ORDER + (MAP,):
            report.problem(path, "is %s, which is unknown %s" % (shown(name), did_you_mean(name, ORDER + (MAP,))))
        return step

    @staticmethod
    def _check_order(steps, path, report):
        names = [name for name, _ in map(name_and_option, steps) if name != MAP]
        for name in set(names):
            if names.count(name) > 1:
                report.problem(path, "has the step %r %d times; keep one" % (name, names.count(name)))
        if len(set(names)) == len(names) and names != sorted(names, key=ORDER.index):
            report.problem(path, "has the steps in the order %s, expected %s: numbers are read before their signs and points are "
                           "removed, and number words are converted to lower case; a map may be anywhere" % (
                               ", ".join(names), ", ".join(sorted(names, key=ORDER.index))))


class UnknownCharacters(Kind):
    """``"refuse"``, ``"drop"`` or a :class:`CharacterMap`."""

    description = '"refuse", "drop", or ' + CharacterMap.description

    own_types = (str, dict)

    def check(self, value, path, report):
        if value in (REFUSE, DROP):
            return value
        if isinstance(value, str) and not os.path.exists(value):
            report.problem(path, "is %s, which is not a file, expected %s" % (shown(value), self.description))
            return value
        return CharacterMap().check(value, path, report)


def parameters(loads_languages=True):
    """The declarations of the two parameters; for ``loads_languages`` see :class:`NormalizationSteps`."""
    return (
        Parameter("normalization", NormalizationSteps(loads_languages), default=None,
                  doc="steps that change the transcripts of training and evaluation, in this order (docs/text.md); None: none"),
        Parameter("unknown_characters", UnknownCharacters(), default=REFUSE,
                  doc="characters outside the vocabulary: refuse the row, drop them, or replace them by the texts of a map"),
    )


def task_parameters():
    """The declarations of the two parameters for one task of several: None is the value of the data layer."""
    return tuple(Parameter(parameter.name, parameter.kind, default=None, doc="of the task's transcripts; None: as in "
                           "data_layer_params") for parameter in parameters())


def chosen(params):
    """The entries of the two parameters that are not at their default, a dict for JSON.

    What is identified by its params counts only these, so it stays the same as before the parameters existed.
    """
    found = {parameter.name: params.get(parameter.name, parameter.default) for parameter in parameters()}
    return {name: value for name, value in found.items() if value not in (None, [], REFUSE)}


def described(entries):
    """How a message shows a result of :func:`chosen`; long maps are shortened."""
    return shown(entries) if entries else "no normalization"


def name_and_option(step):
    """(name, option or None) of a checked step."""
    return next(iter(step.items())) if isinstance(step, dict) else (step, None)


def _read_map(path):
    found = path if os.path.isabs(path) or os.path.exists(path) else os.path.join(REPOSITORY, path)
    values = collections.OrderedDict()
    for number, line in enumerate(re.split("\r\n|\r|\n", read_text_file(found, "map", "Expected " + _MAP_LINES)), 1):
        if line:
            key, tab, text = line.partition("\t")
            if not tab or "\t" in text:
                raise DataError("%s:%d: the line is %r, expected %s" % (found, number, line[:60], _MAP_LINES))
            if key in values:
                raise DataError("%s:%d: the character %r is already on an earlier line" % (found, number, key))
            values[key] = text
    return values


def _check_maps(steps, path, report):
    """Reports a map whose result other steps would change if a transcript were normalized again."""
    # number words have no digits, and num2words takes long to load
    normalization = Normalization([step for step in steps if name_and_option(step)[0] != NUMBERS])
    for name, option in map(name_and_option, steps):
        for character in option if name == MAP else ():
            once = normalization.once(character)
            twice = normalization.once(once)
            if once != twice:
                report.problem(path, "turns %r into %r, and applied again into %r; expected a result that the steps leave as it "
                               "is. Change the map, or move it before the other steps" % (character, once, twice))


class Refused(DataError):
    """A text that cannot be normalized; the message says why."""


class Emptied(Refused):
    """Nothing is left of a text."""


class _PunctuationTable(dict):
    """For ``str.translate``: punctuation to ``replacement``, except ``keep``. Characters are added when they occur."""

    def __init__(self, replacement, keep):
        super().__init__()
        self._replacement, self._keep = replacement, keep

    def __missing__(self, code):
        character = chr(code)
        self[code] = self._replacement if is_punctuation(character) and character not in self._keep else character
        return self[code]


Normalized = collections.namedtuple("Normalized", "text changed")
Normalized.__doc__ = """A text, and the names of the steps that changed it, a list in order."""


class Normalization:
    """Steps for texts.

    Args:
      steps: checked list, see :class:`NormalizationSteps`; None or empty: none.
      unknown: "refuse", "drop" or a dict, see :class:`UnknownCharacters`.
      vocabulary: Vocabulary; None: no character is unknown, and only the apostrophe is kept as punctuation.
      keep: characters that the step "punctuation" keeps, in addition to the vocabulary's.
    """

    def __init__(self, steps=None, unknown=REFUSE, vocabulary=None, keep=""):
        self.steps, self.unknown, self._vocabulary = list(steps or ()), unknown, vocabulary
        self._keep = (vocabulary.alphabet if vocabulary else frozenset(APOSTROPHE)).union(keep)
        self._functions = [(name, self._function(name, option)) for name, option in map(name_and_option, self.steps)]

    @classmethod
    def of(cls, params, vocabulary):
        """That of a data layer's params; data layers of other classes may lack the keys."""
        return cls(params.get("normalization"), params.get("unknown_characters", REFUSE), vocabulary)

    @property
    def changes_nothing(self):
        """Whether every text stays as it is."""
        return not self.steps and self.unknown == REFUSE

    def apply(self, text, unknown=True):
        """Normalizes a text in composed form.

        Args:
          text: str.
          unknown: whether unknown characters are dropped or mapped, too, where the config says so.

        Returns:
          :class:`Normalized`; it may have characters outside the vocabulary.

        Raises:
          Refused: a number cannot be read, or the steps do not come to an end. Emptied: nothing is left.
        """
        if self.changes_nothing:
            return Normalized(text, [])
        original, changed = text, []
        # a map before the step "lower" may have a letter whose capital is in the text, so the steps are repeated
        for _ in range(MOST_PASSES):
            text, before = self.once(text, unknown, changed), text
            if text == before:
                break
        else:
            raise Refused("the maps of the normalization change their own results of %r without end" % original[:80])
        if original.strip() and not text:
            raise Emptied("nothing is left of %r after %s" % (original[:80], ", ".join(changed) or "normalization"))
        return Normalized(text, changed)

    def once(self, text, unknown=True, changed=None):
        """The text after every step once; the names of those that change it are added to the list ``changed``."""
        last = [("unknown_characters", self._replace_unknown)] if unknown and self.unknown != REFUSE else []
        for name, function in self._functions + [("spaces", self._tidied)] + last:
            text, before = function(text), text
            if changed is not None and text != before and name not in changed:
                changed.append(name)
        return self._tidied(text)

    def _tidied(self, text):
        """The text in composed form, with single spaces between words."""
        return " ".join(self._composed(text).split())

    def _replace_unknown(self, text):
        return "".join(character if self._is_known(character) else self.replacement(character) for character in text)

    def replacement(self, character):
        """What an unknown character becomes: a text, or the character itself if it stays unknown."""
        return "" if self.unknown == DROP else character if self.unknown == REFUSE else self.unknown.get(character, character)

    def _is_known(self, character):
        return self._vocabulary is None or character in self._vocabulary

    def _composed(self, text):
        if text.isascii():
            return text
        return self._vocabulary.composed(text) if self._vocabulary else unicodedata.normalize("NFC", text)

    def _function(self, name, option):
        """A function from text to text."""
        if name == NFKC:
            return lambda text: unicodedata.normalize("NFKC", text)
        if name == NUMBERS:
            reader = NumberReader(option)
            return lambda text: _refusing(reader.read, text, self._keep)
        if name == LOWER:
            return lambda text: languages.lower(text, option)
        if name == LETTERS:
            return languages.LetterCorrection(option).correct
        if name == MAP:
            table = str.maketrans(option)
            return lambda text: text.translate(table)
        table = _PunctuationTable("" if option == REMOVE else " ", self._keep)
        return lambda text: self._without_punctuation(text, table)

    def _without_punctuation(self, text, table):
        """The text without punctuation that the vocabulary lacks. An apostrophe inside a word becomes ``'`` or nothing."""
        if any(character in text for character in APOSTROPHES):
            plain = APOSTROPHE if APOSTROPHE in self._keep else ""
            text = _INNER_APOSTROPHE.sub(lambda found: found.group() if found.group() in self._keep else plain, text)
        return text.translate(table)


def _refusing(function, text, keep):
    try:
        return function(text, keep)
    except DataError as error:
        raise Refused(str(error))


class Changes:
    """Counts the texts that a normalization changed, with examples."""

    def __init__(self):
        self.texts = self.changed = 0
        self._by_step, self._examples = collections.OrderedDict(), []

    def add(self, before, normalized):
        """Counts a text; ``normalized`` is a :class:`Normalized`."""
        self.texts += 1
        if normalized.text != before:
            self.changed += 1
            example = "%r becomes %r" % (_short(before), _short(normalized.text))
            if len(self._examples) < EXAMPLES and example not in self._examples:
                self._examples.append(example)
        for step in normalized.changed:
            self._by_step[step] = self._by_step.get(step, 0) + 1

    def __str__(self):
        """``normalization changed 7 of 20 transcripts (lower 5, numbers 2), e.g. ...``"""
        steps = ", ".join("%s %d" % item for item in self._by_step.items())
        return "normalization changed %d of %d transcripts%s%s" % (
            self.changed, self.texts, " (%s)" % steps if steps else "", ", e.g. " + "; ".join(self._examples) if self._examples
            else "")


def _short(text):
    return text if len(text) <= 60 else text[:57] + "..."
