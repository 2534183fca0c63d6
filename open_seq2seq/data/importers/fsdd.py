"""Turns the Free Spoken Digit Dataset (or any folder of ``DIGIT_SPEAKER_INDEX.wav``) into connected-digit utterances.

    python -m open_seq2seq.data.importers.fsdd --recordings DIR --output corpus/fsdd --train_utterances 8000 --seed 1

An utterance consists of 1 to 7 recordings of one speaker, with pauses of 50 to 250 ms of near-silence before, between and after
them, at 16 kHz. The splits share no recording: index 0-4 test (missing from some copies), 5-9 dev, 10 and above train.
In train a recording is used in several utterances; the numbers of uses differ by at most one between recordings of a speaker. In
dev and test each recording is used exactly ``EVALUATION_PASSES`` times, in different utterances.
"""
import collections
import os
import re
import sys

import numpy as np
import soundfile
import soxr

from open_seq2seq.cli import file_path, make_parser, whole_number
from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS, CONVERTIBLE_EXTENSIONS
from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import samples_of
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.importers.corpus_folder import LONGEST_STRING, SHORTEST_STRING, is_complete, new_corpus, transcript_of
from open_seq2seq.data.importers.frame import SHOWN
from open_seq2seq.data.importers.importer_command import progress_bar, run_importer
from open_seq2seq.data.importers.manifest_writer import ManifestRow, write_manifest
from open_seq2seq.data.rejection import EMPTY_AUDIO, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import printable, require_utf8_path

MODULE = "open_seq2seq.data.importers.fsdd"
VERSION = 1  # increase it when equal parameters no longer give equal files
SAMPLE_RATE = 16000  # Hz, of what is written
FILE_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav$", re.IGNORECASE)
FILE_PATTERN = "DIGIT_SPEAKER_INDEX.wav, for example 7_jackson_32.wav"
SPLITS = ("train", "dev", "test")
EVALUATION_PASSES = 3
PAUSES = (0.05, 0.25)  # seconds
PAUSE_LEVEL = 3e-4  # standard deviation of the noise in a pause, full scale 1; the recordings' noise floor is 1e-3

Recording = collections.namedtuple("Recording", "path digit speaker index")


def split_of(index):
    """The split of a recording, by its index."""
    return "test" if index < 5 else "dev" if index < 10 else "train"


def find_recordings(folder):
    """The recordings in ``folder``, or in its sub-folder ``recordings`` (as in a clone of the data set's repository).

    Returns:
      list of :class:`Recording`, sorted.

    Raises:
      DataError: the folder is missing, no file in it has a name of the expected pattern, or a name is not valid UTF-8.
    """
    if not os.path.isdir(folder):
        raise DataError("--recordings %s: the folder does not exist; expected one with files named %s" % (folder, FILE_PATTERN))
    for candidate in (folder, os.path.join(folder, "recordings")):
        names = sorted(os.listdir(candidate)) if os.path.isdir(candidate) else []
        matches = [match for match in map(FILE_NAME.match, names) if match]
        for match in matches:
            require_utf8_path(match.group(0))
        if matches:
            _report_skipped([name for name in names if not FILE_NAME.match(name) and not name.startswith(".")])
            return [Recording(os.path.join(candidate, match.group(0)), int(match.group("digit")), match.group("speaker"),
                              int(match.group("index"))) for match in matches]
    names = sorted(os.listdir(folder))
    raise DataError("--recordings %s: none of the %d files in it has a name like %s%s" % (
        folder, len(names), FILE_PATTERN, " (the first is %s)" % printable(names[0]) if names else ""))


def _report_skipped(names):
    """Reports the audio files whose names are not of the expected pattern."""
    extensions = AUDIO_EXTENSIONS + CONVERTIBLE_EXTENSIONS
    skipped = [printable(name) for name in names if name.lower().endswith(extensions)]
    if skipped:
        print("skipped %d audio files whose names are not like %s: %s%s" % (
            len(skipped), FILE_PATTERN, ", ".join(skipped[:SHOWN]), ", ..." if len(skipped) > SHOWN else ""), file=sys.stderr)


def read_recording(path):
    """Reads one recording. Returns (float32 [samples] mixed down to one channel, its sample rate in Hz).

    Raises:
      DataError: it is not audio, is damaged or incomplete, has no samples, or has non-finite samples.
    """
    try:
        with open_audio_file(path) as file:
            inspection = inspect_file(file, MAX_MISSING_FRACTION)
            samples = samples_of(file, inspection, MAX_MISSING_FRACTION)
    except RejectedData as rejected:
        raise DataError("%s: %s: %s" % (path, rejected.reason.name, rejected))
    if not len(samples):
        raise DataError("%s: %s" % (path, EMPTY_AUDIO.name))
    return samples, inspection.sample_rate


def read_all(recordings):
    """Reads every recording. Returns (dict path -> float32 [samples], their common rate in Hz).

    The common rate is the one that most of them have (8000 Hz in FSDD); those at another are resampled to it.
    """
    audio = {recording.path: read_recording(recording.path) for recording in recordings}
    rates = collections.Counter(rate for _, rate in audio.values())
    common = max(rates, key=lambda rate: (rates[rate], rate))
    return {path: samples if rate == common else soxr.resample(samples, rate, common)
            for path, (samples, rate) in audio.items()}, common


