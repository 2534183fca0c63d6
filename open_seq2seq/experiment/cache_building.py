"""``--mode=build_cache``: checks and builds the caches of a config's data sets, in parallel processes."""
import os
import signal
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.shards.shard_file import damaged_records
from open_seq2seq.data.shards.shard_folder import ShardFolder
from open_seq2seq.data.speech2text.shard_building import ShardBuilder
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.assembly import tasks_of_data
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.task_params import config_of_task, evaluated_tasks
from open_seq2seq.progress import ProgressBar
from open_seq2seq.worker_processes import map_unordered, report_utterance

_MODES = {"train": "train", "eval": "eval", "test": "eval", "infer": "infer"}
_builder = _folder = None    # of a worker process


def build_caches(experiment, workers=None):
    """Builds the caches of all data sets of an :class:`~open_seq2seq.experiment.loading.Experiment` loaded for "build_cache".

    Every shard is read and compared with its checksums; missing, outdated and damaged ones are written.

    Args:
      experiment: the experiment.
      workers: number of processes; None: one for each core.

    Raises:
      UsageError: the config has another data layer.
      ConfigError: the data cannot be cached in this way.
      DataError: a manifest or most audio cannot be read; the cache was built with other parameters.
      StorageError: the cache cannot be written, or another process writes it.
    """
    tf.logging.set_verbosity(tf.logging.ERROR)      # its advice is to rewrite for TensorFlow 2
    for note in experiment.notes:
        log_line("Note: " + note)
    folders = set()
    for name in _MODES:
        if name not in experiment.params:
            continue
        params = experiment.params[name]
        if not issubclass(params["data_layer"], Speech2TextDataLayer):
            raise UsageError("--mode=build_cache caches data of Speech2TextDataLayer; the data layer of this config is %s"
                             % params["data_layer"].__name__)
        if not params["data_layer_params"]["cache_features"]:
            log_line('Note: %s: data_layer_params["cache_features"] is False, so runs do not use the cache; set it to True'
                     % name)
        for layer in _layers(name, params):
            if layer.cache.folder.path not in folders:
                folders.add(layer.cache.folder.path)
                _build(name, layer.cache, params["data_layer_params"], workers or usable_cores())


def _layers(name, params):
    """The data layers of a mode: one, and with tasks those of the tasks' own evaluations."""
    encoder, encoder_params, tasks = params["encoder"], params["encoder_params"], params.get("tasks") or {}

    def layer(layer_params, mode, **options):
        return params["data_layer"](dict(layer_params, cache_features=True), mode, params["batch_size_per_gpu"], **options)

    own, mode = params["data_layer_params"], _MODES[name]
    in_training = {"tasks": tasks_of_data(params)} if tasks and mode == "train" else {}
    if tasks and mode == "eval":
        own = config_of_task(params)["data_layer_params"]
    yield layer(own, mode, output_frames=lambda frames: encoder.output_frames(encoder_params, frames), **in_training)
    if mode == "eval":
        for task in evaluated_tasks(params):
            # the audio is cached whatever its targets are
            yield layer(config_of_task(params, task)["data_layer_params"], "infer")


def _build(name, cache, params, workers):
    cache.create()
    folder, plan = cache.folder, cache.plan()
    total = sum(map(len, plan))
    with folder.lock(alone=True), ProgressBar(total, 0, "cache of %s" % name) as bar:
        tasks = [(shard, sources) for shard, sources in enumerate(plan) if sources]
        state = os.getpid(), params, folder.path, folder.content, folder.parameters, folder.num_shards
        written = sum(map_unordered(_do_shard, tasks, workers, bar.update,
                                    "Run the command again; finished shards are kept", _begin, state))
        folder.remove_others()
    cache.refresh()
    unusable, size = cache.num_unusable(), folder.total_bytes()
    log_line("%s: %s, %.2f GB in %d shards, %d of them written now%s" % (
        name, cache.describe(), size / 1e9, len(tasks), written,
        "; the audio of %d cannot be used" % unusable if unusable else ""))


def _begin(parent, params, path, content, parameters, num_shards):
    global _builder, _folder
    tf.logging.set_verbosity(tf.logging.ERROR)
    if os.getpid() != parent:
        # the parent ends its workers
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _builder, _folder = ShardBuilder(params), ShardFolder(path, content, parameters, 0)
    _folder.num_shards = num_shards


def _do_shard(task):
    """Checks a shard and writes it if necessary; returns whether it was written."""
    shard, sources = task
    _folder.refresh([shard])
    path, records = _folder.shard_path(shard), _folder.records_of(shard)
    damaged = damaged_records(path, records)
    if damaged:
        sys.stderr.write("Warning: %d of %d records of %s are damaged, the first is record %d; the shard is written again\n"
                         % (len(damaged), (records["rows"] > 0).sum(), path, damaged[0]))
    elif not _folder.missing({shard: sources}):
        for _ in sources:
            report_utterance()
        return False
    _builder.build(_folder, shard, sources, on_utterance=report_utterance)
    return True
