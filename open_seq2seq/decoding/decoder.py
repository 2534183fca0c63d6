"""What all decoders have in common: what they take, what they return, and how they check it."""
import collections

import numpy as np

from open_seq2seq.errors import DataError

Character = collections.namedtuple("Character", "text first_frame end_frame log_probability")
Character.__doc__ = """A character of a transcript and the frames of the logits in which it was found.

text: one character or piece of the vocabulary. first_frame, end_frame: int, ``end_frame`` excluded. log_probability: natural
log of its probability, mean over these frames."""

Hypothesis = collections.namedtuple("Hypothesis", "text score acoustic_score characters")
Hypothesis.__doc__ = """The best transcript of an utterance.

text: str. score: what the decoder maximizes, natural log: the acoustic score, plus, in a beam search, alpha times the language
model's log probability, beta for each word, and the weights of hot words. acoustic_score: log probability of the text by the
network alone: of the best path in greedy decoding, summed over the paths of the beam in a beam search (where the weights of hot
words are a part of it). characters: list of
:class:`Character`; None if they were not asked for."""


IMPOSSIBLE = -1000.0  # log probability; searches do not take minus infinity


class Decoder:
    """Transcripts of logits. Subclasses define :meth:`submit` and :meth:`describe`.

    Args:
      vocabulary: a ``Vocabulary``; the blank is the output after its last label.

    Attributes:
      vocabulary: as given.
      name: "greedy" or "beam", as in the config.
      needs_logits: False if :meth:`decode_best_path` makes the same transcripts of the best path alone.
    """

    name = None
    needs_logits = True

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary

    def submit(self, logits, lengths, characters=False):
        """Starts decoding.

        Args:
          logits: float [B, T', V + 1]; need not be normalized.
          lengths: integer [B], valid frames.
          characters: also find the frames of each character.

        Returns:
          ``concurrent.futures.Future`` of a list of B :class:`Hypothesis`, in order. It may be submitted again before the
          result of the first is there.

        Raises:
          DataError: a logit is NaN or infinite.
          ValueError: the arrays' shapes do not match, or the number of outputs is not that of the vocabulary and the blank.
        """
        raise NotImplementedError

    def hypotheses(self, logits, lengths):
        """The list of B :class:`Hypothesis` with characters; arguments and errors: see :meth:`submit`."""
        return self.submit(logits, lengths, characters=True).result()

    def decode_logits(self, logits, lengths):
        """The transcripts, a list of B str; arguments and errors: see :meth:`submit`."""
        return [hypothesis.text for hypothesis in self.submit(logits, lengths).result()]

    def describe(self):
        """A sentence on how transcripts are found."""
        raise NotImplementedError

    def close(self):
        """Ends the processes of the decoder, if it has any; it cannot be used afterwards."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def checked(self, logits, lengths):
        """``logits`` and ``lengths`` as arrays; errors: see :meth:`submit`. A single output may be minus infinity."""
        logits, lengths = np.asarray(logits), np.asarray(lengths)
        if logits.ndim != 3 or logits.shape[2] != self.vocabulary.size + 1:
            raise ValueError("logits have shape %s, expected [B, T', %d]" % (logits.shape, self.vocabulary.size + 1))
        if lengths.shape != logits.shape[:1]:
            raise ValueError("lengths have shape %s, expected [%d]" % (lengths.shape, len(logits)))
        # the maximum of a frame is NaN if one of its logits is
        wrong = ~np.isfinite(logits.max(axis=2)) & (np.arange(logits.shape[1]) < lengths[:, np.newaxis])
        if wrong.any():
            row, frame = np.argwhere(wrong)[0].tolist()
            raise NonFiniteLogits(row, frame)
        return logits, lengths

    def log_probabilities(self, logits, lengths):
        """Natural log probabilities of each utterance, cut to its valid frames.

        Args:
          logits, lengths: see :meth:`submit`.

        Returns:
          List of B float32 [valid frames, V + 1].

        Raises:
          DataError, ValueError: see :meth:`submit`.
        """
        rows = []
        for row, length in zip(*self.checked(logits, lengths)):
            row = row[:length].astype(np.float64)
            shifted = row - row.max(axis=1, keepdims=True)
            normalized = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            rows.append(self._without_tags(normalized).astype(np.float32))
        return rows

    def _without_tags(self, log_probabilities):
        """The same, where the probability of the tags of languages, which are not part of a text, is added to the blank's."""
        tags = list(self.vocabulary.languages.values())
        if tags:
            with_blank = log_probabilities[:, tags + [self.vocabulary.size]]
            log_probabilities[:, -1] = np.logaddexp.reduce(with_blank, axis=1)
            log_probabilities[:, tags] = IMPOSSIBLE
        return log_probabilities


class NonFiniteLogits(DataError):
    """Logits are NaN or infinite.

    Attributes:
      row: index of the utterance in the batch. frame: its first such frame, None if it is unknown.
    """

    def __init__(self, row, frame, name=None):
        super().__init__("the logits of %s are NaN or infinite%s. The checkpoint is of a training that has diverged, or the "
                         "network's float16 computation overflowed: use an earlier checkpoint, or --dtype=float32" % (
                             name or "utterance %d of the batch" % row, "" if frame is None else ", first in frame %d" % frame))
        self.row, self.frame = row, frame
