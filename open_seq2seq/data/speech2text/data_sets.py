"""Which of the utterances of a training are one data set, where several data sets are mixed."""
import collections
import os

import numpy as np

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.speech2text import language_tags
from open_seq2seq.data.speech2text.language_tags import LanguageTags
from open_seq2seq.data.speech2text.mixed_order import BATCH, DataSetSampling
from open_seq2seq.errors import ConfigError, DataError

DataSets = collections.namedtuple("DataSets", "names numbers temperature")
DataSets.__doc__ = """The data sets of a training.

names: list of str. numbers: int64 [utterances], the data set of each. temperature: number, see
:class:`~open_seq2seq.data.speech2text.mixed_order.DataSetSampling`."""


def data_sets_of(utterance_set, params):
    """The DataSets of an UtteranceSet, or None if there is only one.

    A data set is the utterances of the same tasks and of the same language tag. If these are the same for all utterances and
    ``sampling_temperature`` is given, every manifest is a data set.

    Args:
      utterance_set: UtteranceSet, or TaskUtterances with tasks.
      params: checked params of the data layer.

    Raises:
      ConfigError: parameters that do not fit several data sets.
    """
    tasks_of = getattr(utterance_set, "tasks_of", lambda utterance: ())
    tags = LanguageTags.of(params, utterance_set.vocabulary)
    keys = [(tasks_of(utterance), _language(tags, utterance)) for utterance in utterance_set.utterances]
    if len(set(keys)) == 1 and params["sampling_temperature"] is not None:
        keys = [utterance.manifest for utterance in utterance_set.utterances]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == 1:
        return None
    if params["shuffle_buffer"]:
        raise ConfigError('data_layer_params["shuffle_buffer"] is %d, but it cannot be used with several data sets, and the '
                          "training has %d. Set it to 0" % (params["shuffle_buffer"], len(numbers)))
    manifests = [{} for _ in numbers]
    for key, utterance in zip(keys, utterance_set.utterances):
        manifests[numbers[key]][utterance.manifest] = True
    # corpora often have the same names of files, e.g. ky/train.csv and kk/train.csv
    paths = {path for of_set in manifests for path in of_set}
    shown = os.path.basename if len(set(map(os.path.basename, paths))) == len(paths) else _with_folder
    names = [", ".join(map(shown, of_set)) + (" (%s)" % key[1] if isinstance(key, tuple) and key[1] else "")
             for key, of_set in zip(numbers, manifests)]
    return DataSets(names, np.array([numbers[key] for key in keys], np.int64), params["sampling_temperature"] or 1)


def _language(tags, utterance):
    """The language of an utterance; None without tags, and of tasks that need none."""
    try:
        return tags.language_of(utterance)
    except DataError:
        return None


def _with_folder(path):
    return os.path.join(os.path.basename(os.path.dirname(os.path.abspath(path))), os.path.basename(path))


def sampling_of(data_sets, params, seed, buckets=None):
    """The DataSetSampling of DataSets; None without several of them.

    Args:
      data_sets: DataSets or None.
      params: checked params of the data layer.
      seed: int.
      buckets: int [rows], numbers of the length buckets; None: there are none.
    """
    if data_sets is None:
        return None
    return DataSetSampling(data_sets.numbers, data_sets.temperature, buckets, params["shuffle"], seed)


def described(data_sets, sampling, params):
    """A phrase for the log on the shares of the data sets."""
    sizes = np.bincount(data_sets.numbers)
    rows = np.bincount(sampling.set_of_cell, sampling.rows_of_cell)
    return "%d data sets (temperature %g; %s): %s" % (
        len(sizes), data_sets.temperature, "a batch is from one" if params["mix"] == BATCH else "mixed in every batch",
        "; ".join("%s: %d utterances, %.1f %% of an epoch, %.3g times each" % (
            name, size, 100.0 * count / rows.sum(), count / size) for name, size, count in zip(data_sets.names, sizes, rows)))


def check_rules(params, path, report):
    """Reports contradictions between checked params; ``path`` names them."""
    language_tags.check_rules(params, path, report)
    if params["mix"] != BATCH:
        return
    for key in ("length_pool", "sortagrad"):
        if params[key]:
            report.problem(child_path(path, key), 'is %r and mix is "batch": both decide which utterances make a batch. Remove '
                           'it, or set mix to "row"' % (params[key],))
