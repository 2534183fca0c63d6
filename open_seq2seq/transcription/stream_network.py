"""The network of a stream: :func:`stream_network` of any model that computes logits."""
from open_seq2seq.errors import UsageError
from open_seq2seq.export.runtime.incremental import IncrementalNetwork


def stream_network(model):
    """An :class:`IncrementalNetwork` of a model.

    Args:
      model: a ``LogitModel``.

    Raises:
      UsageError: the model has no network that can compute a stream.
    """
    network = model.folded_network()
    if network is None:
        raise UsageError("the model cannot transcribe streams")
    return IncrementalNetwork(network, model.description.pad_to)
