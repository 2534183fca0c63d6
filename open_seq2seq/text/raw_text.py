"""Lines and paragraphs of raw text files of any size; files without text are errors."""
import os

from open_seq2seq.errors import DataError
from open_seq2seq.text.sentences import STDIN, Sentence, read_sentences

LONGEST_PARAGRAPH = 100000  # characters; a longer one is cut between two lines


def read_lines(paths, progress=None):
    """Yields the lines of files, as :func:`~open_seq2seq.text.sentences.read_sentences`.

    Raises:
      DataError: a file has no text, or see there.
    """
    before = 0
    for path in paths:
        lines = 0
        for sentence in read_sentences([path], progress and (lambda done, before=before: progress(before + done))):
            lines += 1
            yield sentence
        if not lines:
            raise DataError("%s contains no text; expected UTF-8 text. If another program writes the file, check that it has "
                            "finished" % ("stdin" if path == STDIN else path))
        if path != STDIN:
            before += os.path.getsize(path)


def read_paragraphs(paths, progress=None):
    """Yields paragraphs, which empty lines separate, as lines with the number of their first line; see :func:`read_lines`.

    A line that ends with a hyphen between letters is a divided word, which is joined.
    """
    parts, first, last = [], None, None
    for sentence in read_lines(paths, progress):
        follows = last is not None and sentence.path == last.path and sentence.line == last.line + 1
        if parts and (not follows or sum(map(len, parts)) > LONGEST_PARAGRAPH):
            yield Sentence(first.path, first.line, _joined(parts))
            parts = []
        if not parts:
            first = sentence
        parts.append(sentence.text)
        last = sentence
    if parts:
        yield Sentence(first.path, first.line, _joined(parts))


def _joined(parts):
    text = parts[0]
    for part in parts[1:]:
        divided = len(text) > 1 and text[-1] in "-\u00ad\u2010" and text[-2].isalpha() and part[:1].islower()
        text = text[:-1] + part if divided else text + " " + part
    return text
