"""Vocabularies of subwords: the pieces of a SentencePiece model (Kudo and Richardson 2018), and training of such a model.

A piece that begins with :data:`WORD_MARK` begins a word. Labels are the pieces of texts, in the order of the
model's file. Its control pieces and ``<unk>`` are not labels: CTC has a blank, and text that the pieces cannot write is an error.

Only :meth:`SubwordVocabulary.encode` and :func:`train_model` need the package sentencepiece. The file is read without it, and
decoding joins pieces, so an exported model is used without it.
"""
import collections
import hashlib
import json
import os
import re
import struct
import subprocess
import sys

from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text.vocabulary import WORD_MARK, Vocabulary, check_labels, is_tag

UNIGRAM, BPE = "unigram", "bpe"
INSTALL = "bash scripts/setup.sh --data"

# types of pieces in sentencepiece_model.proto
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_RESERVED = {"\u2581": "SentencePiece's mark of the beginning of a word", "\u2585": "SentencePiece's mark of unknown text"}

_LEAST_LIMIT = 4192  # bytes of a text, SentencePiece's default; values below 10 are an error

Piece = collections.namedtuple("Piece", "text type")
Piece.__doc__ = """An entry of a SentencePiece model. text: str. type: int as in sentencepiece_model.proto."""


class SubwordVocabulary(Vocabulary):
    """The pieces of a SentencePiece model.

    Args:
      pieces: list of str, the text of each label.
      model: bytes of the model's file; None: :meth:`encode` uses the fewest pieces, to check the references of an exported model.
      ids: the index in the model of each label; None without a model.
      path: of the model's file, for messages.

    Attributes:
      characters: tuple of the pieces.
      alphabet: frozenset of the characters that texts may have, including the space.
      model: as given.
      sha256: of the model's file, hexadecimal; None without a model.
    """

    def __init__(self, pieces, model=None, ids=None, path=None):
        super().__init__(pieces)
        self.model, self._path, self._processor = model, path, None
        self._label_of_id = {index: label for label, index in enumerate(ids or ())}
        self.alphabet = frozenset("".join(self.alphabet).replace(WORD_MARK, "") + " ")
        self.sha256 = hashlib.sha256(model).hexdigest() if model is not None else None
        self._longest = max(map(len, self.characters))

    @classmethod
    def from_model(cls, path, data):
        """The vocabulary of a model's file.

        Args:
          path: for messages. data: bytes of the file.

        Raises:
          DataError: it is not a SentencePiece model, or one that cannot be used for CTC.
        """
        labels = []
        for index, piece in enumerate(read_pieces(path, data)):
            if piece.type == _BYTE:
                raise DataError("%s has pieces for bytes (byte_fallback), which are not characters. Train it without "
                                "byte_fallback, or with scripts/make_vocab.py --subwords" % path)
            if piece.type in (_NORMAL, _USER_DEFINED):
                labels.append((index, piece.text))
        if not labels:
            raise DataError("%s has no pieces; expected a SentencePiece model" % path)
        problems = problems_of_pieces([text for _, text in labels])
        if problems:
            raise DataError("%s: %s. Make the model with scripts/make_vocab.py --subwords" % (path, problems[0]))
        return cls([text for _, text in labels], data, [index for index, _ in labels], path)

    def encode(self, text):
        """Labels of a text; blanks at its ends, and several in a row, count as one separator of words.

        Returns:
          List of int. A vocabulary without a model, as in an exported model, returns the labels with the fewest pieces.

        Raises:
          DataError: the pieces cannot write the text, or the model's own normalization changes it.
          UsageError: sentencepiece is not installed.
        """
        if not self.alphabet.issuperset(text):
            raise DataError(self._describe_unknown(text))
        plain = _single_spaced(text)
        if not plain:
            return []
        labels = self._fewest(plain) if self.model is None else [
            self._label_of_id.get(index) for index in self._loaded().EncodeAsIds(plain)]
        if labels is None or None in labels:
            raise DataError("the pieces of %s cannot write %r" % (self._path or "the model", text[:60]))
        if self.decode(labels) != plain:
            raise DataError("the normalization of the SentencePiece model %s changes %r to %r. Use the model of "
                            "scripts/make_vocab.py --subwords, or add the change to data_layer_params[\"normalization\"], "
                            "e.g. \"nfkc\"" % (self._path, text[:60], self.decode(labels)[:60]))
        return labels

    def decode(self, labels):
        return _single_spaced(super().decode(labels).replace(WORD_MARK, " "))

    def _loaded(self):
        if self._processor is None:
            processor = _sentencepiece().SentencePieceProcessor()
            processor.LoadFromSerializedProto(self.model)
            self._processor = processor
        return self._processor

    def _fewest(self, text):
        """The labels of a text with the fewest pieces, of several such sequences the one with longer pieces first; or None."""
        text = WORD_MARK + text.replace(" ", WORD_MARK)
        best = [None] * len(text) + [(0, None, len(text))]      # from the end: (pieces, label, place of the next)
        for place in range(len(text) - 1, -1, -1):
            for end in range(min(len(text), place + self._longest), place, -1):
                label = self._labels.get(text[place:end])
                if label is not None and best[end] is not None and (best[place] is None or best[end][0] + 1 < best[place][0]):
                    best[place] = (best[end][0] + 1, label, end)
        if best[0] is None:
            return None
        labels, place = [], 0
        while place < len(text):
            _, label, place = best[place]
            labels.append(label)
        return labels


