"""Typing and the hotkey on a real X11 server, with real windows."""
import contextlib
import time

import pytest

from open_seq2seq.dictation.typing_tool import WindowLost
from open_seq2seq.errors import DeviceError, UsageError
from tests.fixtures.desktop import Desktop, require_desktop, wait_for

TEXT = "Hello, World! \"GitHub\" ünï кыргыз тили ҢӨҮ ңөү € 日本\n"


@pytest.fixture
def connect(desktop):
    from open_seq2seq.dictation.x11 import X11Connection
    with contextlib.ExitStack() as stack:
        def open_connection():
            connection = X11Connection(desktop.display)
            stack.callback(connection.close)
            return connection
        yield open_connection


@pytest.fixture
def terminal(desktop):
    opened = desktop.terminal("first")
    yield opened
    opened.close()


@contextlib.contextmanager
def held(desktop, keys):
    """Holds keys down."""
    for key in keys:
        desktop.run("xdotool", "keydown", key)
    try:
        yield
    finally:
        for key in reversed(keys):
            desktop.run("xdotool", "keyup", key)


@pytest.fixture(params=["xtest", "xdotool", "paste"])
def typing(request, desktop, connect, terminal, monkeypatch):
    """Each way to type, with a terminal in focus."""
    from open_seq2seq.dictation.typing_programs import open_typing
    for name, value in desktop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    # on a busy machine the terminal may ask for the clipboard late
    monkeypatch.setattr("open_seq2seq.dictation.typing_programs._PASTED_AFTER", 2.0)
    tool = open_typing(request.param, connect(), "shift+Insert")
    yield tool
    tool.close()


def test_text_arrives_in_the_focused_window_and_can_be_deleted(typing, terminal, desktop):
    window = typing.target()
    assert window.title == "first"
    # xdotool 3 loses characters that the layout lacks while the window reads the changed layout
    text = TEXT if typing.name != "xdotool" else "Hello, World! \"GitHub\"\n"
    typing.type_text(text, window)
    typing.type_text("abc", window)
    typing.erase(2, window)
    assert terminal.text_after(text + "abc" + "\x7f\x7f") == text + "abc" + "\x7f\x7f"


def test_nothing_is_typed_elsewhere_when_the_window_closes_or_loses_the_focus(typing, terminal, desktop):
    window = typing.target()
    second = desktop.terminal("second")
    with pytest.raises(WindowLost) as lost:
        typing.type_text("lost", window)
    assert "first" in str(lost.value) and "second" in str(lost.value)
    terminal.close()
    assert desktop.focused_title() == "second"
    for send in (lambda: typing.type_text("lost", window), lambda: typing.erase(1, window)):
        with pytest.raises(WindowLost) as lost:
            send()
        assert "closed" in str(lost.value)
    typing.type_text("end", typing.target())
    assert second.text_after("end") == "end"
    second.close()
    assert terminal.text() == ""


def test_a_window_that_closes_between_two_words_gets_the_first_and_no_other_gets_the_second(connect, terminal, desktop):
    """The terminal ends itself on a word; the window manager gives the focus to the other one."""
    from open_seq2seq.dictation.x11 import X11Typing
    typing, typed = X11Typing(connect()), 0
    closing = desktop.program("closing", "xterm", "-T", "closing", "-fn", "fixed", "-e", "sh", "-c",
                              "stty -icanon; head -c 12 > /dev/null")
    window = typing.target()
    # outside of both: keys that are sent at the very moment of the end go to the window below the pointer (docs/dictation.md)
    desktop.run("xdotool", "mousemove", "999", "799")
    with pytest.raises(WindowLost):
        while True:
            typing.type_text("word ", window)
            typed += 1
            assert typed < 1e6
    closing.wait()
    wait_for(lambda: desktop.focused_title() == "first", "the other terminal")
    typing.type_text("end", typing.target())
    # its text has not a letter of the other window's
    assert terminal.text_after("end") == "end"
    assert typed >= 3


