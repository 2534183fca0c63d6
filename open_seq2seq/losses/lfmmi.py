"""Lattice-free maximum mutual information on labels (Hadian et al., "End-to-end speech recognition using lattice-free MMI",
Interspeech 2018).

    loss = -log( sum over the labels' paths of P(labels) * prod exp(y) / sum over all paths of P(their labels) * prod exp(y) )

y are the outputs of the network, not normalized; the paths have CTC's topology, with optional blanks; P is an n-gram of the
training transcripts. The normalizers of the frames cancel, so the first sum is computed as CTC, and

    loss = CTC(labels) + log denominator(log_softmax(y)) - log P(labels)

is at least 0: minus the log of the probability of the labels given the audio, if the n-gram is the language model. The outputs
do not learn what the n-gram predicts, so decoding needs a language model (docs/kaldi_training.md has measurements).
"""
import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Either, FilePath, Float, Int, List, Parameter
from open_seq2seq.data.speech2text.language_tags import LanguageTags
from open_seq2seq.data.speech2text.manifest import TRANSCRIPT_COLUMN, read_manifest
from open_seq2seq.data.speech2text.transcripts import normalized_rows
from open_seq2seq.data.tasks import TRANSCRIPT
from open_seq2seq.encoders.shapes import dimension
from open_seq2seq.errors import DataError
from open_seq2seq.losses.ctc_loss import CTCLoss, LossOutput, weighted_mean
from open_seq2seq.losses.lfmmi_graph import DenominatorGraph, LabelNgram
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.vocabulary import Vocabulary

LEAST_LOG_PROBABILITY = -46.0  # exp of it is 1e-20: products with the probabilities of states stay above the least float32
LEAST_ENDING = 1e-30
_NAMED = 5


class LFMMILoss:
    """Lattice-free MMI with a denominator of all label sequences, averaged over the batch.

    An utterance without a finite loss (see CTCLoss), or whose labels have no path in the n-gram, is not counted: it adds 0 to the
    sum, which is still divided by the batch size.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      host_scope: see CTCLoss; the denominator is built in it, too.
      data_params: checked params of the data layer, for the vocabulary and the normalization of transcripts.

    Attributes:
      num_states: of the denominator, int.

    Raises:
      DataError: a manifest or the vocabulary cannot be read, or, without smoothing, transcripts have no path.
      ConfigError: the n-gram has more labels and histories than LabelNgram allows.
    """

    TARGETS = TRANSCRIPT  # the kind of a task's data (data/tasks.py)
    PARAMETERS = CTCLoss.PARAMETERS + (
        Parameter("transcripts", Either(List(FilePath(), minimum_length=1), FilePath()),
                  doc="manifests whose transcripts the n-gram is estimated from: those of the training data, in every mode"),
        Parameter("ngram_order", Int(minimum=2, maximum=6), default=3, doc="labels of an n-gram"),
        Parameter("ngram_min_count", Int(minimum=1), default=1,
                  doc="exclude histories of several labels that occur less often"),
        Parameter("ngram_histories", Int(minimum=0), default=1000,
                  doc="number of the most frequent histories of several labels to keep"),
        Parameter("ngram_smoothing", Bool(), default=True,
                  doc="Witten-Bell smoothing; False: only what occurs in the transcripts has a path in the denominator"),
        Parameter("leaky_hmm_coefficient", Float(minimum=0.0, maximum=1.0), default=1e-5,
                  doc="probability of a jump to any state of the denominator at each frame"),
        Parameter("xent_regularize", Float(minimum=0.0), default=0.1,
                  doc="factor of the CTC loss of the same outputs, which is added"),
        Parameter("l2_regularize", Float(minimum=0.0), default=0.0,
                  doc="factor of half the squared outputs, summed over an utterance's frames, which is added; Kaldi: 5e-5"),
    )

    @staticmethod
    def check_rules(params, path, report):
        """Notes how to decode; see ``experiment.checking``."""
        report.note(path, "is for LFMMILoss: a WER of greedy decoding, as in the log of a training, is too high; evaluate with a "
                          "language model, --lm_path=FILE (docs/kaldi_training.md)")

    def __init__(self, params, host_scope=None, data_params=None):
        self._params, self._host_scope = params, host_scope or contextlib.suppress
        self._ctc = CTCLoss({"mask_nan": params["mask_nan"]}, host_scope)
        self._ngram = ngram_of(params, data_params)
        self._graph = DenominatorGraph(self._ngram, params["leaky_hmm_coefficient"])
        self.num_states = len(self._graph)

    def __call__(self, logits, logit_lengths, labels, label_lengths, weights=None):
        """Connects the loss to logits and labels; see ``CTCLoss.__call__``."""
        ctc = self._ctc(logits, logit_lengths, labels, label_lengths)
        params = self._params
        with tf.name_scope("lfmmi_loss"), self._host_scope():
            logits, lengths = tf.cast(logits, tf.float32), tf.cast(logit_lengths, tf.int32)
            prior = sequence_log_probabilities(self._ngram, labels, label_lengths)
            counted = tf.logical_and(ctc.counted, tf.is_finite(prior))
            frames, outputs = dimension(logits, 1), self._ngram.num_labels + 1
            used = tf.logical_and(tf.sequence_mask(lengths, frames), counted[:, tf.newaxis])
            # the gradient of what is not used is 0 even if the logits are not finite
            safe = tf.where(tf.tile(used[:, :, tf.newaxis], [1, 1, outputs]), logits, tf.zeros_like(logits))
            denominator = denominator_log_sums(self._graph, tf.nn.log_softmax(safe), lengths)
            losses = (1.0 + params["xent_regularize"]) * ctc.per_utterance + denominator - prior
            if params["l2_regularize"]:
                losses += 0.5 * params["l2_regularize"] * tf.reduce_sum(tf.square(safe), [1, 2])
            excluded = tf.zeros_like(losses)
            if not params["mask_nan"]:
                excluded = tf.where(ctc.counted, excluded + float("inf"), ctc.per_utterance)
            losses = tf.where(counted, losses, excluded)
            return LossOutput(weighted_mean(losses, weights), losses, counted)


