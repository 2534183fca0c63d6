"""The command line of ``python -m open_seq2seq.transcribe``."""
import argparse
import os

from open_seq2seq.cli import Parser
from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.recordings import STANDARD_INPUT
from open_seq2seq.transcription.writers import FORMATS

_DESCRIPTION = """Transcribes recordings of any length: WAV, FLAC, OGG, MP3 and what else libsndfile reads, of any rate and number
of channels. Long ones are cut at pauses; the text does not show where."""

_EXAMPLES = """examples:
  python -m open_seq2seq.transcribe talk.flac --model runs/jasper_mini_digits
  python -m open_seq2seq.transcribe talks/ --model export/jasper_infer_float32.pb --format text,srt --output subtitles/
  ffmpeg -i film.mp4 -f wav - | python -m open_seq2seq.transcribe - --model export/ --format vtt
  python -m open_seq2seq.transcribe --model export/ --watch inbox/ --output transcripts/
  python -m open_seq2seq.transcribe --model export/ --microphone

exit status: 0 everything was transcribed; 2 command line; 3 a recording, a folder or the model cannot be read, or a result cannot
be written (the other recordings are transcribed all the same); 4 no microphone; 130 or 143 after SIGINT or SIGTERM, but 0 where
only that can end it (--watch, --microphone, --serve)"""

_SERVE_ONLY = ("host", "port", "max_megabytes", "max_seconds")


def _formats(text):
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("is %r, expected one or several of %s, with commas between them" % (
            text, ", ".join(FORMATS)))
    return names


def _number(kind, minimum, maximum, what):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError("is %r, expected %s from %s to %s" % (text, what, minimum, maximum))
        return value
    return parse


def _parser():
    parser = Parser(prog="python -m open_seq2seq.transcribe", description=_DESCRIPTION, epilog=_EXAMPLES,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", metavar="FILE|DIR|-",
                        help="recordings; folders with all that is below them; - for standard input")
    parser.add_argument("--model", required=True, metavar="PATH",
                        help="an exported .pb or .onnx, the folder it is in, or the folder of a training run")
    parser.add_argument("--device", choices=("cpu", "gpu", "npu"), default="cpu",
                        help="where the model runs (default cpu); gpu and npu take an exported .pb, npu one of static shape")
    parser.add_argument("--format", dest="formats", type=_formats, default=["text"], metavar="FORMAT[,FORMAT...]",
                        help="%s (default text)" % ", ".join(FORMATS))
    parser.add_argument("--output", default=None, metavar="DIR|-",
                        help="folder for the results, NAME.wav.txt and so on; - for standard output, the default")
    parser.add_argument("--watch", default=None, metavar="DIR",
                        help="transcribe what is in this folder and what comes into it, until stopped; results go to --output, "
                             "by default to the folder itself")
    parser.add_argument("--microphone", action="store_true", help="transcribe what is spoken, until Ctrl-C")
    parser.add_argument("--microphone_device", default=None, metavar="NAME|NUMBER", help="which microphone")
    parser.add_argument("--serve", action="store_true", help="a web page for this machine: record or upload, read, download")
    parser.add_argument("--host", default=None, help="address that --serve listens on (default 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=_number(int, 0, 65535, "a port"), default=None, help="of --serve (default 8000)")
    parser.add_argument("--max_megabytes", type=_number(int, 1, 1 << 20, "a size"), default=None,
                        help="largest upload that --serve takes")
    parser.add_argument("--max_seconds", type=_number(float, 1, 1e6, "a time"), default=None,
                        help="longest recording that --serve takes")
    return parser


def parse_options(words):
    """Reads the command line.

    Args:
      words: list of str, without the program's name.

    Returns:
      ``argparse.Namespace`` of inputs, model, device, formats, output (None for standard output), watch, microphone,
      microphone_device, serve, host, port, max_megabytes, max_seconds; None where something was not said.

    Raises:
      UsageError: an option is wrong, or some contradict each other.
      SystemExit: after ``--help``, with status 0.
    """
    arguments = _parser().parse_args(words)
    modes = [bool(arguments.inputs), arguments.watch is not None, arguments.microphone, arguments.serve]
    if sum(modes) != 1:
        raise UsageError("expected recordings, --watch, --microphone or --serve, exactly one of them. See python -m "
                         "open_seq2seq.transcribe --help")
    if arguments.output == "-":
        arguments.output = None
        if arguments.watch is not None:
            raise UsageError("--watch writes into a folder; name one by --output, or leave it out")
    _check_serve(arguments)
    if arguments.microphone_device is not None and not arguments.microphone:
        raise UsageError("--microphone_device is without effect where --microphone is not")
    if arguments.output is not None and os.path.exists(arguments.output) and not os.path.isdir(arguments.output):
        raise UsageError("--output %s is a file; expected a folder" % arguments.output)
    if arguments.inputs.count(STANDARD_INPUT) > 1:
        raise UsageError("- can be read only once")
    if arguments.output is None and len(arguments.formats) > 1 and not arguments.serve and arguments.watch is None:
        raise UsageError("several formats do not fit on standard output; name a folder by --output")
    return arguments


def _check_serve(arguments):
    for name in _SERVE_ONLY:
        if getattr(arguments, name) is not None and not arguments.serve:
            raise UsageError("--%s belongs to --serve" % name)
    if arguments.serve and arguments.output is not None:
        raise UsageError("--serve shows its results on the page and writes no files; leave out --output")
