"""How logits become transcripts: the keys of ``decoder_params`` and the flags of the same meaning, declared and checked here.

A config has the keys in ``decoder_params``; ``run.py --lm_path=FILE`` is short for ``--decoder_params/lm_path=FILE``; commands
without a config take the same flags with :func:`add_decoding_arguments` and :func:`options_from_arguments`.
"""
import collections

from open_seq2seq.config.overrides import parse_value
from open_seq2seq.config.parameters import Any, Bool, Choice, Either, FilePath, Float, Int, Kind, Parameter, check_parameters
from open_seq2seq.config.report import Report, child_path, shown
from open_seq2seq.errors import UsageError

GREEDY, BEAM = "greedy", "beam"
COQUI, PYCTCDECODE = "coqui", "pyctcdecode"
DEFAULT_HOT_WORD_WEIGHT = 10.0

DecodingOptions = collections.namedtuple("DecodingOptions", (
    "decoding", "lm_path", "beam_width", "alpha", "beta", "lexicon", "hot_words", "cutoff_prob", "cutoff_top_n", "token_min_logp",
    "beam_prune_logp", "unk_score_offset", "score_sentence_end", "search_library", "decoder_workers"))
DecodingOptions.__doc__ = """Checked options of a decoder.

decoding: "greedy" or "beam". lm_path: path of a KenLM model (ARPA or binary), or None. hot_words: dict from word to weight. The
other fields are the parameters of the same names in :data:`PARAMETERS`.
"""


class HotWords(Kind):
    """Words or phrases and their weights: a dict, a list, or text as on the command line, ``"zebra:8,quagga"``."""

    description = "words with weights, e.g. {'zebra': 8.0}, ['zebra'] or 'zebra:8,quagga'"
    own_types = (dict, list, tuple, str)

    def check(self, value, path, report):
        own = Report()
        if isinstance(value, str):
            items = [self._item(part) for part in value.split(",")]
        elif isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, (list, tuple)):
            items = [(word, DEFAULT_HOT_WORD_WEIGHT) for word in value]
        else:
            return self._expected(value, path, report)
        checked = {}
        for word, weight in items:
            if not isinstance(word, str) or not word.strip():
                own.problem(path, "has %s, expected %s" % (shown(word), self.description))
                continue
            checked[" ".join(word.split())] = Float().check(weight, child_path(path, word) if isinstance(value, dict) else path,
                                                            own)
        report.take(own)
        return checked

    @staticmethod
    def _item(text):
        word, colon, weight = text.rpartition(":")
        return (word, parse_value(weight)) if colon else (text, DEFAULT_HOT_WORD_WEIGHT)


_SETUP = "the search is in Python packages, which bash scripts/setup.sh --decoding installs"
_LEXICON = "the words are taken from the language model; decoder_params[\"lexicon\"] may name a list of words"
_VOCABULARY = "the vocabulary file of the data layer determines it"

