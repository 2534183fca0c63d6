"""The network of a stream: incremental where its weights can be taken from the model, else the model on a window of features."""
import numpy as np

from open_seq2seq.errors import UsageError
from open_seq2seq.export.runtime.folded_graphs import checked_network
from open_seq2seq.export.runtime.incremental import IncrementalNetwork

PROBED_FRAMES, MOST_PROBED_FRAMES = 256, 1 << 13
NO_INFLUENCE = 1e-4        # of the largest change of a logit: the rounding of fast convolutions


def stream_network(model, frames):
    """The network of a model for streams.

    Args:
      model: a ``LogitModel``.
      frames: features that are added at a time, with those of the look-ahead.

    Returns:
      An :class:`IncrementalNetwork`; or a :class:`WindowNetwork` for a model with batch norm or of another precision.

    Raises:
      UsageError: the model can compute neither.
    """
    def make(network):
        return IncrementalNetwork(network, model.description.pad_to)

    network = checked_network(model.folded_network(), model, make)
    if network is not None:
        return make(network)
    if model.description.with_features:
        raise UsageError("the model computes its features itself (--with_features), each recording's at once; a stream needs a "
                         "model that takes features: export it without --with_features")
    return WindowNetwork(model, frames)


class WindowNetwork:
    """A model on the features of a stream: each time on a window with all frames that its logits depend on.

    It has the methods of :class:`IncrementalNetwork`. Frames of the receptive field are computed again for every window.

    Args:
      model: a ``LogitModel`` that takes features.
      frames: features that are added at a time, with those of the look-ahead.

    Raises:
      UsageError: the model has a static shape that is shorter than the window.
    """

    def __init__(self, model, frames):
        self._model = model
        self._subsampling, self._num_features = model.description.subsampling, model.description.num_audio_features
        self._before = _frames_before(model)
        static = model.description.frames
        if static is not None and self._before + frames > static:
            raise UsageError("the model has a static shape of %d feature frames, and a stream needs %d; export it with "
                             "--frames=dynamic, or reduce the latency" % (static, self._before + frames))
        self.start()

    def start(self):
        """Begins a segment: the frames before it are zero."""
        self._features, self._begin, self._taken = np.zeros([0, self._num_features], np.float32), 0, 0

    def add(self, features):
        """Takes normalized features, float32 [frames, F]."""
        self._features = np.concatenate([self._features, features])

    def logits(self):
        """Logits float32 [frames, V + 1] of all frames that were not taken, as if the features ended with those received."""
        begin = max(self._taken * self._subsampling - self._before, 0)
        self._features, self._begin = self._features[begin - self._begin:], begin
        if not len(self._features):
            return np.zeros([0, len(self._model.description.vocabulary) + 1], np.float32)
        logits, lengths = self._model.logits(self._features[np.newaxis], [len(self._features)])
        return logits[0, self._taken - begin // self._subsampling:lengths[0]]

    def take(self, frames):
        """Removes the first ``frames`` frames of the logits."""
        self._taken += frames


def _frames_before(model):
    """Feature frames before a frame of the logits on which it depends, a multiple of the subsampling, as measured."""
    description = model.description
    frames, subsampling = min(PROBED_FRAMES, description.frames or PROBED_FRAMES), description.subsampling
    while True:
        features = np.random.RandomState(0).normal(size=(frames, description.num_audio_features)).astype(np.float32)
        changed, position = features.copy(), frames // 4 // subsampling * subsampling
        changed[position:position + subsampling] += 10
        pair = [model.logits(one[np.newaxis], [frames])[0][0] for one in (features, changed)]
        difference = np.abs(pair[1] - pair[0]).max(axis=1)
        last = int(np.flatnonzero(difference > NO_INFLUENCE * difference.max())[-1])
        if last < len(difference) - 1:
            return (last + 1) * subsampling - position
        if frames >= (description.frames or MOST_PROBED_FRAMES):
            raise UsageError("the logits of the model depend on more than %d feature frames before them, e.g. because its "
                             "normalization is that of a recording; it cannot transcribe streams" % frames)
        frames = min(2 * frames, description.frames or 2 * frames)
