"""Frame labels of the pitch and of the speaker, for auxiliary heads of a pre-training and for probes (docs/pretraining.md).

    python -m open_seq2seq.pretraining.auxiliary_labels pitch train.csv dev.csv
    python -m open_seq2seq.pretraining.auxiliary_labels speaker train.csv dev.csv

For ``train.csv`` it writes ``train.pitch`` or ``train.speaker``, and one dictionary for all manifests, ``dict.pitch.txt``.
"""
import collections
import hashlib
import sys

import numpy as np

from open_seq2seq.cli import file_path, make_parser
from open_seq2seq.cores import usable_cores
from open_seq2seq.data.fairseq_files.dictionary import LabelDictionary
from open_seq2seq.data.fairseq_files.frame_labels import (
    LabelDescription,
    expected_labels,
    write_description,
    write_frame_labels,
)
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio, scan_audio
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.utterance_labels import dictionary_path, label_path
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import require_writable
from open_seq2seq.pretraining.features import path_of
from open_seq2seq.progress import ProgressBar
from open_seq2seq.worker_processes import map_unordered, report_utterance

SAMPLE_RATE, LABEL_RATE = 16000, 100
LOWEST, HIGHEST, PITCHES = 60.0, 500.0, 24  # Hz; classes of voiced frames, equally wide in log f0. Class 0 is unvoiced
# librosa.pyin flags hum below LOWEST as voiced, at a probability of 0.01; half of the flagged frames of speech have above 0.4
VOICED_PROBABILITY = 0.1
_WINDOW = 1024  # samples: 4 periods of the lowest pitch
_TASK = 8       # utterances that a process takes at a time


def main(arguments=None):
    parser = make_parser("open_seq2seq.pretraining.auxiliary_labels", "Write frame labels of the pitch or of the speaker.")
    parser.add_argument("kind", choices=("pitch", "speaker"), help="pitch: of librosa.pyin; speaker: the manifests' column")
    parser.add_argument("manifests", nargs="+", type=file_path, metavar="MANIFEST", help="CSV files, e.g. train.csv dev.csv")
    parser.add_argument("--labels", type=file_path, help="folder to write to (default: that of each manifest)")
    parser.add_argument("--column", default="speaker", help="the manifests' column with the speaker")
    options = parser.parse_args(arguments)
    rows = {manifest: read_manifest(manifest, transcripts=False) for manifest in options.manifests}
    paths = {manifest: label_path(manifest, options.kind, options.labels) for manifest in options.manifests}
    if len(set(paths.values())) < len(paths):
        raise UsageError("two manifests have the same name and would have the same labels; rename one")
    for path in paths.values():
        require_writable(path)
    make = _pitches if options.kind == "pitch" else _speakers
    labels, identity, symbols = make(rows, options)
    counts = collections.Counter()
    for manifest, path in paths.items():
        values = np.concatenate(labels[manifest]) if labels[manifest] else np.zeros([0], np.int32)
        write_frame_labels(path, values, [len(own) for own in labels[manifest]])
        write_description(path, LabelDescription(LABEL_RATE, identity, symbols, options.kind, identity=identity))
        counts.update(values.tolist())
        print("Wrote %d labels of %d utterances to %s" % (len(values), len(labels[manifest]), path))
    dictionary = dictionary_path(options.manifests[0], options.kind, options.labels)
    LabelDictionary(list(map(str, range(symbols))), [counts[label] for label in range(symbols)]).write(dictionary)
    print("Wrote %s with %d labels; %d occur" % (dictionary, symbols, len(counts)))


def _pitches(rows, options):
    """(dict from manifest to the labels of its rows, identity, number of labels)."""
    labels = {manifest: [None] * len(own) for manifest, own in rows.items()}
    tasks = [(manifest, place, row.row, path_of(row)) for manifest, own in rows.items() for place, row in enumerate(own)]
    tasks = [tasks[start:start + _TASK] for start in range(0, len(tasks), _TASK)]
    # processes: the estimator is Python code, which threads would compute one after the other
    with ProgressBar(sum(map(len, tasks)), description="pitch") as bar:
        for found in map_unordered(_pitches_of_files, tasks, usable_cores(), bar.update, "Run the command again"):
            for manifest, place, own in found:
                labels[manifest][place] = own
    return labels, _identity("pitch", LOWEST, HIGHEST, PITCHES, VOICED_PROBABILITY), 1 + PITCHES


def _pitches_of_files(task):
    """List of (manifest, place, int32 [labels])."""
    found = []
    for manifest, place, row, path in task:
        try:
            found.append((manifest, place, pitch_labels(read_audio(path, SAMPLE_RATE))))
        except RejectedData as error:
            raise _unreadable(manifest, row, path, error)
        report_utterance()
    return found


def _unreadable(manifest, row, path, error):
    return DataError("%s:%d: %s cannot be read: %s" % (manifest, row, path, error))


def pitch_labels(waveform):
    """The pitch of each frame.

    Args:
      waveform: float32 [samples] at 16 kHz.

    Returns:
      int32 [labels], 100 per second: 0 for unvoiced, then PITCHES classes of log f0 from LOWEST to HIGHEST.
    """
    import librosa
    count = expected_labels(len(waveform) / float(SAMPLE_RATE), LABEL_RATE)
    if not count:
        return np.zeros([0], np.int32)
    hop = SAMPLE_RATE // LABEL_RATE
    f0, _, probability = librosa.pyin(np.pad(waveform, (0, hop), "constant"), fmin=LOWEST, fmax=HIGHEST, sr=SAMPLE_RATE,
                                      frame_length=_WINDOW, hop_length=hop)
    # label t is of the window of 25 ms that begins at t / 100 s; the nearest center of an estimate is (t + 1) / 100 s
    f0, probability = f0[1:count + 1], probability[1:count + 1]
    voiced = np.isfinite(f0) & (probability >= VOICED_PROBABILITY)
    place = np.log(np.where(voiced, f0, LOWEST) / LOWEST) / np.log(HIGHEST / LOWEST)
    return np.where(voiced, 1 + np.clip((place * PITCHES).astype(np.int32), 0, PITCHES - 1), 0).astype(np.int32)


def _speakers(rows, options):
    for manifest, own in rows.items():
        without = [row.row for row in own if not dict(row.columns).get(options.column)]
        if without:
            known = sorted({name for row in own for name, _ in row.columns})
            raise DataError("%s:%d has no speaker in the column %s; it has the columns %s. Give its name with --column, or add "
                            "it" % (
                manifest, without[0], options.column, ", ".join(known) or "only wav_filename, wav_filesize and transcript"))
    names = sorted({dict(row.columns)[options.column] for own in rows.values() for row in own})
    labels = {}
    for manifest, own in rows.items():
        labels[manifest] = []
        for row, info in zip(own, scan_audio([(path_of(row), None) for row in own], SAMPLE_RATE)):
            if isinstance(info, RejectedData):
                raise _unreadable(manifest, row.row, path_of(row), info)
            count = expected_labels(info.num_samples / float(SAMPLE_RATE), LABEL_RATE)
            labels[manifest].append(np.full([count], names.index(dict(row.columns)[options.column]), np.int32))
    return labels, _identity("speaker", *names), len(names)


def _identity(*facts):
    """A digest of the settings, in place of the clusters' digest: only labels of equal settings have the same meaning."""
    return hashlib.sha256(repr(facts).encode("utf-8")).hexdigest()


if __name__ == "__main__":
    sys.exit(run_importer(main))
