"""Files of n-gram language models: ARPA text (also gzipped) and KenLM binaries. What they hold, and what is wrong with one.

KenLM's own messages name a byte of the file, and coqui_stt_ctcdecoder ends the process where a file is damaged. So every file is
checked here first.
"""
import collections
import gzip
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys

from open_seq2seq.errors import DataError, UsageError

ARPA, BINARY = "arpa", "binary"
MAX_ORDER = 6  # of the KenLM in both packages, as they are built
SPECIAL = ("<s>", "</s>", "<unk>", "<UNK>")

# KenLM, lm/binary_format.cc: the struct Sanity (a magic text, test values), FixedWidthParameters, then the counts
_MAGIC = b"mmap lm http://kheafield.com/code format version"
_INCOMPLETE = b"mmap lm http://kheafield.com/code incomplete\n"
_VERSION = 5
_PARAMETERS_AT, _COUNTS_AT = 88, 108
HAS_VOCABULARY_AT = _PARAMETERS_AT + 12  # a byte: whether the words follow
_GZIP = b"\x1f\x8b"

_COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)\s*$")
_LOOKED_AT = 100  # lines that may precede \data\ in an ARPA file

LanguageModelFile = collections.namedtuple("LanguageModelFile", "path kind order words end")
LanguageModelFile.__doc__ = """A language model's file.

kind: "arpa" or "binary". order: of its longest n-grams. words: list of its words without ``<s>`` and similar; None for a binary
without them (built with ``build_binary -v``). end: in a binary, the size of the part before the words; else None."""


def inspect(path):
    """Reads what a language model's file says about itself.

    Args:
      path: file name.

    Returns:
      LanguageModelFile.

    Raises:
      DataError: the file is missing, unreadable, not a language model, truncated, or of an unsupported order.
    """
    try:
        with open(path, "rb") as file:
            beginning = file.read(4096)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DataError("language model %s: %s. Set lm_path to an ARPA file or a KenLM binary" % (path, error.strerror))
    if beginning.startswith(b"mmap lm "):
        return _inspect_binary(path, beginning, size)
    return _inspect_arpa(path, beginning)


def _inspect_binary(path, beginning, size):
    if beginning.startswith(_INCOMPLETE):
        raise DataError("language model %s is incomplete: build_binary was interrupted. Build it again" % path)
    version = re.match(rb" (\d+)", beginning[len(_MAGIC):])
    if not beginning.startswith(_MAGIC) or version is None or int(version.group(1)) != _VERSION:
        raise DataError("language model %s has another binary format than version %d of KenLM, which is supported. Build it "
                        "again from the ARPA file with build_binary" % (path, _VERSION))
    if len(beginning) < _COUNTS_AT:
        raise DataError("language model %s is truncated: it has %d bytes. Copy it again" % (path, size))
    if path.endswith(".scorer"):
        raise DataError("language model %s is a scorer package for one alphabet; set lm_path to the ARPA file or "
                        "KenLM binary that it was made from" % path)
    order, = struct.unpack_from("<B", beginning, _PARAMETERS_AT)
    _require_order(path, order)
    counts = struct.unpack_from("<%dQ" % order, beginning, _COUNTS_AT)
    load_kenlm(path)
    if not beginning[HAS_VOCABULARY_AT]:
        return LanguageModelFile(path, BINARY, order, None, None)
    end, words = _words_of_binary(path, counts[0])
    return LanguageModelFile(path, BINARY, order, words, end)


