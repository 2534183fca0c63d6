"""Typing into the focused window of an X11 desktop, by the extension XTEST (the Python package python-xlib).

Text is typed while the server is grabbed: between the check of the focus and the last key no other program's request is
processed, so no program and no click moves the focus. Only the end of a program is noticed by the server in between.
"""
import contextlib
import threading

from open_seq2seq.cli import closest
from open_seq2seq.dictation.typing_tool import NO_WINDOW, TypingTool, Window, WindowLost, split_shortcut
from open_seq2seq.errors import DeviceError

_RETURN, _TAB, _BACKSPACE = 0xff0d, 0xff09, 0xff08
_SHIFT = "shift"
_GROUP_SHIFT, _GROUPS = 13, 4        # bits 13 and 14 of a state are the group, i.e. the keyboard layout in use


def import_xlib():
    """The module Xlib.

    Raises:
      DeviceError: it is not installed; the message says how to install it.
    """
    try:
        import Xlib.display
        import Xlib.ext.xtest
        import Xlib.XK
    except ImportError:
        raise DeviceError("the package python-xlib is missing; install it: python -m pip install python-xlib")
    return Xlib


class X11Connection:
    """A connection to the X server, which typing and the hotkey share: typing ends the hotkey's hold on the keyboard.

    Args:
      name: the display, e.g. ":0"; None for ``$DISPLAY``.

    Attributes:
      display: ``Xlib.display.Display``.
      reserved: keycodes that are not typed with, i.e. that of the hotkey: to release it would end the dictation.

    Raises:
      DeviceError: python-xlib is missing, or the display cannot be opened.
    """

    def __init__(self, name=None):
        self.xlib = import_xlib()
        from Xlib.error import DisplayError
        try:
            self.display = self.xlib.display.Display(name)
        except (DisplayError, OSError) as error:
            raise DeviceError("no display: %s. Start the command in the desktop session whose windows receive the text, or set "
                              "DISPLAY, e.g. DISPLAY=:0 (over ssh also XAUTHORITY)" % error)
        self.reserved = set()
        self._lock = threading.RLock()
        self.root = self.display.screen().root
        if not self.display.has_extension("XTEST"):
            raise DeviceError("the X server lacks the extension XTEST, with which keys are sent")

    @contextlib.contextmanager
    def used(self):
        """Context in which this thread alone uses the display.

        Raises:
          DeviceError: the X server has ended.
        """
        from Xlib.error import ConnectionClosedError
        with self._lock:
            try:
                yield
            except ConnectionClosedError as error:
                raise DeviceError("the connection to the display is lost (%s); start the command again" % error)

    def key_is_down(self, keycode):
        """Whether a key is pressed, whichever program it was for."""
        with self.used():
            return bool(self.display.query_keymap()[keycode // 8] >> keycode % 8 & 1)

    def close(self):
        """Closes the connection; releases everything that it has grabbed."""
        with contextlib.suppress(DeviceError), self.used():
            self.display.close()


class X11Typing(TypingTool):
    """Types through XTEST.

    Characters that the current keyboard layout lacks, e.g. Cyrillic ones on an American keyboard, are put on keys without a
    function and removed from them by :meth:`close`.

    Args:
      connection: X11Connection.
    """

    name = "XTEST"

    def __init__(self, connection):
        self._connection, self._display = connection, connection.display
        self._xlib = connection.xlib
        self._borrowed = {}              # keycode -> keysyms
        self._modifiers = self._modifier_keycodes()

    def target(self):
        with self._connection.used():
            window = self._focused()
            return None if window is None else Window(window.id, self._title(window))

    def is_open(self, window):
        with self._connection.used():
            try:
                attributes = self._display.create_resource_object("window", window.identifier).get_attributes()
            except self._xlib.error.BadWindow:
                return False
            return attributes.map_state != self._xlib.X.IsUnmapped

    def type_text(self, text, window):
        keysyms = [_keysym(character) for character in text]
        with self._connection.used():
            self._send(keysyms, window)

    def erase(self, count, window):
        with self._connection.used():
            self._send([_BACKSPACE] * count, window)

    def press(self, shortcut, window):
        with self._connection.used():
            modifiers, keysym = parse_shortcut(self._xlib, shortcut)
            held = [self._modifiers[name][0] for name in modifiers if self._modifiers.get(name)]
            self._send([keysym], window, held)

    def check_shortcut(self, shortcut):
        parse_shortcut(self._xlib, shortcut)

    def prepare(self, characters):
        with self._connection.used():
            self._keys([_keysym(character) for character in characters])
            self._display.sync()

    def close(self):
        with contextlib.suppress(DeviceError), self._connection.used():
            for keycode, keysyms in self._borrowed.items():
                self._display.change_keyboard_mapping(keycode, [[0] * len(keysyms)])
            self._borrowed = {}
            self._display.sync()

    # Xlib's requests are processed in order, so that each window learns of changed keys before it receives their events
    def _send(self, keysyms, window, held=()):
        keys = self._keys(keysyms)
        self._display.grab_server()
        try:
            down, caps = self._pressed_modifiers(), self._caps_lock()
            focus, focused = self._display.get_input_focus().focus, self._focused()
            if focused is None or focused.id != window.identifier:
                raise WindowLost(self._why(window, focused))
            # the server disconnects a program that ends even while it is grabbed, and then keys go to the window below the
            # pointer. Nothing is asked between this answer and the keys, which leaves a fraction of a millisecond; to set the
            # focus with another reversion would close that, but makes window managers with earlier timestamps lose the focus
            if self._display.get_input_focus().focus != focus:
                raise WindowLost(self._why(window, self._focused()))
            # the hotkey, while it is pressed, directs all keys to this program
            self._display.ungrab_keyboard(self._xlib.X.CurrentTime)
            for keycode in down:
                self._fake(False, keycode)
            self._tap(caps)
            for keycode in held:
                self._fake(True, keycode)
            for keycode, shifted in keys:
                self._stroke(keycode, shifted)
            for keycode in held:
                self._fake(False, keycode)
            self._tap(caps)
            for keycode in down:
                self._fake(True, keycode)
        finally:
            self._display.ungrab_server()
            self._display.sync()

    def _stroke(self, keycode, shifted):
        if shifted:
            self._fake(True, self._modifiers[_SHIFT][0])
        self._tap([keycode])
        if shifted:
            self._fake(False, self._modifiers[_SHIFT][0])

    def _tap(self, keycodes):
        for keycode in keycodes:
            self._fake(True, keycode)
            self._fake(False, keycode)

    def _fake(self, pressed, keycode):
        x = self._xlib.X
        self._display.xtest_fake_input(x.KeyPress if pressed else x.KeyRelease, keycode)

    def _pressed_modifiers(self):
        keymap = self._display.query_keymap()
        return sorted({keycode for keycodes in self._modifiers.values() for keycode in keycodes
                       if keymap[keycode // 8] >> keycode % 8 & 1})

    def _caps_lock(self):
        """The keycode of Caps Lock in a list, if it is on: programs differ in which letters it changes, so it is turned off."""
        x = self._xlib.X
        if not self._connection.root.query_pointer().mask & x.LockMask:
            return []
        return [keycode for keycode in self._display.get_modifier_mapping()[x.LockMapIndex] if keycode][:1]

    def _modifier_keycodes(self):
        """The keycodes of shift, control, alt and super; the locks (Caps Lock, Num Lock) are not modifiers that are held."""
        mapping = self._display.get_modifier_mapping()
        x, found = self._xlib.X, {}
        for name, index in ((_SHIFT, x.ShiftMapIndex), ("ctrl", x.ControlMapIndex), ("alt", x.Mod1MapIndex),
                            ("super", x.Mod4MapIndex), ("altgr", x.Mod5MapIndex)):
            found[name] = [keycode for keycode in mapping[index] if keycode]
        return found

    def _keys(self, keysyms):
        """List of (keycode, with shift) that type the keysyms in the current layout; puts the missing ones on free keys."""
        group = self._connection.root.query_pointer().mask >> _GROUP_SHIFT & _GROUPS - 1
        first = self._display.display.info.min_keycode
        mapping = self._display.get_keyboard_mapping(first, self._display.display.info.max_keycode - first + 1)
        known, free = {}, []
        for keycode, symbols in enumerate(mapping, first):
            symbols = list(symbols)
            if not any(symbols):
                free.append(keycode)
            for shifted, symbol in enumerate(_levels(symbols, group)):
                if symbol and keycode not in self._connection.reserved:
                    known.setdefault(symbol, (keycode, bool(shifted)))
        missing = sorted({keysym for keysym in keysyms if keysym not in known})
        for keysym in missing:
            if keysym not in known:
                known.update(self._borrow(keysym, free, set(keysyms)))
        return [known[keysym] for keysym in keysyms]

    def _borrow(self, keysym, free, needed):
        """Puts a character, and its other case, on a key without a function; returns {keysym: (keycode, with shift)}."""
        if free:
            keycode = free.pop()
        else:
            # the longest borrowed; its characters have been typed long ago, and are not needed in this text
            keycode = next((code for code, symbols in self._borrowed.items() if not needed & set(symbols)), None)
            if keycode is None:
                raise DeviceError("the keyboard has no key left for %r; use --typing paste" % chr(keysym & 0xffffff))
            del self._borrowed[keycode]
        character = chr(keysym & 0xffffff) if keysym >> 24 else chr(keysym)
        lower, upper = character.lower(), character.upper()
        symbols = [_keysym(lower), _keysym(upper)] if lower != upper and len(lower) == len(upper) == 1 else [keysym, keysym]
        if keysym not in symbols:
            symbols = [keysym, keysym]
        self._display.change_keyboard_mapping(keycode, [symbols])
        self._borrowed[keycode] = symbols
        return {symbol: (keycode, bool(shifted)) for shifted, symbol in reversed(list(enumerate(symbols)))}

    def _focused(self):
        """The top-level window that receives keys now, or None."""
        x, root = self._xlib.X, self._connection.root
        focus = self._display.get_input_focus().focus
        if focus == x.PointerRoot:
            focus = root.query_pointer().child
        if focus in (x.NONE, x.PointerRoot) or focus.id == root.id:
            return None
        state = self._display.get_atom("WM_STATE")
        # a window manager may give the focus to a window of its own when no other has it
        manager = root.get_full_property(self._display.get_atom("_NET_SUPPORTING_WM_CHECK"), x.AnyPropertyType)
        if manager is not None and focus.id in manager.value:
            return None
        with contextlib.suppress(self._xlib.error.BadWindow):
            while True:
                if focus.get_full_property(state, x.AnyPropertyType) is not None:
                    return focus
                parent = focus.query_tree().parent
                if parent == x.NONE or parent.id == root.id:
                    return focus
                focus = parent
        return None

    def _title(self, window):
        with contextlib.suppress(self._xlib.error.BadWindow):
            for name in ("_NET_WM_NAME", "WM_NAME"):
                found = window.get_full_property(self._display.get_atom(name), self._xlib.X.AnyPropertyType)
                if found is not None and found.value:
                    value = found.value
                    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return ""

    def _why(self, window, focused):
        if not self.is_open(window):
            return "the window %s was closed" % window.shown()
        return "the focus moved from the window %s to %s" % (
            window.shown(), NO_WINDOW if focused is None else Window(focused.id, self._title(focused)).shown())


def parse_shortcut(xlib, text):
    """(list of modifiers, keysym) of a text like ``ctrl+shift+v`` or ``F9``.

    Raises:
      ValueError: a part is unknown; its text says which.
    """
    modifiers, key = split_shortcut(text)
    xlib.XK.load_keysym_group("xf86")
    aliases = {"enter": "Return", "esc": "Escape", "del": "Delete", "pageup": "Prior", "pagedown": "Next"}
    known = [name[3:] for name in dir(xlib.XK) if name.startswith("XK_")]
    by_lower_case = {name.lower(): name for name in reversed(known)}
    name = aliases.get(key.lower(), key)
    keysym = xlib.XK.string_to_keysym(name) or xlib.XK.string_to_keysym(by_lower_case.get(name.lower(), ""))
    if not keysym:
        close = closest(key.lower(), by_lower_case)
        raise ValueError("has the unknown key %r%s" % (key, "; did you mean %s?" % by_lower_case[close] if close else ""))
    return modifiers, keysym


def _keysym(character):
    special = {"\n": _RETURN, "\t": _TAB}.get(character)
    if special:
        return special
    code = ord(character)
    return code if 0x20 <= code <= 0x7e or 0xa0 <= code <= 0xff else 0x01000000 | code


def _levels(symbols, group):
    """The keysyms of a key without and with shift; ``symbols`` has two for each of the first two groups."""
    first, second = (symbols[2 * group:2 * group + 2] + [0, 0])[:2] if group < 2 else (0, 0)
    return first, second
