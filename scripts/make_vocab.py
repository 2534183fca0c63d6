#!/usr/bin/env python
"""Makes a vocabulary file from the transcripts of manifests or of a config's training data.

    python scripts/make_vocab.py train.csv --lower --output vocab.txt
    python scripts/make_vocab.py train.csv --language ky --output vocab.txt
    python scripts/make_vocab.py --config_file FILE --min_count 20 --output vocab.txt
    python scripts/make_vocab.py --config_file FILE --subwords 1000 --output vocab.model
    python scripts/make_vocab.py ky.csv kk.csv --language_tags ky=ky.csv --language_tags kk=kk.csv --output joint.txt

Prints every character with its number of occurrences and example rows, what each minimum count would drop, and what is probably
a mistake: look-alike letters, several apostrophes, dashes or spaces, digits, control characters. With a config the characters
are those after its normalization; other --key=value arguments change the config, as those of run.py do. --subwords trains a
SentencePiece model of that many pieces on these transcripts and prints them. Without --output nothing is written. docs/text.md
explains the tables.
"""
import argparse
import collections
import json
import os
import sys
import unicodedata

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.config.overrides import parse_overrides  # noqa: E402
from open_seq2seq.data.speech2text.manifest import TRANSCRIPT_COLUMN, read_manifest  # noqa: E402
from open_seq2seq.errors import DataError, UsageError  # noqa: E402
from open_seq2seq.files import replaced_file, require_writable  # noqa: E402
from open_seq2seq.log_lines import log_line  # noqa: E402
from open_seq2seq.progress import ProgressBar, print_table  # noqa: E402
from open_seq2seq.text import languages  # noqa: E402
from open_seq2seq.text.character_table import EXAMPLES, CharacterTable, script_of  # noqa: E402
from open_seq2seq.text.joint_alphabet import JointAlphabet  # noqa: E402
from open_seq2seq.text.steps import LOWER, Changes, Normalization, Refused, name_and_option  # noqa: E402
from open_seq2seq.text.subwords import BPE, UNIGRAM, SubwordVocabulary, train_model  # noqa: E402
from open_seq2seq.text.vocabulary import MODEL, Vocabulary, described, is_tag  # noqa: E402

MOST_HEADERS = 2000  # audio files whose duration is read for one line of the table; the hours of more rows stay unknown
MOST_CHARACTERS = 200  # in the table; Chinese has thousands


