"""What a word error rate was measured of, in a few characters: whether two networks with the same weights answer alike."""
import hashlib
import json

from open_seq2seq.config.saving import plain
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph

# how a variable began, what kept it small and what is left out in training change no answer
_TRAINING_ONLY = frozenset(["initializer", "initializer_params", "regularizer", "regularizer_params", "dropout_keep_prob",
                            "bn_momentum", "data_format"])


def model_fingerprint(params, characters):
    """The fingerprint of a model: equal where the same weights give the same logits, and these mean the same.

    Args:
      params: the checked config of any mode, or what a run's folder says of it.
      characters: the vocabulary, without the blank.

    Returns:
      16 hexadecimal digits.
    """
    features = {parameter.name for parameter in FeatureGraph.PARAMETERS if parameter.ignored is None}
    encoder = params["encoder"]
    values = {
        "features": {name: value for name, value in params["data_layer_params"].items() if name in features},
        "encoder": [getattr(encoder, "__name__", str(encoder)), _relevant(params["encoder_params"])],
        "characters": list(characters)}
    # where a checkpoint has moving averages, its weights are another network
    if params.get("evaluate_ema") is False:
        values["evaluate_ema"] = False
    text = json.dumps(plain(values), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _relevant(value):
    if isinstance(value, dict):
        return {name: _relevant(item) for name, item in value.items() if name not in _TRAINING_ONLY}
    if isinstance(value, (list, tuple)):
        return [_relevant(item) for item in value]
    # the same function lives in several modules of TensorFlow
    return value.__name__ if callable(value) and hasattr(value, "__name__") else value
