"""Text into the focused window: the interface of everything that types, and the window that the text is for."""
import collections

from open_seq2seq.errors import JasperError

NO_WINDOW = "no window"


class Window(collections.namedtuple("Window", "identifier title")):
    """A window on the screen. identifier: whatever the display server calls it. title: str, may be empty."""

    def shown(self):
        """Its title for messages."""
        return '"%s"' % self.title if self.title else "without a title"


class WindowLost(JasperError):
    """The window that text is for was closed or lost the focus; nothing was typed. The text says which (exit status 3)."""

    exit_status = 3


class CannotErase(JasperError):
    """Text that is where no key can delete it, e.g. in a pipe. It stays, and the dictation continues."""


def split_shortcut(text):
    """(list of modifiers, key) of a text like ``ctrl+shift+v`` or ``F9``; the modifiers are ctrl, alt, shift and super.

    Raises:
      ValueError: a modifier is unknown; its text says which.
    """
    *modifiers, key = [part.strip() for part in text.split("+")]
    names = {"control": "ctrl", "meta": "alt", "win": "super", "windows": "super", "cmd": "super"}
    modifiers = [names.get(name.lower(), name.lower()) for name in modifiers]
    for name in modifiers:
        if name not in ("ctrl", "alt", "shift", "super"):
            raise ValueError("has the unknown modifier %r, expected ctrl, alt, shift or super" % name)
    return modifiers, key


class TypingTool:
    """Sends keys to the focused window.

    Attributes:
      name: what the status line calls it.
      knows_focus: whether :meth:`target` tells windows apart; if not, text goes to whatever has the focus.
    """

    name = ""
    knows_focus = True

    def target(self):
        """The ``Window`` that has the focus, or None if no window has it."""
        raise NotImplementedError

    def is_open(self, window):
        """Whether a window, which need not have the focus, is still open; False where that is unknown."""
        return False

    def type_text(self, text, window):
        """Types text; ``"\\n"`` is the Return key, ``"\\t"`` the Tab key.

        Args:
          text: str.
          window: the ``Window`` that must have the focus.

        Raises:
          WindowLost: it does not have the focus any more; then nothing of the text was typed.
          DeviceError: the tool failed.
        """
        raise NotImplementedError

    def erase(self, count, window):
        """Presses the Backspace key ``count`` times; raises like :meth:`type_text`, or CannotErase."""
        raise NotImplementedError

    def press(self, shortcut, window):
        """Presses a combination of keys, e.g. ``ctrl+v``; raises like :meth:`type_text`."""
        raise NotImplementedError

    def check_shortcut(self, shortcut):
        """Raises ValueError if :meth:`press` does not know a combination of keys; its text says why."""
        split_shortcut(shortcut)

    def prepare(self, characters):
        """Called with the characters that will be typed, before the first text."""

    def close(self):
        """Undoes what :meth:`prepare` changed."""
