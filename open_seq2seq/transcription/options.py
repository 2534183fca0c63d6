"""The command line of ``python -m open_seq2seq.transcribe``."""
import argparse
import os

from open_seq2seq.cli import Parser, number_between
from open_seq2seq.decoding.options import add_decoding_arguments, options_from_arguments
from open_seq2seq.decoding.writers import FORMATS
from open_seq2seq.errors import UsageError
from open_seq2seq.files import expanded_home, expanded_path, printable
from open_seq2seq.transcription.recordings import STANDARD_INPUT

DEFAULT_LATENCY = 0.5
LATENCIES = (0.1, 10.0)     # s

_DESCRIPTION = """Transcribes recordings of any length, sample rate and number of channels: WAV, FLAC, OGG, MP3 and others
(docs/audio.md). Long recordings are split at pauses; the text is continuous."""

_EXAMPLES = """examples:
  python -m open_seq2seq.transcribe talk.flac --model runs/jasper_mini_digits
  python -m open_seq2seq.transcribe talks/ --model export/jasper_infer_float32.pb --format text,srt --output subtitles/
  ffmpeg -i film.mp4 -f wav - | python -m open_seq2seq.transcribe - --model export/ --format vtt
  python -m open_seq2seq.transcribe --model export/ --watch inbox/ --output transcripts/
  python -m open_seq2seq.transcribe --model export/ --microphone
  python -m open_seq2seq.transcribe talk.flac --model export/ --decoder beam --lm_path lm.binary --hot_words zebra:8

exit status: 0 every recording was transcribed; 2 wrong command line; 3 a recording, a folder or the model cannot be read, or a
result cannot be written (the other recordings are still transcribed); 4 the device or the microphone is missing; 130 after
SIGINT, 143 after SIGTERM, but 0 with --watch, --microphone and --serve, which run until a signal"""

_MICROPHONE_ONLY = ("microphone_device", "latency", "voice_activity")
_SERVE_ONLY = ("host", "port", "max_megabytes", "max_seconds")


def _formats(text):
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("is %r, expected one or several of %s, separated by commas" % (
            text, ", ".join(FORMATS)))
    return names


def name_or_number(text):
    """An argparse type: sounddevice takes a number as an int, and a str as a part of a name."""
    return int(text) if text.isdigit() else text


