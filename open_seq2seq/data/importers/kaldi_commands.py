"""What a line of Kaldi's wav.scp names. Commands are recognized and read by this project's own decoders; none is ever run."""
import os
import re
import shlex

from open_seq2seq.data.importers.entries import UNSUPPORTED
from open_seq2seq.data.rejection import RejectedData

_OFFSET = re.compile(r"(.+):([0-9]+)$")
_SHELL = re.compile(r"[|;&<>`$\n\\]|\(|\)")
_DASH = ("-", "/dev/stdin", "/dev/stdout", "pipe:1", "pipe:")
SUPPORTED = ("flac -c -d -s FILE |", "sph2pipe -f wav -p -c 1 FILE |", "sox FILE -t wav - |", "ffmpeg -i FILE -f wav - |",
             "cat FILE |")

# options without and with a value that do not change the samples, or only their rate, which the data layer adapts anyway
_SOX = ({"-S", "-q", "-V", "-V0", "-V1", "-V2", "-V3", "-D", "-R", "--no-dither"},
        {"-t", "-b", "-e", "-c", "-r", "-v1", "--type", "--bits", "--rate", "--channels", "--encoding"})
_FFMPEG = ({"-nostdin", "-hide_banner", "-y", "-vn", "-nostats"},
           {"-v", "-loglevel", "-i", "-f", "-acodec", "-c:a", "-codec:a", "-ar", "-ac", "-threads", "-sample_fmt"})
_FFMPEG_FORMATS = {"-f": ("wav",), "-acodec": ("pcm_s16le",), "-c:a": ("pcm_s16le",), "-codec:a": ("pcm_s16le",), "-ac": ("1",),
                   "-sample_fmt": ("s16",)}


def parse_source(text):
    """What the right side of a line of wav.scp names.

    Args:
      text: e.g. ``audio/a.wav``, ``raw.ark:1234`` or ``sph2pipe -f wav -c 1 a.sph |``.

    Returns:
      (path, offset or None, channel or None).

    Raises:
      RejectedData: it is a command that is not known as harmless.
    """
    text = text.strip()
    if text.startswith("|"):
        raise RejectedData(UNSUPPORTED, "%r is a command that is written to" % text[:120])
    if not text.endswith("|"):
        match = _OFFSET.match(text)
        return (match.group(1), int(match.group(2)), None) if match and not os.path.exists(text) else (text, None, None)
    command = text[:-1].strip()
    if _SHELL.search(command):
        raise _unknown(text, "it uses more of the shell than one program")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _unknown(text, str(error))
    if not words:
        raise _unknown(text, "it is empty")
    program = os.path.basename(words[0])
    if program not in _READERS:
        raise _unknown(text, "the program %s is not one of those" % program)
    path, channel = _READERS[program](text, words[1:])
    return path, None, channel


def _unknown(text, reason):
    return RejectedData(UNSUPPORTED, "the command %r is not run: %s. Supported are %s; for others, make WAV files first, e.g. "
                        "with Kaldi's wav-copy" % (text[:120], reason, ", ".join(SUPPORTED)))


def _single(text, paths):
    paths = [path for path in paths if path not in _DASH]
    if len(paths) != 1:
        raise _unknown(text, "it names %d files, expected 1" % len(paths))
    return paths[0]


def _cat(text, words):
    return _single(text, _without_options(text, words, set())), None


def _flac(text, words):
    letters = "".join(word[1:] for word in words if re.match("-[a-zA-Z]+$", word))
    long_options = {word for word in words if word.startswith("--")}
    if not ("d" in letters or "--decode" in long_options):
        raise _unknown(text, "flac without -d encodes")
    known = {"--decode", "--stdout", "--silent", "--totally-silent"}
    if set(letters) - set("cdsF") or long_options - known:
        raise _unknown(text, "flac with other options than -c -d -s")
    return _single(text, [word for word in words if not word.startswith("-")]), None


def _sph2pipe(text, words):
    channel, paths, words = None, [], list(words)
    while words:
        word = words.pop(0)
        if word in ("-f", "-c") and words:
            value = words.pop(0)
            if word == "-c":
                if value not in ("1", "2"):
                    raise _unknown(text, "sph2pipe with -c %s" % value)
                channel = int(value) - 1
            elif value not in ("wav", "rif"):
                raise _unknown(text, "sph2pipe with -f %s" % value)
        elif word in ("-fwav", "-p"):
            continue
        elif word.startswith("-"):
            raise _unknown(text, "sph2pipe with the option %s" % word)
        else:
            paths.append(word)
    return _single(text, paths), channel


def _sox(text, words):
    plain, valued = _SOX
    paths, channel, words = [], None, list(words)
    while words:
        word = words.pop(0)
        if word in valued and words:
            value = words.pop(0)
            if word in ("-c", "--channels") and value != "1":
                raise _unknown(text, "sox with %s %s" % (word, value))
        elif word in plain:
            continue
        elif word == "-" or not word.startswith("-"):
            if len(paths) == 2:      # behind the output are effects
                if word == "remix" and len(words) == 1 and words[0].isdigit() and int(words[0]) > 0:
                    channel = int(words.pop()) - 1
                    break
                raise _unknown(text, "sox with the effect %s" % word)
            paths.append(word)
        else:
            raise _unknown(text, "sox with the option %s" % word)
    if len(paths) != 2 or paths[1] not in _DASH:
        raise _unknown(text, "expected sox FILE -t wav -")
    return _single(text, paths[:1]), channel


def _ffmpeg(text, words):
    plain, valued = _FFMPEG
    inputs, words = [], list(words)
    while words:
        word = words.pop(0)
        if word in valued and words:
            value = words.pop(0)
            if word == "-i":
                inputs.append(value)
            elif value not in _FFMPEG_FORMATS.get(word, (value,)):
                raise _unknown(text, "ffmpeg with %s %s" % (word, value))
        elif word not in plain and word not in _DASH:
            raise _unknown(text, "ffmpeg with %s" % word)
    return _single(text, inputs), None


def _without_options(text, words, known):
    wrong = [word for word in words if word.startswith("-") and word not in _DASH and word not in known]
    if wrong:
        raise _unknown(text, "with the option %s" % wrong[0])
    return [word for word in words if word not in known]


_READERS = {"cat": _cat, "flac": _flac, "sph2pipe": _sph2pipe, "sox": _sox, "ffmpeg": _ffmpeg}
