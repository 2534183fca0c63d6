"""The denominator of lattice-free MMI: an n-gram of labels and its states with CTC's topology (Hadian et al., Interspeech 2018).

An n-gram of the training transcripts' labels gives every sequence of labels a probability. Its histories become the states of a
hidden Markov model in which, as in CTC, a label may be repeated and blanks may stand between labels and must stand between equal
ones. The sum over all paths of this model is the denominator.
"""
import numpy as np

from open_seq2seq.errors import ConfigError

START = -1  # the beginning of an utterance in a history
_STATIONARY_STEPS = 100  # as in Kaldi, for the distribution that leaks


class LabelNgram:
    """An n-gram of labels, with Witten-Bell smoothing or without smoothing.

    Witten-Bell, because Kneser-Ney's discounts need counts of counts that a few dozen labels do not have.

    Args:
      sequences: list of sequences of labels, integers from 0.
      num_labels: int.
      order: int, at least 2.
      min_count: a history of two or more labels that occurs less often is excluded; its longest kept suffix replaces it.
      max_histories: int, keep at most this many histories of two or more labels, the most frequent ones.
      smooth: False: a label that never followed a history has the probability 0 after it.

    Attributes:
      histories: list of tuples of labels, START first where a history begins the utterance. The first is (START,); then one for
        each label.
      log_probabilities: float64 [histories, labels + 1], of each label and of the end.
      next: int32 [histories, labels], the history after each label.

    Raises:
      ConfigError: more than :attr:`MOST_HISTORIES`; the denominator has a matrix of all transitions between two states of each.
    """

    MOST_HISTORIES = 4000

    def __init__(self, sequences, num_labels, order=3, min_count=1, max_histories=1000, smooth=True):
        self.num_labels = num_labels
        counts = self._counts(sequences, order)
        longer = {history: sum(following.values()) for history, following in counts.items() if len(history) > 1}
        longer = [history for history in sorted(longer, key=lambda history: (-longer[history], history))
                  if longer[history] >= min_count]
        self.histories = [(START,)] + [(label,) for label in range(num_labels)] + longer[:max_histories]
        if len(self.histories) > self.MOST_HISTORIES:
            raise ConfigError("the n-gram has %d histories, one for each of %d labels and %d of several labels; expected at most "
                              "%d. Lower ngram_histories, or choose a smaller vocabulary" % (
                                  len(self.histories), num_labels, len(longer[:max_histories]), self.MOST_HISTORIES))
        self._number = {history: number for number, history in enumerate(self.histories)}
        self.next = np.array([[self._number_of_suffix(history + (label,), order) for label in range(num_labels)]
                              for history in self.histories], np.int32)
        with np.errstate(divide="ignore"):
            self.log_probabilities = np.log([self._distribution(history, counts, smooth) for history in self.histories])

    def _counts(self, sequences, order):
        """dict from a history of 0 to order - 1 labels to a dict from what follows to its count; the end is ``num_labels``."""
        lengths = np.array([len(sequence) for sequence in sequences]) + 2
        # START is 0, the labels follow, then the end
        tokens = np.array([token for sequence in sequences for token in (
            [0] + [label + 1 for label in sequence] + [self.num_labels + 1])], np.int64)
        position = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        base, counts = self.num_labels + 2, {}
        for length in range(order):
            ends = np.flatnonzero(position >= max(length, 1))
            keys = np.zeros(len(ends), np.int64)
            for back in range(length, -1, -1):
                keys = keys * base + tokens[ends - back]
            for key, count in zip(*(values.tolist() for values in np.unique(keys, return_counts=True))):
                ngram = []
                for _ in range(length + 1):
                    key, digit = divmod(key, base)
                    ngram.append(digit - 1)
                counts.setdefault(tuple(ngram[:0:-1]), {})[ngram[0]] = count
        return counts

    def _number_of_suffix(self, history, order):
        for first in range(max(0, len(history) - order + 1), len(history)):
            if history[first:] in self._number:
                return self._number[history[first:]]
        raise AssertionError("every single label is a history")

    def _distribution(self, history, counts, smooth):
        following = counts.get(history, {})
        own = np.zeros(self.num_labels + 1)
        for label, count in following.items():
            own[label] = count
        if not smooth:
            return own / max(own.sum(), 1.0)
        shorter = (self._distribution(history[1:], counts, True) if history
                   else np.full(self.num_labels + 1, 1.0 / (self.num_labels + 1)))
        return (own + len(following) * shorter) / (own.sum() + len(following)) if following else shorter

    def log_probability(self, sequence):
        """Of a sequence of labels and the end; -inf if the n-gram has no path for it."""
        number, total = 0, 0.0
        for label in sequence:
            total += self.log_probabilities[number, label]
            number = self.next[number, label]
        return total + self.log_probabilities[number, self.num_labels]


class DenominatorGraph:
    """The states of a :class:`LabelNgram` with CTC's topology; a path emits the output of each state that it enters.

    Args:
      ngram: a LabelNgram.
      leak: coefficient of the leaky HMM (Povey et al., Interspeech 2016): before each frame a path may jump to any state with
        this factor times the state's share of time; 0: no jumps.

    Attributes:
      outputs: int32 [states], the label that a state emits; ``num_labels`` is the blank.
      start: float32 [states], before the first frame. final: float32 [states], of ending in a state.
      transitions: float32 [states, states], from row to column, leaks included.
    """

    def __init__(self, ngram, leak=0.0):
        num_histories, blank = len(ngram.histories), ngram.num_labels
        # state 2 * h emits the last label of history h, state 2 * h + 1 a blank after it; state 0 does not exist and has no paths
        size = 2 * num_histories
        probabilities = np.exp(ngram.log_probabilities)
        last = np.array([history[-1] for history in ngram.histories])
        transitions = np.zeros([size, size])
        for number in range(num_histories):
            label, silence = 2 * number, 2 * number + 1
            following = probabilities[number, :-1].copy()
            np.add.at(transitions[silence], 2 * ngram.next[number], following)
            transitions[silence, silence] = 1.0
            if number:
                following[last[number]] = 0.0
                np.add.at(transitions[label], 2 * ngram.next[number], following)
                transitions[label, label] = transitions[label, silence] = 1.0
        self.outputs = np.full(size, blank, np.int32)
        self.outputs[::2] = np.where(last == START, blank, last)
        self.start = np.zeros(size, np.float32)
        self.start[1] = 1.0
        self.final = np.repeat(probabilities[:, -1], 2).astype(np.float32)
        self.final[0] = 0.0
        if leak:
            transitions = transitions + leak * np.outer(np.ones(size), self._shares_of_time(transitions).dot(transitions))
        self.transitions = transitions.astype(np.float32)

    def _shares_of_time(self, transitions):
        """float64 [states], the mean distribution over the first steps from the start, without regard to what is emitted."""
        distribution, total = self.start.astype(np.float64), np.zeros(len(transitions))
        normalized = transitions / np.maximum(transitions.sum(1, keepdims=True), 1e-30)
        for _ in range(_STATIONARY_STEPS):
            distribution = distribution.dot(normalized)
            distribution /= max(distribution.sum(), 1e-30)
            total += distribution
        return total / _STATIONARY_STEPS

    def __len__(self):
        return len(self.outputs)
