"""``--mode=features``: the features that are clustered, MFCC or the outputs of a layer of a checkpoint, in shards."""
import collections
import concurrent.futures
import itertools
import os
import time

import numpy as np
import soxr

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import samples_of
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.fairseq_files.audio_list import is_audio_list
from open_seq2seq.data.fairseq_files.feature_shards import (
    FeatureDescription,
    is_complete,
    make_folder,
    shard_path,
    shard_range,
    write_keyed_shard,
    write_shard,
)
from open_seq2seq.data.keyed_features import key_of
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.manifest import SAMPLES_COLUMN, read_manifest
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import checksum_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.pretraining.mfcc import SAMPLE_RATE, Mfcc
from open_seq2seq.progress import ProgressBar

_BATCH = 16  # utterances whose features are computed together
_ADVICE = "Repair the file, or exclude it: python -m open_seq2seq.pretraining.manifest {0} --dest {0} --skip_unreadable"

Split = collections.namedtuple("Split", "name manifest rows")
Split.__doc__ = """The utterances of one file of labels. name: the manifest's name without extension. rows: list of
ManifestRow."""


def dump_mfcc(manifests, sample_rate, arguments):
    """Writes the MFCC of all utterances of manifests.

    Args:
      manifests: list of CSV or TSV files.
      sample_rate: Hz, to which audio is resampled; None: 16000.
      arguments: ``features`` is the folder to write to, ``nshard`` the number of shards of each split, ``shard`` the shards to
        write, None for all, ``format`` "npy", "npz" or "ark".

    Raises:
      DataError: a manifest or an audio file cannot be used; the message names it.
      UsageError: the folder has other features, or two manifests have the same name.
      StorageError: a file cannot be written.
    """
    sample_rate = sample_rate or SAMPLE_RATE
    mfcc = Mfcc(sample_rate)

    def batches(split, first, end):
        rows = split.rows[first:end]
        groups = [rows[start:start + _BATCH] for start in range(0, len(rows), _BATCH)]
        return _in_order(lambda group: mfcc([read_row(row, sample_rate) for row in group]), groups)

    def description_of(split):
        return FeatureDescription("mfcc", mfcc.frame_rate, mfcc.size, digest_of(split, sample_rate), None)

    write_splits(splits_of(manifests), description_of, batches, arguments)


def write_splits(splits, description_of, batches, arguments):
    """Writes the shards that are missing.

    Args:
      splits: list of Split.
      description_of: function of a Split -> FeatureDescription.
      batches: function (Split, first utterance, end) -> iterable of (float32 [frames, D], frames of each utterance).
      arguments: see :func:`dump_mfcc`.
    """
    make_folder(arguments.features, "--features")
    kind, = arguments.format
    extension = "scp" if kind == "ark" else kind
    for split in splits:
        if len(split.rows) < arguments.nshard:
            raise UsageError("--nshard is %d, and %s has %d utterances; expected at least one for each shard" % (
                arguments.nshard, split.manifest, len(split.rows)))
        wanted = range(arguments.nshard) if arguments.shard is None else arguments.shard
        description = description_of(split)
        pending = []
        for rank in wanted:
            path = os.path.splitext(shard_path(arguments.features, split.name, rank, arguments.nshard))[0] + "." + extension
            if is_complete(path, description):
                log_line("%s exists and is complete; skipped" % path)
            else:
                pending.append((rank, path))
        ranges = {rank: shard_range(len(split.rows), arguments.nshard, rank) for rank, _ in pending}
        with ProgressBar(sum(end - first for first, end in ranges.values()), description="features of %s" % split.name) as bar:
            done = 0
            for rank, path in pending:
                began = time.monotonic()
                first, end = ranges[rank]
                counted = _counted(batches(split, first, end), bar, done)
                if extension == "npy":
                    utterances, frames = write_shard(path, counted, description)
                else:
                    utterances, frames = write_keyed_shard(path, _keyed(split.rows[first:end], counted), description)
                done += utterances
                log_line("Wrote %s: %s, %d utterances, %d frames of %d values (%.1f s)" % (
                    path, description.features, utterances, frames, description.size, time.monotonic() - began))


