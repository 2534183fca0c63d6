"""Checks that all ranks run the same thing: one rank with another config, TensorFlow or other data would invalidate the run."""
import hashlib
import json

import numpy as np

from open_seq2seq.distributed.gathering import gather_numbers
from open_seq2seq.errors import DeviceError

LONGEST = 100
"""A value with more characters is shown by its fingerprint."""

_DIGEST_NUMBERS = 8  # int32 that hold a SHA-256


def fingerprint(value):
    """A short text that is different for different values.

    Args:
      value: anything that JSON can express: dicts with str keys, lists, tuples, str, numbers, bool, None. The order of keys does
        not matter.

    Returns:
      16 hexadecimal digits of the SHA-256.
    """
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def check_agreement(group, session, facts):
    """Compares facts of all ranks, which have to call this together; adds operations to the session's graph.

    First a hash of all facts is compared. Only where it differs the facts themselves are exchanged, so they may be long: when
    every key of the config is a separate fact, the message names the key that differs.

    Args:
      group: a ``ProcessGroup``.
      session: a session, in which nothing need be initialized.
      facts: dict from the name of a fact (str) to its value (str).

    Raises:
      DeviceError: on every rank, if a fact differs; lists each value with the ranks that have it.
    """
    if group.size == 1:
        return
    text = json.dumps(facts, sort_keys=True).encode("utf-8")
    padded = text + b" " * (-len(text) % 4)
    own = np.concatenate([np.frombuffer(hashlib.sha256(text).digest(), np.int32), np.array([len(padded) // 4], np.int32)])
    gathered = gather_numbers(group, session, own)
    digests, lengths = gathered[:, :_DIGEST_NUMBERS], gathered[:, _DIGEST_NUMBERS]
    if (digests == digests[0]).all():
        return
    row = np.frombuffer(padded.ljust(4 * int(lengths.max())), np.int32)
    texts = gather_numbers(group, session, row)
    raise DeviceError(_describe([json.loads(rank.tobytes().decode("utf-8")) for rank in texts]))


def _describe(facts_of_ranks):
    """The message about facts that differ, from the list of all ranks' dicts."""
    subjects = list(dict.fromkeys(subject for facts in facts_of_ranks for subject in facts))
    lines = []
    for subject in subjects:
        ranks_of_values = {}
        for rank, facts in enumerate(facts_of_ranks):
            ranks_of_values.setdefault(facts.get(subject), []).append(rank)
        if len(ranks_of_values) > 1:
            lines.append("  %s: %s" % (subject, "; ".join(
                "%s on rank %s" % (_shown(value), _listed(ranks)) for value, ranks in ranks_of_values.items())))
    return ("the ranks differ and cannot train together:\n%s\nStart all of them with the same code, environment, config, options "
            "and data files" % "\n".join(lines))


def _shown(value):
    if value is None:
        return "nothing"
    return value if len(value) <= LONGEST else "%d characters with fingerprint %s" % (len(value), fingerprint(value))


def _listed(ranks):
    """Rank numbers in ascending order as text: 0, 2-7."""
    parts, start = [], 0
    for place in range(1, len(ranks) + 1):
        if place == len(ranks) or ranks[place] != ranks[place - 1] + 1:
            first, last = ranks[start], ranks[place - 1]
            parts.append(str(first) if first == last else "%d%s%d" % (first, "-" if last > first + 1 else ", ", last))
            start = place
    return ", ".join(parts)
