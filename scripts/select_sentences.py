#!/usr/bin/env python
"""Selects sentences for people to read aloud and record, e.g. in Common Voice, from raw text of any size.

    python scripts/select_sentences.py --language ky wiki.txt.gz books.txt --output sentences.txt --dropped dropped.tsv
    python scripts/select_sentences.py --language tr news.txt --numbers spell --abbreviations spell --hours 10 --output tr.tsv
    python scripts/select_sentences.py --alphabet abcdeghijklmnoprstuvwxyz words.txt --output more.txt --recorded train.csv

The text is split into sentences. Those that people would read in different ways, or not at all, are dropped: with foreign words,
numbers, abbreviations, symbols or web addresses, incomplete or too long for a recording of about 5 seconds, and duplicates. Of
the others, those that add most to the letters of the selection come first, so rare letters are covered early. A table lists what
was dropped and why; --dropped writes every dropped sentence with its place and reason. The same input has the same result.
docs/sentences.md explains the checks and how to measure the speed of speech.
"""
import argparse
import collections
import contextlib
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, positive_number, whole_number  # noqa: E402
from open_seq2seq.errors import DataError, UsageError  # noqa: E402
from open_seq2seq.files import replaced_file, require_writable  # noqa: E402
from open_seq2seq.log_lines import log_line  # noqa: E402
from open_seq2seq.progress import ProgressBar, print_table  # noqa: E402
from open_seq2seq.text.raw_text import read_lines, read_paragraphs  # noqa: E402
from open_seq2seq.text.sentence_cleaning import DROP, KEEP, SPELL, SentenceCleaner, listed  # noqa: E402
from open_seq2seq.text.sentence_selection import DUPLICATE, NOT_NEEDED, POOL, Candidate, Candidates, Selector  # noqa: E402
from open_seq2seq.text.sentence_splitting import split_sentences  # noqa: E402
from open_seq2seq.text.sentences import STDIN, total_bytes  # noqa: E402
from open_seq2seq.text.syllables import RATE, SILENCE, read_speed  # noqa: E402
from open_seq2seq.text.vocabulary import Vocabulary  # noqa: E402
from open_seq2seq.text.written_languages import read_abbreviations, written_language  # noqa: E402

SHOWN_LETTERS = 12
MOST_RECORDINGS = 2000  # whose duration is read
EXAMPLES = 2


def _input_path(text):
    return text if text == STDIN else file_path(text)


def parse(words):
    """The flags."""
    parser = Parser(prog="select_sentences.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=_input_path, metavar="FILE",
                        help="UTF-8 text files; .gz is decompressed, - is stdin")
    parser.add_argument("--wrapped", action="store_true",
                        help="sentences continue on the next line; empty lines separate paragraphs (books)")
    _add_checks(parser)
    length = parser.add_argument_group("length")
    length.add_argument("--seconds", nargs=2, type=positive_number, default=(3.0, 7.0), metavar=("LEAST", "MOST"),
                        help="estimated length of the recordings (default: 3 7)")
    length.add_argument("--syllables_per_second", type=positive_number, metavar="X", help="speed of speech (default: %g)" % RATE)
    length.add_argument("--speed_from", type=file_path, metavar="CSV",
                        help="measure the speed of speech: a manifest of similar recordings")
    chosen = parser.add_argument_group("selection")
    chosen.add_argument("--count", type=whole_number(1), metavar="N", help="number of sentences (default: all)")
    chosen.add_argument("--hours", type=positive_number, metavar="H", help="hours of the recordings together")
    chosen.add_argument("--recorded", nargs="+", type=file_path, default=[], metavar="FILE",
                        help="drop sentences that are in these manifests (.csv) or text files")
    chosen.add_argument("--pool", type=whole_number(1), default=POOL, metavar="N", help="candidates in memory; of more, a random "
                        "part and those with rare letters are used (default: %(default)s, about 100 MB)")
    output = parser.add_argument_group("output")
    output.add_argument("--output", type=file_path, required=True, metavar="FILE", help="the sentences, one a line; a name "
                        "ending in .tsv: with the columns sentence, source, seconds")
    output.add_argument("--dropped", type=file_path, metavar="FILE.tsv", help="every dropped sentence, with its place and reason")
    output.add_argument("--force", action="store_true", help="replace existing files")
    arguments = parser.parse_args(words)
    _check(parser, arguments)
    return arguments


