#!/usr/bin/env python
"""Counts the words, characters and n-grams of texts of any size, and what one text has that another lacks.

    python scripts/corpus_statistics.py wiki.txt.gz news.txt
    python scripts/corpus_statistics.py --manifest train.csv --language ky --order 3 --output statistics.json
    python scripts/corpus_statistics.py --manifest dev.csv --known books.txt --known_min_count 2
    python scripts/corpus_statistics.py chinese.txt --units characters --order 2 --counts FOLDER

Each file is read once, so stdin (-) works, too. Counts are exact: those that exceed --memory are written to temporary files and
merged. Words are counted in lower case without punctuation; --raw counts them as they are written. With --known, the second part
lists out-of-vocabulary words and unseen n-grams: what the texts have and the known text lacks. --counts writes all counts, the
most frequent first. docs/sentences.md explains the figures.
"""
import argparse
import contextlib
import json
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.errors import StorageError  # noqa: E402
from open_seq2seq.files import replaced_file, require_writable  # noqa: E402
from open_seq2seq.log_lines import log_line  # noqa: E402
from open_seq2seq.progress import ProgressBar, print_table  # noqa: E402
from open_seq2seq.text import languages  # noqa: E402
from open_seq2seq.text.raw_text import read_lines  # noqa: E402
from open_seq2seq.text.sentences import STDIN, total_bytes  # noqa: E402
from open_seq2seq.text.text_statistics import CHARACTERS, WORDS, TextCounter  # noqa: E402
from open_seq2seq.text.vocabulary import described  # noqa: E402

LARGEST_ORDER = 6
SHOWN_CHARACTERS = 30
CHARACTER_COUNTS, NGRAM_COUNTS = "characters.tsv", "%d-grams.tsv"


def _input_path(text):
    return text if text == STDIN else file_path(text)


def parse(words):
    """The flags."""
    parser = Parser(prog="corpus_statistics.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=_input_path, metavar="FILE",
                        help="UTF-8 text files; .gz is decompressed, - is stdin")
    parser.add_argument("--manifest", nargs="+", type=file_path, default=[], metavar="CSV", help="manifests: their transcripts")
    parser.add_argument("--column", default="transcript", metavar="NAME", help="column of the transcripts (default: %(default)s)")
    parser.add_argument("--known", nargs="+", type=_input_path, default=[], metavar="FILE",
                        help="text files, or manifests (.csv), whose words are the vocabulary for out-of-vocabulary words")
    parser.add_argument("--known_min_count", type=whole_number(1), default=1, metavar="N",
                        help="words and n-grams are known if --known has them at least N times (default: %(default)s)")
    parser.add_argument("--order", type=whole_number(1), default=2, metavar="N", help="longest n-grams (default: %(default)s)")
    parser.add_argument("--units", choices=(WORDS, CHARACTERS), default=WORDS, help="what n-grams consist of; characters is for "
                        "languages without spaces between words, e.g. Chinese (default: %(default)s)")
    parser.add_argument("--language", metavar="CODE", help="rules of lower case: %s have a dotless i; others need no flag"
                        % " and ".join(languages.DOTLESS))
    parser.add_argument("--raw", action="store_true", help="count the words as they are written")
    parser.add_argument("--top", type=whole_number(0), default=10, metavar="N",
                        help="print that many of the most frequent n-grams (default: %(default)s)")
    parser.add_argument("--output", type=file_path, metavar="FILE", help="write the statistics to this JSON file")
    parser.add_argument("--counts", type=file_path, metavar="FOLDER",
                        help="write all counts to this folder: characters.tsv, 1-grams.tsv, ...")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    parser.add_argument("--memory", type=whole_number(1), default=512, metavar="MB",
                        help="memory for counts; the rest goes to temporary files in TMPDIR (default: %(default)s)")
    arguments = parser.parse_args(words)
    _check(parser, arguments)
    return arguments


