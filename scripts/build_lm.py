#!/usr/bin/env python
"""Builds an n-gram language model for the beam search from text or from the transcripts of manifests.

    python scripts/build_lm.py --config_file FILE --output lm.arpa
    python scripts/build_lm.py --config_file FILE --text books.txt.gz news.txt --order 4 --prune 0 0 1 --output lm.arpa

The text is converted to the vocabulary's characters, as the transcripts of training are. The model is estimated with modified
Kneser-Ney smoothing, as KenLM's lmplz does. With a config, the default text is the transcripts of its training data, and the
model is evaluated on those of its evaluation data: perplexity, and words that are not in the model. Other --key=value arguments
change the config, as those of run.py do. docs/language_models.md explains the options and how to tune alpha and beta.
"""
import argparse
import gzip
import io
import os
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.config.overrides import parse_overrides  # noqa: E402
from open_seq2seq.errors import DataError, UsageError  # noqa: E402
from open_seq2seq.log_lines import log_line  # noqa: E402
from open_seq2seq.progress import ProgressBar  # noqa: E402
from open_seq2seq.text.normalization import Dropped, TextNormalizer  # noqa: E402
from open_seq2seq.text.sentences import STDIN, read_sentences, total_bytes  # noqa: E402
from open_seq2seq.text.steps import Emptied, Normalization, Refused  # noqa: E402

ARPA_SUFFIXES, BINARY_SUFFIXES = (".arpa", ".arpa.gz"), (".bin", ".binary", ".klm", ".mmap")
ESTIMATORS = ("auto", "numpy", "lmplz")
BITS = (2, 25)
LARGE_TEXT = 3 * 10 ** 8  # bytes
POINTER_BITS = "22"   # build_binary's suggestion for the compression of a trie's pointers
UNKNOWN, EMPTY = "with characters outside the vocabulary", "empty after normalization"
REFUSED = "with numbers that cannot be read"


