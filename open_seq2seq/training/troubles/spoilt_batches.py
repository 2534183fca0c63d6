"""Which batches of a step have a loss that is not finite: each rank knows its own, and all of them tell each other."""
import collections
import json

import numpy as np

from open_seq2seq.distributed.exchange import TextExchange

DIGITS = 11  # of the number of a batch or an utterance in a text, with its comma and blank
FINDING_BYTES = 2048

SpoiltBatch = collections.namedtuple("SpoiltBatch", "rank number indices")
SpoiltBatch.__doc__ = "Whose batch it is; its number in the rank's stream of training; list of the data layer's row indices."

Finding = collections.namedtuple("Finding", "rank file where text")
Finding.__doc__ = """Which rank; the file that it kept of the batch; where the first value was that is not finite, as of
``First``; the same as a phrase. None for what it has not."""


class SpoiltBatches:
    """What the ranks tell each other about a bad step. All of them call each method together.

    Args:
      group: a ``ProcessGroup``.
      batches: of a step on each rank.
      rows: of a batch.
    """

    def __init__(self, group, batches, rows):
        self._rank = group.rank
        self._batches = TextExchange(group, batches * (rows + 2) * DIGITS + DIGITS)
        self._findings = TextExchange(group, FINDING_BYTES)

    def of_step(self, session, seen_batches):
        """The spoilt batches of all ranks.

        Args:
          session: the session of the training.
          seen_batches: list of SeenBatch, this rank's batches of the step.

        Returns:
          List of SpoiltBatch in the order of ranks and batches; empty where a gradient alone is not finite.
        """
        own = [[seen.number] + [int(index) for index in seen.values["indices"] if index >= 0]
               for seen in seen_batches if not np.isfinite(seen.values["batch_loss"])]
        return [SpoiltBatch(rank, batch[0], batch[1:])
                for rank, text in enumerate(self._batches.all(session, json.dumps(own))) for batch in json.loads(text)]

    def findings(self, session, file, where, text):
        """What every rank found, a list of Finding. It ends when the last rank has looked: no rank ends a run before."""
        # the longest last, of which an end may be lost
        texts = self._findings.all(session, "\n".join(part or "" for part in (file, where, text)))
        return [Finding(rank, *[part or None for part in found.split("\n", 2)]) for rank, found in enumerate(texts)]