def test_modifiers_and_caps_lock_do_not_change_the_text(connect, terminal, desktop):
    from open_seq2seq.dictation.x11 import X11Typing
    typing = X11Typing(connect())
    for keys in (["ctrl", "alt"], ["shift"]):
        with held(desktop, keys):
            typing.type_text("Aa", typing.target())
    desktop.run("xdotool", "key", "Caps_Lock")
    typing.type_text("Bbҥ", typing.target())
    desktop.run("xdotool", "key", "Caps_Lock")
    typing.type_text("Cc", typing.target())
    assert terminal.text_after("AaAaBbҥCc") == "AaAaBbҥCc"
    typing.close()


@pytest.mark.parametrize("key, sent", [("F9", "F9"), ("ctrl+alt+d", "ctrl+alt+d"), ("super+Space", "super+space")])
def test_a_hotkey_is_reported_once_while_it_is_held_and_text_is_typed_meanwhile(connect, terminal, desktop, key, sent):
    from open_seq2seq.dictation.hotkey import Hotkey
    from open_seq2seq.dictation.x11 import X11Typing
    connection, events = connect(), []
    hotkey = Hotkey(connection, key, lambda: events.append("pressed"), lambda: events.append("released"), None)
    typing = X11Typing(connection)
    window = typing.target()
    with held(desktop, sent.split("+")):
        for _ in range(100):
            typing.type_text("abd ", window)
            # together longer than the time after which a key repeats
            time.sleep(0.008)
        wait_for(lambda: events == ["pressed"], "the press", lambda: events)
    wait_for(lambda: len(events) > 1, "the release", lambda: events)
    assert events == ["pressed", "released"]
    assert terminal.text_after("abd " * 100) == "abd " * 100
    hotkey.close()
    # the letter and the space were typed with other keys, which are free again
    typing.close()
    typing.type_text("d ", window)
    assert terminal.text_after("abd " * 100 + "d ") == "abd " * 100 + "d "


def test_a_hotkey_that_is_taken_unknown_or_missing_is_refused(connect, desktop):
    from open_seq2seq.dictation.hotkey import Hotkey
    first = Hotkey(connect(), "ctrl+F8", None, None, None)
    for key, kind, words in [("ctrl+F8", DeviceError, ["ctrl+F8", "another program", "--hotkey"]),
                             ("alt+F4", DeviceError, ["alt+F4", "desktop"]),    # of the window manager
                             ("F99", UsageError, ["F99", "did you mean"]), ("hyper+a", UsageError, ["hyper", "super"]),
                             ("Touroku", UsageError, ["does not have"])]:
        with pytest.raises(kind) as refused:
            Hotkey(connect(), key, None, None, None)
        assert all(word in str(refused.value) for word in words), refused.value
    first.close()
    Hotkey(connect(), "ctrl+F8", None, None, None).close()


@pytest.mark.parametrize("choice", ["xtest", "xdotool"])
def test_unknown_keys_that_paste_are_refused(desktop, connect, monkeypatch, choice):
    from open_seq2seq.dictation.typing_programs import open_typing
    monkeypatch.setenv("DISPLAY", desktop.display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError) as error:
        open_typing("paste", connect() if choice == "xtest" else None, "ctl+v")
    assert "--paste_key ctl+v" in str(error.value) and "ctrl" in str(error.value)


def test_a_display_that_does_not_answer_is_named():
    require_desktop()
    from open_seq2seq.dictation.x11 import X11Connection
    with pytest.raises(DeviceError) as error:
        X11Connection(":12345")
    assert "no display" in str(error.value) and ":12345" in str(error.value) and "DISPLAY" in str(error.value)


def test_an_x_server_that_ends_is_reported_once_and_everything_can_be_closed(tmp_path):
    require_desktop()
    from open_seq2seq.dictation.hotkey import Hotkey
    from open_seq2seq.dictation.x11 import X11Connection, X11Typing
    errors = []
    with contextlib.ExitStack() as stack:
        connection = X11Connection(Desktop(tmp_path, stack).display)
        hotkey, typing = Hotkey(connection, "F9", None, None, errors.append), X11Typing(connection)
        typing.prepare("ң")
    wait_for(lambda: errors, "the error")
    with pytest.raises(DeviceError) as error:
        typing.target()
    assert "connection to the display is lost" in str(error.value) and len(errors) == 1
    for part in (hotkey, typing, connection):
        part.close()
