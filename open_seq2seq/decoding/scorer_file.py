"""The file from which coqui_stt_ctcdecoder loads a language model: a KenLM binary, then the lexicon as an automaton.

Coqui's own tool for it, generate_scorer_package, is not in the Python package, whose binding cannot fill a lexicon either. The
format is that of ``Scorer::load_trie`` in native_client/ctcdecode/scorer.cpp and of OpenFst's ``ConstFst`` (fst/const-fst.h).
"""
import hashlib
import os
import shutil
import struct

import numpy as np

from open_seq2seq.decoding.kenlm_files import ARPA, HAS_VOCABULARY_AT, build_binary, inspect
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import expanded_home, replaced_file

EXTENSION = ".scorer"
_FORMAT = 1  # of what this module writes; a part of the names of the files
_TRIE_MAGIC, _TRIE_VERSION = b"EIRT", 6
_FST_MAGIC, _ALIGNED_VERSION, _IS_ALIGNED = 0x7eb2fdd6, 1, 4
# an acceptor without weights and epsilons, deterministic, acyclic, its arcs sorted by label
_PROPERTIES = 0xa5aa5a950001
_ALIGNMENT = 16
_STATE = np.dtype([("weight", "<f4"), ("first_arc", "<u4"), ("arcs", "<u4"), ("input_epsilons", "<u4"),
                   ("output_epsilons", "<u4")])
_ARC = np.dtype([("input", "<i4"), ("output", "<i4"), ("weight", "<f4"), ("state", "<i4")])
_END = -1  # the node after the space of a word


def lexicon_automaton(words, space):
    """The smallest deterministic automaton that accepts every word followed by a space.

    Args:
      words: iterable of tuples of labels, none empty.
      space: label of the space.

    Returns:
      List of lists of (label, number of the next state), by label; state 0 is the start, and the only state without arcs the end.
    """
    nodes = [{}]
    for word in words:
        node = 0
        for label in word:
            following = nodes[node].get(label)
            if following is None:
                following = nodes[node][label] = len(nodes)
                nodes.append({})
            node = following
        nodes[node][space] = _END
    # nodes with the same arcs become one, from the last node to the first: a node's successors come after it
    same, canonical = {}, {_END: _END}
    for node in range(len(nodes) - 1, -1, -1):
        arcs = tuple(sorted((label, canonical[following]) for label, following in nodes[node].items()))
        canonical[node] = same.setdefault(arcs, node)
    return _numbered(nodes, canonical)


def _numbered(nodes, canonical):
    """The arcs of the canonical nodes, which are numbered in the order in which they are reached from the start."""
    numbers, order, states = {canonical[0]: 0}, [canonical[0]], []
    for node in order:
        arcs = []
        for label, following in sorted(nodes[node].items()) if node != _END else ():
            target = canonical[following]
            if target not in numbers:
                numbers[target] = len(order)
                order.append(target)
            arcs.append((label, numbers[target]))
        states.append(arcs)
    return states


def write_automaton(file, states, alpha=0.0, beta=0.0):
    """Appends an automaton to an open binary file, whose position must be its end.

    Args:
      states: see :func:`lexicon_automaton`.
      alpha, beta: the defaults that the file states; the decoder sets its own.
    """
    def align():
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))

    file.write(_TRIE_MAGIC + struct.pack("<i?dd", _TRIE_VERSION, False, alpha, beta))
    counts = np.array([len(arcs) for arcs in states], np.int64)
    file.write(struct.pack("<ii5si8siiQqqq", _FST_MAGIC, 5, b"const", 8, b"standard", _ALIGNED_VERSION, _IS_ALIGNED, _PROPERTIES,
                           0, len(states), int(counts.sum())))
    table = np.zeros(len(states), _STATE)
    table["weight"] = np.where(counts == 0, 0.0, np.inf)
    table["arcs"], table["first_arc"] = counts, np.cumsum(counts) - counts
    align()
    file.write(table.tobytes())
    arcs = np.zeros(int(counts.sum()), _ARC)
    flat = np.array([arc for state in states for arc in state], np.int32).reshape(-1, 2)
    # label 0 is OpenFst's epsilon
    arcs["input"] = arcs["output"] = flat[:, 0] + 1
    arcs["state"] = flat[:, 1]
    align()
    file.write(arcs.tobytes())


def scorer_file(model, words, vocabulary):
    """The scorer file of a language model; it is made once and kept next to the model, or else in the user's cache.

    Args:
      model: a ``kenlm_files.LanguageModelFile``.
      words: list of the words of the lexicon, all of which the vocabulary can spell.
      vocabulary: a ``Vocabulary`` with a space.

    Returns:
      Path.

    Raises:
      DataError: the ARPA file is wrong, or there is no word. StorageError: the file cannot be written anywhere.
      UsageError: the model is an ARPA file, and build_binary is missing.
    """
    if not words:
        raise DataError("the lexicon of language model %s is empty" % model.path)
    path = _path_of(model, words, vocabulary)
    if not os.path.exists(path):
        with replaced_file(path, "wb") as file:
            _write_language_model(model, file)
            encoded = sorted({tuple(vocabulary.encode(word)) for word in words})
            write_automaton(file, lexicon_automaton(encoded, vocabulary.encode(" ")[0]))
    return path


def _path_of(model, words, vocabulary):
    """Where the scorer file is or will be: its name tells what it was made from."""
    status = os.stat(model.path)
    digest = hashlib.sha256(repr((_FORMAT, os.path.abspath(model.path), status.st_size, status.st_mtime_ns,
                                  vocabulary.characters)).encode("utf-8"))
    digest.update("\n".join(sorted(words)).encode("utf-8"))
    name = "%s.%s%s" % (os.path.basename(model.path), digest.hexdigest()[:12], EXTENSION)
    folders = [os.path.dirname(os.path.abspath(model.path)),
               os.path.join(expanded_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), "jasper-ascend")]
    for folder in folders:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    for number, folder in enumerate(folders):
        try:
            if number:
                os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return os.path.join(folder, name)
    raise StorageError("no folder for %s, which is made of the language model, can be written: %s. Set XDG_CACHE_HOME to one "
                       "that can" % (name, ", ".join(folders)))


def _write_language_model(model, file):
    """Copies the KenLM binary without its words, which Coqui does not expect; makes it from an ARPA file first."""
    if model.kind != ARPA:
        _copy(model, file)
        return
    binary = file.name + ".binary"
    try:
        build_binary(model.path, binary)
        _copy(inspect(binary), file)
    finally:
        if os.path.exists(binary):
            os.remove(binary)


def _copy(model, file):
    with open(model.path, "rb") as source:
        shutil.copyfileobj(source, file, 1 << 20)
    if model.end is not None:
        file.truncate(model.end)
        file.seek(HAS_VOCABULARY_AT)
        file.write(b"\0")
    file.seek(0, os.SEEK_END)
