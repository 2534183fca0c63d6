"""The lines of Kaldi's compute-wer, and its counts."""
from open_seq2seq.evaluation.word_alignment import KALDI, NO_EDITS, align_by, count


def kaldi_counts(scores):
    """The ``EditCounts`` of the words of all utterances as compute-wer counts them.

    Its total is the same as ours. Where alignments with equally many errors differ, it prefers a deletion and an insertion to two
    substitutions. This can happen only if there are at least two errors more than the difference in length needs.
    """
    total, others = NO_EDITS, []
    for score in scores:
        words = score.words
        if words.errors - abs(words.insertions - words.deletions) < 2:
            total += words
        else:
            others.append(score)
    aligned = align_by(KALDI, [score.reference.split() for score in others], [score.hypothesis.split() for score in others])
    return sum((count(operations) for operations in aligned), total)


def kaldi_lines(words, wrong_sentences, sentences, missing=0):
    """What compute-wer prints.

    Args:
      words: ``EditCounts``, see :func:`kaldi_counts`.
      wrong_sentences: how many of the sentences have an error.
      sentences: number of scored sentences.
      missing: number of references that have no hypothesis.

    Returns:
      List of three str.
    """
    return ["%%WER %s [ %d / %d, %d ins, %d del, %d sub ]%s" % (
                _percent(words.errors, words.length), words.errors, words.length, words.insertions, words.deletions,
                words.substitutions, " [PARTIAL]" if missing else ""),
            "%%SER %s [ %d / %d ]" % (_percent(wrong_sentences, sentences), wrong_sentences, sentences),
            "Scored %d sentences, %d not present in hyp." % (sentences, missing)]


def _percent(part, whole):
    # what C++ prints for a division by zero
    return "%.2f" % (100.0 * part / whole) if whole else ("inf" if part else "nan")
