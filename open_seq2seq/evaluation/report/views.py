"""The pictures of an utterance: the features that the network is given, and what it makes of them."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.evaluation.report.recordings import features_picture, posteriors_picture, require_pillow, words_of_best_path

_TITLES = {"logfbank": "%d log-mel bands", "mfcc": "%d cepstral coefficients", "spectrogram": "%d bins of the spectrum"}
_MANY_FRAMES = 1000  # to make rounding at the end negligible


def seconds_per_logit_frame(params):
    """The time between two frames of the logits of a model, in seconds.

    Args:
      params: the checked config of the model.
    """
    frames = params["encoder"].output_frames(params["encoder_params"], _MANY_FRAMES)
    return params["data_layer_params"]["window_stride"] * round(_MANY_FRAMES / frames)


class NetworkViews:
    """Pictures of features and posteriors. The features are computed on the CPU, whatever the device of the evaluation is.

    Args:
      params: the checked config of the model.
      characters: list of str, the vocabulary without the blank.
      posteriors_of: function number of an utterance -> ``Posteriors``, or None if they are not known.

    Raises:
      ImportError: Pillow is not installed.
    """

    def __init__(self, params, characters, posteriors_of):
        require_pillow()
        self._characters, self._posteriors_of = characters, posteriors_of
        self._seconds_per_frame = seconds_per_logit_frame(params)
        layer_params, graph = params["data_layer_params"], tf.Graph()
        self._title = _TITLES[layer_params["input_type"]] % layer_params["num_audio_features"]
        with graph.as_default():
            self._waveform = tf.placeholder(tf.float32, [None])
            self._features = make_feature_function(layer_params)(self._waveform)
        self._session = tf.Session(graph=graph, config=Cpu().session_config())

    def __call__(self, number, samples):
        """The pictures of an utterance as JSON values.

        Args:
          number: of the utterance.
          samples: float32 [n], its audio at the model's rate.
        """
        features = self._session.run(self._features, {self._waveform: samples})
        views, posteriors = {"features": features_picture(features, self._title)}, self._posteriors_of(number)
        if posteriors is not None and len(posteriors.best_path):
            duration = len(posteriors.best_path) * self._seconds_per_frame
            views["posteriors"] = posteriors_picture(posteriors, self._characters, duration)
            views["words"] = words_of_best_path(posteriors.best_path, self._characters, self._seconds_per_frame)
        return views

    def close(self):
        """Ends the session."""
        self._session.close()
