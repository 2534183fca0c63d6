"""``--mode=build_cache``: checks and builds the caches of a config's data sets, in parallel processes."""
import concurrent.futures
import multiprocessing
import os
import signal
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.shards.shard_file import damaged_records
from open_seq2seq.data.shards.shard_folder import ShardFolder
from open_seq2seq.data.speech2text.shard_building import ShardBuilder
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.signals import follow_parent

_MODES = {"train": "train", "eval": "eval", "test": "eval", "infer": "infer"}
_SECONDS = 0.5      # between two updates of the progress bar
_builder = _folder = _counter = None    # of a worker process


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
        encoder, encoder_params = params["encoder"], params["encoder_params"]
        layer = params["data_layer"](
            dict(params["data_layer_params"], cache_features=True), _MODES[name], params["batch_size_per_gpu"],
            output_frames=lambda frames: encoder.output_frames(encoder_params, frames))   # noqa: B023
        if layer.cache.folder.path not in folders:
            folders.add(layer.cache.folder.path)
            _build(name, layer.cache, params["data_layer_params"], workers or usable_cores())


def _build(name, cache, params, workers):
    cache.create()
    folder, plan, written = cache.folder, cache.plan(), 0
    total = sum(map(len, plan))
    with folder.lock(alone=True), ProgressBar(total, 0, "cache of %s" % name) as bar:
        tasks, done = [(shard, sources) for shard, sources in enumerate(plan) if sources], 0
        for was_written in _map(params, folder, tasks, min(workers, len(tasks)), bar.update):
            written += was_written
            done += 1
        folder.remove_others()
    cache.refresh()
    unusable, size = cache.num_unusable(), folder.total_bytes()
    log_line("%s: %s, %.2f GB in %d shards, %d of them written now%s" % (
        name, cache.describe(), size / 1e9, len(tasks), written,
        "; the audio of %d cannot be used" % unusable if unusable else ""))


def _map(params, folder, tasks, workers, on_utterances):
    """Yields for every task whether its shard was written."""
    state = params, folder.path, folder.content, folder.parameters, folder.num_shards
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q")
    if workers <= 1:
        _begin(None, counter, *state)
        for task in tasks:
            yield _do_shard(task)
            on_utterances(counter.value)
        return
    # a forked child would inherit TensorFlow's locks
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _begin, (os.getpid(), counter) + state)
    left, running = iter(tasks), set()
    try:
        while True:
            while len(running) < 2 * workers:
                task = next(left, None)
                if task is None:
                    break
                running.add(pool.submit(_do_shard, task))
            if not running:
                return
            done, running = concurrent.futures.wait(running, _SECONDS, concurrent.futures.FIRST_COMPLETED)
            on_utterances(counter.value)
            for future in done:
                yield future.result()
    except concurrent.futures.process.BrokenProcessPool:
        raise StorageError("a process that builds the cache was killed, perhaps because memory ran out. Run the command again; "
                           "finished shards are kept")
    finally:
        for future in running:
            future.cancel()
        pool.shutdown()


def _begin(parent, counter, params, path, content, parameters, num_shards):
    global _builder, _folder, _counter
    tf.logging.set_verbosity(tf.logging.ERROR)
    if parent is not None:
        # the parent ends its workers
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        follow_parent(parent)
    _builder, _counter = ShardBuilder(params), counter
    _folder = ShardFolder(path, content, parameters, 0)
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
        with _counter.get_lock():
            _counter.value += len(sources)
        return False

    def advance():
        with _counter.get_lock():
            _counter.value += 1

    _builder.build(_folder, shard, sources, on_utterance=advance)
    return True
