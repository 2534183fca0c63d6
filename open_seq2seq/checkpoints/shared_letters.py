"""Output weights of letters that two vocabularies share: copied by name, so that only the new letters start untrained."""
import collections
import unicodedata

import numpy as np

from open_seq2seq.checkpoints.description import vocabulary_of
from open_seq2seq.checkpoints.restore import open_checkpoint, require_finite
from open_seq2seq.checkpoints.source_names import SourceNames
from open_seq2seq.text.vocabulary import shown_labels

CopiedLetters = collections.namedtuple("CopiedLetters", "values copied new similar")
CopiedLetters.__doc__ = """What :func:`copied_letters` returns.

values: dict of variables' names -> arrays. copied, new: tuples of labels of this training. similar: list of str, pairs of labels
that differ but may be meant to be the same."""


def copied_letters(checkpoint, output_layer, characters, initial, averaged):
    """The output layer with the weights of the letters that the checkpoint has, and of the blank.

    A new letter keeps its initial weights; its bias is the mean of the copied letters'.

    Args:
      checkpoint: path without extension.
      output_layer: variables of the output layer; the last dimension of each is the labels and the blank.
      characters: the labels of this training, a tuple, or None if they are not known.
      initial: dict of the variables' names -> initial values, arrays.
      averaged: read moving averages where the checkpoint has them.

    Returns:
      :class:`CopiedLetters`; None if the labels of either are not known, or its layer is not of this kind.

    Raises:
      CheckpointError: the checkpoint is damaged, or its weights are not finite.
    """
    theirs = vocabulary_of(checkpoint)
    if theirs is None or characters is None:
        return None
    reader = open_checkpoint(checkpoint)
    shapes, names = reader.get_variable_to_shape_map(), SourceNames(reader.get_variable_to_dtype_map())
    place = {label: index for index, label in enumerate(theirs)}
    shared = [(index, place[label]) for index, label in enumerate(characters) if label in place]
    new = [index for index, label in enumerate(characters) if label not in place]
    values = {}
    for variable in output_layer:
        name, shape = variable.op.name, variable.shape.as_list()
        source = names.find(name, variable.dtype.base_dtype, averaged)
        if source is None or not shape or shapes[source] != shape[:-1] + [len(theirs) + 1] or shape[-1] != len(characters) + 1:
            return None
        trained, value = reader.get_tensor(source), np.array(initial[name])
        require_finite([(source, trained)], checkpoint)
        for index, of_source in shared + [(len(characters), len(theirs))]:
            value[..., index] = trained[..., of_source]
        if len(shape) == 1 and shared:
            value[new] = np.mean([trained[of_source] for _, of_source in shared])
        values[name] = value
    return CopiedLetters(values if shared else {}, tuple(characters[index] for index, _ in shared),
                         tuple(characters[index] for index in new), similar_labels([characters[index] for index in new],
                                                                                   set(theirs) - set(characters)))


def similar_labels(new, unused):
    """Pairs that differ only in case or in Unicode's normal form, e.g. ``'A' and 'a'``: list of str."""
    folded = {unicodedata.normalize("NFKC", label).casefold(): label for label in sorted(unused)}
    pairs = [(label, folded.get(unicodedata.normalize("NFKC", label).casefold())) for label in new]
    return ["%r and %r" % pair for pair in pairs if pair[1] is not None]



def described(letters):
    """Lines for the log."""
    total = len(letters.copied) + len(letters.new)
    if letters.values:
        yield "letters copied by name: %d of %d, and the blank: %s" % (len(letters.copied), total, shown_labels(letters.copied))
    else:
        yield "Note: none of the %d letters is in the checkpoint's vocabulary, so no output weights were copied" % total
    if letters.new:
        yield "new letters: %s" % shown_labels(letters.new)
    if letters.similar:
        yield "Note: not copied, because they are different characters: %s. If they mean the same, normalize the transcripts " \
              "(docs/text.md)" % "; ".join(letters.similar[:10])
