"""A real network of one layer that recognizes the tones of :func:`tests.transcription.conftest.spoken`: fitted in closed form, it
needs no training. It is a ``LogitModel`` like those of checkpoints and exported files."""
import types

import numpy as np

from open_seq2seq.export.description import frames_after
from open_seq2seq.export.freeze.folding import FoldedConvolution, FoldedNetwork
from open_seq2seq.export.runtime.incremental import IncrementalNetwork
from open_seq2seq.export.runtime.logit_model import LogitModel

CHANGE = {"kernel_size": [5], "stride": [2], "dilation": [1], "padding": "SAME"}
WIDTH, SUBSAMPLING = 5, 2


class ToneNetwork(LogitModel):
    """Args:
      tones: the fixture of that name. folds: whether streams can take its layer. params: changes of the features' parameters.
    """

    def __init__(self, tones, folds=True, **params):
        params = dict(tones.FEATURE_PARAMS, num_audio_features=64, window_stride=0.01, **params)
        vocabulary = tones.VOCABULARY
        super().__init__(types.SimpleNamespace(
            feature_params=params, num_audio_features=64, sample_rate=tones.RATE, vocabulary=vocabulary, blank=len(vocabulary),
            subsampling=SUBSAMPLING, frames=None, pad_to=16, batch_size=None, with_features=False,
            logit_frames=lambda frames: frames_after([CHANGE], frames)), "the network of tones")
        self._folds = folds
        self._network = self._fitted(tones)

    def _fitted(self, tones):
        """Least squares from the features of all characters, loud and quiet, to the outputs."""
        words = ["abcdefgh", "hgfedcba", "aceg", "bdfh", "face", "bad"] * 3
        samples, times = tones.spoken(words, [0.7] * (len(words) + 1))
        features = self.extractor(samples)
        frames = -(-len(features) // SUBSAMPLING)
        targets = np.zeros([frames, self.description.blank + 1])
        targets[:, -1] = 1
        seconds = SUBSAMPLING * 0.01
        for word, (start, _) in zip(words, times):
            for position, character in enumerate(word):
                middle = start + (position + 0.5) * tones.TONE_SECONDS
                around = slice(int((middle - 0.02) / seconds), int((middle + 0.02) / seconds) + 1)
                targets[around] = 0
                targets[around, tones.VOCABULARY.index(character)] = 1
        padded = np.pad(features, [(1, WIDTH), (0, 0)], mode="constant")
        windows = np.stack([padded[SUBSAMPLING * frame:SUBSAMPLING * frame + WIDTH].ravel() for frame in range(frames)])
        windows = np.concatenate([windows, np.ones([frames, 1])], axis=1)
        weights = np.linalg.solve(windows.T @ windows + 10 * np.eye(windows.shape[1]), windows.T @ targets)
        weights = (12 * weights).astype(np.float32)
        kernel = weights[:-1].reshape(WIDTH, 64, -1)
        layer = FoldedConvolution("conv11", None, kernel, weights[-1], 2, 1, "SAME", (), None, False)
        outputs = weights.shape[1]
        return FoldedNetwork([layer], None, True, np.eye(outputs, dtype=np.float32)[np.newaxis], np.zeros(outputs, np.float32))

    def folded_network(self):
        return self._network if self._folds else None

    def _run_features(self, features, feature_lengths):
        rows = []
        for row, length in zip(features, feature_lengths):
            network = IncrementalNetwork(self._network, 16)
            network.add(row[:length])
            logits = network.logits()
            rows.append(np.pad(logits, [(0, self.description.logit_frames(len(row)) - len(logits)), (0, 0)], mode="constant"))
        return np.stack(rows)
