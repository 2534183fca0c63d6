"""Types what is said into the focused window: ``python -m open_seq2seq.dictate --model DIR``; see its ``--help`` and
docs/dictation.md."""
import contextlib
import os
import signal
import sys
import threading

from open_seq2seq.cli import exit_status_of


def main(arguments):
    """Runs the command line; returns the exit status."""
    return exit_status_of(_run, arguments)


def _run(arguments):
    # a shortcut of the desktop calls this, and the user waits: nothing else is imported
    from open_seq2seq.dictation.control import REQUESTS, ask
    if len(arguments) == 1 and arguments[0][2:] in REQUESTS and arguments[0].startswith("--"):
        print(ask(arguments[0][2:]))
        return 0
    from open_seq2seq.dictation.options import parse_options
    from open_seq2seq.dictation.phrases import DEFAULT_FILE
    options = parse_options(arguments)
    if options.print_phrases:
        sys.stdout.write(DEFAULT_FILE)
        return 0
    if options.request is not None:
        print(ask(options.request))
        return 0
    with contextlib.ExitStack() as stack:
        return _dictate(options, stack)


def _dictate(options, stack):
    from open_seq2seq.dictation.control import ControlSocket
    from open_seq2seq.dictation.hotkey import Hotkey
    from open_seq2seq.dictation.listening import Dictation
    from open_seq2seq.dictation.options import NO_HOTKEY
    from open_seq2seq.dictation.sound import Microphone, Recording, require_recording
    from open_seq2seq.dictation.status import StatusLine
    from open_seq2seq.dictation.typing_programs import open_typing
    from open_seq2seq.dictation.writer import Writer
    from open_seq2seq.transcription.microphone import require_microphone
    from open_seq2seq.transcription.voice_activity import require_webrtcvad

    # everything that a user can fix is checked before the model is loaded, which takes seconds
    connection = _x11_connection(options, stack)
    hotkey = _hotkey(options)
    typing = open_typing(options.typing, connection, options.paste_key)
    stack.callback(typing.close)
    path = require_recording(options.stdin, stack) if options.stdin is not None else None
    if path is None:
        require_microphone(options.microphone_device)
    require_webrtcvad()
    hint = "python -m open_seq2seq.dictate --toggle"
    if hotkey != NO_HOTKEY:
        hint = "%s %s" % ("hold" if options.press == "hold" else "press", hotkey)
    status = StatusLine(hint)
    requests = _Requests()
    control = ControlSocket(requests.answer)
    stack.callback(control.close)
    if hotkey != NO_HOTKEY:
        pressed, released = ("start", "stop") if options.press == "hold" else ("toggle", None)
        key = Hotkey(connection, hotkey, lambda: requests.ask(pressed), lambda: released and requests.ask(released),
                     requests.fail)
        stack.callback(key.close)
    for number in (signal.SIGINT, signal.SIGTERM):
        stack.callback(signal.signal, number, signal.signal(number, lambda *_: requests.ask("quit")))

    status.say("loading the model")
    from open_seq2seq.dictation.stream import Streams
    streams = Streams(options.model, options.decoding, options.latency)
    stack.callback(streams.close)
    if not typing.knows_focus and options.typing != "stdout":
        status.say("this desktop does not tell which window has the focus: text goes to whatever has it while you speak")
    typing.prepare(sorted(set(streams.characters) | set(options.phrases.characters()) - set("\n\t")))
    if path is None:
        sound = Microphone(streams.sample_rate, options.microphone_device, status.warn)
    else:
        sound = Recording(path, streams.sample_rate, is_endless=not options.now)
    writer = Writer(typing, options.phrases, options.by == "phrase", streams.separator, options.follow_focus,
                    status.warn)
    dictation = Dictation(streams.open, streams.sample_rate, sound, writer, status)
    requests.handler = dictation
    with status:
        status.say("ready: %s" % ("listening" if options.now else hint))
        dictation.run(at_once=options.now)
    if requests.error is not None:
        raise requests.error
    return 0


class _Requests:
    """Passes requests on; while the model is loading there is no dictation yet.

    Attributes:
      handler: Dictation, or None.
      error: what ended it, or None.
    """

    def __init__(self):
        self.handler = self.error = None

    def ask(self, request):
        if self.handler is not None:
            self.handler.ask(request)
        elif request == "quit" and threading.current_thread() is threading.main_thread():
            # a signal while the model is loading
            raise KeyboardInterrupt

    def fail(self, error):
        """Ends the dictation with an error."""
        self.error = error
        self.ask("quit")

    def answer(self, request):
        if self.handler is None:
            return "loading"
        return self.handler.answer(request)


def _x11_connection(options, stack):
    """An X11Connection, or None where there is no X11 display, it is not used, or python-xlib is missing and not needed."""
    from open_seq2seq.dictation.options import NO_HOTKEY
    from open_seq2seq.dictation.x11 import X11Connection
    from open_seq2seq.errors import DeviceError
    if not os.environ.get("DISPLAY") or _is_wayland() and not options.hotkey and options.typing in ("auto", "wtype", "ydotool"):
        return None
    if options.typing == "stdout" and _hotkey(options) == NO_HOTKEY:
        return None
    try:
        __import__("Xlib")
    except ImportError:
        # xdotool needs no package
        if _hotkey(options) != NO_HOTKEY:
            raise DeviceError("the hotkey needs the package python-xlib; install it: python -m pip install python-xlib; or use "
                              "--hotkey none and a shortcut of the desktop that calls python -m open_seq2seq.dictate --toggle")
        return None
    connection = X11Connection()
    stack.callback(connection.close)
    return connection


def _is_wayland():
    return bool(os.environ.get("WAYLAND_DISPLAY"))


def _hotkey(options):
    """The hotkey to take, or "none"."""
    from open_seq2seq.dictation.options import DEFAULT_HOTKEY, NO_HOTKEY
    from open_seq2seq.errors import UsageError
    if options.hotkey is None:
        return NO_HOTKEY if options.now or _is_wayland() or not os.environ.get("DISPLAY") else DEFAULT_HOTKEY
    if options.hotkey != NO_HOTKEY and not os.environ.get("DISPLAY"):
        raise UsageError("--hotkey needs X11. Under Wayland let a shortcut of the desktop call python -m open_seq2seq.dictate "
                         "--toggle")
    return options.hotkey


def command():
    """The command ``jasper-dictate``."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    command()
