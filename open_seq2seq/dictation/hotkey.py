"""A key that starts and stops dictation in every window of an X11 desktop."""
import contextlib
import select
import threading

from open_seq2seq.dictation.x11 import parse_shortcut
from open_seq2seq.errors import DeviceError, UsageError

_POLL_SECONDS = 0.02         # how often the key is looked at while it is held
_WAKE_SECONDS = 0.05         # events may already have been read with the answer to a request


class Hotkey:
    """Takes a key for itself and reports when it is pressed and released. Its other use is lost until :meth:`close`.

    Args:
      connection: X11Connection.
      text: the key, e.g. "F9", "Pause", "ctrl+alt+d".
      pressed, released: functions without arguments, called in the hotkey's thread. A key that repeats while it is held is
        reported once.
      lost: function of the ``DeviceError`` that ends the hotkey, called in its thread: the X server has ended.

    Raises:
      UsageError: the key is unknown, or the keyboard does not have it.
      DeviceError: another program has taken the key.
    """

    def __init__(self, connection, text, pressed, released, lost):
        self._connection, self._text, self._pressed, self._released = connection, text, pressed, released
        self._lost = lost
        self._stop = threading.Event()
        display, x = connection.display, connection.xlib.X
        try:
            modifiers, keysym = parse_shortcut(connection.xlib, text)
        except ValueError as error:
            raise UsageError("--hotkey %s %s. Examples: F9, Pause, ctrl+alt+d" % (text, error))
        with connection.used():
            self._keycode = display.keysym_to_keycode(keysym)
            if not self._keycode:
                raise UsageError("--hotkey %s: the keyboard does not have this key; choose another, e.g. F9" % text)
            masks = {"shift": x.ShiftMask, "ctrl": x.ControlMask, "alt": x.Mod1Mask, "super": x.Mod4Mask}
            self._mask = sum(masks[name] for name in set(modifiers))
            self._grab(x)
        connection.reserved.add(self._keycode)
        self._thread = threading.Thread(target=self._watch, name="hotkey", daemon=True)
        self._thread.start()

    def close(self):
        """Gives the key back."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with contextlib.suppress(DeviceError), self._connection.used():
            self._connection.root.ungrab_key(self._keycode, self._connection.xlib.X.AnyModifier)
            self._connection.display.sync()
        self._connection.reserved.discard(self._keycode)

    def _grab(self, x):
        from Xlib.error import BadAccess, CatchError
        # the key counts with Caps Lock and Num Lock on and off
        number_lock = self._number_lock_mask(x)
        for locks in {0, x.LockMask, number_lock, x.LockMask | number_lock}:
            caught = CatchError(BadAccess)
            self._connection.root.grab_key(self._keycode, self._mask | locks, True, x.GrabModeAsync, x.GrabModeAsync,
                                           onerror=caught)
            self._connection.display.sync()
            if caught.get_error():
                self._connection.root.ungrab_key(self._keycode, x.AnyModifier)
                self._connection.display.sync()
                raise DeviceError("--hotkey %s: another program, e.g. the desktop or a second dictation, has taken this key. "
                                  "Choose another, e.g. --hotkey ctrl+alt+%s, or remove it from the keyboard settings of the "
                                  "desktop" % (self._text, self._text.rpartition("+")[2]))

    def _number_lock_mask(self, x):
        display = self._connection.display
        keycode = display.keysym_to_keycode(self._connection.xlib.XK.string_to_keysym("Num_Lock"))
        for index, keycodes in enumerate(display.get_modifier_mapping()):
            if keycode and keycode in keycodes:
                return 1 << index
        return 0

    def _watch(self):
        try:
            self._watch_until_stopped()
        except DeviceError as error:
            self._lost(error)

    def _watch_until_stopped(self):
        display, x = self._connection.display, self._connection.xlib.X
        while not self._stop.is_set():
            select.select([display.fileno()], [], [], _WAKE_SECONDS)
            pressed = False
            with self._connection.used():
                while display.pending_events():
                    event = display.next_event()
                    pressed |= event.type == x.KeyPress and event.detail == self._keycode
            if pressed:
                self._held()

    def _held(self):
        """From the press to the release. The server reports keys of a held hotkey to this program only, unless that is ended."""
        display, x = self._connection.display, self._connection.xlib.X
        with self._connection.used():
            display.ungrab_keyboard(x.CurrentTime)
            # a repeated press would take the keyboard again
            repeats = display.get_keyboard_control().auto_repeats
            repeats = bool(repeats[self._keycode // 8] >> self._keycode % 8 & 1)
            display.change_keyboard_control(key=self._keycode, auto_repeat_mode=x.AutoRepeatModeOff)
            display.sync()
        try:
            self._pressed()
            while self._connection.key_is_down(self._keycode) and not self._stop.wait(_POLL_SECONDS):
                pass
            self._released()
        finally:
            if repeats:
                with contextlib.suppress(DeviceError), self._connection.used():
                    display.change_keyboard_control(key=self._keycode, auto_repeat_mode=x.AutoRepeatModeOn)
                    display.sync()
