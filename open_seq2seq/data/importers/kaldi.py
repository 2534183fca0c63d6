"""A data directory of Kaldi: ``wav.scp``, ``text``, and where they exist ``segments``, ``utt2spk``, ``spk2gender``, ``utt2lang``.

    python -m open_seq2seq.data.importers kaldi --corpus data/train --output corpus

Commands in wav.scp are never run: those that only decode a file are recognized, and the file is read by this project's decoders.
Segments become samples as in Kaldi's extract-segments.
"""
import collections
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.corpus_paths import require_folder_with
from open_seq2seq.data.importers.entries import (
    BAD_SEGMENT,
    DUPLICATE_ID,
    KALDI,
    NO_TRANSCRIPT,
    Entry,
    Names,
    Recording,
    Segment,
    Skip,
    malformed,
)
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.kaldi_commands import parse_source
from open_seq2seq.data.rejection import MISSING_FILE, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import read_text_file

GENDERS = {"f": "female", "m": "male"}

_Utterance = collections.namedtuple("_Utterance", "key place recording start end channel", defaults=[None, None, None])


class Kaldi(Importer):
    name = "kaldi"
    summary = "Write a manifest CSV for each data directory of Kaldi."
    columns = ("speaker", "gender", "language")

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, nargs="+", required=True,
                            help="data directories, e.g. data/train data/dev")
        parser.add_argument("--root", type=file_path,
                            help="folder that paths in wav.scp are relative to (default: the data directory, the working "
                                 "directory, or the folder two levels above the data directory, where the file exists)")

    def units(self, options, note):
        items, seen = [], {}
        for folder in options.corpus:
            require_folder_with(folder, "wav.scp", "a data directory of Kaldi with wav.scp and text")
            name = os.path.basename(os.path.abspath(folder))
            if name in seen:
                raise DataError("--corpus: %s and %s have the same name, so their manifests would, too" % (seen[name], folder))
            seen[name] = folder
            items.extend(_DataDirectory(folder, name, options.root).items())
        return chunked(items)


class _DataDirectory:
    """One data directory; ``name`` is that of its manifest."""

    def __init__(self, folder, name, root):
        self._folder, self._name = folder, name
        self._roots = [root] if root else [folder, os.curdir, os.path.join(folder, os.pardir, os.pardir)]
        self._skips = []

    def items(self):
        """List of Entry and Skip in the order of the utterances."""
        recordings = self._table("wav.scp", "list of recordings")
        texts = self._table("text", "list of transcripts")
        if os.path.exists(os.path.join(self._folder, "segments")):
            utterances = self._segments()
        else:
            utterances = [_Utterance(key, place, key) for key, (_, place) in recordings.items()]
        speakers, genders, languages = (self._table(name, name, True) for name in ("utt2spk", "spk2gender", "utt2lang"))
        names, items, found = Names(), [], {skip.name for skip in self._skips}
        for utterance in utterances:
            found.add(utterance.key)
            if utterance.recording not in recordings:
                self._skip(utterance, MISSING_FILE, "the recording %s is not in wav.scp" % utterance.recording)
            elif utterance.key not in texts:
                self._skip(utterance, NO_TRANSCRIPT, "the utterance is not in text")
            else:
                speaker = speakers.get(utterance.key, ("", ""))[0]
                gender = genders.get(speaker, ("", ""))[0]
                columns = (("speaker", speaker), ("gender", GENDERS.get(gender.lower(), gender)),
                           ("language", languages.get(utterance.key, ("", ""))[0]))
                try:
                    recording, segment = self._audio(utterance, recordings[utterance.recording][0])
                except RejectedData as rejected:
                    self._skip(utterance, rejected.reason, str(rejected))
                    continue
                items.append(Entry(self._name, names.unique(self._name, utterance.key), utterance.place, recording,
                                   texts[utterance.key][0], columns, segment))
        for key, (_, place) in texts.items():
            if key not in found:
                self._skips.append(Skip(self._name, place, key, MISSING_FILE, "the utterance has a transcript and no audio"))
        return items + self._skips

    def _skip(self, utterance, reason, detail):
        self._skips.append(Skip(self._name, utterance.place, utterance.key, reason, detail))

    def _audio(self, utterance, source):
        path, offset, channel = parse_source(source)
        if not os.path.isabs(path):
            candidates = [os.path.join(root, path) for root in self._roots]
            path = os.path.normpath(next(filter(os.path.exists, candidates), candidates[0]))
        channel = channel if utterance.channel is None else utterance.channel
        if utterance.start is None:
            return Recording(path, None, offset), None if channel is None else Segment(0.0, None, channel)
        return Recording(path, None, offset), Segment(utterance.start, utterance.end, channel, KALDI)

    def _table(self, name, kind, optional=False):
        """OrderedDict key -> (rest of the line, place) of a file; a repeated key is skipped."""
        path, table = os.path.join(self._folder, name), collections.OrderedDict()
        if optional and not os.path.exists(path):
            return table
        text = read_text_file(path, kind, "Expected a data directory of Kaldi with wav.scp and text")
        for number, line in enumerate(text.split("\n"), 1):
            fields = line.split(None, 1)
            if not fields:
                continue
            place = "%s/%s:%d" % (self._name, name, number)
            if fields[0] in table:
                self._skips.append(Skip(self._name, place, fields[0], DUPLICATE_ID, "%s is in %s twice" % (fields[0], name)))
                continue
            table[fields[0]] = fields[1].strip() if len(fields) > 1 else "", place
        return table

    def _segments(self):
        """List of _Utterance: ``UTTERANCE RECORDING START END [CHANNEL]`` on each line."""
        utterances = []
        for key, (rest, place) in self._table("segments", "list of segments").items():
            fields = rest.split()
            try:
                if len(fields) not in (3, 4):
                    raise ValueError()
                start, end = float(fields[1]), float(fields[2])
                channel = int(fields[3]) if len(fields) == 4 else None
            except ValueError:
                self._skips.append(malformed(self._name, place, "expected UTTERANCE RECORDING START END, found %r" % (
                    "%s %s" % (key, rest))[:120], key))
                continue
            if end != -1 and not 0 <= start < end or start < 0 or channel is not None and channel < 0:
                self._skips.append(Skip(self._name, place, key, BAD_SEGMENT, "the segment is %g to %g s" % (start, end)))
            else:
                utterances.append(_Utterance(key, place, fields[0], start, None if end == -1 else end, channel))
        return utterances


IMPORTER = Kaldi()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
