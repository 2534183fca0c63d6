"""The record of evaluations: a line for each in ``evaluations.jsonl`` next to the checkpoints.

An exported model's description takes its word error rate from there. The fingerprint of a model identifies the network that a
word error rate was measured with: whether two networks with the same weights give the same transcripts.
"""
import hashlib
import json
import os

from open_seq2seq.checkpoints.files import BEST_MODELS, checkpoint_step
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.data.speech2text.features import LATER_PARAMETERS
from open_seq2seq.decoding.options import GREEDY
from open_seq2seq.errors import StorageError
from open_seq2seq.experiment.saving import plain
from open_seq2seq.files import parsed_json
from open_seq2seq.log_lines import log_line
from open_seq2seq.text import steps

FILE_NAME = "evaluations.jsonl"


def record_evaluation(checkpoint, evaluation, result, is_test=False):
    """Adds an evaluation to the record.

    Args:
      checkpoint: what was evaluated, path without extension; it need not have been saved.
      evaluation: the ``Evaluation`` that it was evaluated with.
      result: ``EvaluationResult``.
      is_test: whether it was a test of the model that other evaluations had chosen.
    """
    layer = evaluation.data_layer
    entry = {"step": checkpoint_step(checkpoint), "data_set": data_set_name(layer),
             "wer": result.word_error_rate.rate, "cer": result.character_error_rate.rate,
             "utterances": result.num_utterances, "words": result.word_error_rate.length,
             "test": is_test, "decoder": evaluation.decoder.name,
             "model": model_fingerprint(evaluation.params, layer.vocabulary.characters)}
    if evaluation.params.get("decoder_scope"):
        entry["task"] = evaluation.params["selected_task"]
    try:
        with open(_record_next_to(checkpoint), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")
    except OSError as error:
        # an evaluation of a read-only folder is still valid
        log_line("The evaluation could not be recorded next to %s: %s" % (checkpoint, error.strerror))


def data_set_name(data_layer):
    """What records and metrics call the data of a data layer: the file names of its manifests."""
    # a custom data layer may have none
    return ", ".join(os.path.basename(path) for path in getattr(data_layer, "manifests", [type(data_layer).__name__]))


def recorded_word_error_rate(checkpoint, fingerprint=None):
    """The last recorded word error rate of a checkpoint, decoded greedily: that of a beam search is not the network's alone.

    Args:
      checkpoint: path without extension; one of ``best_models`` is recorded with the others.
      fingerprint: of the model, see ``model_fingerprint``: evaluations with other features or another network do not count. None:
        all count.

    Returns:
      (word error rate, name of the data set), or None if it was never evaluated. Damaged lines, e.g. after a crash, are skipped.
    """
    step, found = checkpoint_step(checkpoint), None
    try:
        with open(_record_next_to(checkpoint), encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return None
    for line in lines:
        try:
            entry = parsed_json(line)
            # earlier versions, which decoded greedily, did not write the decoder
            if entry["step"] == step and fingerprint in (None, entry.get("model")) and entry.get("decoder", GREEDY) == GREEDY:
                found = float(entry["wer"]), str(entry["data_set"])
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return found


def forget_evaluations(directory):
    """Removes the record of a folder's checkpoints, which are about to be replaced.

    Raises:
      StorageError: it cannot be removed.
    """
    path = os.path.join(directory, FILE_NAME)
    try:
        if os.path.lexists(path):
            os.remove(path)
    except OSError as error:
        raise StorageError("cannot remove %s, which is of earlier checkpoints: %s" % (path, error.strerror))


def _record_next_to(checkpoint):
    return os.path.join(directory_of_run(checkpoint), FILE_NAME)


def directory_of_run(checkpoint):
    """The folder of a run's checkpoints, which also holds what the run recorded about them."""
    directory = os.path.dirname(checkpoint)
    # OpenSeq2Seq's best models are in a folder next to the others
    return os.path.dirname(directory) if os.path.basename(directory) == BEST_MODELS else directory


# initial values, regularization and dropout do not change the transcripts of a trained network
_TRAINING_ONLY = frozenset(["initializer", "initializer_params", "regularizer", "regularizer_params", "dropout_keep_prob",
                            "bn_momentum", "data_format"])


def model_fingerprint(params, characters):
    """The fingerprint of a model: equal if the same weights give the same logits, with the same meaning.

    Args:
      params: the checked config of any mode, or the resolved config in a run's folder.
      characters: the vocabulary, without the blank.

    Returns:
      16 hexadecimal digits.
    """
    given = params["data_layer_params"]
    # a key that earlier versions did not have counts only where it changes the features, so their records stay valid
    features = {parameter.name for parameter in FeatureGraph.PARAMETERS if parameter.ignored is None and not (
        parameter.name in LATER_PARAMETERS and given.get(parameter.name) == parameter.default)}
    encoder = params["encoder"]
    values = {
        "features": {name: value for name, value in given.items() if name in features},
        "encoder": [getattr(encoder, "__name__", str(encoder)), _relevant(params["encoder_params"])],
        "characters": list(characters)}
    # other transcripts have another word error rate
    values.update(steps.chosen(given))
    if params.get("decoder_scope"):
        values["decoder_scope"] = params["decoder_scope"]
    # if a checkpoint has moving averages, its weights are another network
    if params.get("evaluate_ema") is False:
        values["evaluate_ema"] = False
    text = json.dumps(plain(values), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _relevant(value):
    if isinstance(value, dict):
        return {name: _relevant(item) for name, item in value.items() if name not in _TRAINING_ONLY}
    if isinstance(value, (list, tuple)):
        return [_relevant(item) for item in value]
    # TensorFlow has the same function in several modules
    return value.__name__ if callable(value) and hasattr(value, "__name__") else value