def parse(words):
    """(the flags, list of Override of the config)."""
    parser = Parser(prog="make_vocab.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="*", type=file_path, metavar="CSV", help="manifests")
    parser.add_argument("--config_file", type=file_path, metavar="FILE",
                        help="a config: its normalization and, without manifests, its training data")
    parser.add_argument("--output", type=file_path, metavar="FILE", help="the vocabulary file to write")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("--min_count", type=whole_number(1), default=1, metavar="N",
                        help="exclude characters that occur fewer than N times (default: %(default)s)")
    parser.add_argument("--subwords", type=whole_number(2), metavar="N",
                        help="make a vocabulary of N subwords, a SentencePiece model FILE.model, instead of characters")
    parser.add_argument("--model_type", choices=(UNIGRAM, BPE), help="with --subwords: the kind of model (default: %s)" % UNIGRAM)
    parser.add_argument("--lower", action="store_true", help="count lower-case letters; training needs the step \"lower\", too")
    parser.add_argument("--language", choices=languages.CODES, help="count the letters after the steps letters, numbers, lower "
                        "and punctuation of the language, which training needs, too, and compare them with its alphabet")
    parser.add_argument("--language_tags", action="append", metavar="COLUMN|LANGUAGE=CSV", help="add the tag <LANGUAGE> of each "
                        "language: of the values of a column, or of manifests (give it for each); default: as the config")
    parser.add_argument("--column", metavar="NAME", help="column of the transcripts (default: the config's, or transcript)")
    parser.add_argument("--exclude", default="", metavar="CHARACTERS", help="exclude these characters, e.g. --exclude '\"!?'")
    parser.add_argument("--keep", default="", metavar="CHARACTERS",
                        help="punctuation that the config's step \"punctuation\" keeps, besides the apostrophe, e.g. --keep=-")
    parser.add_argument("--all", action="store_true", help="print all characters; default: the %d most frequent and all rare ones"
                        % MOST_CHARACTERS)
    arguments, others = parser.parse_known_args(words)
    overrides = parse_overrides(others)
    if overrides and arguments.config_file is None:
        parser.error("%s is unknown; keys of a config need --config_file" % others[0])
    if arguments.model_type is not None and arguments.subwords is None:
        parser.error("--model_type needs --subwords")
    if arguments.output is not None and arguments.output.endswith(MODEL) != (arguments.subwords is not None):
        parser.error("--output is %s; a vocabulary of subwords (--subwords N) must be named *.model, one of characters not"
                     % arguments.output)
    if not arguments.manifests and arguments.config_file is None:
        parser.error("there are no transcripts; name manifests, or give --config_file")
    return arguments, overrides


def sources(arguments, overrides):
    """(the manifests, the Normalization of their transcripts, function ManifestRow -> language, the column)."""
    manifests, layer = arguments.manifests, {}
    if arguments.config_file is not None:
        # without a config TensorFlow is not needed
        from open_seq2seq.experiment.loading import load_experiment
        params = load_experiment(arguments.config_file, "combine", overrides).params
        layer = next((params[name]["data_layer_params"] for name in ("train", "eval") if name in params), {})
        if not manifests:
            files = params.get("train", {}).get("data_layer_params", {}).get("dataset_files") or []
            manifests = [files] if isinstance(files, str) else list(files)
        if not manifests:
            raise UsageError("%s: the config names no training data; name manifests" % arguments.config_file)
    steps = list(layer.get("normalization") or [])
    if arguments.language is not None:
        if steps or arguments.lower:
            raise UsageError("--language %s gives the normalization, and so %s; keep one of them" % (
                arguments.language, "does --lower" if arguments.lower else "does the config"))
        steps = languages.normalization(arguments.language)
    if arguments.lower and LOWER not in [name_and_option(step)[0] for step in steps]:
        steps.append(LOWER)
    tags = language_source(arguments.language_tags) if arguments.language_tags else layer.get("language_tags")
    return manifests, Normalization(steps, keep=arguments.keep), Languages(tags), (
        arguments.column or layer.get("transcript_column", TRANSCRIPT_COLUMN))


def language_source(values):
    """The values of --language_tags as in a config: the name of a column, or a dict from manifests to languages."""
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    pairs = [value.split("=", 1) for value in values]
    if any(len(pair) < 2 for pair in pairs):
        raise UsageError("--language_tags is %s; expected one column, or LANGUAGE=CSV for each manifest" % " and ".join(values))
    return {manifest: language for language, manifest in pairs}


class Languages:
    """The languages of rows.

    Args:
      source: see ``data_layer_params["language_tags"]``.

    Attributes:
      names: dict whose keys are the languages of the rows that were counted.
    """

    def __init__(self, source):
        self._source, self.names = source, {}

    def add(self, row):
        """Notes the language of a ManifestRow; DataError if it has none."""
        if self._source is None:
            return
        of_manifests = isinstance(self._source, dict)
        language = self._source.get(row.manifest) if of_manifests else dict(row.columns).get(self._source)
        if not language:
            raise DataError("%s:%d has no language: %s" % (row.manifest, row.row, (
                "add --language_tags LANGUAGE=%s" % row.manifest) if of_manifests else 'expected one in the column "%s"%s' % (
                    self._source, ", which the file lacks; it has " + ", ".join(name for name, _ in row.columns)
                    if self._source not in dict(row.columns) else "")))
        if not is_tag("<%s>" % language):
            raise DataError("%s:%d: the language is %r, expected letters, digits, - and _, e.g. ky" % (
                row.manifest, row.row, language))
        self.names[language] = True

    @property
    def tags(self):
        """List of the tags."""
        return ["<%s>" % language for language in sorted(self.names)]


class Rows:
    """The transcripts that were counted: where their audio is, and how long it is.

    Attributes:
      texts: list of the normalized transcripts.
    """

    def __init__(self):
        self._rows, self._seconds, self.texts = [], {}, []

    def add(self, row, text):
        self._rows.append(row)
        self.texts.append(text)

    def place(self, number):
        """``file:row`` of a transcript."""
        return "%s:%d" % (self._rows[number].manifest, self._rows[number].row)

    def hours(self, numbers):
        """Hours of some rows as text; "?" where a duration is not known."""
        unknown = [number for number in numbers if self._of_column(self._rows[number]) is None and number not in self._seconds]
        if len(unknown) > MOST_HEADERS:
            return "?"
        for number in unknown:
            self._seconds[number] = _of_header(self._rows[number].audio_path)
        seconds = [self._of_column(self._rows[number]) or self._seconds.get(number) for number in numbers]
        return "?" if None in seconds else "%.2f" % (sum(seconds) / 3600.0)

    @staticmethod
    def _of_column(row):
        try:
            return float(dict(row.columns)["duration"])
        except (KeyError, ValueError):
            return None


def _of_header(path):
    import soundfile
    try:
        return soundfile.info(path).duration
    except (RuntimeError, TypeError, ValueError):
        return None


def count(manifests, normalization, languages_of_rows, column):
    """(CharacterTable, JointAlphabet, Rows) of the transcripts."""
    table, joint, rows, changes, refused = CharacterTable(), JointAlphabet(), Rows(), Changes(), []
    with ProgressBar(len(manifests), description="transcripts") as bar:
        for done, path in enumerate(manifests, 1):
            for row in read_manifest(path, note=lambda text: log_line("Note: " + text), column=column):
                place = "%s:%d" % (row.manifest, row.row)
                if row.problem is not None:
                    refused.append("%s: %s" % (place, row.problem))
                    continue
                try:
                    normalized = normalization.apply(row.transcript)
                except Refused as error:
                    refused.append("%s: %s" % (place, error))
                    continue
                changes.add(row.transcript, normalized)
                languages_of_rows.add(row)
                table.add(place, normalized.text)
                joint.add(path, normalized.text)
                rows.add(row, normalized.text)
            bar.update(done)
    if changes.changed:
        log_line("Note: " + str(changes))
    if refused:
        log_line("Skipped %d rows: %s%s" % (len(refused), "; ".join(refused[:3]), "; ..." if len(refused) > 3 else ""))
    if not table.counts:
        raise DataError("%s: no transcript has a character; expected the column %s to hold text" % (", ".join(manifests), column))
    return table, joint, rows


def left_out_of(table, arguments):
    """Dict from the characters that do not enter the vocabulary to the reason."""
    reasons = {character: "fewer than %d" % arguments.min_count for character in table.below(arguments.min_count)}
    excluded = unicodedata.normalize("NFC", arguments.exclude)
    for character in excluded:
        if character in table.counts:
            reasons[character] = "--exclude"
        elif character != " ":
            log_line("Note: --exclude has %s, which no transcript has" % described(character))
    for character, problem in table.impossible().items():
        reasons[character] = problem.split(" is ", 1)[-1]
    return reasons


def print_characters(table, reasons, everything):
    """Prints the table of the characters."""
    ranked = sorted(table.counts, key=lambda character: (-table.counts[character], character))
    shown = [character for place, character in enumerate(ranked)
             if everything or place < MOST_CHARACTERS or character in reasons or table.counts[character] < 10]
    print_table("Characters", ["", "code", "count", "rows", "name", "script", "examples", "left out"], [
        [character if character.isprintable() else "", "U+%04X" % ord(character), str(table.counts[character]),
         str(table.rows_of[character]), unicodedata.name(character, "?"), script_of(character).lower(),
         ", ".join(place for place, _ in table.examples[character]), reasons.get(character, "")] for character in shown],
        left=("", "code", "name", "script", "examples", "left out"), min_width=160,
        caption="%d more, all frequent (--all prints them)" % (len(ranked) - len(shown)) if len(shown) < len(ranked) else None)


def print_thresholds(table, rows):
    """Prints what each minimum count would drop."""
    lines = []
    for threshold in table.thresholds():
        dropped = table.below(threshold)
        affected = table.rows_with(dropped)
        lines.append([str(threshold), str(len(table.counts) - len(dropped)), str(len(dropped)), str(len(affected)),
                      "%.3f" % (100.0 * len(affected) / table.num_rows), rows.hours(affected),
                      "".join(character if character.isprintable() else "?" for character in dropped[-20:])])
    print_table("Minimum counts: what they drop, and the rows that training would reject", [
        "--min_count", "kept", "dropped", "rows", "% of rows", "hours", "the last dropped"], lines, left=("the last dropped",))


def print_manifests(joint, reasons):
    """Prints what each of several manifests adds to their vocabulary."""
    if joint.is_joint:
        print_table("Manifests", ["manifest", "transcripts", "scripts", "characters", "only in it", "% of rows excluded"],
                    joint.table(set(reasons)), left=("manifest", "scripts", "only in it"), min_width=120)


def make_subwords(rows, left_out, arguments, tags):
    """Trains a SentencePiece model on the transcripts without the characters ``left_out``; returns the SubwordVocabulary."""
    texts = [text for text in rows.texts if left_out.isdisjoint(text)]
    if not texts:
        raise DataError("no transcript is left to train subwords with: each has an excluded character")
    model = train_model(texts, arguments.subwords, arguments.model_type or UNIGRAM, tags)
    return SubwordVocabulary.from_model(arguments.output or "the model", model)


def print_pieces(vocabulary, rows, left_out, everything):
    """Prints the pieces with their numbers of occurrences and example rows."""
    counts, examples, labels, characters, num_texts = collections.Counter(), {}, 0, 0, 0
    for number, text in enumerate(rows.texts):
        if not left_out.isdisjoint(text):
            continue
        encoded = vocabulary.encode(text)
        counts.update(encoded)
        labels, characters, num_texts = labels + len(encoded), characters + len(text), num_texts + 1
        for label in set(encoded):
            if len(examples.setdefault(label, [])) < EXAMPLES:
                examples[label].append(rows.place(number))
    ranked = sorted(range(vocabulary.size), key=lambda label: (-counts[label], label))
    shown = [label for place, label in enumerate(ranked) if everything or place < MOST_CHARACTERS or counts[label] < 2]
    print_table("Subwords", ["piece", "label", "count", "examples"], [
        [vocabulary.characters[label], str(label), str(counts[label]), ", ".join(examples.get(label, ()))] for label in shown],
        left=("piece", "examples"), min_width=100,
        caption="%d more, all frequent (--all prints them)" % (len(ranked) - len(shown)) if len(shown) < len(ranked) else None)
    unused = sum(not counts[label] for label in range(vocabulary.size))
    log_line("%.2f characters a piece, %.1f pieces a transcript; %d pieces do not occur in the transcripts%s" % (
        characters / max(labels, 1), labels / max(num_texts, 1), unused, ", so they are not trained; choose fewer subwords"
        if unused > vocabulary.size / 4 else ""))


def write_model(path, vocabulary):
    """Writes a SentencePiece model."""
    with replaced_file(path, "wb") as file:
        file.write(vocabulary.model)
    if Vocabulary.from_file(path).sha256 != vocabulary.sha256:
        raise DataError("%s does not read back as it was written; please report this as a bug" % path)


def write(path, characters):
    """Writes a vocabulary file."""
    with replaced_file(path, newline="\n") as file:
        file.writelines("%s%s\n" % ("\\" if character == "#" else "", character) for character in characters)
    if Vocabulary.from_file(path).characters != tuple(characters):
        raise DataError("%s does not read back as it was written; please report this as a bug" % path)


def make(words):
    """Runs the command."""
    arguments, overrides = parse(words)
    if arguments.output is not None:
        if os.path.exists(arguments.output) and not arguments.force:
            raise UsageError("%s exists, and a model needs the vocabulary that it was trained with. Choose another name, or add "
                             "--force to replace the file" % arguments.output)
        require_writable(arguments.output)
    manifests, normalization, languages_of_rows, column = sources(arguments, overrides)
    table, joint, rows = count(manifests, normalization, languages_of_rows, column)
    reasons = left_out_of(table, arguments)
    print_characters(table, reasons, arguments.all)
    print_thresholds(table, rows)
    print_manifests(joint, reasons)
    for warning in table.warnings() + joint.warnings(set(reasons)):
        log_line("Warning: " + warning)
    # the space first, as in OpenSeq2Seq's vocabularies
    characters = sorted((character for character in table.counts if character not in reasons),
                        key=lambda character: (character != " ", character))
    if arguments.language is not None:
        log_line(languages.compared(characters, arguments.language))
    affected = table.rows_with(reasons)
    log_line("%d transcripts with %d characters; %d are excluded, which affects %d rows (%.3f %%), %s hours" % (
        table.num_rows, len(table.counts), len(reasons), len(affected), 100.0 * len(affected) / table.num_rows,
        rows.hours(affected)))
    if not characters:
        raise DataError("every character is excluded; lower --min_count, or exclude fewer")
    vocabulary = None
    if arguments.subwords is not None:
        vocabulary = make_subwords(rows, set(reasons), arguments, languages_of_rows.tags)
        print_pieces(vocabulary, rows, set(reasons), arguments.all)
    made = "%d %s" % ((vocabulary.size, "subwords") if vocabulary else (len(characters), "characters"))
    if languages_of_rows.tags:
        made += "%s the tags %s" % (", among them" if vocabulary else " and", ", ".join(languages_of_rows.tags))
    if arguments.output is None:
        log_line("Nothing was written; --output FILE writes the vocabulary of %s" % made)
        return
    if vocabulary:
        write_model(arguments.output, vocabulary)
    else:
        write(arguments.output, characters + languages_of_rows.tags)
    log_line("Wrote %s, %s" % (arguments.output, made))
    steps = languages.normalization(arguments.language) if arguments.language else [LOWER] if arguments.lower else []
    if steps and (arguments.language or arguments.config_file is None):
        log_line("Note: the transcripts themselves are not changed; set data_layer_params[\"normalization\"] = %s"
                 % json.dumps(steps))


def main(words):
    """Runs the command line and returns its exit status."""
    return exit_status_of(make, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
