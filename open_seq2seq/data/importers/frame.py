"""What all importers share: the command line, parallel work that continues after an interruption, manifests, and what is skipped.

An importer is a subclass of :class:`Importer` that says only what is special about its corpus: how to find the units of work, and
which utterances a unit contains. Everything else is here.
"""
import argparse
import collections
import os
import sys

from open_seq2seq.cli import file_path, make_parser, whole_number
from open_seq2seq.cores import usable_cores
from open_seq2seq.data.importers import load
from open_seq2seq.data.importers.audio_store import FORMATS, KEEP, AudioStore
from open_seq2seq.data.importers.entries import Skip, checked_path, cleaned_transcript, cleaned_value
from open_seq2seq.data.importers.importer_command import progress_bar
from open_seq2seq.data.importers.output import AUDIO_FOLDER, SHOWN, Output, has_size
from open_seq2seq.data.importers.work_folder import WorkFolder
from open_seq2seq.data.rejection import Reason, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.files import printable
from open_seq2seq.text.vocabulary import Vocabulary, described
from open_seq2seq.worker_processes import map_unordered, report_utterance

CHUNK = 128                # utterances of a unit where the corpus has no units of its own

_Row = collections.namedtuple("_Row", "manifest path size seconds transcript columns")


class Importer:
    """A form of corpora. Subclasses define the attributes and methods that differ from these.

    Attributes:
      name: as on the command line.
      summary: a sentence for ``--help``.
      version: to be increased when equal corpora and options no longer give equal files.
      columns: tuple of str, the order of other columns in the manifests; further ones follow.
      lower_case: whether transcripts become lower case unless ``--keep_case`` is given.
      has_formats: whether ``--format`` applies.
      has_texts: whether the corpus has transcripts, to which options apply.
      audio_folder: folder within the output where audio is written; "": the output itself.
      source_options: names of options that only say where the corpus is, so they do not change what is written.
    """

    name = summary = None
    version = 1
    columns = ()
    lower_case = False
    has_formats = has_texts = True
    audio_folder = AUDIO_FOLDER
    source_options = ()

    def add_arguments(self, parser):
        """Adds the options of this importer to an argparse parser."""

    def prepare(self, options):
        """Downloads, if the user asked for it, and checks options against each other."""

    def generates(self, options):
        """Names of the manifests whose audio the importer makes itself.

        Such audio depends on the options. An import with other options would replace the audio of the older manifests one by one,
        so it is refused without ``--overwrite``.
        """
        return ()

    def units(self, options, note):
        """The units of work.

        Args:
          options: argparse namespace.
          note: function of a str that the user should know.

        Returns:
          List of what pickle can store and whose ``repr`` shows all of it; the order is that of the manifests.

        Raises:
          DataError: this is not such a corpus.
        """
        raise NotImplementedError

    def read(self, unit, options, store):
        """Yields an Entry or Skip of entries.py for every utterance of a unit. Runs in any process.

        Args:
          unit: see :meth:`units`.
          options: argparse namespace.
          store: AudioStore, for importers that make audio themselves.
        """
        return iter(unit)

    def main(self, arguments=None):
        """Runs the command line ``arguments`` (None: those of the process)."""
        import_corpus(self, self.parse(arguments))

    def parse(self, arguments=None):
        """The options of a command line as an argparse namespace."""
        parser = make_parser("open_seq2seq.data.importers %s" % self.name, self.summary)
        self.add_arguments(parser)
        parser.add_argument("--output", type=file_path, required=True,
                            help="folder for the manifests and the audio files that are written; or the CSV file of a corpus "
                                 "with one manifest")
        if self.has_formats:
            parser.add_argument("--format", choices=FORMATS, default=KEEP,
                                help="keep: audio files stay where and as they are, parts of recordings are written as FLAC; "
                                     "flac, wav: all audio is written so, with 16 bits and one channel")
        if self.has_texts:
            if self.lower_case:
                parser.add_argument("--keep_case", action="store_true", help="do not change transcripts to lower case")
            else:
                parser.add_argument("--lower_case", action="store_true", help="change transcripts to lower case")
            parser.add_argument("--keep_empty", action="store_true", help="do not skip utterances with an empty transcript")
        parser.add_argument("--vocab", type=file_path, help="count the characters that are not in this vocabulary file")
        parser.add_argument("--max_skipped", type=share, default=0.05, metavar="SHARE",
                            help="write no manifest if more than this share of the utterances cannot be imported")
        parser.add_argument("--workers", type=whole_number(1), default=usable_cores(), help="parallel processes")
        parser.add_argument("--overwrite", action="store_true", help="import again what is already complete")
        return parser.parse_args(arguments)

    def is_lowered(self, options):
        """Whether transcripts become lower case."""
        return self.has_texts and (not options.keep_case if self.lower_case else options.lower_case)


