"""Common Voice in any language, extracted: ``train.tsv``, ``dev.tsv``, ``test.tsv`` and others next to the folder ``clips``.

    python -m open_seq2seq.data.importers common_voice --corpus cv-corpus-17.0/ky --output data/ky

The TSV files have no quoting: a quote is a character. No client (speaker) of the dev or test set is in another manifest.
"""
import collections
import os
import random
import sys

from open_seq2seq.cli import file_path, whole_number
from open_seq2seq.data.importers.entries import BAD_NAME, DUPLICATE_ID, Entry, Names, Recording, Skip, malformed
from open_seq2seq.data.importers.frame import Importer, chunked, share
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import Reason
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.text.text_file import read_text_file

SETS = ("train", "dev", "test", "validated", "other", "invalidated")
CLIPS = "clips"
SPEAKER_DIGITS = 12
CLIENT_ELSEWHERE = Reason("client is in the dev or test set", True)
_NEEDED = ("client_id", "path", "sentence")
# column of a TSV file: column of the manifest; "accent" is the name until version 7
_COLUMNS = collections.OrderedDict((("age", "age"), ("gender", "gender"), ("accents", "accents"), ("accent", "accents"),
                                    ("variant", "variant"), ("locale", "locale")))

_Row = collections.namedtuple("_Row", "place client path sentence columns")


class CommonVoice(Importer):
    name = "common_voice"
    summary = "Write manifest CSVs for a language of Common Voice."
    columns = ("speaker", "age", "gender", "accents", "variant", "locale")

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, required=True, help="folder of the language: train.tsv, ..., clips/")
        parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS[:3]), help="the TSV files to import")
        parser.add_argument("--split_by_client", nargs=2, type=share, metavar=("DEV", "TEST"),
                            help="instead of --sets, divide validated.tsv by client into train, dev and test; the numbers are "
                                 "the shares of the utterances in dev and test, e.g. 0.05 0.05")
        parser.add_argument("--seed", type=whole_number(0), default=1, help="of the division by client")

    def prepare(self, options):
        if options.split_by_client and sum(options.split_by_client) >= 1:
            raise UsageError("--split_by_client %g %g: nothing is left for training; the sum must be less than 1"
                             % tuple(options.split_by_client))

    def units(self, options, note):
        names = ["validated"] if options.split_by_client else list(collections.OrderedDict.fromkeys(options.sets))
        contents = collections.OrderedDict((name, _read_tsv(options.corpus, name)) for name in names)
        if options.split_by_client:
            rows, skips = contents["validated"]
            divided = _divide(rows, options.split_by_client, options.seed)
            items = [(name, divided[name]) for name in SETS[:3]]
        else:
            skips = [skip for _, own in contents.values() for skip in own]
            items, apart = _kept_apart(contents, options.corpus)
            skips += apart
        speakers = _speakers({row.client for _, rows in items for row in rows})
        clips, entries = os.path.join(options.corpus, CLIPS), []
        for name, rows in items:
            taken = Names()
            entries += [Entry(name, taken.unique(name, os.path.splitext(row.path)[0]), row.place,
                              Recording(os.path.join(clips, row.path)), row.sentence,
                              (("speaker", speakers[row.client]),) + row.columns) for row in rows]
        return chunked(entries) + chunked(skips)


def _read_tsv(corpus, name):
    """(list of _Row, list of Skip) of one file."""
    path = os.path.join(corpus, name + ".tsv")
    text = read_text_file(path, "list of clips", "Expected the extracted folder of one language, with %s.tsv and %s/"
                          % (name, CLIPS))
    # a sentence may contain other characters at which Python divides lines, e.g. U+2028
    lines = [line.rstrip("\r") for line in text.split("\n")]
    header = lines[0].split("\t")
    absent = [column for column in _NEEDED if column not in header]
    if absent:
        raise DataError("%s:1: there is no column %s; the first line is %r" % (
            path, " and no column ".join(absent), lines[0][:200]))
    rows, skips, seen = [], [], set()
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        place = "%s.tsv:%d" % (name, number)
        fields = line.split("\t")
        if len(fields) != len(header):
            skips.append(malformed(name, place, "the row has %d fields, the first line has %d" % (len(fields), len(header))))
            continue
        values = dict(zip(header, fields))
        clip = values["path"]
        if not clip or clip != os.path.basename(clip) or clip in (".", "..") or "\\" in clip or "\0" in clip:
            skips.append(Skip(name, place, clip, BAD_NAME, "the path %r is not the name of a file in %s" % (clip[:80], CLIPS)))
        elif clip in seen:
            skips.append(Skip(name, place, clip, DUPLICATE_ID, "the clip is in %s.tsv twice" % name))
        elif not values["client_id"]:
            skips.append(malformed(name, place, "client_id is empty", clip))
        else:
            seen.add(clip)
            # the first versions leave the extension out
            clip = clip if os.path.splitext(clip)[1] else clip + ".mp3"
            columns = tuple((target, values[source]) for source, target in _COLUMNS.items() if values.get(source))
            rows.append(_Row(place, values["client_id"], clip, values["sentence"], columns))
    return rows, skips


def _kept_apart(contents, corpus):
    """([(name, rows)], skips): every client of test and dev is in that set alone; a client of both stays in test.

    The dev and test files count also if only others are imported.
    """
    owner = {}
    for name in ("dev", "test"):
        if name in contents:
            rows = contents[name][0]
        elif os.path.exists(os.path.join(corpus, name + ".tsv")):
            rows = _read_tsv(corpus, name)[0]
        else:
            continue
        owner.update((row.client, name) for row in rows)
    items, skips = [], []
    for name, (rows, _) in contents.items():
        own = [row for row in rows if owner.get(row.client, name) == name]
        skips += [Skip(name, row.place, row.path, CLIENT_ELSEWHERE, "its client also speaks in %s.tsv" % owner[row.client])
                  for row in rows if owner.get(row.client, name) != name]
        items.append((name, own))
    return items, skips


def _divide(rows, shares, seed):
    """dict name -> rows: clients in random order go to test, then to dev, until each has its share, and else to train."""
    by_client = collections.OrderedDict()
    for row in rows:
        by_client.setdefault(row.client, []).append(row)
    clients = sorted(by_client)
    random.Random(seed).shuffle(clients)
    dev, test = (share * len(rows) for share in shares)
    counts, place_of = collections.Counter(), {}
    for client in clients:
        size = len(by_client[client])
        for name, most in (("test", test), ("dev", dev)):
            if counts[name] + size <= most:
                break
        else:
            name = "train"
        place_of[client] = name
        counts[name] += size
    return {name: [row for row in rows if place_of[row.client] == name] for name in SETS[:3]}


def _speakers(clients):
    """dict client id (128 digits) -> its shortest beginning of at least 12 characters that no other client has."""
    digits = SPEAKER_DIGITS
    longest = max(map(len, clients), default=0)
    while digits < longest and len({client[:digits] for client in clients}) < len(clients):
        digits += 4
    return {client: client[:digits] for client in clients}


IMPORTER = CommonVoice()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