def make_corpus(recordings_folder, output, train_utterances, seed, overwrite=False):
    """Writes the corpus, unless it is already complete.

    Args:
      recordings_folder: see :func:`find_recordings`.
      output: folder to create, with a CSV and a folder of WAV files for every split that has recordings.
      train_utterances: number of utterances in ``train.csv``.
      seed: int that determines the digit strings, their speakers and the pauses.
      overwrite: replace a corpus made with other parameters.

    Returns:
      dict split -> number of utterances, or None if the corpus was already complete.

    Raises:
      DataError: recordings are missing or unreadable, or none is left for training.
      StorageError: ``output`` exists or cannot be written.
    """
    recordings = find_recordings(recordings_folder)
    order = {"importer": "fsdd", "version": VERSION, "parameters": {
        "train_utterances": train_utterances, "seed": seed, "recordings": len(recordings),
        "recordings_bytes": sum(os.path.getsize(recording.path) for recording in recordings)}}
    if is_complete(output, order):
        return None
    by_split = {split: [r for r in recordings if split_of(r.index) == split] for split in SPLITS}
    if not by_split["train"]:
        raise DataError("%s has no recording for training: all %d have an index below 10, expected some from 10 up"
                        % (recordings_folder, len(recordings)))
    audio, rate = read_all(recordings)
    with new_corpus(output, order, overwrite) as (folder, description):
        sizes = collections.OrderedDict()
        for number, split in enumerate(SPLITS):
            if by_split[split]:
                random = np.random.RandomState((seed, number))
                strings = (train_strings(by_split[split], train_utterances, random) if split == "train"
                           else evaluation_strings(by_split[split], random))
                rows = _write_utterances(os.path.join(folder, split), strings, audio, rate, random)
                sizes[split] = write_manifest(os.path.join(folder, split + ".csv"), rows)
        description["utterances"] = sizes
    return sizes


def train_strings(recordings, count, random):
    """``count`` strings (lists of recordings) of random speakers; the recordings of a speaker are used in shuffled rounds."""
    decks = {speaker: _rounds(own, random) for speaker, own in _by_speaker(recordings).items()}
    speakers = sorted(decks)
    return [[next(decks[speakers[who]]) for _ in range(random.randint(SHORTEST_STRING, LONGEST_STRING + 1))]
            for who in random.randint(0, len(speakers), size=count)]


def evaluation_strings(recordings, random):
    """Strings that use every recording exactly ``EVALUATION_PASSES`` times."""
    strings = []
    for _, own in sorted(_by_speaker(recordings).items()):
        deck = _rounds(own, random)
        left = EVALUATION_PASSES * len(own)
        while left:
            length = min(random.randint(SHORTEST_STRING, LONGEST_STRING + 1), left)
            strings.append([next(deck) for _ in range(length)])
            left -= length
    return strings


def _by_speaker(recordings):
    grouped = collections.defaultdict(list)
    for recording in recordings:
        grouped[recording.speaker].append(recording)
    return grouped


def _rounds(recordings, random):
    """All recordings in a random order, then all in another random order, endlessly."""
    while True:
        for position in random.permutation(len(recordings)):
            yield recordings[position]


def _write_utterances(folder, strings, audio, rate, random):
    """Writes one WAV file per string into ``folder``; returns the manifest rows."""
    os.mkdir(folder)
    rows = []
    with progress_bar("%s.csv" % os.path.basename(folder), len(strings)) as advance:
        for number, string in enumerate(strings):
            path = os.path.join(folder, "%06d_%s.wav" % (number, string[0].speaker))
            samples = concatenate([audio[recording.path] for recording in string], rate, random)
            soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
            rows.append(ManifestRow(path, transcript_of(recording.digit for recording in string)))
            advance()
    return rows


def concatenate(pieces, rate, random):
    """Concatenates recordings with a pause before each and after the last, and resamples.

    Args:
      pieces: list of float32 [samples] at ``rate`` Hz.
      rate: their sample rate.
      random: numpy RandomState.

    Returns:
      float32 [samples] at ``SAMPLE_RATE``, -1..1.
    """
    parts = []
    for piece in pieces:
        parts.extend((_pause(rate, random), piece))
    parts.append(_pause(rate, random))
    return np.clip(soxr.resample(np.concatenate(parts), rate, SAMPLE_RATE), -1.0, 1.0)


def _pause(rate, random):
    return (PAUSE_LEVEL * random.standard_normal(int(rate * random.uniform(*PAUSES)))).astype(np.float32)


def main(arguments=None):
    parser = make_parser(MODULE, "Make connected-digit utterances from recordings of single digits named %s. An interrupted run "
                                 "leaves no files; a complete corpus with the same parameters is not changed." % FILE_PATTERN)
    parser.add_argument("--recordings", type=file_path, required=True,
                        help="folder of the recordings, or a clone of the data set")
    parser.add_argument("--output", type=file_path, required=True, help="folder to create")
    parser.add_argument("--train_utterances", type=whole_number(1), default=8000, help="utterances in train.csv")
    parser.add_argument("--seed", type=whole_number(0), default=1, help="seed of all random choices")
    parser.add_argument("--overwrite", action="store_true", help="replace a corpus made with other parameters")
    options = parser.parse_args(arguments)
    sizes = make_corpus(options.recordings, options.output, options.train_utterances, options.seed, options.overwrite)
    if sizes is None:
        print("%s is already complete with these parameters" % options.output)
    else:
        print("%s: %s" % (options.output, ", ".join("%d utterances in %s.csv" % (sizes[s], s) for s in sizes)))


if __name__ == "__main__":
    sys.exit(run_importer(main))
