"""Turns the Free Spoken Digit Dataset (or any folder of ``DIGIT_SPEAKER_INDEX.wav``) into connected-digit utterances.

    python -m open_seq2seq.data.importers fsdd --recordings DIR --output corpus/fsdd --train_utterances 8000 --seed 1

An utterance consists of 1 to 7 recordings of one speaker, with pauses of 50 to 250 ms of near-silence before, between and after
them, at 16 kHz. The splits share no recording: index 0-4 test (missing from some copies), 5-9 dev, 10 and above train.
In train a recording is used in several utterances; the numbers of uses differ by at most one between recordings of a speaker. In
dev and test each recording is used exactly ``EVALUATION_PASSES`` times, in different utterances.
"""
import collections
import functools
import os
import re
import sys

import numpy as np
import soxr

from open_seq2seq.cli import file_path, whole_number
from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS, CONVERTIBLE_EXTENSIONS
from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import samples_of
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.importers import entries
from open_seq2seq.data.importers.audio_store import WAV, as_pcm16
from open_seq2seq.data.importers.digit_strings import LONGEST_STRING, SHORTEST_STRING, transcript_of
from open_seq2seq.data.importers.entries import Entry, Skip
from open_seq2seq.data.importers.frame import CHUNK, Importer
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.output import SHOWN
from open_seq2seq.data.rejection import EMPTY_AUDIO, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import printable, require_utf8_path

SAMPLE_RATE = 16000  # Hz, of what is written
FILE_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[^_]+)_(?P<index>[0-9]+)\.wav$", re.IGNORECASE)
FILE_PATTERN = "DIGIT_SPEAKER_INDEX.wav, for example 7_jackson_32.wav"
SPLITS = ("train", "dev", "test")
EVALUATION_PASSES = 3
PAUSES = (0.05, 0.25)  # seconds
PAUSE_LEVEL = 3e-4  # standard deviation of the noise in a pause, full scale 1; the recordings' noise floor is 1e-3

Recording = collections.namedtuple("Recording", "path digit speaker index")
Recording.__doc__ = "A recording of one digit; ``path`` is relative to the folder of the recordings."

_Unit = collections.namedtuple("_Unit", "split first strings state rate sizes")
_Unit.__doc__ = """Utterances of a split that follow each other.

first: number of the first one. strings: lists of Recording. state: of the random generator in front of the first pause. rate: Hz,
see :func:`common_rate`. sizes: of the recordings, bytes."""


class Fsdd(Importer):
    name = "fsdd"
    summary = "Make connected-digit utterances from recordings of single digits named %s." % FILE_PATTERN
    audio_folder = ""
    has_formats = has_texts = False
    source_options = ("recordings",)

    def add_arguments(self, parser):
        parser.add_argument("--recordings", type=file_path, required=True,
                            help="folder of the recordings, or a clone of the data set")
        parser.add_argument("--train_utterances", type=whole_number(1), default=8000, help="utterances in train.csv")
        parser.add_argument("--seed", type=whole_number(0), default=1, help="seed of all random choices")

    def generates(self, options):
        return SPLITS

    def units(self, options, note):
        recordings = find_recordings(options.recordings, note)
        sizes = {recording.path: os.path.getsize(os.path.join(options.recordings, recording.path)) for recording in recordings}
        by_split = {split: [r for r in recordings if split_of(r.index) == split] for split in SPLITS}
        if not by_split["train"]:
            raise DataError("%s has no recording for training: all %d have an index below 10, expected some from 10 up"
                            % (options.recordings, len(recordings)))
        rate, units = common_rate(options.recordings, recordings), []
        for number, split in enumerate(SPLITS):
            if by_split[split]:
                random = np.random.RandomState((options.seed, number))
                strings = (train_strings(by_split[split], options.train_utterances, random) if split == "train"
                           else evaluation_strings(by_split[split], random))
                units.extend(_units_of_split(split, strings, rate, sizes, random))
        return units

    def read(self, unit, options, store):
        random = np.random.RandomState()
        random.set_state(_unpacked(unit.state))
        for number, string in enumerate(unit.strings, unit.first):
            pauses = _pauses(len(string), unit.rate, random)
            name = "%s/%06d_%s" % (unit.split, number, string[0].speaker)
            try:
                pieces = [_piece(os.path.join(options.recordings, recording.path), unit.rate) for recording in string]
            except _BadRecording as bad:
                yield Skip(unit.split, os.path.basename(bad.path), os.path.basename(name), bad.reason, bad.detail)
                continue
            path = store.write(name, as_pcm16(concatenate(pieces, pauses, unit.rate)), SAMPLE_RATE, WAV)
            yield Entry(unit.split, name, string[0].path, entries.Recording(path), transcript_of(r.digit for r in string))


def split_of(index):
    """The split of a recording, by its index."""
    return "test" if index < 5 else "dev" if index < 10 else "train"


