"""The dictionary of frame labels, ``dict.km.txt``: a label and its count in each line.

fairseq puts four special symbols before the dictionary's lines, so the label of the first line has index 4. A label that is not
in the dictionary becomes ``<unk>`` there, without a message: with an empty dictionary every label does, and the loss of a
training goes to 0. Here both are errors.
"""
import collections

from open_seq2seq.data.fairseq_files.audio_list import lines_of
from open_seq2seq.errors import DataError
from open_seq2seq.files import replaced_file
from open_seq2seq.text.text_file import read_text_file

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
PADDING_WORD = "madeupword%04d"
_OVERWRITE = "#fairseq:overwrite"
_EXPECTED = 'Expected a label and its count in each line, e.g. "17 3021"; --mode=labels writes it'


class LabelDictionary:
    """Labels and their indices.

    Args:
      symbols: list of str, in the order of the indices.
      counts: list of int; None: all 1.
      path: the file, for messages.

    Attributes: the arguments.
    """

    def __init__(self, symbols, counts=None, path="the dictionary"):
        self.symbols, self.counts, self.path = list(symbols), list(counts or [1] * len(symbols)), path
        self._indices = {symbol: len(SPECIALS) + place for place, symbol in enumerate(self.symbols)}

    def __len__(self):
        """Number of indices: the special symbols and the dictionary's lines."""
        return len(SPECIALS) + len(self.symbols)

    def index(self, symbol):
        """The index of a label, an int from 4; None for a label that is not in the dictionary."""
        return self._indices.get(str(symbol))

    @classmethod
    def of_clusters(cls, clusters):
        """The dictionary of ``clusters`` clusters in their order, as HuBERT's recipe writes it: index = cluster + 4."""
        return cls([str(cluster) for cluster in range(clusters)])

    @classmethod
    def of_counts(cls, counts, padding_factor=8):
        """The dictionary that ``fairseq-preprocess`` writes: by count, the highest first; equal counts by the label's text.

        Args:
          counts: dict from label to count.
          padding_factor: symbols without a count are added until the number of indices is a multiple of this.
        """
        counted = collections.Counter({str(symbol): int(count) for symbol, count in counts.items()})
        symbols = sorted(counted, key=lambda symbol: (-counted[symbol], symbol))
        padding = -(len(SPECIALS) + len(symbols)) % padding_factor
        return cls(symbols + [PADDING_WORD % number for number in range(padding)],
                   [counted[symbol] for symbol in symbols] + [0] * padding)

    @classmethod
    def read(cls, path):
        """Reads a dictionary.

        Raises:
          DataError: the file cannot be read, is empty, a line is malformed, or a label occurs twice.
        """
        symbols, counts, first = [], [], {}
        for number, line in enumerate(lines_of(read_text_file(path, "dictionary", _EXPECTED)), 1):
            fields = line.split(" ")
            if fields[-1] == _OVERWRITE:
                fields = fields[:-1]
            if len(fields) != 2 or not fields[0] or not fields[1].isdigit():
                raise DataError("%s:%d: found %r. %s" % (path, number, line[:80], _EXPECTED))
            if fields[0] in SPECIALS:
                raise DataError("%s:%d: %s is a special symbol, which every dictionary has; remove the line" % (
                    path, number, fields[0]))
            if fields[0] in first:
                raise DataError("%s:%d: the label %s is also in line %d; remove one of the lines" % (
                    path, number, fields[0], first[fields[0]]))
            first[fields[0]] = number
            symbols.append(fields[0])
            counts.append(int(fields[1]))
        if not symbols:
            raise DataError("%s is empty: every label would become the same unknown symbol, and the loss of a training would go "
                            "to 0. %s" % (path, _EXPECTED))
        return cls(symbols, counts, path)

    def write(self, path):
        """Writes the dictionary; the write is atomic."""
        with replaced_file(path, newline="\n") as file:
            file.writelines("%s %d\n" % line for line in zip(self.symbols, self.counts))