def _threshold(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError("%r is not a number above 0 and below 1, e.g. 1e-8" % text)
    return value


def _input_path(text):
    return text if text == STDIN else file_path(text)


def parse(words):
    """(the flags, list of Override of the config)."""
    parser = Parser(prog="build_lm.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_argument_group("text")
    source.add_argument("--config_file", type=file_path, metavar="FILE",
                        help="config of the model: its vocabulary, and by default its training and evaluation transcripts")
    source.add_argument("--vocab_file", type=file_path, metavar="FILE", help="the vocabulary, instead of a config")
    source.add_argument("--text", nargs="+", type=_input_path, default=[], metavar="FILE",
                        help="text files, UTF-8, one sentence a line; .gz is decompressed, - is stdin")
    source.add_argument("--manifest", nargs="+", type=file_path, default=[], metavar="CSV",
                        help="manifests, whose transcripts are used")
    source.add_argument("--dev", nargs="+", type=file_path, default=[], metavar="FILE",
                        help="text files or manifests (.csv) to evaluate the model on (default: the config's evaluation data)")
    model = parser.add_argument_group("model")
    model.add_argument("--output", type=file_path, required=True, metavar="FILE",
                       help="name ending in %s, or in %s for a KenLM binary, which needs KenLM's build_binary" % (
                           " or ".join(ARPA_SUFFIXES), ", ".join(BINARY_SUFFIXES)))
    model.add_argument("--order", type=whole_number(2), default=3, metavar="N", help="longest n-grams (default: %(default)s)")
    model.add_argument("--prune", nargs="+", type=whole_number(0), default=[], metavar="COUNT",
                       help="leave out n-grams that occur at most COUNT times; a count for each order, not decreasing, the last "
                            "one for all higher orders, too, e.g. 0 0 1")
    model.add_argument("--prune_entropy", type=_threshold, metavar="X",
                       help="leave out n-grams whose loss raises the perplexity by a share below X, e.g. 1e-8")
    model.add_argument("--most_words", type=whole_number(1), metavar="N", help="leave out all but the N most frequent words")
    model.add_argument("--quantize", type=whole_number(BITS[0]), metavar="BITS",
                       help="in a binary: store probabilities in a trie with this many bits, e.g. 8")
    model.add_argument("--estimator", choices=ESTIMATORS, default="auto",
                       help="numpy: in memory; lmplz: KenLM's program, on disk, with the same numbers; auto: lmplz for more than "
                            "300 MB of text if it is installed, else numpy (default: %(default)s)")
    arguments, others = parser.parse_known_args(words)
    _check(parser, arguments)
    overrides = parse_overrides(others)
    if overrides and arguments.config_file is None:
        parser.error("%s is unknown; keys of a config need --config_file" % others[0])
    return arguments, overrides


def _check(parser, arguments):
    if arguments.config_file is None and arguments.vocab_file is None:
        parser.error("--config_file or --vocab_file is missing; the vocabulary decides which characters words may have")
    if arguments.config_file is not None and arguments.vocab_file is not None:
        parser.error("--vocab_file is the config's with --config_file; give one of them")
    if arguments.config_file is None and not arguments.text and not arguments.manifest:
        parser.error("--text or --manifest is missing; without a config there is no default text")
    if len(arguments.prune) > arguments.order:
        parser.error("--prune has %d counts, but --order is %d" % (len(arguments.prune), arguments.order))
    for lower, higher in zip(arguments.prune, arguments.prune[1:]):
        if higher < lower:
            parser.error("--prune %s decreases; a kept n-gram needs its parts, so expected counts that do not decrease, e.g. "
                         "0 0 1" % " ".join(map(str, arguments.prune)))
    if arguments.text.count(STDIN) > 1:
        parser.error("--text has - twice; stdin can be read once")
    if not arguments.output.endswith(ARPA_SUFFIXES + BINARY_SUFFIXES):
        parser.error("--output %s: expected a name ending in %s for text or %s for a KenLM binary" % (
            arguments.output, " or ".join(ARPA_SUFFIXES), ", ".join(BINARY_SUFFIXES)))
    if arguments.quantize is not None:
        if arguments.quantize > BITS[1]:
            parser.error("--quantize is %d, expected at most %d bits" % (arguments.quantize, BITS[1]))
        if arguments.output.endswith(ARPA_SUFFIXES):
            parser.error("--quantize needs a binary; expected --output with a name ending in %s" % ", ".join(BINARY_SUFFIXES))
    if arguments.estimator == "lmplz" and _needs_numpy(arguments):
        parser.error("--estimator lmplz has no --%s; use numpy" % _needs_numpy(arguments))


def _needs_numpy(arguments):
    return next((name for name in ("prune_entropy", "most_words") if getattr(arguments, name) is not None), None)


class Sources:
    """Where the sentences come from, and the conversion to words of the vocabulary.

    Args:
      arguments: the flags. overrides: of the config.
    """

    def __init__(self, arguments, overrides):
        from open_seq2seq.text.vocabulary import Vocabulary
        texts, manifests, dev = list(arguments.text), list(arguments.manifest), list(arguments.dev)
        vocab_file, layer = arguments.vocab_file, {}
        if arguments.config_file is not None:
            vocab_file, layer, training, evaluation = _of_config(arguments.config_file, overrides)
            if not texts and not manifests:
                manifests = training
            dev = dev or evaluation
        self.vocabulary = Vocabulary.from_file(vocab_file)
        self._of_characters = not self.vocabulary.separates_words
        if self._of_characters:
            log_line("Note: vocabulary %s has no space, so the language model is one of characters" % vocab_file)
        self.texts, self.manifests, self.dev = texts, manifests, dev
        self._normalization, self._column = Normalization.of(layer, self.vocabulary), layer.get("transcript_column", "transcript")
        self._normalizer = TextNormalizer(self.vocabulary, self._normalization)

    def training(self, dropped):
        """Yields the words of each sentence."""
        return self._words(self.texts, self.manifests, dropped, total_bytes(self.texts + self.manifests))

    def development(self, dropped):
        """Yields the words of each sentence of the dev data."""
        manifests = [path for path in self.dev if path.endswith(".csv")]
        return self._words([path for path in self.dev if path not in manifests], manifests, dropped, None)

    def _words(self, texts, manifests, dropped, total):
        with ProgressBar(total, description="text") as bar:
            for path in manifests:
                for place, text in self._transcripts(path):
                    yield from self._known(place, text, dropped, is_transcript=True)
            done = sum(os.path.getsize(path) for path in manifests)
            for sentence in read_sentences(texts, lambda count: bar.update(done + count)):
                yield from self._known((sentence.path, sentence.line), sentence.text, dropped)

    def _transcripts(self, path):
        from open_seq2seq.data.speech2text.manifest import read_manifest
        rows = read_manifest(path, vocabulary=self.vocabulary, column=self._column)
        return (((row.manifest, row.row), row.transcript) for row in rows if row.problem is None)

    def _known(self, place, text, dropped, is_transcript=False):
        """The words of a sentence once, or nothing."""
        try:
            if is_transcript:
                # as in training: only the config's steps change a transcript, and one with an unknown character is rejected
                text = self._normalization.apply(text).text
                unknown = next((character for character in text if character not in self.vocabulary), None)
                words = text.split()
            else:
                words, unknown = self._normalizer.normalize(text)
        except Refused as error:
            dropped.add(EMPTY if isinstance(error, Emptied) else REFUSED, "%s:%d" % place, text)
            return
        if self._of_characters:
            words = list("".join(words))
        if unknown is None and words:
            yield words
        else:
            dropped.add(EMPTY if unknown is None else UNKNOWN, "%s:%d" % place, text, unknown)


def _of_config(config_file, overrides):
    """(the vocabulary's path, a data layer's params, the training manifests, the evaluation manifests) of a config."""
    from open_seq2seq.experiment.loading import load_experiment
    params = load_experiment(config_file, "combine", overrides).params
    layers = {name: params[name]["data_layer_params"] for name in ("train", "eval") if name in params}
    manifests = {}
    for name, layer in layers.items():
        files = layer.get("dataset_files") or []
        manifests[name] = [files] if isinstance(files, str) else list(files)
    layer = next(iter(layers.values()))
    vocab_file = layer.get("vocab_file")
    if vocab_file is None:
        raise UsageError("%s: the data layer has no vocab_file; use --vocab_file and --text" % config_file)
    return vocab_file, layer, manifests.get("train", []), manifests.get("eval", [])


def build(words):
    """Runs the command."""
    arguments, overrides = parse(words)
    from open_seq2seq.decoding.kenlm_files import MAX_ORDER, build_binary, build_binary_program
    from open_seq2seq.files import require_writable
    if arguments.order > MAX_ORDER:
        raise UsageError("--order is %d; the decoders read orders up to %d" % (arguments.order, MAX_ORDER))
    require_writable(arguments.output)
    binary, lmplz = arguments.output.endswith(BINARY_SUFFIXES), shutil.which("lmplz")
    if binary and build_binary_program() is None:
        raise UsageError("--output %s: KenLM's build_binary is not installed. Build it with bash scripts/setup.sh --decoding, or "
                         "give a name ending in .arpa, which the decoders read, too" % arguments.output)
    if arguments.estimator == "lmplz" and lmplz is None:
        raise UsageError("--estimator lmplz: KenLM's lmplz is not on PATH; --estimator numpy has the same numbers")
    sources = Sources(arguments, overrides)
    size = total_bytes(sources.texts + sources.manifests)
    uses_lmplz = arguments.estimator == "lmplz" or (
        arguments.estimator == "auto" and lmplz is not None and not _needs_numpy(arguments) and size is not None
        and size > LARGE_TEXT)
    dev = _read_dev(sources)
    folder = os.path.dirname(arguments.output) or "."
    with tempfile.TemporaryDirectory(prefix=".build_lm-", dir=folder) as temporary:
        arpa = os.path.join(temporary, "lm.arpa")
        (_estimate_on_disk if uses_lmplz else _estimate_in_memory)(arguments, sources, arpa, temporary, lmplz)
        result = arpa
        if binary:
            result = os.path.join(temporary, "lm.bin")
            bits = str(arguments.quantize)
            build_binary(arpa, result, *(["probing"] if arguments.quantize is None else
                                         ["-q", bits, "-b", bits, "-a", POINTER_BITS, "trie"]))
        _publish(result, arguments.output)
    log_line("Wrote %s, %.1f MB" % (arguments.output, os.path.getsize(arguments.output) / 1e6))
    if dev:
        _evaluate(arguments.output, dev)


def _estimate_in_memory(arguments, sources, arpa, _, __):
    from open_seq2seq.text.ngrams.arpa import write_arpa
    from open_seq2seq.text.ngrams.counts import TokenizedText, count_ngrams
    from open_seq2seq.text.ngrams.kneser_ney import estimate
    from open_seq2seq.text.ngrams.pruning import prune_by_entropy
    began, text, dropped = time.monotonic(), TokenizedText(), Dropped()
    for sentence in sources.training(dropped):
        text.add(sentence)
    _report_text(sources, text.sentences, text.num_words, dropped)
    with ProgressBar(arguments.order, description="n-grams") as bar:
        tables, last = count_ngrams(text.tokens(), len(text.words), arguments.order, bar.update)
    model = estimate(text.words, tables, last, arguments.prune, arguments.most_words)
    if arguments.prune_entropy is not None:
        model = prune_by_entropy(model, arguments.prune_entropy)
    for note in model.notes:
        log_line("Note: " + note)
    with open(arpa, "w", encoding="utf-8") as file, ProgressBar(sum(len(order.word) for order in model.orders),
                                                                description="writing") as bar:
        write_arpa(model, file, bar.update)
    log_line("Order %d: %s" % (arguments.order, ", ".join("%d %d-grams" % (len(order.word), number)
                                                          for number, order in enumerate(model.orders, 1))))
    seconds = time.monotonic() - began
    log_line("Estimated in %.1f s, %.0f words per second" % (seconds, text.num_words / seconds))


def _estimate_on_disk(arguments, sources, arpa, temporary, lmplz):
    from open_seq2seq.text.ngrams.kenlm import run_lmplz
    from open_seq2seq.text.ngrams.kneser_ney import FALLBACK
    began, dropped, counts = time.monotonic(), Dropped(), [0, 0]

    def sentences():
        for sentence in sources.training(dropped):
            counts[0], counts[1] = counts[0] + 1, counts[1] + len(sentence)
            yield sentence
        _report_text(sources, counts[0], counts[1], dropped)

    run_lmplz(lmplz, sentences(), arpa, arguments.order, arguments.prune, FALLBACK, temporary)
    log_line("Estimated by %s in %.1f s" % (lmplz, time.monotonic() - began))


def _report_text(sources, sentences, words, dropped):
    """Prints what was read; DataError if nothing is left."""
    names = ", ".join(sources.manifests + sources.texts)
    if dropped.total:
        log_line("Dropped %d of %d sentences:" % (dropped.total, dropped.total + sentences))
        for line in dropped.lines():
            log_line(line)
    if not sentences:
        raise DataError("%s: no sentence is left%s. Expected one sentence a line, with words that the vocabulary can write" % (
            names, "; all %d were dropped, see above" % dropped.total if dropped.total else ", the text is empty"))
    log_line("Text: %d sentences, %d words (%s)" % (sentences, words, names))


def _publish(path, output):
    """Moves a finished file to its place, compressed if the name says so."""
    from open_seq2seq.files import replaced_file
    with open(path, "rb") as source, replaced_file(output, "wb") as target:
        # without a time of compression the same model is the same file
        compressed = gzip.GzipFile("", "wb", 6, target, mtime=0) if output.endswith(".gz") else None
        for block in iter(lambda: source.read(io.DEFAULT_BUFFER_SIZE * 64), b""):
            (compressed or target).write(block)
        if compressed is not None:
            compressed.close()


def _read_dev(sources):
    """The words of each sentence of the dev data, a list: a mistake in them is reported before the model is estimated."""
    if not sources.dev:
        return []
    names, dropped = ", ".join(sources.dev), Dropped()
    sentences = list(sources.development(dropped))
    if dropped.total:
        log_line("Dropped %d sentences of the dev data:" % dropped.total)
        for line in dropped.lines():
            log_line(line)
    if not sentences:
        raise DataError("dev data %s: no sentence is left, so there is no perplexity; expected transcripts or text with words "
                        "that the vocabulary can write" % names)
    return sentences


def _evaluate(path, dev):
    """Prints the perplexity and the share of unknown words on the dev data."""
    from open_seq2seq.decoding.kenlm_files import load_kenlm
    from open_seq2seq.text.ngrams.kenlm import perplexity
    try:
        model = load_kenlm(path)
    except UsageError as error:
        log_line("No perplexity on the dev data: %s" % error)
        return
    found = perplexity(model, dev)
    log_line("Dev: %d sentences, %d words, %d of them unknown (%.2f %%)" % (
        found.sentences, found.words, found.oov, 100.0 * found.oov / found.words))
    log_line("Perplexity: %.2f with unknown words, %.2f without" % (found.with_oov, found.without_oov))


def main(words):
    """Runs the command line and returns its exit status."""
    return exit_status_of(build, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