def _check(parser, arguments):
    if not arguments.texts and not arguments.manifest:
        parser.error("there is no text; name text files, or manifests with --manifest")
    if (arguments.texts + arguments.known).count(STDIN) > 1:
        parser.error("- is given twice; stdin can be read once")
    if arguments.order > LARGEST_ORDER:
        parser.error("--order is %d, expected at most %d" % (arguments.order, LARGEST_ORDER))
    if arguments.language is not None and not (arguments.language.isalpha() and arguments.language.islower()
                                               and len(arguments.language) in (2, 3)):
        parser.error("--language is %r, expected the code of a language, e.g. ky or tr" % arguments.language)
    if arguments.known_min_count > 1 and not arguments.known:
        parser.error("--known_min_count needs --known")
    results = [arguments.output] if arguments.output is not None else []
    if arguments.counts is not None:
        if os.path.exists(arguments.counts) and not os.path.isdir(arguments.counts):
            parser.error("--counts %s is a file; expected a folder" % arguments.counts)
        # of a folder that does not exist yet, the one above it is checked
        results += [os.path.join(arguments.counts, name) for name in [CHARACTER_COUNTS] + [
            NGRAM_COUNTS % order for order in range(1, arguments.order + 1)]] if os.path.isdir(arguments.counts) else [
                arguments.counts.rstrip("/")]
    for path in results:
        if os.path.exists(path) and not arguments.force:
            parser.error("%s exists already; choose another name, or replace it with --force" % path)
        require_writable(path)


def count(texts, manifests, arguments, folder, memory):
    """TextCounter of text files and of the transcripts of manifests."""
    counter = TextCounter(folder, arguments.order, arguments.units, memory, arguments.raw, arguments.language)
    with ProgressBar(total_bytes(texts + manifests), description="text", on_stderr=True) as bar:
        for path in manifests:
            from open_seq2seq.data.speech2text.manifest import read_manifest
            for row in read_manifest(path, column=arguments.column):
                counter.add(row.transcript or "")
        done = sum(os.path.getsize(path) for path in manifests)
        for line in read_lines(texts, lambda read: bar.update(done + read)):
            counter.add(line.text)
    if counter.is_unseparated:
        log_line("Note: the words are very long, so the text probably has no spaces between words; count characters with "
                 "--units characters")
    return counter


def described_text(counter, top):
    """The statistics of a TextCounter as a dict for JSON."""
    shown = ("type", "count")
    spectra = [counter.spectrum(order, top) for order in range(1, counter.order + 1)]
    return {
        "lines": counter.lines, "words": counter.words,
        "characters": sum(counter.characters.values()), "different_characters": len(counter.characters),
        "words_per_line": {"mean": counter.words / max(counter.lines, 1), "median": counter.median_length(),
                           "longest": max(counter.lengths, default=0)},
        "ngrams": [{"order": order, "types": spectrum.types, "tokens": spectrum.tokens, "types_that_occur_once": spectrum.once,
                    "top": [dict(zip(shown, pair)) for pair in spectrum.top],
                    "types_for_share_of_tokens": {"%g" % share: types for share, types in spectrum.coverage}}
                   for order, spectrum in enumerate(spectra, 1)],
        "character_counts": dict(sorted(counter.characters.items(), key=lambda item: (-item[1], item[0]))),
    }


def described_unseen(counter, known, top, min_count):
    """What ``known`` lacks, a list of dicts for JSON."""
    result = []
    for order in range(1, counter.order + 1):
        unseen = counter.unseen_in(known, order, top, min_count)
        result.append({"order": order, "types": unseen.types, "all_types": unseen.all_types, "tokens": unseen.tokens,
                       "all_tokens": unseen.all_tokens, "share_of_tokens": unseen.tokens / max(unseen.all_tokens, 1),
                       "top": [{"type": key, "count": number} for key, number in unseen.top]})
    return result