def _add_checks(parser):
    language = parser.add_argument_group("language")
    language.add_argument("--language", metavar="CODE", help="language of the text, e.g. ky")
    language.add_argument("--alphabet", metavar="LETTERS", help="letters of words that are not foreign (default: the language's)")
    language.add_argument("--vocab_file", type=file_path, metavar="FILE", help="take these letters from a model's vocabulary")
    language.add_argument("--word_list", nargs="+", type=file_path, metavar="FILE",
                          help="drop sentences with other words; a word a line, and in files of corpus_statistics.py its count")
    language.add_argument("--word_min_count", type=whole_number(1), default=1, metavar="N",
                          help="use only words of --word_list with at least this count (default: %(default)s)")
    cleaning = parser.add_argument_group("cleaning")
    cleaning.add_argument("--numbers", choices=(DROP, SPELL), default=DROP,
                          help="drop sentences with numbers, or write the numbers as words (default: %(default)s)")
    cleaning.add_argument("--abbreviations", choices=(DROP, SPELL), default=DROP,
                          help="drop sentences with abbreviations, or write known ones as words (default: %(default)s)")
    cleaning.add_argument("--abbreviation_file", type=file_path, metavar="FILE",
                          help="more abbreviations: one a line, a tab, its words")
    cleaning.add_argument("--fragments", choices=(DROP, KEEP), default=DROP, help="drop sentences that do not begin with a "
                          "capital letter and end with a full stop, or keep them (default: %(default)s)")


def _check(parser, arguments):
    if arguments.language is None and arguments.alphabet is None and arguments.vocab_file is None:
        parser.error("--language is missing, or --alphabet or --vocab_file for a language without a code here")
    if arguments.alphabet is not None and arguments.vocab_file is not None:
        parser.error("--alphabet and --vocab_file both give the letters; keep one of them")
    if arguments.numbers == SPELL and arguments.language is None:
        parser.error("--numbers spell needs --language, whose number words are used")
    if arguments.syllables_per_second is not None and arguments.speed_from is not None:
        parser.error("--speed_from measures the --syllables_per_second; keep one of them")
    if arguments.word_min_count > 1 and arguments.word_list is None:
        parser.error("--word_min_count needs --word_list")
    if arguments.texts.count(STDIN) > 1:
        parser.error("- is given twice; stdin can be read once")
    if arguments.seconds[0] >= arguments.seconds[1]:
        parser.error("--seconds is %g %g; expected the least and a larger most length" % tuple(arguments.seconds))
    results = [path for path in (arguments.output, arguments.dropped) if path is not None]
    if len({os.path.realpath(path) for path in results}) < len(results):
        parser.error("--output and --dropped are the same file %s" % arguments.output)
    for path in results:
        if os.path.realpath(path) in map(os.path.realpath, arguments.texts + arguments.recorded):
            parser.error("%s is also an input; choose another name" % path)
        if os.path.exists(path) and not arguments.force:
            parser.error("%s exists already; choose another name, or replace it with --force" % path)
        require_writable(path)


def cleaner_of(arguments):
    """The SentenceCleaner of the flags."""
    alphabet = arguments.alphabet
    if arguments.vocab_file is not None:
        alphabet = Vocabulary.from_file(arguments.vocab_file).alphabet
    more = read_abbreviations(arguments.abbreviation_file) if arguments.abbreviation_file is not None else None
    language = written_language(arguments.language, alphabet, more)
    rate, silence = arguments.syllables_per_second or RATE, SILENCE
    if arguments.speed_from is not None:
        rate, silence = measured_speed(arguments.speed_from, arguments.language)
    words = word_list(arguments)
    try:
        return SentenceCleaner(language, arguments.numbers, arguments.abbreviations, arguments.fragments, words,
                               arguments.seconds, rate, silence)
    except DataError as error:
        raise UsageError("--numbers spell: %s" % error)


