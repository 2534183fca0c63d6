"""From recognized words to typed text: phrases that are spoken, spaces, the user's file and its errors."""
import pytest

from open_seq2seq.dictation.options import parse_options
from open_seq2seq.dictation.phrases import DEFAULT_FILE, Command, read_phrases
from open_seq2seq.dictation.typing_programs import open_typing
from open_seq2seq.dictation.typing_tool import TypingTool, Window, WindowLost
from open_seq2seq.dictation.writer import Writer
from open_seq2seq.errors import UsageError

FILE = """
[replacements]
get hub = GitHub
comma = ,
full stop = .
open bracket = (
close bracket = )
new line = \\n
new paragraph = \\n\\n
per cent = %
equals sign = =

[commands]
delete that = delete
delete word = delete_word
stop dictation = stop

[words]
Jasper = 8
zebra
New York

[settings]
capitalize = {capitalize}
"""


class TextField(TypingTool):
    """A field of text that keeps what is typed; the Backspace key removes a character."""

    def __init__(self):
        self.text, self.window, self.calls = "", Window(1, "field"), 0

    def target(self):
        return self.window

    def is_open(self, window):
        return True

    def _check(self, window):
        self.calls += 1
        if window != self.window:
            raise WindowLost("the focus moved")

    def type_text(self, text, window):
        self._check(window)
        self.text += text

    def erase(self, count, window):
        self._check(window)
        assert 0 < count <= len(self.text)
        self.text = self.text[:-count]


@pytest.fixture
def phrases(tmp_path):
    def read(capitalize="no"):
        path = tmp_path / "phrases.ini"
        path.write_text(FILE.format(capitalize=capitalize), encoding="utf-8")
        return read_phrases(str(path))
    return read


@pytest.mark.parametrize("spoken, written", [
    ("hello world", "hello world"),
    ("get hub is fine comma get it", "GitHub is fine, get it"),
    ("one new line two new paragraph three", "one\ntwo\n\nthree"),
    ("ten per cent open bracket of x close bracket full stop", "ten% (of x)."),
    # words that begin a phrase and do not end it
    ("a new new york new lines", "a new New York new lines"),
    ("full", "full"), ("x equals sign y", "x = y"), ("jasper zebra", "Jasper zebra"),
    ("one two | three delete that four", "one two four"),
    ("one two | delete that three", "three"), ("one two | delete that delete that", ""),
    ("one two three delete word four", "one two four"), ("delete that one", "one"),
    # a pause ends a phrase
    ("new | line", "new line"),
    ("one stop dictation two", "one"),
])
@pytest.mark.parametrize("by_phrase", [False, True])
def test_words_become_text(phrases, spoken, written, by_phrase):
    field = TextField()
    writer = Writer(field, phrases(), whole_phrases=by_phrase)
    writer.begin()
    for phrase in spoken.split("|"):
        if any(writer.add([word]) for word in phrase.split()) or writer.end_phrase():
            break
    assert field.text == written
    if by_phrase and "delete" not in spoken and "|" not in spoken:
        assert field.calls <= 1


def test_printed_text_ends_with_a_line_and_stays_where_it_cannot_be_deleted(phrases, capsys):
    printed, warnings = open_typing("stdout", None, "ctrl+v"), []
    writer = Writer(printed, phrases(), warn=warnings.append)
    writer.begin()
    writer.add("one two delete that three delete word four".split())
    assert not writer.end_phrase()
    printed.close()
    assert capsys.readouterr().out == "four\n" and not warnings
    writer = Writer(printed, phrases(), warn=warnings.append)
    writer.begin()
    for word in "one two delete that three delete word four".split():
        writer.add([word])
    writer.end_phrase()
    printed.close()
    assert capsys.readouterr().out == "one two three four\n" and len(warnings) == 2 and "--by phrase" in warnings[0]


def test_sentences_begin_with_a_capital_letter_if_the_user_wants_it(phrases):
    field = TextField()
    writer = Writer(field, phrases("yes"))
    writer.begin()
    writer.add("we see full stop it is x comma y new line end".split())
    writer.end_phrase()
    # a second dictation in the same window continues the text
    writer.begin()
    writer.add("of it full stop and delete that on".split())
    writer.end_phrase()
    assert field.text == "We see. It is x, y\nEnd on"