def find_recordings(folder, note):
    """The recordings in ``folder``, or in its sub-folder ``recordings`` (as in a clone of the data set's repository).

    Args:
      folder: path.
      note: function of a str that the user should know: audio files whose names are not of the expected pattern.

    Returns:
      list of :class:`Recording`, sorted.

    Raises:
      DataError: the folder is missing, no file in it has a name of the expected pattern, or a name is not valid UTF-8.
    """
    if not os.path.isdir(folder):
        raise DataError("--recordings %s: the folder does not exist; expected one with files named %s" % (folder, FILE_PATTERN))
    for inner in ("", "recordings"):
        candidate = os.path.join(folder, inner)
        names = sorted(os.listdir(candidate)) if os.path.isdir(candidate) else []
        matches = [match for match in map(FILE_NAME.match, names) if match]
        for match in matches:
            require_utf8_path(match.group(0))
        if matches:
            _note_skipped([name for name in names if not FILE_NAME.match(name) and not name.startswith(".")], note)
            return [Recording(os.path.join(inner, match.group(0)), int(match.group("digit")), match.group("speaker"),
                              int(match.group("index"))) for match in matches]
    names = sorted(os.listdir(folder))
    raise DataError("--recordings %s: none of the %d files in it has a name like %s%s" % (
        folder, len(names), FILE_PATTERN, " (the first is %s)" % printable(names[0]) if names else ""))


def _note_skipped(names, note):
    extensions = AUDIO_EXTENSIONS + CONVERTIBLE_EXTENSIONS
    skipped = [printable(name) for name in names if name.lower().endswith(extensions)]
    if skipped:
        note("skipped %d audio files whose names are not like %s: %s%s" % (
            len(skipped), FILE_PATTERN, ", ".join(skipped[:SHOWN]), ", ..." if len(skipped) > SHOWN else ""))


def common_rate(folder, recordings):
    """The sample rate in Hz that most of the readable recordings have (8000 Hz in FSDD); others are resampled to it."""
    rates = collections.Counter()
    for recording in recordings:
        try:
            with open_audio_file(os.path.join(folder, recording.path)) as file:
                rates[inspect_file(file, MAX_MISSING_FRACTION).sample_rate] += 1
        except RejectedData:      # found again where it is used
            pass
    return max(rates, key=lambda rate: (rates[rate], rate), default=SAMPLE_RATE)


def _units_of_split(split, strings, rate, sizes, random):
    for first in range(0, len(strings), CHUNK):
        own, state = strings[first:first + CHUNK], _packed(random.get_state())
        yield _Unit(split, first, own, state, rate, [sizes[recording.path] for string in own for recording in string])
        # the pauses of all utterances are drawn from one generator
        for string in own:
            _pauses(len(string), rate, random)


def _packed(state):
    return (state[0], state[1].tobytes()) + tuple(state[2:])


def _unpacked(packed):
    return (packed[0], np.frombuffer(packed[1], np.uint32)) + tuple(packed[2:])


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


class _BadRecording(Exception):
    def __init__(self, path, reason, detail):
        super().__init__(path, reason, detail)
        self.path, self.reason, self.detail = path, reason, detail


@functools.lru_cache(maxsize=1 << 13)      # each recording is part of several utterances
def _piece(path, rate):
    """float32 [samples] of a recording, mixed down to one channel, at ``rate`` Hz."""
    try:
        with open_audio_file(path) as file:
            inspection = inspect_file(file, MAX_MISSING_FRACTION)
            samples = samples_of(file, inspection, MAX_MISSING_FRACTION)
        if not len(samples):
            raise RejectedData(EMPTY_AUDIO, "the recording has no samples")
    except RejectedData as rejected:
        raise _BadRecording(path, rejected.reason, str(rejected))
    return samples if inspection.sample_rate == rate else soxr.resample(samples, inspection.sample_rate, rate)


def _pauses(digits, rate, random):
    """Near-silence in front of each of ``digits`` recordings and behind the last one; a list of float32 [samples]."""
    return [(PAUSE_LEVEL * random.standard_normal(int(rate * random.uniform(*PAUSES)))).astype(np.float32)
            for _ in range(digits + 1)]


def concatenate(pieces, pauses, rate):
    """Concatenates recordings and pauses, and resamples.

    Args:
      pieces: list of float32 [samples] at ``rate`` Hz.
      pauses: list of float32 [samples], one more than pieces.
      rate: their sample rate.

    Returns:
      float32 [samples] at ``SAMPLE_RATE``, -1..1.
    """
    parts = [pauses[0]]
    for piece, pause in zip(pieces, pauses[1:]):
        parts.extend((piece, pause))
    return np.clip(soxr.resample(np.concatenate(parts), rate, SAMPLE_RATE), -1.0, 1.0)


IMPORTER = Fsdd()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