def ngram_of(params, data_params):
    """The LabelNgram of the transcripts that the params of the loss name.

    Args:
      params: see LFMMILoss.
      data_params: checked params of the data layer. The transcripts of its data set are checked as well.

    Raises:
      DataError: see LFMMILoss.
    """
    vocabulary = Vocabulary.from_file(data_params["vocab_file"])
    normalization, column = Normalization.of(data_params, vocabulary), data_params.get("transcript_column", TRANSCRIPT_COLUMN)

    tags = LanguageTags.of(data_params, vocabulary)

    def rows_of(files):
        for manifest in [files] if isinstance(files, str) else files or ():
            for row in normalized_rows(read_manifest(manifest, True, vocabulary, column=column), normalization):
                # the data layer rejects the others, and says why
                if row.problem is None and vocabulary.alphabet.issuperset(row.transcript):
                    yield row, tags.labels_of(row) + tuple(vocabulary.encode(row.transcript))

    training = list(rows_of(params["transcripts"]))
    if not any(labels for _, labels in training):
        raise DataError("loss_params transcripts: %s has no transcript in the characters of %s; expected the manifests of the "
                        "training data" % (params["transcripts"], data_params["vocab_file"]))
    ngram = LabelNgram([labels for _, labels in training if labels], vocabulary.size, params["ngram_order"],
                       params["ngram_min_count"], params["ngram_histories"], params["ngram_smoothing"])
    if not params["ngram_smoothing"]:
        own = data_params.get("dataset_files")
        _require_paths(ngram, training + (list(rows_of(own)) if own != params["transcripts"] else []))
    return ngram


def _require_paths(ngram, rows):
    without = [row for row, labels in rows if labels and ngram.log_probability(labels) == -np.inf]
    if without:
        raise DataError("the n-gram of the transcripts has no path for %d of %d transcripts: %s%s. They have sequences that do "
                        "not occur in loss_params transcripts. Set ngram_smoothing to True, add their manifest to transcripts, "
                        "or remove these rows" % (len(without), len(rows), "; ".join(
                            "%s:%d: %s: %r" % (row.manifest, row.row, row.wav_filename, row.transcript[:60])
                            for row in without[:_NAMED]), "; ..." if len(without) > _NAMED else ""))


