"""Typing by other programs (xdotool, wtype, ydotool), by pasting, or onto standard output; :func:`open_typing` selects one."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

from open_seq2seq.dictation.typing_tool import NO_WINDOW, CannotErase, TypingTool, Window, WindowLost, split_shortcut
from open_seq2seq.dictation.x11 import X11Typing
from open_seq2seq.errors import DeviceError, UsageError

PROGRAMS = {"xdotool": "xdotool", "wtype": "wtype", "ydotool": "ydotool", "xclip": "xclip", "wl-copy": "wl-clipboard"}
"""Programs and the Debian packages that have them."""

CHOICES = ("auto", "xtest", "xdotool", "wtype", "ydotool", "paste", "stdout")

_SECONDS = 10.0                      # for one call of a program
_PASTED_AFTER = 0.5                  # seconds until the window has asked for the clipboard, which no program reports


def open_typing(choice, connection, paste_key, environ=os.environ):
    """The way in which text gets into the focused window of this desktop.

    Args:
      choice: one of :data:`CHOICES`.
      connection: X11Connection, or None if there is no X11 display or python-xlib is missing.
      paste_key: the combination of keys that pastes, see :class:`Paste`.
      environ: mapping of the environment variables.

    Returns:
      TypingTool.

    Raises:
      DeviceError: there is no display, or the programs for it are missing; the message names their packages.
      UsageError: the choice does not fit the display.
    """
    if choice == "stdout":
        return StandardOutput()
    wayland = bool(environ.get("WAYLAND_DISPLAY"))
    if not wayland and not environ.get("DISPLAY"):
        raise DeviceError("no display: neither DISPLAY nor WAYLAND_DISPLAY is set. Start the command in the desktop session "
                          "whose windows receive the text, or print the text with --typing stdout")
    if choice in ("xtest", "xdotool") and wayland and not environ.get("DISPLAY"):
        raise UsageError("--typing %s is for X11, and this is a Wayland desktop; use wtype or ydotool" % choice)
    if choice == "wtype" and not wayland:
        raise UsageError("--typing wtype is for Wayland, and this is an X11 desktop; use --typing auto")
    if choice == "paste":
        return Paste(_keys(wayland, connection), wayland, paste_key)
    if choice == "auto":
        return _keys(wayland, connection)
    if choice == "xtest":
        if connection is None:
            raise DeviceError("--typing xtest needs the package python-xlib; install it: python -m pip install python-xlib")
        return X11Typing(connection)
    return {"xdotool": Xdotool, "wtype": Wtype, "ydotool": Ydotool}[choice]()


def _keys(wayland, connection):
    if wayland:
        if Wtype.is_supported():
            return Wtype()
        if shutil.which(Ydotool.name):
            return Ydotool()
        raise DeviceError("no typing tool for this Wayland desktop: install wtype (sway, Hyprland and others with the protocol "
                          "virtual-keyboard: apt-get install wtype) or ydotool (GNOME, KDE: apt-get install ydotool; it needs "
                          "access to /dev/uinput)")
    if connection is not None:
        return X11Typing(connection)
    if shutil.which("xdotool"):
        return Xdotool()
    raise DeviceError("no typing tool for X11: install the Python package python-xlib (python -m pip install python-xlib) or the "
                      "program xdotool (apt-get install xdotool)")


def _require(program):
    if shutil.which(program) is None:
        raise DeviceError("the program %s was not found; install it: apt-get install %s" % (program, PROGRAMS[program]))
    return program


def _run(command, text=None, output=False):
    """Runs a program; returns its standard output, or raises DeviceError with what it printed on stderr."""
    # xclip and wl-copy stay in the background to answer; they would keep a pipe open
    pipe = subprocess.PIPE if output else subprocess.DEVNULL
    try:
        done = subprocess.run(command, input=None if text is None else text.encode("utf-8"), timeout=_SECONDS,
                              stdin=subprocess.DEVNULL if text is None else None, stdout=pipe,
                              stderr=subprocess.PIPE if output or text is None else subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise DeviceError("%s did not end within %.0f s" % (command[0], _SECONDS))
    if done.returncode != 0:
        reason = (done.stderr or b"").decode("utf-8", "replace").strip() or "exit status %d" % done.returncode
        raise DeviceError("%s failed: %s" % (command[0], reason))
    return (done.stdout or b"").decode("utf-8", "replace")


class _ProgramTyping(TypingTool):
    """A program that types. The focus is compared before each text; a change while the program types is not noticed."""

    def __init__(self):
        _require(self.name)

    def type_text(self, text, window):
        self._require_focus(window)
        self._type(text)

    def erase(self, count, window):
        self._require_focus(window)
        self._erase(count)

    def press(self, shortcut, window):
        self._require_focus(window)
        self._press(shortcut)

    def _require_focus(self, window):
        focused = self.target()
        if self.knows_focus and (focused is None or window is None or focused.identifier != window.identifier):
            raise WindowLost("the window %s was closed or lost the focus to %s" % (
                window.shown() if window else NO_WINDOW, focused.shown() if focused else NO_WINDOW))


class Xdotool(_ProgramTyping):
    """X11 without python-xlib."""

    name = "xdotool"

    def target(self):
        try:
            identifier = _run(["xdotool", "getwindowfocus"], output=True).strip()
            title = _run(["xdotool", "getwindowname", identifier], output=True).strip()
        except DeviceError:
            return None
        return Window(identifier, title)

    def is_open(self, window):
        try:
            _run(["xdotool", "getwindowname", window.identifier])
        except DeviceError:
            return False
        return True

    def _type(self, text):
        # xdotool types a newline as Return; --clearmodifiers: a modifier of the hotkey may still be held
        _run(["xdotool", "type", "--clearmodifiers", "--delay", "1", "--file", "-"], text)

    def _erase(self, count):
        _run(["xdotool", "key", "--clearmodifiers", "--delay", "1", "--repeat", str(count), "BackSpace"])

    def _press(self, shortcut):
        _run(["xdotool", "key", "--clearmodifiers", shortcut])


class _WaylandTyping(_ProgramTyping):
    """Only some compositors tell which window has the focus; Wayland itself does not."""

    def __init__(self):
        super().__init__()
        self._query = next((query for program, variable, query in _FOCUS_QUERIES
                            if os.environ.get(variable) and shutil.which(program)), None)
        self.knows_focus = self._query is not None

    def target(self):
        if self._query is None:
            return Window(None, "")
        with contextlib.suppress(DeviceError, ValueError, KeyError):
            return self._query()
        return None


# wtype 0.4 sends the first keys before the window has its keymap, and some windows lose them: 60 ms
_WTYPE = ["wtype", "-s", "60"]


class Wtype(_WaylandTyping):
    """Wayland compositors with the protocol virtual-keyboard: sway, Hyprland, river, labwc and others; not GNOME or KDE."""

    name = "wtype"

    @staticmethod
    def is_supported():
        """Whether wtype is installed and the compositor has the protocol."""
        if shutil.which(Wtype.name) is None:
            return False
        try:
            _run(["wtype", "-s", "1"])
        except DeviceError:
            return False
        return True

    def _type(self, text):
        # "-" is standard input; newlines and tabs become keys
        _run(_WTYPE + ["-"], text)

    def _erase(self, count):
        _run(_WTYPE + ["-k", "BackSpace"] * count)

    def _press(self, shortcut):
        modifiers, key = split_shortcut(shortcut)
        modifiers = ["logo" if name == "super" else name for name in modifiers]
        command = list(_WTYPE)
        for name in modifiers:
            command += ["-M", name]
        command += ["-k", key]
        for name in reversed(modifiers):
            command += ["-m", name]
        _run(command)


class Ydotool(_WaylandTyping):
    """Keys through the kernel's uinput, for every desktop and the console; only characters of the American keyboard."""

    name = "ydotool"

    def __init__(self):
        super().__init__()
        sockets = [os.environ.get("YDOTOOL_SOCKET", ""), "/tmp/.ydotool_socket",
                   os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), ".ydotool_socket")]
        if not os.access("/dev/uinput", os.W_OK) and not any(map(os.path.exists, sockets)):
            raise DeviceError("ydotool cannot type: /dev/uinput cannot be opened, and its service ydotoold is not running. Start "
                              "ydotoold as root, or let your user write to /dev/uinput (modprobe uinput)")

    def _type(self, text):
        if not text.isascii():
            raise DeviceError("ydotool types only ASCII characters, and the text is %r; use --typing paste" % text)
        _run(["ydotool", "type", "--", text])

    def _erase(self, count):
        self._press("backspace", count)

    def _press(self, shortcut, count=1):
        # ydotool 1 takes key codes of the kernel, ydotool 0 takes names
        if "KEYCODE" in self._help() or ":1" in self._help():
            codes = [_KERNEL_KEYS[name.lower()] for name in shortcut.split("+")]
            strokes = ["%d:1" % code for code in codes] + ["%d:0" % code for code in reversed(codes)]
            _run(["ydotool", "key"] + strokes * count)
        else:
            _run(["ydotool", "key"] + [shortcut] * count)

    def check_shortcut(self, shortcut):
        modifiers, key = split_shortcut(shortcut)
        if key.lower() not in _KERNEL_KEYS:
            raise ValueError("has the key %r, which is unknown with ydotool; expected v or Insert" % key)

    def _help(self):
        done = subprocess.run(["ydotool", "key", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS)
        return done.stdout.decode("utf-8", "replace")


_KERNEL_KEYS = {"backspace": 14, "ctrl": 29, "shift": 42, "alt": 56, "super": 125, "v": 47, "insert": 110}


class Paste(TypingTool):
    """Puts text on the clipboard, presses the keys that paste, and restores the clipboard's text. Newlines and tabs are keys.

    Args:
      keys: TypingTool that presses the keys.
      wayland: whether the clipboard is that of Wayland.
      paste_key: "ctrl+v"; in terminals "ctrl+shift+v" or "shift+Insert".
    """

    name = "paste"

    def __init__(self, keys, wayland, paste_key):
        self._keys, self._paste_key = keys, paste_key
        self.knows_focus = keys.knows_focus
        try:
            keys.check_shortcut(paste_key)
        except ValueError as error:
            raise UsageError("--paste_key %s %s. Examples: ctrl+v, ctrl+shift+v, shift+Insert" % (paste_key, error))
        if wayland:
            _require("wl-copy")
            self._read, self._writers = ["wl-paste", "--no-newline"], [["wl-copy"]]
            self._clear = [["wl-copy", "--clear"]]
        else:
            _require("xclip")
            # with shift+Insert some programs paste the selection instead of the clipboard
            selections = ["clipboard"] + ["primary"] * paste_key.lower().endswith("insert")
            self._read = ["xclip", "-selection", "clipboard", "-o"]
            self._writers = [["xclip", "-selection", name, "-i"] for name in selections]
            self._clear = []

    def target(self):
        return self._keys.target()

    def type_text(self, text, window):
        # programs treat a pasted newline unlike the Return key, and terminals do not run a pasted line
        for part in re.split("([\n\t]+)", text):
            if part.strip("\n\t"):
                self._paste(part, window)
            elif part:
                self._keys.type_text(part, window)

    def _paste(self, text, window):
        try:
            before = _run(self._read, output=True)
        except DeviceError:              # it is empty, or an image
            before = ""
        try:
            self._write(text)
            self._keys.press(self._paste_key, window)
            time.sleep(_PASTED_AFTER)
        finally:
            # the dictated text does not stay on the clipboard
            if before or not self._clear:
                self._write(before)
            else:
                _run(self._clear[0])

    def erase(self, count, window):
        self._keys.erase(count, window)

    def press(self, shortcut, window):
        self._keys.press(shortcut, window)

    def close(self):
        self._keys.close()

    def _write(self, text):
        for command in self._writers:
            _run(command, text)


class StandardOutput(TypingTool):
    """Prints the text, for use without a display or in a pipe. What was printed cannot be erased. The last line is ended."""

    name = "stdout"
    knows_focus = False

    def __init__(self):
        self._line_is_open = False

    def target(self):
        return Window(None, "standard output")

    def type_text(self, text, window):
        sys.stdout.write(text)
        sys.stdout.flush()
        if text:
            self._line_is_open = not text.endswith("\n")

    def erase(self, count, window):
        raise CannotErase("what was printed on standard output cannot be deleted; --by phrase prints a phrase when it has ended")

    def press(self, shortcut, window):
        raise DeviceError("standard output has no keys")

    def close(self):
        if self._line_is_open:
            sys.stdout.write("\n")
            sys.stdout.flush()


def _sway_focus():
    """The focused window of sway and i3: the leaf of the tree with ``focused``."""
    nodes = [json.loads(_run(["swaymsg", "-t", "get_tree"], output=True))]
    while nodes:
        node = nodes.pop()
        if node.get("focused"):
            # a workspace has the focus when it has no window
            return Window(node["id"], node.get("name") or "") if node.get("pid") else None
        nodes += node.get("nodes", []) + node.get("floating_nodes", [])
    return None


def _hyprland_focus():
    window = json.loads(_run(["hyprctl", "activewindow", "-j"], output=True))
    return Window(window["address"], window.get("title", "")) if window.get("address") else None


_FOCUS_QUERIES = (("swaymsg", "SWAYSOCK", _sway_focus), ("hyprctl", "HYPRLAND_INSTANCE_SIGNATURE", _hyprland_focus))
