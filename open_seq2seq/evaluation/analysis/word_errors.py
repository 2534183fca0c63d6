"""Which words are recognized badly: confusion pairs, inserted and deleted words, words with the most errors."""
import collections

from open_seq2seq.evaluation.word_alignment import CORRECT, DELETION, INSERTION

WordErrors = collections.namedtuple("WordErrors", "confusions deletions insertions damaged")
WordErrors.__doc__ = """Counts of errors by word, the most frequent first; equal counts in the order of the words.

confusions: list of ((reference word, hypothesis word), count). deletions, insertions: lists of (word, count). damaged: list of
:class:`DamagedWord`."""

DamagedWord = collections.namedtuple("DamagedWord", "word occurrences substitutions deletions insertions")
DamagedWord.__doc__ = """A word and its errors.

occurrences: in the references. substitutions: how often another word was recognized instead. deletions: how often no word was.
insertions: how often the word was recognized where the reference has none."""


def word_errors(scores):
    """The :class:`WordErrors` of a list of ``UtteranceScore``."""
    occurrences, confusions = collections.Counter(), collections.Counter()
    deletions, insertions, substitutions = collections.Counter(), collections.Counter(), collections.Counter()
    for score in scores:
        occurrences.update(score.reference.split())
        if score.is_correct:
            continue
        for operation, reference, hypothesis in score.alignment:
            if operation == CORRECT:
                continue
            if operation == DELETION:
                deletions[reference] += 1
            elif operation == INSERTION:
                insertions[hypothesis] += 1
            else:
                confusions[reference, hypothesis] += 1
                substitutions[reference] += 1
    damaged = [DamagedWord(word, occurrences[word], substitutions[word], deletions[word], insertions[word])
               for word in set(substitutions) | set(deletions) | set(insertions)]
    damaged.sort(key=lambda word: (-(word.substitutions + word.deletions), -word.insertions, word.word))
    return WordErrors(_sorted(confusions), _sorted(deletions), _sorted(insertions), damaged)


def highest_rates(damaged, least=3):
    """The words of ``WordErrors.damaged`` with at least ``least`` occurrences, the highest error rate first."""
    words = [word for word in damaged if word.occurrences >= least and word.substitutions + word.deletions]
    return sorted(words, key=lambda word: (-_error_rate(word), -word.occurrences, word.word))


def _error_rate(word):
    return (word.substitutions + word.deletions) / word.occurrences if word.occurrences else None


def _sorted(counter):
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def word_errors_as_dict(errors, limit=None):
    """:class:`WordErrors` as JSON values; at most ``limit`` entries of each list."""
    return {"confusions": [{"reference": pair[0], "hypothesis": pair[1], "count": count}
                           for pair, count in errors.confusions[:limit]],
            "deletions": [{"word": word, "count": count} for word, count in errors.deletions[:limit]],
            "insertions": [{"word": word, "count": count} for word, count in errors.insertions[:limit]],
            "damaged_words": [_damaged_as_dict(word) for word in errors.damaged[:limit]],
            "highest_rates": [_damaged_as_dict(word) for word in highest_rates(errors.damaged)[:limit]]}


def _damaged_as_dict(word):
    return dict(word._asdict(), error_rate=_error_rate(word))
