"""What an evaluation knows of each utterance: texts, alignment of the words, error counts, loss; as a record and as JSON.

Rules. Words are separated by white space; nothing else is changed: case, punctuation and apostrophes are part of a word.
Characters are counted with one space between words. An empty reference has no words: every word of its hypothesis is an
insertion, which counts in the error rate of the set, and the utterance has no rate of its own. If both texts are empty, the
utterance is correct.
"""
import collections
import math

from open_seq2seq.evaluation.word_alignment import EditCounts, align, align_by, aligned_words, count

_FIELDS = ("id", "wav_filename", "audio_path", "columns", "duration", "reference", "hypothesis", "operations", "words",
           "characters", "loss", "entropy")


class UtteranceScore(collections.namedtuple("UtteranceScore", _FIELDS)):
    """The score of one utterance, a namedtuple.

    id: str, unique in the evaluation: "manifest:row", as in messages. wav_filename: str as in the manifest, or None. audio_path:
    path of the audio file, or None. columns: dict from the other columns of the manifest, e.g. "speaker", to str. duration: in
    seconds, or None. reference, hypothesis: str. operations: str with a letter for each pair of aligned words, see
    ``word_alignment``. words, characters: ``EditCounts``. loss: CTC loss, float, or None where it is not finite or not computed.
    entropy: of the distribution over labels and blank, mean over the frames, in nats, or None.
    """

    __slots__ = ()

    @property
    def alignment(self):
        """List of (operation, reference word or None, hypothesis word or None)."""
        return aligned_words(self.operations, self.reference.split(), self.hypothesis.split())

    @property
    def is_correct(self):
        """Whether all words are correct."""
        return not self.words.errors


def score_utterance(id, reference, hypothesis, wav_filename=None, audio_path=None, columns=None, duration=None, loss=None,
                    entropy=None):
    """Aligns a hypothesis with its reference and counts the errors.

    Args:
      id, reference, hypothesis: str. The others: see :class:`UtteranceScore`.

    Returns:
      UtteranceScore.
    """
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    operations = align(reference_words, hypothesis_words)
    characters = count(align(" ".join(reference_words), " ".join(hypothesis_words)))
    return UtteranceScore(id, wav_filename, audio_path, dict(columns or {}), duration, reference, hypothesis, operations,
                          count(operations), characters, loss, entropy)


def realigned(scores, rule):
    """The scores with the words aligned by a ``word_alignment.Rule``; the characters stay."""
    aligned = align_by(rule, [score.reference.split() for score in scores], [score.hypothesis.split() for score in scores])
    return [score._replace(operations=operations, words=count(operations)) for score, operations in zip(scores, aligned)]


def score_as_dict(score):
    """A :class:`UtteranceScore` as a dict of JSON values.

    Returns:
      Dict: id, wav_filename, audio_path, columns, duration, reference, hypothesis, loss and entropy as in the record;
      alignment: list of [operation, reference word or null, hypothesis word or null]; words and characters: dicts of the counts
      correct, substitutions, deletions and insertions; wer and cer: floats, or null where the reference is empty and the
      hypothesis is not.
    """
    return {"id": score.id, "wav_filename": score.wav_filename, "audio_path": score.audio_path, "columns": score.columns,
            "duration": score.duration, "reference": score.reference, "hypothesis": score.hypothesis,
            "alignment": [list(column) for column in score.alignment], "words": dict(zip(EditCounts._fields, score.words)),
            "characters": dict(zip(EditCounts._fields, score.characters)), "wer": finite(score.words.rate),
            "cer": finite(score.characters.rate), "loss": finite(score.loss), "entropy": finite(score.entropy)}


def score_from_dict(values):
    """The :class:`UtteranceScore` of a dict that :func:`score_as_dict` returned.

    Raises:
      KeyError, TypeError, ValueError: it is not such a dict.
    """
    operations = "".join(column[0] for column in values["alignment"])
    words = EditCounts(*[int(values["words"][name]) for name in EditCounts._fields])
    characters = EditCounts(*[int(values["characters"][name]) for name in EditCounts._fields])
    score = UtteranceScore(*[values[name] for name in _FIELDS[:7]], operations, words, characters,
                           *[values[name] for name in _FIELDS[10:]])
    if (count(operations) != words or words.length != len(score.reference.split())
            or words.length - words.deletions + words.insertions != len(score.hypothesis.split())):
        raise ValueError("the alignment of %s does not match its texts" % score.id)
    return score


def finite(number):
    """The number, or None where it is missing, infinite or NaN, which JSON does not have."""
    return number if number is not None and math.isfinite(number) else None