PARAMETERS = (
    Parameter("decoding", Choice(GREEDY, BEAM), default=None,
              doc="greedy: the most probable output of each frame; beam: beam search. None: beam if use_language_model is True, "
                  "else greedy"),
    Parameter("use_language_model", Bool(), default=None,
              doc="OpenSeq2Seq's key: True is beam search with lm_path; has no effect next to decoding"),
    Parameter("lm_path", FilePath(), default=None,
              doc="language model of the beam search, ARPA or KenLM binary; None: search without one"),
    Parameter("beam_width", Int(minimum=1, maximum=100000), default=64, doc="transcripts that the search keeps in each frame"),
    Parameter("alpha", Float(minimum=0.0), default=0.5, doc="weight of the language model's natural log probability"),
    Parameter("beta", Float(), default=1.5, doc="score added for each word; without it the search prefers few words"),
    Parameter("lexicon", Either(Bool(), FilePath()), default=True,
              doc="True: only words of the language model; False: any word; a path: only the words of this file, one a line"),
    Parameter("hot_words", HotWords(), default=None, doc="words or phrases that the search prefers, with their weights"),
    Parameter("cutoff_prob", Float(above=0.0, maximum=1.0), default=0.999,
              doc="characters considered in a frame: the most probable ones up to this sum of probabilities"),
    Parameter("cutoff_top_n", Int(minimum=1), default=40, doc="characters considered in a frame: at most this many"),
    Parameter("token_min_logp", Float(maximum=0.0), default=-5.0,
              doc="pyctcdecode: characters below this log probability are not considered, except the most probable one"),
    Parameter("beam_prune_logp", Float(maximum=0.0), default=-10.0,
              doc="pyctcdecode: transcripts this far below the best one are dropped"),
    Parameter("unk_score_offset", Float(maximum=0.0), default=-10.0,
              doc="lexicon False: log10 probability added for a word that is not in the language model"),
    Parameter("score_sentence_end", Bool(), default=True, doc="score the end of the sentence with the language model"),
    Parameter("search_library", Choice(COQUI, PYCTCDECODE), default=None,
              doc="None: coqui (coqui_stt_ctcdecoder) where it is installed and lexicon is not False, else pyctcdecode"),
    Parameter("decoder_workers", Int(minimum=1, maximum=1024), default=None,
              doc="processes that search; None: one for each core"),
    # spellings of OpenSeq2Seq before 18.10
    Parameter("lm_weight", Float(minimum=0.0), replaced_by="alpha"),
    Parameter("word_count_weight", Float(), replaced_by="beta"),
    Parameter("lm_binary_path", FilePath(), replaced_by="lm_path"),
) + tuple(Parameter(name, Any(), ignored=reason) for name, reason in (
    ("trie_weight", "the search has no weight for beginnings of words"),
    ("valid_word_count_weight", "with a lexicon every word is valid; beta is added for each word"),
    ("decoder_library_path", _SETUP),
    ("trie_path", _LEXICON), ("lm_trie_path", _LEXICON),
    ("alphabet_config_path", _VOCABULARY),
))

# flag, key, metavar, help for the parsers and for run.py --help
Flag = collections.namedtuple("Flag", "name key metavar doc")
FLAGS = (
    Flag("decoder", "decoding", "greedy|beam", "default: greedy, or beam if another of these flags is given"),
    Flag("lm_path", "lm_path", "FILE", "language model for the beam search, ARPA or KenLM binary"),
    Flag("beam_width", "beam_width", "N", "transcripts that the search keeps in each frame (default: 64)"),
    Flag("alpha", "alpha", "X", "weight of the language model (default: 0.5)"),
    Flag("beta", "beta", "X", "score added for each word (default: 1.5)"),
    Flag("hot_words", "hot_words", "WORD:X,...", "words that the search prefers, with weights, e.g. zebra:8,quagga"),
    Flag("lexicon", "lexicon", "True|False|FILE", "True: only words of the language model (default); False: any word; a file: "
                                                  "only its words"),
    Flag("cutoff_prob", "cutoff_prob", "X", "consider the most probable characters of a frame up to this sum (default: 0.999)"),
    Flag("cutoff_top_n", "cutoff_top_n", "N", "consider at most this many characters of a frame (default: 40)"),
    Flag("search_library", "search_library", "coqui|pyctcdecode", "the package that searches (default: coqui where installed)"),
    Flag("decoder_workers", "decoder_workers", "N", "processes that search (default: one for each core)"),
)

KEYS = tuple(parameter.name for parameter in PARAMETERS if parameter.ignored is None and parameter.replaced_by is None)


