"""The command line of ``python -m open_seq2seq.dictate``."""
import argparse
import os

from open_seq2seq.cli import Parser, file_path, number_between
from open_seq2seq.decoding.options import BEAM, add_decoding_arguments, options_from_arguments
from open_seq2seq.dictation.control import REQUESTS
from open_seq2seq.dictation.phrases import default_path, read_phrases
from open_seq2seq.dictation.typing_programs import CHOICES
from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.options import DEFAULT_LATENCY, LATENCIES, name_or_number

DEFAULT_HOTKEY = "F9"
NO_HOTKEY = "none"

_DESCRIPTION = """Types what you say into the window that has the focus. Nothing is sent anywhere, and nothing is kept."""

_EXAMPLES = """examples:
  python -m open_seq2seq.dictate --model runs/jasper_mini_digits                    hold F9 and speak (X11)
  python -m open_seq2seq.dictate --model export/ --hotkey ctrl+alt+d --press toggle
  python -m open_seq2seq.dictate --toggle                     from a shortcut of the desktop (Wayland): starts and stops listening
  python -m open_seq2seq.dictate --model export/ --by phrase --typing paste --paste_key ctrl+shift+v
  python -m open_seq2seq.dictate --print_phrases > ~/.config/jasper/dictation.ini   spoken punctuation and commands, to be edited

exit status: 0 after --quit, a signal or the end of --now; 2 wrong command line or file of phrases; 3 the model or the recording
cannot be read, or the window was lost with --now; 4 no microphone, display or typing tool, a hotkey that is taken, or no running
dictation for --toggle"""


def _parser():
    parser = Parser(prog="python -m open_seq2seq.dictate", description=_DESCRIPTION, epilog=_EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=file_path, metavar="PATH",
                        help="an exported .pb or .onnx, the folder that contains it, or the folder of a training run")
    parser.add_argument("--hotkey", default=None, metavar="KEY",
                        help="X11: the key that starts dictation in every window, e.g. Pause or ctrl+alt+d; none: no key "
                             "(default %s; none with Wayland or --now)" % DEFAULT_HOTKEY)
    parser.add_argument("--press", choices=("hold", "toggle"), default="hold",
                        help="hold: listen while the key is held (default); toggle: press once to start, once more to stop")
    parser.add_argument("--now", action="store_true", help="listen at once, and end with the recording or with Ctrl-C")
    parser.add_argument("--by", choices=("word", "phrase"), default="word",
                        help="type each word as soon as it is final (default), or each phrase after the pause that ends it")
    parser.add_argument("--typing", choices=CHOICES, default="auto",
                        help="how text gets into the window: xtest or xdotool (X11), wtype or ydotool (Wayland), paste (the "
                             "clipboard), stdout (printed); auto (default): the first of them that is there")
    parser.add_argument("--paste_key", default="ctrl+v", metavar="KEYS",
                        help="what pastes in the window, for --typing paste (default ctrl+v; terminals: ctrl+shift+v)")
    parser.add_argument("--follow_focus", action="store_true",
                        help="X11: continue in another window that gets the focus; default: stop, as when the window is closed")
    parser.add_argument("--phrases", type=file_path, default=None, metavar="FILE",
                        help="spoken punctuation, commands, replacements, words (default %s if that exists, else the built-in "
                             "English ones)" % "~/.config/jasper/dictation.ini")
    parser.add_argument("--print_phrases", action="store_true", help="print the built-in file of phrases, and end")
    parser.add_argument("--latency", type=number_between(float, *LATENCIES, "a time"), default=DEFAULT_LATENCY,
                        metavar="SECONDS", help="sound after a word that is heard before it is typed: more is more accurate "
                                                "(default %g)" % DEFAULT_LATENCY)
    parser.add_argument("--microphone_device", type=name_or_number, default=None, metavar="NAME|NUMBER",
                        help="the microphone to use; python -m sounddevice lists them")
    parser.add_argument("--stdin", default=None, metavar="FILE|-",
                        help="hear this recording, or one on standard input, in place of the microphone")
    group = parser.add_argument_group("requests to the dictation that is running")
    for name in REQUESTS:
        group.add_argument("--" + name, dest="request", action="append_const", const=name, help={
            "toggle": "start or stop listening", "start": "start listening", "stop": "stop listening",
            "status": "print idle, listening or finishing", "quit": "end it"}[name])
    add_decoding_arguments(parser)
    return parser


def parse_options(arguments):
    """Parses the command line.

    Args:
      arguments: list of str, without the program's name.

    Returns:
      ``argparse.Namespace``: request is one of ``control.REQUESTS``, and then the rest does not count; or None, and then
      there are also decoding (``DecodingOptions`` with the words of the file of phrases) and phrases (``Phrases``).

    Raises:
      UsageError: an option or the file of phrases is invalid, or options contradict each other.
      SystemExit: after ``--help``, with status 0.
    """
    options = _parser().parse_args(arguments)
    if options.request is not None:
        if len(options.request) > 1 or options.model is not None:
            raise UsageError("--%s is a request to the dictation that is running; give it alone" % options.request[0])
        options.request = options.request[0]
        return options
    if options.print_phrases:
        return options
    if options.model is None:
        raise UsageError("--model is missing: an exported model or the folder of a training run. See python -m "
                         "open_seq2seq.dictate --help")
    if options.stdin is not None and options.microphone_device is not None:
        raise UsageError("--microphone_device has no effect with --stdin")
    path = options.phrases
    if path is None and os.path.exists(default_path()):
        path = default_path()
    options.phrases = read_phrases(path)
    options.decoding = _with_words(options_from_arguments(options), options.phrases.hot_words, options.decoder)
    return options


def _with_words(decoding, words, decoder):
    """Adds the user's words to the hot words; like ``--hot_words`` they select beam search unless ``--decoder`` is given."""
    if not words:
        return decoding
    if decoder is None:
        decoding = decoding._replace(decoding=BEAM)
    if decoding.decoding != BEAM:
        return decoding
    return decoding._replace(hot_words=dict(words, **decoding.hot_words))