def share(text):
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("%r is not a number" % text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("%s is not between 0 and 1" % text)
    return value


def chunked(entries):
    """Units of at most :data:`CHUNK` entries."""
    entries = list(entries)
    return [entries[start:start + CHUNK] for start in range(0, len(entries), CHUNK)]


def import_corpus(importer, options):
    """Imports a corpus.

    Args:
      importer: the Importer.
      options: argparse namespace of :meth:`Importer.parse`.

    Raises:
      DataError: it is not such a corpus, or too many utterances are skipped.
      StorageError: the output cannot be written, or another process is importing there.
    """
    vocabulary = Vocabulary.from_file(options.vocab) if options.vocab else None
    importer.prepare(options)
    units = importer.units(options, _note)
    output = Output(options.output, importer, options, units)
    os.makedirs(output.base, exist_ok=True)
    if not options.overwrite and output.is_complete():
        output.work.remove_leftovers()
        print("%s is already complete; --overwrite imports it again" % options.output)
        return
    output.require_free(importer.generates(options), options.overwrite)
    with output.work.locked(fresh=options.overwrite):
        output.remove_generated(importer.generates(options))
        rows, skips = _work(importer, options, units, output)
        output.write_skipped(rows, skips)
        _refuse_too_many(rows, skips, options.max_skipped, output.skipped_path)
        sizes = output.write_manifests(rows)
        output.work.finish(None if output.is_single else output.record(rows, skips, sizes))
    for path, own in sizes.items():
        print("%s: %d utterances, %.2f hours" % (path, len(own), sum(row.seconds for row in own) / 3600.0))
    if skips:
        _note("skipped %d of %d utterances: %s; listed in %s" % (
            len(skips), len(skips) + len(rows), _counts_text(skips), output.skipped_path))
    if vocabulary:
        _note(_vocabulary_text(options.vocab, vocabulary, rows))


def _note(text):
    print(text, file=sys.stderr)


def _work(importer, options, units, output):
    """(list of _Row, list of Skip) of all units, in their order."""
    finished = {}
    for number in range(len(units)):
        found = output.work.read_unit(number)
        # what was skipped may have been corrected, and a loss of power may have emptied files
        if found is not None and not found["skips"] and all(
                has_size(os.path.join(output.base, row[1]), row[2]) for row in found["rows"]):
            finished[number] = found
        else:
            output.work.forget_unit(number)
    tasks = [(importer.name, options, output.base, output.audio_folder, output.identity, number, unit)
             for number, unit in enumerate(units) if number not in finished]
    with progress_bar("import", len(units), len(finished)) as advance:
        for number in map_unordered(do_unit, tasks, options.workers, lambda count: advance(0, ["%d utterances" % count]),
                                    "Run the command again with fewer --workers; finished work is kept"):
            finished[number] = output.work.read_unit(number)
            advance()
    rows, skips = [], []
    for number in range(len(units)):
        rows.extend(_Row(*row) for row in finished[number]["rows"])
        skips.extend(Skip(*skip)._replace(reason=Reason(*skip[3])) for skip in finished[number]["skips"])
    return rows, skips


def do_unit(task):
    """Does one unit of work in any process, and returns its number."""
    name, options, base, audio_folder, identity, number, unit = task
    importer, work = load(name), WorkFolder(base, identity)
    store = AudioStore(audio_folder, work.temporary_path, options.format if importer.has_formats else KEEP)
    rows, skips = [], []
    for item in importer.read(unit, options, store):
        report_utterance()
        if isinstance(item, Skip):
            skips.append(_shown(item))
            continue
        try:
            transcript = cleaned_transcript(item.transcript, importer.is_lowered(options),
                                            importer.has_texts and options.keep_empty)
            path, size, seconds = store.store(item)
            path = checked_path(os.path.relpath(path, base))
        except RejectedData as rejected:
            skips.append(_shown(Skip(item.manifest, item.place, os.path.basename(item.name), rejected.reason, str(rejected))))
            continue
        columns = [(cleaned_value(column), cleaned_value(value)) for column, value in item.columns]
        rows.append((item.manifest, path, size, seconds, transcript, columns))
    work.write_unit(number, {"rows": rows, "skips": skips})
    return number


def _shown(skip):
    """The Skip with texts that any file can contain."""
    return [cleaned_value(printable(skip.manifest)), cleaned_value(printable(skip.place)), cleaned_value(printable(skip.name)),
            list(skip.reason), cleaned_value(printable(skip.detail))]


def _counts_text(skips):
    counts = collections.Counter(skip.reason.name for skip in skips)
    return ", ".join("%d %s" % (count, reason) for reason, count in counts.most_common())


def _refuse_too_many(rows, skips, limit, path):
    faults = [skip for skip in skips if not skip.reason.is_filter]
    total = len(rows) + len(skips)
    if len(faults) <= limit * total and (rows or not skips):
        return
    seen, ranked = collections.Counter(), []
    for skip in faults or skips:      # the first of each reason before a second one of any
        ranked.append((seen[skip.reason.name], len(ranked), skip))
        seen[skip.reason.name] += 1
    examples = ["  %s: %s%s: %s" % (skip.place, skip.name + ": " if skip.name else "", skip.reason.name, skip.detail)
                for _, _, skip in sorted(ranked)[:SHOWN]]
    raise DataError("%d of %d utterances (%.2f %%) cannot be imported, %s: %s.\n%s\nAll of them are listed in %s. No manifest "
                    "was written. Correct the corpus, or %s" % (
                        len(faults or skips), total, 100.0 * len(faults or skips) / total,
                        "and none is left" if not rows else "more than --max_skipped allows (%g %%)" % (100.0 * limit),
                        _counts_text(faults or skips), "\n".join(examples), path,
                        "choose other options" if not rows else "raise --max_skipped to continue without them"))


def _vocabulary_text(path, vocabulary, rows):
    known, characters, affected = vocabulary.alphabet, collections.Counter(), 0
    for row in rows:
        unknown = [character for character in vocabulary.composed(row.transcript) if character not in known]
        characters.update(unknown)
        affected += bool(unknown)
    if not affected:
        return "all characters of the transcripts are in the vocabulary %s" % path
    return "%d of %d transcripts have characters that are not in the vocabulary %s: %s%s" % (
        affected, len(rows), path, ", ".join("%s %d" % (described(character), count) for character, count in sorted(
            characters.items(), key=lambda item: (-item[1], item[0]))[:2 * SHOWN]),
        ", and %d other characters" % (len(characters) - 2 * SHOWN) if len(characters) > 2 * SHOWN else "")
