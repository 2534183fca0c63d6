"""``--mode=validate_data``: checks the sets of a config, with its vocabulary, features and network."""
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.selection import LIMITS
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.data.tasks import TRANSCRIPT, data_layer_params_of
from open_seq2seq.data.validation.command import DEFAULT_OUTPUT, run_validation
from open_seq2seq.data.validation.rows import DataSet, Model
from open_seq2seq.errors import UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.vocabulary import Vocabulary

_MODES = {"train": "train", "eval": "eval", "test": "eval", "infer": "infer"}


def validate_data(experiment, output=None, decode=True):
    """Validates the sets of an :class:`~open_seq2seq.experiment.loading.Experiment` loaded for "validate_data".

    Args:
      experiment: the experiment.
      output: the folder to write to; None: ``validation`` in the working directory.
      decode: decode all audio instead of looking at headers.

    Raises:
      UsageError: the config has another data layer, or a repaired copy would overwrite a manifest.
      DataError: errors were found, or the vocabulary or all manifests cannot be read.
      StorageError: a file cannot be written.
    """
    sets = []
    for note in experiment.notes:
        log_line("Note: " + note)
    for name in _MODES:
        if name not in experiment.params:
            continue
        for data_set in _data_sets(name, experiment.params[name]):
            same = [other.name for other in sets if other.mode != "train" and set(data_set.manifests) <= set(other.manifests)]
            if same:
                log_line("Note: the manifests of %s are those of %s and are checked once" % (data_set.name, same[0]))
                continue
            sets.append(data_set)
    names = [data_set.name for data_set in sets]
    pairs = [(training.name, other.name) for training in sets if training.mode == "train"
             for other in sets if other.mode != "train"]
    run_validation(sets, pairs, output or DEFAULT_OUTPUT, names, decode)


def _data_sets(name, params):
    """Yields the DataSet of a mode, and with tasks those of the other tasks with transcripts of their own manifests."""
    yield _data_set(name, params)
    tasks, main = params.get("tasks") or {}, params.get("main_task")
    for number, (task, own) in enumerate(tasks.items()):
        files = own["data"]["dataset_files" if _MODES[name] == "train" else "eval_files"]
        if own["data"]["kind"] == TRANSCRIPT and files and task != main and (main or number):
            data = data_layer_params_of(params["data_layer_params"], own["data"], evaluation=_MODES[name] != "train")
            yield _data_set(name, dict(params, data_layer_params=data))._replace(name="%s_%s" % (name, task))


def _data_set(name, params):
    if not issubclass(params["data_layer"], Speech2TextDataLayer):
        raise UsageError("--mode=validate_data checks manifests of Speech2TextDataLayer; the data layer of this config is %s"
                         % params["data_layer"].__name__)
    data, encoder, encoder_params = params["data_layer_params"], params["encoder"], params["encoder_params"]
    vocabulary, num_frames = Vocabulary.from_file(data["vocab_file"]), make_feature_function(data).num_frames
    for note in vocabulary.notes:
        log_line("Note: " + note)
    model = Model(data["sample_freq"], vocabulary, lambda count: encoder.output_frames(encoder_params, num_frames(count)),
                  data["max_missing_fraction"], {name: data[name] for name in LIMITS}, num_frames, bool(data["dynamic_range"]),
                  Normalization.of(data, vocabulary), data["transcript_column"])
    files = data["dataset_files"]
    return DataSet(name, _MODES[name], [files] if isinstance(files, str) else list(files), model)
