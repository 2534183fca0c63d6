"""Cuts of lhotse: ``cuts.jsonl`` or ``cuts.jsonl.gz``. Every supervision of a cut becomes an utterance.

    python -m open_seq2seq.data.importers lhotse --corpus cuts_train.jsonl.gz --output corpus

Recordings must be files; cuts that are mixed, padded or transformed (speed, volume, ...) exist only in lhotse and are skipped.
"""
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.corpus_paths import require_files
from open_seq2seq.data.importers.entries import (
    BAD_SEGMENT,
    NEAREST,
    NO_TRANSCRIPT,
    UNSUPPORTED,
    Entry,
    Names,
    Recording,
    Segment,
    Skip,
    malformed,
)
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.json_lines import number_of, read_json_lines, scalar_columns, text_of

_CUTS = ("MonoCut", "MultiCut")
_OTHERS = {"sources": "recording", "recording_id": "supervision"}      # a key -> whose objects have it at the top
_COLUMNS = ("speaker", "gender", "language")


class Lhotse(Importer):
    name = "lhotse"
    summary = "Write a manifest CSV for each set of cuts of lhotse."
    columns = _COLUMNS

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, nargs="+", required=True, help="cuts.jsonl or cuts.jsonl.gz")
        parser.add_argument("--root", type=file_path, default=os.curdir,
                            help="folder that relative paths of recordings are relative to; else that of the cuts")

    def units(self, options, note):
        require_files(options.corpus, (".jsonl", ".jsonl.gz"))
        items, manifests = [], Names()
        for path in options.corpus:
            manifest = manifests.unique(os.path.basename(path).split(".jsonl")[0])
            reader = _Cuts(manifest, [options.root, os.path.dirname(path)])
            for number, values, problem in read_json_lines(path, "file of cuts"):
                place = "%s:%d" % (os.path.basename(path), number)
                items.extend([malformed(manifest, place, problem)] if problem else reader.items(place, values))
        return chunked(items)


class _Cuts:
    """Turns cuts into items of ``manifest``; ``roots`` are the folders in which recordings may be."""

    def __init__(self, manifest, roots):
        self._manifest, self._roots, self._names = manifest, roots, Names()

    def items(self, place, cut):
        """List of Entry and Skip of one cut."""
        try:
            return self._items(place, cut)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return [malformed(self._manifest, place, "not a cut of lhotse: %s" % error)]

    def _items(self, place, cut):
        name, kind = text_of(cut, "id"), cut.get("type", "MonoCut")
        if kind not in _CUTS:
            return [Skip(self._manifest, place, name, UNSUPPORTED, "a %s, expected a MonoCut; lhotse's save_audios writes audio "
                         "files of such cuts" % kind)]
        recording = cut.get("recording")
        if not isinstance(recording, dict):
            for key, form in _OTHERS.items():
                if key in cut:
                    return [Skip(self._manifest, place, name, UNSUPPORTED, "it is a %s, not a cut; lhotse cut simple "
                                 "-r RECORDINGS -s SUPERVISIONS CUTS makes cuts" % form)]
            return [Skip(self._manifest, place, name, UNSUPPORTED, "the cut has no recording")]
        if recording.get("transforms"):
            return [Skip(self._manifest, place, name, UNSUPPORTED, "its recording is transformed; lhotse's save_audios writes "
                         "such recordings")]
        start, duration = number_of(cut, "start", 0.0), number_of(cut, "duration")
        if duration is None:
            raise ValueError("the cut has no duration")
        supervisions = cut.get("supervisions") or []
        if not supervisions:
            return [Skip(self._manifest, place, name, NO_TRANSCRIPT, "the cut has no supervision")]
        items = []
        for supervision in supervisions:
            key = text_of(supervision, "id", name)
            if supervision.get("text") is None:
                items.append(Skip(self._manifest, place, key, NO_TRANSCRIPT, "the supervision has no text"))
                continue
            # a supervision's start is relative to the cut's
            first = number_of(supervision, "start", 0.0)
            last = first + number_of(supervision, "duration", duration - first)
            if first > duration or last < 0:
                items.append(Skip(self._manifest, place, key, BAD_SEGMENT, "the supervision is outside the cut"))
                continue
            items.append(self._entry(place, key, recording, cut, supervision,
                                     (start + max(0.0, first), start + min(duration, last))))
        return items

    def _entry(self, place, key, recording, cut, supervision, span):
        channels = supervision.get("channel", cut.get("channel", 0))
        channels = channels if isinstance(channels, list) else [channels]
        channel = channels[0] if len(channels) == 1 else None
        source = next((source for source in recording["sources"] if channel is None or channel in source["channels"]), None)
        if source is None or source["type"] != "file":
            return Skip(self._manifest, place, key, UNSUPPORTED, "no source of the recording has channel %s" % channel
                        if source is None else "its recording is of the type %s, expected a file" % source["type"])
        path = text_of(source, "source")
        if not os.path.isabs(path):
            candidates = [os.path.join(root, path) for root in self._roots]
            path = next(filter(os.path.exists, candidates), candidates[0])
        place_in_file = None if channel is None else sorted(source["channels"]).index(channel)
        duration, rate = number_of(recording, "duration"), number_of(recording, "sampling_rate")
        start, end = span
        if duration is not None and rate and abs(end - duration) * rate < 0.5:
            end = None      # the rest of the recording, without the rounding of sums
        columns = scalar_columns({name: supervision.get(name) for name in _COLUMNS}) + scalar_columns(
            supervision.get("custom") or {})
        return Entry(self._manifest, self._names.unique(self._manifest, key), place, Recording(path),
                     text_of(supervision, "text"), columns, Segment(start, end, place_in_file, NEAREST))


IMPORTER = Lhotse()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