def check_rules(params, path, report):
    """Checks the rules that join the decoding keys of checked ``decoder_params``; see ``experiment.checking``."""
    if params.get("decoding") is None and params.get("use_language_model"):
        if params.get("lm_path") is None:
            report.problem(child_path(path, "use_language_model"), "is True, but lm_path is missing; give the KenLM model, or "
                                                                   "set decoding to beam for a search without language model")
    if _decoding(params) == GREEDY:
        for key in ("lm_path", "hot_words"):
            if params.get(key):
                report.note(child_path(path, key), "has no effect: transcripts are decoded greedily; decoding=beam searches")
        return
    if params.get("search_library") == COQUI and params.get("lexicon") is False and params.get("lm_path"):
        report.problem(child_path(path, "search_library"), "is 'coqui', which needs a lexicon with a language model; expected "
                                                           "'pyctcdecode' for lexicon False")
    if isinstance(params.get("lexicon"), str) and not params.get("lm_path"):
        report.problem(child_path(path, "lexicon"), "is a list of words, which needs a language model, but lm_path is missing")


def _decoding(params):
    if params.get("decoding") is not None:
        return params["decoding"]
    return BEAM if params.get("use_language_model") else GREEDY


def options_from_config(decoder_params):
    """The options of checked ``decoder_params``.

    Args:
      decoder_params: dict; keys that a custom decoder does not declare have their defaults.

    Returns:
      DecodingOptions.
    """
    defaults = {parameter.name: parameter.default for parameter in PARAMETERS if parameter.name in KEYS}
    values = dict(defaults, **{key: decoder_params[key] for key in KEYS if key in decoder_params})
    values["decoding"] = _decoding(values)
    values["hot_words"] = dict(values["hot_words"] or {})
    return DecodingOptions(**{name: values[name] for name in DecodingOptions._fields})


def default_options(**values):
    """The default options with some replaced, without a check: for code and tests."""
    return options_from_config({})._replace(**values)


def add_decoding_arguments(parser):
    """Adds the decoding flags to an ``argparse`` parser; :func:`options_from_arguments` reads them."""
    group = parser.add_argument_group("decoding (docs/decoding.md)")
    for flag in FLAGS:
        group.add_argument("--" + flag.name, default=None, metavar=flag.metavar, help=flag.doc)


def implied_decoding(given):
    """The flag that selects beam search by being given without ``--decoder``; None if there is none.

    Args:
      given: names of the flags on the command line.
    """
    if "decoder" in given:
        return None
    return next((flag.name for flag in FLAGS if flag.name in given), None)


def value_of_flag(name, text):
    """The value of a flag for the check of its key: text for a path or words, else the Python literal."""
    if name in ("lm_path", "hot_words") and text != "None":
        return text
    return parse_value(text)


def flags_without_effect(given):
    """A message for each flag of the search next to ``--decoder greedy``.

    Args:
      given: names of the flags on the command line, next to ``--decoder greedy``.
    """
    return ["--%s has no effect with --decoder greedy; remove it, or use --decoder beam" % flag.name
            for flag in FLAGS if flag.name in given and flag.name != "decoder"]


class _FlagPath:
    """Names keys in messages by their flags."""

    def child(self, key):
        return next(("--" + flag.name for flag in FLAGS if flag.key == key), "--" + key)


def options_from_arguments(arguments):
    """The options of a parsed command line.

    Args:
      arguments: ``argparse.Namespace`` of a parser with :func:`add_decoding_arguments`.

    Returns:
      DecodingOptions.

    Raises:
      UsageError: a value is invalid, or flags contradict each other.
    """
    texts = {flag.name: getattr(arguments, flag.name) for flag in FLAGS if getattr(arguments, flag.name) is not None}
    values = {flag.key: value_of_flag(flag.name, texts[flag.name]) for flag in FLAGS if flag.name in texts}
    if implied_decoding(texts) is not None:
        values["decoding"] = BEAM
    report, path = Report(), _FlagPath()
    checked = check_parameters(PARAMETERS, values, path, report)
    if not report.problems:
        if checked["decoding"] == GREEDY:
            report.problems.extend(flags_without_effect(texts))
        check_rules(checked, path, report)
    if report.problems:
        raise UsageError("\n".join(report.problems))
    return options_from_config(checked)