@pytest.mark.parametrize("follow", [False, True])
def test_text_follows_the_focus_only_if_the_user_wants_it(phrases, follow):
    field = TextField()
    writer = Writer(field, phrases(), follow_focus=follow)
    writer.begin()
    writer.add(["one", "two"])
    field.window = Window(2, "other")
    if follow:
        # nothing of the first window is deleted in the second
        writer.add("three delete that delete that four".split())
        writer.end_phrase()
        assert field.text == "one twofour" and writer.window.title == "other"
    else:
        with pytest.raises(WindowLost):
            writer.add(["three", "four"])
        assert field.text == "one two" and writer.unwritten.split() == ["three", "four"]
        # a new dictation in the other window begins a text
        writer.begin()
        writer.add(["five"])
        assert field.text == "one twofive" and writer.unwritten == ""
    field.window = None
    with pytest.raises(WindowLost) as lost:
        writer.begin()
    assert "no window" in str(lost.value)


def test_the_file_gives_hot_words_and_the_built_in_one_is_valid(phrases, tmp_path, monkeypatch):
    assert phrases().hot_words == {"jasper": 8.0, "zebra": 10.0, "new york": 10.0}
    (tmp_path / "built_in.ini").write_text(DEFAULT_FILE, encoding="utf-8")
    assert read_phrases(str(tmp_path / "built_in.ini")) == read_phrases()
    assert read_phrases().table[("delete", "that")] == Command("delete") and not read_phrases().hot_words
    # the user's own file is found, and its words turn on the search
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert parse_options(["--model", "x"]).decoding.decoding == "greedy"
    (tmp_path / "jasper").mkdir()
    (tmp_path / "phrases.ini").rename(tmp_path / "jasper" / "dictation.ini")
    decoding = parse_options(["--model", "x", "--hot_words", "zebra:3"]).decoding
    assert decoding.decoding == "beam" and decoding.hot_words == {"jasper": 8.0, "zebra": 3.0, "new york": 10.0}
    assert parse_options(["--model", "x", "--decoder", "greedy"]).decoding.decoding == "greedy"


@pytest.mark.parametrize("text, expected", [
    ("[replacement]\na = b", ["replacement", "did you mean [replacements]"]),
    ("a = b", ["line: 1", "[replacements]"]),
    ("[replacements]\na = b\na = c", ["'a'", "line"]),
    ("[replacements]\na", ["a", "text"]),
    ("[replacements]\na = \\x", ["\\x", "\\n"]),
    ("[commands]\na b = erase", ["a b", "erase", "delete_word"]),
    ("[commands]\ncomma = stop\n[replacements]\ncomma = ,", ["comma", "[replacements]"]),
    ("[words]\nzebra = big", ["zebra", "big", "number"]),
    ("[words]\nzebra = nan", ["zebra", "nan", "number"]),
    ("[settings]\ncapitals = yes", ["capitals", "capitalize"]),
    ("[settings]\ncapitalize = perhaps", ["perhaps", "yes or no"]),
    (b"[words]\n\xff\xfe", ["UTF-8"]),
    (None, ["cannot be read", "--print_phrases"]),
])
def test_an_invalid_file_says_what_is_wrong(tmp_path, text, expected):
    path = tmp_path / "phrases.ini"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as error:
        read_phrases(str(path))
    message = str(error.value)
    assert all(part in message for part in expected + ["phrases.ini"]), message


def test_a_microphone_is_named_or_numbered():
    assert parse_options(["--model", "x", "--microphone_device", "2"]).microphone_device == 2
    assert parse_options(["--model", "x", "--microphone_device", "USB 2"]).microphone_device == "USB 2"


@pytest.mark.parametrize("arguments, expected", [
    ([], "--model is missing"), (["--toggle", "--model", "x"], "alone"), (["--toggle", "--quit"], "alone"),
    (["--model", "x", "--stdin", "a.wav", "--microphone_device", "1"], "no effect with --stdin"),
    (["--modle", "x"], "did you mean --model"), (["--model", "x", "--typing", "magic"], "xdotool"),
    (["--model", "x", "--latency", "0"], "from 0.1 to 10"), (["--model", "x", "--latency", "50"], "from 0.1 to 10"),
    (["--model", "x", "--latency", "nan"], "from 0.1 to 10"),
])
def test_wrong_command_lines_are_explained(arguments, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UsageError) as error:
        parse_options(arguments)
    assert expected in str(error.value)