def _single_spaced(text):
    return " ".join(word for word in text.split(" ") if word)


def problems_of_pieces(pieces):
    """What is wrong with the pieces of a vocabulary, a list of str."""
    problems = []
    if len(set(pieces)) != len(pieces):
        problems.append("a piece occurs twice")
    for piece in pieces:
        if not piece or WORD_MARK in piece[1:]:
            problems.append("the piece %r has %r after its beginning; expected pieces of one word, with the mark at the beginning"
                            % (piece, WORD_MARK) if piece else "a piece is empty")
    characters = sorted(set("".join(piece for piece in pieces if not is_tag(piece))) - {WORD_MARK})
    problems += ["a piece has an invalid character: " + text for _, text in check_labels(characters)[0]]
    if " " in characters:
        problems.append("a piece has a space; expected %r (escape_whitespaces)" % WORD_MARK)
    return problems


# the file, a message of Protocol Buffers: https://protobuf.dev/programming-guides/encoding

def read_pieces(path, data):
    """The pieces of a SentencePiece model.

    Args:
      path: for messages. data: bytes of the file.

    Returns:
      List of :class:`Piece`, in order of their ids.

    Raises:
      DataError: it is not such a file.
    """
    try:
        pieces = []
        for number, value in _fields(data):
            if number == 1:
                fields = dict(_fields(value))
                pieces.append(Piece(fields[1].decode("utf-8"), fields.get(3, _NORMAL)))
        return pieces
    except (ValueError, KeyError, AttributeError, TypeError, struct.error):
        raise DataError("%s is not a SentencePiece model, or it is damaged. Make one with scripts/make_vocab.py --subwords; a "
                        "vocabulary of characters, one a line, must not be named *.model" % path)


def _fields(data):
    """Yields (number, value) of a message's fields: int, or bytes of a string or message; ValueError for a damaged one."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 2, 5):
            length = {1: 8, 5: 4}.get(kind)
            if length is None:
                length, place = _varint(data, place)
            value, place = data[place:place + length], place + length
        else:
            raise ValueError("a field of the unknown type %d" % kind)
        if place > len(data) or not number:
            raise ValueError("a field is cut off")
        yield number, value


def _varint(data, place):
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise ValueError("a number is cut off")
        byte, place = data[place], place + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number is too long")


# training

def train_model(texts, size, model_type=UNIGRAM, tags=()):
    """Trains a SentencePiece model; the same texts in any order give the same bytes.

    Args:
      texts: list of str, normalized transcripts; SentencePiece does not change them (normalization "identity").
      size: the number of labels.
      model_type: "unigram" or "bpe".
      tags: list of the tags of languages, which are labels as well.

    Returns:
      bytes of the model's file.

    Raises:
      DataError: there is no text, or a text has one of SentencePiece's marks.
      UsageError: sentencepiece is not installed, or the size does not fit the texts.
    """
    _sentencepiece()
    texts = sorted(_single_spaced(text) for text in texts)
    texts = [text for text in texts if text]
    if not texts:
        raise DataError("there is no text to train subwords with")
    for text in texts:
        for mark in _RESERVED:
            # without an error, SentencePiece takes the first mark for a space and skips texts with the second one
            if mark in text:
                raise DataError("the transcript %r has %r, %s. Remove it with the normalization step {\"map\": {%r: \"\"}}" % (
                    text[:60], mark, _RESERVED[mark], mark))
    least = len(set("".join(texts)) - {" "}) + 1 + len(tags)
    if size < least:
        raise UsageError("--subwords is %d, but the transcripts have %d characters with the mark %r, and each is a piece. Give "
                         "at least %d, or exclude rare characters with --min_count" % (size, least, WORD_MARK, least))
    options = {"user_defined_symbols": list(tags)} if tags else {}
    options.update({
        # <unk> is not a label
        "model_type": model_type, "vocab_size": size + 1, "unk_id": 0, "bos_id": -1, "eos_id": -1, "pad_id": -1,
        "character_coverage": 1.0, "normalization_rule_name": "identity",
        # the ids of a unigram model depend on the number of threads
        "num_threads": 1, "input_sentence_size": 0, "shuffle_input_sentence": False,
        # longer texts would be skipped
        "max_sentence_length": max([len(text.encode("utf-8")) + 1 for text in texts] + [_LEAST_LIMIT]), "minloglevel": 2})
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "subword_training.py")
    result = subprocess.run([sys.executable, program], input=json.dumps({"texts": texts, "options": options}).encode("utf-8"),
                            capture_output=True)
    if result.returncode:
        raise UsageError(_reason(result, size))
    return result.stdout


def _reason(result, size):
    """Why the training failed, for the user."""
    text = result.stderr.decode("utf-8", "replace").strip()
    too_many = re.search(r"set it to a value <= (\d+)", text)
    if too_many:
        return "--subwords is %d; SentencePiece finds at most %d pieces in these transcripts. Give a smaller number" % (
            size, int(too_many.group(1)) - 1)
    return "%d subwords cannot be made of these transcripts: SentencePiece ended with status %d: %s" % (
        size, result.returncode, text.split("\n")[-1].split("] ")[-1] or "no message")


def _sentencepiece():
    try:
        import sentencepiece
    except ImportError:
        raise UsageError("subword vocabularies need the package sentencepiece, which is not installed. Install it with %s; an "
                         "exported model transcribes without it" % INSTALL)
    return sentencepiece