def show(statistics, units):
    """Prints the statistics."""
    log_line("%d lines, %d %s, %d characters (%d different); %s per line: mean %.1f, median %d, most %d" % (
        statistics["lines"], statistics["words"], units, statistics["characters"], statistics["different_characters"], units,
        statistics["words_per_line"]["mean"], statistics["words_per_line"]["median"], statistics["words_per_line"]["longest"]))
    rows = []
    for entry in statistics["ngrams"]:
        rows.append([str(entry["order"]), str(entry["tokens"]), str(entry["types"]), _share(
            entry["types_that_occur_once"], entry["types"])] + [
                str(types) for types in entry["types_for_share_of_tokens"].values()] + [_listed(entry["top"])])
    shares = list(statistics["ngrams"][0]["types_for_share_of_tokens"])
    print_table("N-grams of %s" % units, ["n", "all", "different", "occur once"] + [
        "for %g %%" % (100 * float(share)) for share in shares] + ["most frequent"], rows, left=("most frequent",), fold=True,
        caption="for 90 %: how many of the most frequent n-grams make up 90 % of all")
    characters = list(statistics["character_counts"].items())
    log_line("Characters: %s%s" % (", ".join(
        "%s %d" % ("space" if name == " " else name, number) for name, number in characters[:SHOWN_CHARACTERS]),
                                   ", ... (all of them: --output or --counts)" if len(characters) > SHOWN_CHARACTERS else ""))
    rare = characters[::-1][:SHOWN_CHARACTERS // 3]
    log_line("Rarest characters: %s" % ", ".join("%s %d" % (described(name), number) for name, number in rare))


def show_unseen(entries, units):
    """Prints what the known text lacks."""
    print_table("N-grams of %s that the known text lacks" % units, ["n", "of all", "of the different ones", "most frequent"], [
        [str(entry["order"]), _share(entry["tokens"], entry["all_tokens"]), _share(entry["types"], entry["all_types"]),
         _listed(entry["top"])] for entry in entries], left=("most frequent",), fold=True)
    first = entries[0]
    log_line("Out-of-vocabulary %s: %s, %d different" % (units, _share(first["tokens"], first["all_tokens"]), first["types"]))


def _share(part, whole):
    return "%d (%.2f %%)" % (part, 100.0 * part / max(whole, 1))


def _listed(top):
    return ", ".join("%s %d" % (entry["type"], entry["count"]) for entry in top)


def write_counts(counter, folder, temporary, memory):
    """Writes the counts of characters and n-grams, the most frequent first."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the folder %s: %s. Choose another place" % (folder, error.strerror))
    with replaced_file(os.path.join(folder, CHARACTER_COUNTS)) as file:
        for character, number in sorted(counter.characters.items(), key=lambda item: (-item[1], item[0])):
            file.write("%s\t%d\n" % (character, number))
    for order in range(1, counter.order + 1):
        with tempfile.TemporaryDirectory(dir=temporary) as place:
            with replaced_file(os.path.join(folder, NGRAM_COUNTS % order)) as file:
                for key, number in counter.by_count(order, place, memory):
                    file.write("%s\t%d\n" % (key, number))


def run(words):
    """Runs the command."""
    arguments = parse(words)
    memory = arguments.memory << 20
    share = memory // 2 if arguments.known else memory
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus_statistics-")) for _ in range(3)]
        known = None
        if arguments.known:
            manifests = [path for path in arguments.known if path.endswith(".csv")]
            known = count([path for path in arguments.known if path not in manifests], manifests, arguments, folders[1], share)
        counter = count(arguments.texts, arguments.manifest, arguments, folders[0], share)
        statistics = described_text(counter, arguments.top)
        if known is not None:
            statistics["known"] = {key: value for key, value in described_text(known, arguments.top).items()
                                   if key != "character_counts"}
            statistics["unseen"] = described_unseen(counter, known, arguments.top, arguments.known_min_count)
        show(statistics, arguments.units)
        if known is not None:
            show_unseen(statistics["unseen"], arguments.units)
        if arguments.counts is not None:
            write_counts(counter, arguments.counts, folders[2], memory // 4)
            log_line("Wrote the counts to %s" % arguments.counts)
    if arguments.output is not None:
        with replaced_file(arguments.output) as file:
            json.dump(statistics, file, indent=1, ensure_ascii=False)
            file.write("\n")
        log_line("Wrote %s" % arguments.output)


def main(words):
    """Returns the exit status."""
    return exit_status_of(run, words, "Nothing was written; run the command again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