def _parser():
    parser = Parser(prog="python -m open_seq2seq.transcribe", description=_DESCRIPTION, epilog=_EXAMPLES,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", metavar="FILE|DIR|-",
                        help="recordings; folders, which are searched with their subfolders; - for standard input")
    parser.add_argument("--model", required=True, metavar="PATH",
                        help="an exported .pb or .onnx, the folder that contains it, or the folder of a training run")
    parser.add_argument("--task", default=None, metavar="NAME",
                        help="the task of a training run with several tasks, e.g. a language (default: its main task)")
    parser.add_argument("--device", choices=("cpu", "gpu", "npu"), default="cpu",
                        help="where the model runs (default cpu); gpu and npu take an exported .pb, npu one of static shape")
    parser.add_argument("--format", dest="formats", type=_formats, default=["text"], metavar="FORMAT[,FORMAT...]",
                        help="%s (default text)" % ", ".join(FORMATS))
    parser.add_argument("--output", default=None, metavar="DIR|-",
                        help="folder for the results, NAME.wav.txt and so on; - for standard output (default)")
    parser.add_argument("--watch", default=None, metavar="DIR",
                        help="transcribe the files in this folder and those that appear in it, until stopped; results go to "
                             "--output, by default to the folder itself")
    parser.add_argument("--microphone", action="store_true", help="transcribe the microphone until Ctrl-C")
    parser.add_argument("--microphone_device", type=name_or_number, default=None, metavar="NAME|NUMBER",
                        help="the microphone to use; python -m sounddevice lists them")
    parser.add_argument("--latency", type=number_between(float, *LATENCIES, "a time"), default=None, metavar="SECONDS",
                        help="of --microphone: audio after a word that is waited for before it is final (default %g); less is "
                             "faster, more is more accurate" % DEFAULT_LATENCY)
    parser.add_argument("--voice_activity", choices=("on", "off"), default=None,
                        help="of --microphone: on (default): only speech goes through the network; off: everything does")
    parser.add_argument("--serve", action="store_true",
                        help="serve a web page for this machine: upload or record, read, download")
    parser.add_argument("--host", default=None, help="address that --serve listens on (default 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=number_between(int, 0, 65535, "a port"), default=None, help="of --serve (default 8000)")
    parser.add_argument("--max_megabytes", type=number_between(int, 1, 1 << 20, "a size"), default=None,
                        help="largest upload that --serve accepts (default 200)")
    parser.add_argument("--max_seconds", type=number_between(float, 1, 1e6, "a time"), default=None,
                        help="longest recording that --serve accepts (default 3600)")
    add_decoding_arguments(parser)
    return parser


def parse_options(arguments):
    """Parses the command line.

    Args:
      arguments: list of str, without the program's name.

    Returns:
      ``argparse.Namespace`` of inputs, model, task, device, formats, output (None for standard output), watch, microphone,
      microphone_device, latency, voice_activity, serve, host, port, max_megabytes, max_seconds; None for options that were not
      given; decoding, the ``DecodingOptions``. ``~`` in paths is expanded.

    Raises:
      UsageError: an option is invalid, or options contradict each other.
      SystemExit: after ``--help``, with status 0.
    """
    arguments = _parser().parse_args(arguments)
    _expand_paths(arguments)
    modes = [bool(arguments.inputs), arguments.watch is not None, arguments.microphone, arguments.serve]
    if sum(modes) != 1:
        raise UsageError("expected exactly one of: recordings, --watch, --microphone, --serve. See python -m "
                         "open_seq2seq.transcribe --help")
    if arguments.output == "-":
        arguments.output = None
        if arguments.watch is not None:
            raise UsageError("--watch writes into a folder; give one with --output, or omit --output")
    arguments.decoding = options_from_arguments(arguments)
    _check_serve(arguments)
    for name in _MICROPHONE_ONLY:
        if getattr(arguments, name) is not None and not arguments.microphone:
            raise UsageError("--%s has no effect without --microphone" % name)
    if arguments.microphone and arguments.device != "cpu":
        raise UsageError("--microphone runs on the CPU, because a stream is computed in small pieces; omit --device %s"
                         % arguments.device)
    if arguments.output is not None and os.path.exists(arguments.output) and not os.path.isdir(arguments.output):
        raise UsageError("--output %s is a file; expected a folder" % arguments.output)
    if arguments.inputs.count(STANDARD_INPUT) > 1:
        raise UsageError("- (standard input) can be given only once")
    if arguments.output is None and len(arguments.formats) > 1 and not arguments.serve and arguments.watch is None:
        raise UsageError("standard output takes only one format; give a folder for several with --output")
    return arguments


def _expand_paths(arguments):
    for name in ("model", "output", "watch"):
        path = getattr(arguments, name)
        if path is not None:
            setattr(arguments, name, _expanded(expanded_path, path, "--%s " % name))
    # TensorFlow does not open recordings, so their names need not be UTF-8
    arguments.inputs = [_expanded(expanded_home, path) for path in arguments.inputs]


def _expanded(expand, path, option=""):
    try:
        return expand(path)
    except ValueError as error:
        raise UsageError("%s%s %s" % (option, printable(path), error))


def _check_serve(arguments):
    for name in _SERVE_ONLY:
        if getattr(arguments, name) is not None and not arguments.serve:
            raise UsageError("--%s has no effect without --serve" % name)
    if arguments.serve and arguments.output is not None:
        raise UsageError("--serve shows the results on the page and writes no files; omit --output")