def sequence_log_probabilities(ngram, labels, label_lengths):
    """float32 [B]: log probability of each sequence of labels and its end, without gradient.

    Args:
      ngram: a LabelNgram.
      labels: int32 or int64 [B, L], padded.
      label_lengths: int32 or int64 [B].
    """
    columns = ngram.num_labels + 1
    scores = tf.constant(ngram.log_probabilities.reshape(-1), tf.float32)
    following = tf.constant(np.pad(ngram.next, [[0, 0], [0, 1]], "constant").reshape(-1), tf.int32)
    labels, lengths = tf.cast(labels, tf.int32), tf.cast(label_lengths, tf.int32)
    rows = dimension(labels, 0)

    def step(position, histories, totals):
        within = position < lengths
        index = histories * columns + tf.where(within, labels[:, position], tf.zeros_like(histories))
        return (position + 1, tf.where(within, tf.gather(following, index), histories),
                tf.where(within, totals + tf.gather(scores, index), totals))

    _, histories, totals = tf.while_loop(
        lambda position, *_: position < dimension(labels, 1), step, [0, tf.zeros([rows], tf.int32), tf.zeros([rows])],
        shape_invariants=[tf.TensorShape([]), labels.shape[:1], labels.shape[:1]], back_prop=False)
    return tf.stop_gradient(totals + tf.gather(scores, histories * columns + ngram.num_labels))


def denominator_log_sums(graph, log_probabilities, lengths):
    """Log of the sum over all paths of the graph, with the gradient from the backward sums.

    The sums of a frame are divided by their total, whose logs are added, so that they stay in the range of float32; a frame is
    one matrix product for the whole batch.

    Args:
      graph: a DenominatorGraph.
      log_probabilities: float32 [B, T, outputs], at most 0.
      lengths: int32 [B], valid lengths in frames.

    Returns:
      float32 [B].
    """
    transitions, final = tf.constant(graph.transitions), tf.constant(graph.final[:, np.newaxis])
    outputs = log_probabilities.shape.as_list()[2]
    of_output = np.zeros([len(graph), outputs], np.float32)
    of_output[np.arange(len(graph)), graph.outputs] = 1.0
    of_state = tf.constant(np.ascontiguousarray(of_output.T))

    @tf.custom_gradient
    def sums(log_probabilities):
        frames, rows = dimension(log_probabilities, 1), dimension(log_probabilities, 0)
        emissions = tf.transpose(tf.exp(tf.maximum(log_probabilities, LEAST_LOG_PROBABILITY)), [1, 0, 2])
        within = tf.transpose(tf.sequence_mask(lengths, frames, tf.float32))[:, :, tf.newaxis]
        first = tf.tile(tf.constant(graph.start[np.newaxis]), [rows, 1])

        def forward(time, forwards, totals, scales, kept):
            entered = tf.matmul(forwards, transitions) * tf.matmul(emissions[time], of_state)
            scale = tf.reduce_sum(entered, 1, keepdims=True)
            valid = within[time]
            # padding frames change nothing
            scale = scale * valid + (1.0 - valid)
            forwards = entered / scale * valid + forwards * (1.0 - valid)
            return time + 1, forwards, totals + tf.log(scale), scales.write(time, scale), kept.write(time, forwards)

        def arrays(*columns):
            return [tf.TensorArray(tf.float32, size=frames, element_shape=[log_probabilities.shape[0], number])
                    for number in columns]

        def stacked(array):
            # not stack(): the number of frames is read from the array there, so the result has no static shape
            return array.gather(tf.range(frames))

        _, last, totals, scales, kept = tf.while_loop(
            lambda time, *_: time < frames, forward, [0, first, tf.zeros_like(first[:, :1])] + arrays(1, len(graph)),
            back_prop=False)
        # 0 where no label sequence has so few frames; such an utterance is not counted, and its gradient must be a number
        ending = tf.maximum(tf.matmul(last, final), LEAST_ENDING)
        scales, kept = stacked(scales), stacked(kept)

        def backward(time, backwards, posteriors):
            valid = within[time]
            occupied = tf.matmul(kept[time] * backwards, of_state, transpose_b=True) * valid
            before = tf.matmul(backwards * tf.matmul(emissions[time], of_state), transitions, transpose_b=True) / scales[time]
            return time - 1, before * valid + backwards * (1.0 - valid), posteriors.write(time, occupied)

        def gradient(upstream):
            _, _, posteriors = tf.while_loop(
                lambda time, *_: time >= 0, backward, [frames - 1, tf.transpose(final) / ending] + arrays(outputs),
                back_prop=False)
            return tf.transpose(stacked(posteriors), [1, 0, 2]) * upstream[:, tf.newaxis, tf.newaxis]

        return (totals + tf.log(ending))[:, 0], gradient

    return sums(log_probabilities)