def _keyed(rows, batches):
    """Yields (key, float32 [frames, D]) of each utterance."""
    rows = iter(rows)
    for values, lengths in batches:
        ends = np.cumsum(lengths)
        for end, length in zip(ends, lengths):
            yield key_of(next(rows).wav_filename), values[end - length:end]


def _counted(batches, bar, done):
    for values, lengths in batches:
        yield values, lengths
        done += len(lengths)
        bar.update(done)


def manifests_of_modes(params):
    """The manifests of a config's modes, each once: list of str."""
    files = [section["data_layer_params"].get("dataset_files") or [] for section in params.values()]
    listed = [path for paths in files for path in ([paths] if isinstance(paths, str) else paths)]
    if not listed:
        raise UsageError("the config has no dataset_files; give the lists of utterances with --manifest")
    return list(dict.fromkeys(listed))


def splits_of(manifests):
    """List of :class:`Split` of manifests.

    Raises:
      DataError: a manifest or one of its rows is malformed.
      UsageError: two manifests have the same name, which names their files of features and labels.
    """
    splits = []
    for manifest in manifests:
        name = os.path.splitext(os.path.basename(manifest))[0]
        same = [split.manifest for split in splits if split.name == name]
        if same:
            raise UsageError("%s and %s have the same name, which names their features; rename one or give them one at a time"
                             % (same[0], manifest))
        rows = read_manifest(manifest, transcripts=False)
        for row in rows:
            if row.problem is not None:
                raise DataError("%s:%d %s" % (manifest, row.row, row.problem))
        splits.append(Split(name, manifest, rows))
    return splits


def digest_of(split, sample_rate):
    """SHA-256 of what a split's features are computed from; the audio files are known by their sizes."""
    return checksum_of([sample_rate, [[row.wav_filename, _size_of(path_of(row))] for row in split.rows]])


def path_of(row):
    """The audio file of a ManifestRow: relative to the manifest, else to the working directory."""
    return row.audio_path if os.path.exists(row.audio_path) or not os.path.exists(row.wav_filename) else row.wav_filename


def _size_of(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def read_row(row, sample_rate):
    """The samples of a ManifestRow at a sample rate: float32 [samples].

    Raises:
      DataError: the file cannot be used, or has another number of samples than its TSV list says.
    """
    path = path_of(row)
    place = "%s:%d: %s" % (row.manifest, row.row, row.wav_filename)
    try:
        with open_audio_file(path) as file:
            inspection = inspect_file(file, MAX_MISSING_FRACTION)
            samples = samples_of(file, inspection, MAX_MISSING_FRACTION)
    except RejectedData as error:
        raise DataError("%s: %s: %s. %s" % (place, error.reason.name, error, _list_advice(row.manifest)))
    listed = dict(row.columns).get(SAMPLES_COLUMN) if is_audio_list(row.manifest) else None
    if listed is not None and int(listed) != inspection.num_samples:
        raise DataError("%s: the list says %s samples, the file has %d. Restore the file, or write the list again: python -m "
                        "open_seq2seq.pretraining.manifest %s --dest %s" % (place, listed, inspection.num_samples, row.manifest,
                                                                           row.manifest))
    if inspection.sample_rate != sample_rate:
        samples = soxr.resample(samples, inspection.sample_rate, sample_rate, quality="VHQ")
    return samples


def _list_advice(manifest):
    return _ADVICE.format(manifest) if is_audio_list(manifest) else "Repair the file, or exclude its row from the manifest"


def _in_order(function, items):
    """Yields ``function(item)`` for each item, computed by threads a few items ahead."""
    cores = usable_cores()
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        items, waiting = iter(items), collections.deque()
        for item in itertools.islice(items, 3 * cores):
            waiting.append(pool.submit(function, item))
        try:
            while waiting:
                yield waiting.popleft().result()
                for item in itertools.islice(items, 1):
                    waiting.append(pool.submit(function, item))
        finally:
            for future in waiting:
                future.cancel()
