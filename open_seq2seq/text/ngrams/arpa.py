"""ARPA files, the text format of n-gram language models (Doug Paul, 1992), with base-10 logarithms."""
import numpy as np

_LINES = 1 << 16  # written at a time


def write_arpa(model, file, progress=None):
    """Writes a model.

    Args:
      model: :class:`~open_seq2seq.text.ngrams.kneser_ney.NgramModel`.
      file: a text file.
      progress: function that is called with the number of n-grams that are written.
    """
    file.write("\\data\\\n")
    for number, order in enumerate(model.orders, 1):
        file.write("ngram %d=%d\n" % (number, len(order.word)))
    done, words = 0, np.array(model.words, object)
    for number, order in enumerate(model.orders, 1):
        file.write("\n\\%d-grams:\n" % number)
        with np.errstate(divide="ignore"):
            probability = np.maximum(np.log10(order.probability), -99.0)
        backoff = np.log10(np.maximum(order.backoff, 1e-30)) if number < len(model.orders) else None
        for start in range(0, len(order.word), _LINES):
            rows = np.arange(start, min(start + _LINES, len(order.word)))
            texts = map(" ".join, zip(*_words(model.orders[:number], words, rows)))
            if backoff is None:
                lines = ["%.7g\t%s\n" % row for row in zip(probability[rows].tolist(), texts)]
            else:
                lines = ["%.7g\t%s\t%.7g\n" % row for row in zip(probability[rows].tolist(), texts, backoff[rows].tolist())]
            file.write("".join(lines))
            done += len(rows)
            if progress:
                progress(done)
    file.write("\n\\end\\\n")


def _words(orders, words, rows):
    """The words of n-grams of the last of ``orders``: a list for each place in the n-gram, of lists of str."""
    columns = []
    for order in reversed(orders):
        columns.append(words[order.word[rows]].tolist())
        rows = order.context[rows]
    return columns[::-1]