def _words_of_binary(path, count):
    """(offset of the words, list of them): at the end of the file, each with a NUL, ``<unk>`` first."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = len(content)
        while content[-1:] == b"\0":
            start = content.rfind(b"<unk>\0", 0, start)
            if start < 0:
                break
            words = content[start:].split(b"\0")[:-1]
            # <unk> may be absent from the counts
            if len(words) in (count, count + 1):
                return start, _without_special(word.decode("utf-8", "replace") for word in words)
            if len(words) > count + 1:
                break
    raise DataError("language model %s is truncated: the words at its end are not %d. Copy it again, or build it again from the "
                    "ARPA file with build_binary" % (path, count))


def _without_special(words):
    return [word for word in words if word not in SPECIAL]


def _require_order(path, order):
    if not 1 <= order <= MAX_ORDER:
        raise DataError("language model %s has order %d, expected 1 to %d" % (path, order, MAX_ORDER))


def open_text(path):
    """Opens an ARPA file, gzipped or not, for reading bytes."""
    with open(path, "rb") as file:
        compressed = file.read(2) == _GZIP
    return gzip.open(path, "rb") if compressed else open(path, "rb")


def _inspect_arpa(path, beginning):
    if b"\0" in beginning and not beginning.startswith(_GZIP):
        raise DataError("language model %s is neither an ARPA file nor a KenLM binary; expected one of them" % path)
    order, words, section = 0, [], None
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8", "replace").strip()
                if section is None:
                    if text == "\\data\\":
                        section = 0
                    elif number >= _LOOKED_AT:
                        break
                elif text.startswith("\\"):
                    if section == 1 or text == "\\end\\":
                        break
                    section = 1
                elif section == 0 and _COUNT.match(text):
                    order = max(order, int(_COUNT.match(text).group(1)))
                elif section == 1 and text:
                    words.append(text.split()[1] if len(text.split()) > 1 else "")
    except (OSError, EOFError) as error:
        raise DataError("language model %s cannot be read: %s" % (path, error))
    if section is None:
        raise DataError("language model %s has no line \\data\\, with which an ARPA file begins, and is not a KenLM binary. A "
                        "text has to be made into a language model first: scripts/build_lm.py" % path)
    _require_order(path, order)
    return LanguageModelFile(path, ARPA, order, _without_special(words), None)


def find_arpa_problem(path):
    """The first line of an ARPA file that is wrong: (line number, what is wrong); None if every line is right."""
    counts, found, order, number, markers = {}, collections.Counter(), None, 0, set()
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            text = line.decode("utf-8", "replace").strip("\r\n ")
            if text == "\\data\\":
                order = 0
            elif text == "\\end\\":
                break
            elif text.startswith("\\") and order is not None:
                if not re.match(r"\\[1-9]-grams:$", text) or int(text[1]) != order + 1:
                    return number, "is %r, expected \\%d-grams: or \\end\\" % (text[:60], order + 1)
                if order and found[order] != counts.get(order):
                    return number, "follows %d %d-grams, but the header says %s" % (found[order], order, counts.get(order))
                order += 1
            elif text and order == 0:
                match = _COUNT.match(text)
                if match is None:
                    return number, "is %r, expected ngram N=COUNT" % text[:60]
                counts[int(match.group(1))] = int(match.group(2))
            elif text and order:
                problem = _problem_of_ngram(text, order, order == max(counts, default=0))
                if problem:
                    return number, problem
                found[order] += 1
                if order == 1:
                    markers.add(text.split()[1])
        else:
            return number, "is the last one, but \\end\\ is missing: the file is truncated"
    if order and found[order] != counts.get(order) or set(counts) != set(range(1, (order or 0) + 1)):
        return number, "ends %d %s-grams, but the header says %s" % (found[order], order, counts.get(order))
    missing = {"<s>", "</s>"} - markers
    return (number, "ends a model without %s" % " and ".join(sorted(missing))) if missing else None


def _problem_of_ngram(text, order, is_highest):
    fields = text.split()
    if len(fields) not in ((order + 1,) if is_highest else (order + 1, order + 2)):
        return "is %r, expected a log10 probability, %d words%s" % (
            text[:60], order, "" if is_highest else " and perhaps a back-off weight")
    for field in fields[:1] + fields[order + 1:]:
        try:
            float(field)
        except ValueError:
            return "is %r, in which %r is not a number" % (text[:60], field[:30])
    if float(fields[0]) > 0 or float(fields[0]) != float(fields[0]):
        return "is %r, whose log10 probability is above 0" % text[:60]
    return None


def _raise_arpa_problem(path, reported):
    problem = find_arpa_problem(path)
    if problem is None:
        raise DataError("language model %s cannot be used: %s" % (path, reported))
    raise DataError("language model %s: line %d %s" % ((path,) + problem))


def load_kenlm(path):
    """The ``kenlm.Model`` of a file.

    Raises:
      DataError: KenLM cannot load it. UsageError: the package kenlm is not installed.
    """
    try:
        import kenlm
    except ImportError:
        raise UsageError("a language model needs the package kenlm. Install it with bash scripts/setup.sh --decoding")
    config = kenlm.Config()
    config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
    config.load_method = kenlm.LoadMethod.LAZY  # mapped into memory, which processes share
    try:
        return kenlm.Model(path, config)
    except OSError as error:
        with open(path, "rb") as file:
            if not file.read(8).startswith(b"mmap lm "):
                _raise_arpa_problem(path, error)
        raise DataError("language model %s is truncated or damaged (%s). Copy it again, or build it again from the ARPA file "
                        "with build_binary" % (path, error))


def build_binary_program():
    """Path of KenLM's ``build_binary``, which scripts/setup.sh --decoding builds next to Python; None if there is none."""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "build_binary")
    return beside if os.access(beside, os.X_OK) else shutil.which("build_binary")


def build_binary(path, output, *options):
    """Makes a KenLM binary of an ARPA file (gzipped or not) with KenLM's ``build_binary``.

    Args:
      path: the ARPA file. output: the file to write, not atomically. options: of build_binary, before the files.

    Raises:
      DataError: the ARPA file is wrong; the message names the line.
      UsageError: build_binary is not installed.
    """
    program = build_binary_program()
    if program is None:
        raise UsageError("KenLM's build_binary was not found. Build it with bash scripts/setup.sh --decoding")
    plain = output + ".arpa"
    try:
        source = _plain_arpa(path, plain)
        ended = subprocess.run([program] + list(options) + [source, output], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    finally:
        if os.path.exists(plain):
            os.remove(plain)
    if ended.returncode:
        lines = ended.stdout.decode("utf-8", "replace").strip().splitlines()
        _raise_arpa_problem(path, lines[-1] if lines else "build_binary ended with status %d" % ended.returncode)


def _plain_arpa(path, plain):
    """The path of an ARPA file that KenLM reads: ``path``, or ``plain``, if the file has to be rewritten."""
    order = _inspect_arpa(path, b"").order
    with open(path, "rb") as file:
        compressed = file.read(2) == _GZIP
    if order > 1 and not compressed:
        return path
    with open_text(path) as source, open(plain, "wb") as target:
        if order > 1:
            shutil.copyfileobj(source, target)
        else:
            _write_as_bigrams(source, target)
    return plain


def _write_as_bigrams(source, target):
    """KenLM needs at least bigrams: adds one with the probability that the unigrams give it."""
    for line in source:
        text = line.strip()
        fields = text.split()
        if text.startswith(b"ngram") and _COUNT.match(text.decode("utf-8", "replace")):
            line = text + b"\nngram 2=1\n"
        elif len(fields) == 2 and fields[1] == b"</s>":
            end = fields[0]
        elif text == b"\\end\\":
            line = b"\\2-grams:\n" + end + b"\t<s> </s>\n\n\\end\\\n"
        target.write(line)
