"""What the network says about some utterances: collected during an evaluation, small enough to be kept and shown."""
import collections
import heapq

import numpy as np

from open_seq2seq.evaluation.report.content import counts_of
from open_seq2seq.evaluation.utterance_scores import score_utterance

MOST_ROWS = 40
SMALLEST = 0.05                        # a character that is never more probable has no row

Posteriors = collections.namedtuple("Posteriors", "rows values best_path")
Posteriors.__doc__ = """The output of the network for an utterance.

rows: list of int, the outputs that are ever probable, the blank first. values: uint8 [T', rows], their probabilities times 255.
best_path: int32 [T'], the most probable output of each frame."""


def posteriors_of(logits):
    """The :class:`Posteriors` of an utterance.

    Args:
      logits: float [T', V + 1], valid frames only, the blank last.
    """
    with np.errstate(invalid="ignore"):
        exponentials = np.exp(logits.astype(np.float32) - logits.max(axis=1, keepdims=True))
        # where the logits are NaN, nothing is probable
        values = np.rint(np.nan_to_num(exponentials / exponentials.sum(axis=1, keepdims=True)) * 255.0).astype(np.uint8)
    blank, largest = logits.shape[1] - 1, values.max(axis=0).astype(int) if len(values) else np.zeros(logits.shape[1], int)
    probable = [int(row) for row in np.argsort(-largest[:blank], kind="stable")[:MOST_ROWS] if largest[row] >= SMALLEST * 255]
    rows = [blank] + sorted(probable)
    return Posteriors(rows, values[:, rows], logits.argmax(axis=1).astype(np.int32))


class PosteriorCollector:
    """Keeps the posteriors of those utterances of an evaluation that its report may show: the worst, and some that it names.

    They are known only at the end, so the utterances that are the worst so far are kept.

    Args:
      utterances: list of Utterance, the data layer's.
      most: how many of the worst to keep.
      others: indices of utterances to keep in any case.
      unit: "word" or "character", whose error rate counts.
    """

    def __init__(self, utterances, most, others, unit):
        self._utterances, self._most, self._others, self._unit = utterances, most, frozenset(others), unit
        self._worst, self._kept = [], {}

    def add(self, values):
        """Takes a batch, a dict as of ``Evaluation.batches`` with logits."""
        if not self._most:
            return
        rows = zip(values["indices"].tolist(), values["transcripts"], values["logits"], values["lengths"])
        for index, transcript, logits, length in rows:
            counts = counts_of(score_utterance("", self._utterances[index].transcript, transcript), self._unit)
            # of equally bad ones the first, as in the report
            entry = (counts.rate, counts.errors, -index)
            if index in self._others:
                self._kept[index] = posteriors_of(logits[:length])
            elif len(self._worst) < self._most:
                heapq.heappush(self._worst, entry)
                self._kept[index] = posteriors_of(logits[:length])
            elif self._worst and entry > self._worst[0]:
                dropped = heapq.heapreplace(self._worst, entry)
                del self._kept[-dropped[2]]
                self._kept[index] = posteriors_of(logits[:length])

    def get(self, index):
        """The :class:`Posteriors` of an utterance, or None if they were not kept."""
        return self._kept.get(index)
