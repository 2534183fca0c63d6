"""The networks of the benchmarks: real configs, built by the code of the project, on synthetic features."""
import collections
import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.data.speech2text.dataset import Batch  # noqa: E402
from open_seq2seq.encoders import Execution  # noqa: E402
from open_seq2seq.experiment.loading import load_experiment  # noqa: E402
from open_seq2seq.optimizers import optimize  # noqa: E402

JASPER = "jasper5x3_LibriSpeech_nvgrad_masks_1p.py"
FRAMES_PER_SECOND = 100
FRAMES_PER_LABEL = 8  # English read aloud: about 12 characters a second
VOCABULARY_SIZE = 28

Case = collections.namedtuple("Case", "config divisor batch_size frames")
Case.__doc__ = """What is measured.

config: file name. divisor: of the channels. batch_size: utterances. frames: feature frames of each utterance.
"""

CASES = {
    "jasper5x3": Case(JASPER, 1, 2, 800),
    "quarter": Case(JASPER, 4, 8, 400),
    "mini": Case("jasper_mini_digits.py", 1, 16, 300),
}

Network = collections.namedtuple("Network", "session fetches flops")
Network.__doc__ = """A network that is ready to run. fetches: what one ``session.run`` executes. flops: of its convolutions."""


def add_arguments(parser, seconds=None):
    """Adds the arguments that all benchmarks of networks have; ``seconds``: default of --seconds, None leaves it out."""
    from open_seq2seq.cli import whole_number  # earlier revisions do not have it, see step_worker.py
    parser.add_argument("--model", choices=sorted(CASES), default="jasper5x3", help="quarter: jasper5x3, channels / 4")
    parser.add_argument("--batch_size", type=whole_number(1), help="utterances in a batch; default 2, quarter 8, mini 16")
    parser.add_argument("--frames", type=whole_number(1),
                        help="feature frames of every utterance; default 800, quarter 400, mini 300")
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="how long to measure (default %(default)s)")


def case_of(arguments):
    """The Case of the command line."""
    case = CASES[arguments.model]
    return case._replace(batch_size=arguments.batch_size or case.batch_size, frames=arguments.frames or case.frames)


def checked_params(case, mode):
    """The model class and the checked params of a case."""
    experiment = load_experiment(os.path.join(REPOSITORY, "configs", "speech2text", case.config), mode)
    params = experiment.params[mode]
    for layer in params["encoder_params"]["convnet_layers"]:
        layer["num_channels"] //= case.divisor
    return experiment.base_model, params


def synthetic_batch(case, num_features):
    """A batch of noise. All utterances have the full length: padding would be counted as work."""
    generator = np.random.RandomState(0)
    # a variable: TensorFlow would fold what depends on constants
    features = tf.get_variable("features", trainable=False, use_resource=False, initializer=generator.randn(
        case.batch_size, case.frames, num_features).astype(np.float32))
    num_labels = max(1, case.frames // FRAMES_PER_LABEL)
    labels = generator.randint(0, VOCABULARY_SIZE, [case.batch_size, num_labels]).astype(np.int32)
    return Batch(tf.identity(features), tf.fill([case.batch_size], case.frames), tf.constant(labels),
                 tf.fill([case.batch_size], num_labels), tf.range(case.batch_size))


def product_shapes(graph):
    """The convolutions and matrix products in ``graph`` as products of two matrices: list of (rows, inner, columns)."""
    shapes = []
    for operation in graph.get_operations():
        if operation.type in ("Conv2D", "MatMul"):
            kernel = operation.inputs[1].shape.as_list()
            rows = operation.outputs[0].shape.num_elements() // kernel[-1]
            shapes.append((rows, int(np.prod(kernel[:-1])), kernel[-1]))
    return shapes


def convolution_flops(case):
    """FLOPs of all convolutions of a forward pass as direct sums; a multiplication and an addition count as two."""
    base_model, params = checked_params(case, "eval")
    with tf.Graph().as_default() as graph:
        base_model(params, "eval", VOCABULARY_SIZE)(synthetic_batch(case, params["data_layer_params"]["num_audio_features"]))
        return sum(2 * rows * inner * columns for rows, inner, columns in product_shapes(graph))


def build(case, mode, session_config, fast_gradients=True, fast_convolutions=True):
    """Builds a case's network.

    Args:
      case: a :class:`Case`.
      mode: "train" (a whole step: forward, backward, update) or "eval" (logits and best path).
      session_config: ``tf.ConfigProto``.
      fast_gradients: see ``open_seq2seq/encoders/convolution.py``.
      fast_convolutions: whether a training uses Fourier transforms where they are faster.
    """
    from open_seq2seq.encoders.fast_convolutions import FastConvolutions  # earlier revisions do not have it, see step_worker.py
    base_model, params = checked_params(case, mode)
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        batch = synthetic_batch(case, params["data_layer_params"]["num_audio_features"])
        execution = Execution(fast_gradients, fast_convolutions=FastConvolutions(fast_convolutions))
        output = base_model(params, mode, VOCABULARY_SIZE, execution=execution)(batch)
        flops = convolution_flops(case)
        if mode == "train":
            # the usual count: each of the two gradients takes as much as the forward pass
            fetches, flops = optimize(output.loss.loss, params, 100000, 1000).update, 3 * flops
        else:
            # not a tf.group: TensorFlow prunes operations that only a group waits for
            fetches = [output.logits.op, output.best_path.op]
        session = tf.Session(config=session_config)
        session.run(tf.global_variables_initializer())
    return Network(session, fetches, flops)
