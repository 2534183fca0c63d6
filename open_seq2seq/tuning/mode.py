"""``--mode=tune_lm``: the weights of the language model, alpha and beta, with the lowest word error rate on evaluation data."""
import os

from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.options import BEAM, GREEDY, options_from_config
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import checksum_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.tuning.dev_logits import dev_logits
from open_seq2seq.tuning.report import log_result, write_result
from open_seq2seq.tuning.search import Decoding, Trials, best_of, require_optuna, run_search, trials_path

WIDEST = 1024  # beam width to compare with
FOLDER = os.path.join("report", "tune_lm")


def tune_language_model(base_model, params, run_directory, arguments, device, group):
    """Searches, prints the best values with the line for the config, and writes a table and a picture.

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`; ``arguments.trials``, ``alpha_range`` and ``beta_range`` limit the
      search.

    Returns:
      The best :class:`~open_seq2seq.tuning.search.Trial`.

    Raises:
      UsageError: there is no language model, optuna is not installed, or there are several ranks.
      DataError: the language model, the data or their transcripts cannot be used.
    """
    if group.size > 1:
        raise UsageError("--mode=tune_lm runs as one process; it was started as one of %d. Start it without the launcher"
                         % group.size)
    options = options_from_config(params["decoder_params"])._replace(decoding=BEAM)
    if options.lm_path is None:
        raise UsageError("--mode=tune_lm needs a language model: --lm_path=FILE, or decoder_params[\"lm_path\"]. "
                         "scripts/build_lm.py builds one")
    require_optuna()
    identity = _file_identity(options.lm_path)
    folder = os.path.join(run_directory.path, FOLDER)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot create %s: %s; --mode=tune_lm keeps its trials there" % (folder, error.strerror))
    # a mistake in the language model is reported before the network runs
    data = dev_logits(base_model, params, run_directory, arguments, device, group, folder,
                      lambda vocabulary: make_decoder(vocabulary, options).close())
    decoding = Decoding(data)
    fixed = {name: value for name, value in options._asdict().items() if name not in ("alpha", "beta", "decoder_workers")}
    key = checksum_of({"data": data.key, "options": fixed, "language model": identity})[:16]
    trials = Trials(trials_path(folder, key), {"checkpoint": os.path.basename(data.checkpoint), "options": fixed})
    if trials.finished:
        log_line("%d finished trials in %s; the search %s" % (
            len(trials.finished), trials.path, "continues" if len(trials.finished) < arguments.trials else "is complete"))
    references = {"greedy": decoding.measure(options._replace(decoding=GREEDY, lm_path=None, hot_words={})),
                  "beam": decoding.measure(options._replace(lm_path=None))}
    for name, text in (("greedy", "Greedy decoding"), ("beam", "Beam search without a language model")):
        log_line("%s: WER %.2f %%" % (text, 100 * references[name].wer))
    with ProgressBar(arguments.trials, description="trials") as bar:
        run_search(decoding, options, trials, arguments.trials, arguments.alpha_range, arguments.beta_range,
                   params["random_seed"] or 0, bar)
    best = best_of(trials.within(arguments.alpha_range, arguments.beta_range))
    widths = [(width, decoding.measure(options._replace(alpha=best.alpha, beta=best.beta, beam_width=width)))
              for width in _widths(options.beam_width)]
    log_result(decoding, options, trials, best, references, widths, arguments)
    write_result(folder, decoding, options, trials, best, references, widths, data)
    return best


def _widths(width):
    """The beam widths to compare: a quarter, the given one, four times as wide."""
    return sorted({max(1, width // 4), width, min(4 * width, WIDEST)})


def _file_identity(path):
    try:
        stat = os.stat(path)
    except OSError as error:
        raise DataError("cannot read the language model %s: %s. Expected an ARPA file or a KenLM binary; scripts/build_lm.py "
                        "builds one" % (path, error.strerror))
    return [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]