def measured_speed(manifest, language):
    """(syllables per second, seconds of silence) of the first recordings of a manifest."""
    from open_seq2seq.data.speech2text.manifest import read_manifest
    texts, seconds = [], []
    for row in read_manifest(manifest)[:MOST_RECORDINGS]:
        duration = duration_of(row)
        if row.transcript and duration:
            texts.append(row.transcript)
            seconds.append(duration)
    try:
        rate, silence = read_speed(texts, seconds, language)
    except DataError as error:
        raise DataError('%s: %s. Durations are read from the column "duration", or from the audio files' % (manifest, error))
    log_line("Speed of %d recordings: %.2f syllables per second and %.2f s of silence" % (len(texts), rate, silence))
    return rate, silence


def duration_of(row):
    """Seconds of the recording of a ManifestRow; None if neither the manifest nor the audio file tells."""
    with contextlib.suppress(KeyError, ValueError):
        return float(dict(row.columns)["duration"])
    import soundfile
    try:
        return soundfile.info(row.audio_path).duration
    except (RuntimeError, TypeError, ValueError):
        return None


def word_list(arguments):
    """The words of --word_list in lower case, or None."""
    if arguments.word_list is None:
        return None
    words = set()
    for line in read_lines(arguments.word_list):
        word, tab, count = line.text.partition("\t")
        if tab and not count.strip().isdigit():
            raise DataError("%s:%d: the line is %r, expected a word, or a word, a tab and its count" % (
                line.path, line.line, line.text[:60]))
        if not tab and arguments.word_min_count > 1:
            raise DataError("%s:%d: the word %r has no count, which --word_min_count needs; expected word<TAB>count" % (
                line.path, line.line, word[:60]))
        if not tab or int(count) >= arguments.word_min_count:
            words.add(listed(word.strip(), arguments.language))
    return words


class Report:
    """Counts dropped sentences, and writes them to a file.

    Args:
      file: text file or None.

    Attributes:
      counts: Counter, sentences of each reason.
      examples: dict from reason to a list of str, the first sentences.
    """

    def __init__(self, file):
        self._file, self.counts, self.examples = file, collections.Counter(), {}
        if file is not None:
            file.write("source\treason\tdetail\tsentence\n")

    def add(self, place, reason, detail, text):
        """``place``: file:line."""
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append("%s: %s%s" % (place, _short(text), " (%s)" % _short(detail) if detail else ""))
        if self._file is not None:
            self._file.write("\t".join(" ".join(field.split()) for field in (place, reason, detail or "", text)) + "\n")


def _short(text, most=60):
    return text if len(text) <= most else text[:most - 3] + "..."


def collect(arguments, cleaner, candidates, report):
    """Cleans the sentences of the texts; returns their number."""
    for path in arguments.recorded:
        for place, text in recorded(path):
            candidates.exclude(cleaner.key(cleaner.tidied(text)), place)
    read, number = read_paragraphs if arguments.wrapped else read_lines, 0
    with ProgressBar(total_bytes(arguments.texts), description="text") as bar:
        for line in read(arguments.texts, bar.update):
            place = "%s:%d" % (line.path, line.line)
            for sentence in split_sentences(line.text, cleaner.language.abbreviations):
                number += 1
                cleaned = cleaner.clean(sentence)
                if cleaned.reason is not None:
                    report.add(place, cleaned.reason, cleaned.detail, sentence)
                else:
                    candidates.add(cleaner.key(cleaned.text), Candidate(place, cleaned.seconds, cleaned.text))
    return number


def recorded(path):
    """Yields (place, text) of the sentences of a manifest or text file."""
    if path.endswith(".csv"):
        from open_seq2seq.data.speech2text.manifest import read_manifest
        yield from (("%s:%d" % (row.manifest, row.row), row.transcript or "") for row in read_manifest(path))
    else:
        yield from (("%s:%d" % (line.path, line.line), line.text) for line in read_lines([path]))


def choose(arguments, candidates, selector, report):
    """Yields the selected candidates."""
    left = 0
    with ProgressBar(candidates.num, description="candidates") as bar:
        for number, candidate in enumerate(candidates.unique(lambda candidate, place: report.add(
                candidate.place, DUPLICATE, "of %s" % place, candidate.text))):
            if not selector.offer(candidate):
                left += 1
                report.add(candidate.place, NOT_NEEDED, "", candidate.text)
            if number % 1000 == 0:
                bar.update(number)
    if left:
        log_line("Note: of %d candidates %d are in the pool; --pool %d would use all" % (
            left + selector.size, selector.size, left + selector.size))
    total = min(selector.size, arguments.count or selector.size)
    with ProgressBar(total, description="selection") as bar:
        for number, candidate in enumerate(selector.select(arguments.count, arguments.hours and arguments.hours * 3600)):
            yield candidate
            if number % 100 == 0:
                bar.update(number)
    for candidate in selector.remaining():
        report.add(candidate.place, NOT_NEEDED, "", candidate.text)


def write(candidates, file, path):
    """Writes the sentences; returns (number, seconds)."""
    number, seconds, table = 0, 0.0, path.endswith(".tsv")
    if table:
        file.write("sentence\tsource\tseconds\n")
    for candidate in candidates:
        file.write("%s\t%s\t%.1f\n" % (candidate.text, " ".join(candidate.place.split()), candidate.seconds) if table
                   else candidate.text + "\n")
        number, seconds = number + 1, seconds + candidate.seconds
    return number, seconds


def show(report, num_sentences, number, seconds, selector, letters):
    """Prints what was dropped and the letters of the selection."""
    rows = sorted(report.counts.items(), key=lambda item: (-item[1], item[0]))
    print_table("Dropped sentences", ["reason", "sentences", "share", "examples"], [
        [reason, str(count), "%.1f %%" % (100.0 * count / num_sentences), "\n".join(report.examples[reason])]
        for reason, count in rows], left=("reason", "examples"), fold=True)
    log_line("Selected %d of %d sentences, about %.2f hours, %.1f s each" % (
        number, num_sentences, seconds / 3600, seconds / max(number, 1)))
    rare = sorted((letter for letter in selector.letters), key=lambda letter: (selector.letters[letter], letter))
    log_line("Letters of the selection: %d different; the rarest: %s" % (len(rare), ", ".join(
        "%s %d of %d" % (letter, selector.letters[letter], selector.available[letter]) for letter in rare[:SHOWN_LETTERS])))
    missing = sorted((letters or frozenset()).difference(selector.letters))
    if missing:
        log_line("Letters of the alphabet that no selected sentence has: %s. Add text that has them" % " ".join(missing))


def select(words):
    """Runs the command."""
    arguments = parse(words)
    cleaner = cleaner_of(arguments)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="select_sentences-"))
        # both files appear at the end
        output = stack.enter_context(replaced_file(arguments.output))
        file = stack.enter_context(replaced_file(arguments.dropped)) if arguments.dropped is not None else None
        report, candidates = Report(file), Candidates(folder)
        num_sentences = collect(arguments, cleaner, candidates, report)
        selector = Selector(arguments.language, sum(arguments.seconds) / 2.0, arguments.pool)
        number, seconds = write(choose(arguments, candidates, selector, report), output, arguments.output)
        show(report, num_sentences, number, seconds, selector, cleaner.language.letters)
        if not number:
            raise DataError("no sentence of %s is left, see the table for the reasons. Nothing was written" % (
                ", ".join(arguments.texts)))
    limits = [(arguments.count, number, "--count"), (arguments.hours, seconds / 3600, "--hours")]
    asked = ["%s %g" % (flag, limit) for limit, _, flag in limits if limit is not None]
    if asked and all(limit is None or found < limit for limit, found, _ in limits):
        log_line("Note: the text has fewer sentences than %s asks for. Add text, or relax checks of the table" % (
            " ".join(asked)))
    log_line("Wrote %s" % " and ".join(path for path in (arguments.output, arguments.dropped) if path is not None))


def main(words):
    """Returns the exit status."""
    return exit_status_of(select, words, "Nothing was written; run the command again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
