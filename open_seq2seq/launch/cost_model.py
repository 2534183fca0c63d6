"""The expected cost of training on many devices: time of the all-reduce of the gradients, and efficiency.

    python -m open_seq2seq.launch.cost_model --config_file configs/speech2text/jasper10x5_LibriSpeech_nvgrad_masks.py \\
        --step_seconds 0.9 --bandwidth 20 --network_bandwidth 100

The all-reduce is the ring of Patarasuk and Yuan (doi:10.1016/j.jpdc.2008.09.002): every device sends 2(n - 1)/n times the
gradient, in 2(n - 1) messages one after the other. Over several servers it is either one ring through all of them (Gloo) or
hierarchical (HCCL, NCCL): reduce-scatter in every server, all-reduce of the servers, all-gather in every server.
"""
import argparse
import collections
import json
import math
import sys

from open_seq2seq.cli import exit_status_of, file_path, make_parser, whole_number
from open_seq2seq.errors import UsageError

BACKWARD_SHARE = 2.0 / 3  # of a step: two products, for weights and for activations; the forward pass has one

Link = collections.namedtuple("Link", "bandwidth latency")
Link.__doc__ = """A connection of two devices or servers. bandwidth: bytes/s in each direction; latency: seconds for a message."""

Cluster = collections.namedtuple("Cluster", "devices_per_server inside between hierarchical")
Cluster.__doc__ = """Servers of equal size.

devices_per_server: int. inside: Link between neighboring devices of one server. between: Link between two servers; its
bandwidth is that of the whole server, all its network cards together. hierarchical: bool; False: one ring through all devices.
"""

Training = collections.namedtuple("Training", "step_seconds batch_size gradient_bytes buffers overlap micro_batches")
Training.__doc__ = """One step on one device.

step_seconds: forward, backward and update, without communication. batch_size: utterances of a step. gradient_bytes: bytes that
the devices sum in a step. buffers: int, number of pieces in which they are sent. overlap: 0 to 1, the part of the backward pass
during which finished gradients are sent while others are computed; 0 where the all-reduce waits for the last gradient.
micro_batches: int, batches whose gradients are accumulated before they are sent (``iter_size``).
"""

Prediction = collections.namedtuple(
    "Prediction", "devices all_reduce_seconds exposed_seconds step_seconds utterances_per_second efficiency speedup")
Prediction.__doc__ = """One line of the table.

all_reduce_seconds: duration of the communication. exposed_seconds: duration of the part that does not overlap with computation.
efficiency: 0 to 1, throughput relative to the same number of devices without communication. speedup: efficiency times devices.
"""


def ring_all_reduce_seconds(num_bytes, devices, link, buffers=1):
    """Time to sum ``num_bytes`` over a ring of ``devices``, in ``buffers`` consecutive pieces.

    >>> ring_all_reduce_seconds(100e6, 2, Link(1e9, 0.0))
    0.1
    """
    if devices == 1:
        return 0.0
    return 2.0 * (devices - 1) / devices * num_bytes / link.bandwidth + 2 * (devices - 1) * buffers * link.latency


def all_reduce_seconds(num_bytes, devices, cluster, buffers=1):
    """Time to sum ``num_bytes`` over ``devices`` of a :class:`Cluster`, seconds.

    Raises:
      ValueError: more than one server, and the last one has fewer devices; the model covers only servers of equal size.
    """
    inside = min(devices, cluster.devices_per_server)
    servers, rest = divmod(devices, inside)
    if rest:
        raise ValueError("%d devices are not a multiple of %d devices per server" % (devices, cluster.devices_per_server))
    if not cluster.hierarchical and servers > 1:
        # every piece passes every link, so the slowest link decides
        slowest = Link(min(cluster.inside.bandwidth, cluster.between.bandwidth),
                       max(cluster.inside.latency, cluster.between.latency))
        return ring_all_reduce_seconds(num_bytes, devices, slowest, buffers)
    # reduce-scatter and all-gather together take as long as an all-reduce of the server
    within = ring_all_reduce_seconds(num_bytes, inside, cluster.inside, buffers)
    # every device of a server exchanges one part of the gradient; all parts go through the server's network cards
    return within + ring_all_reduce_seconds(num_bytes, servers, cluster.between, buffers)


def predict(training, devices, cluster):
    """The :class:`Prediction` for ``devices``, each with a batch of the same size as on one device."""
    communication = all_reduce_seconds(training.gradient_bytes, devices, cluster, training.buffers)
    # gradients are sent only after the last of the accumulated batches
    hidden = training.overlap * BACKWARD_SHARE * training.step_seconds / training.micro_batches
    exposed = max(0.0, communication - hidden)
    step_seconds = training.step_seconds + exposed
    efficiency = training.step_seconds / step_seconds
    return Prediction(devices, communication, exposed, step_seconds, devices * training.batch_size / step_seconds, efficiency,
                      efficiency * devices)


def predict_table(training, cluster, devices):
    """Predictions for a list of numbers of devices.

    Raises:
      UsageError: a number of devices is not a multiple of the devices of a server.
    """
    try:
        return [predict(training, number, cluster) for number in devices]
    except ValueError as error:
        raise UsageError("--devices: %s; expected at most one server, or a multiple of --devices_per_server" % error)


def gradient_numbers(config_file):
    """The numbers of one step on one device, from a config.

    Returns:
      (number of trainable parameters, utterances in a batch, batches in a step). Variables that
      ``freeze_variables_regex`` freezes are counted, too.

    Raises:
      ConfigError: the config has mistakes.
    """
    # imports TensorFlow: only after the command line has been checked
    from open_seq2seq.experiment.description import describe
    from open_seq2seq.experiment.loading import load_experiment
    experiment = load_experiment(config_file, "describe")
    params = experiment.params["describe"]
    parameters = describe(experiment.base_model, params).trainable_parameters
    return parameters, params["batch_size_per_gpu"], params["iter_size"]


def _positive(text):
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError("%s is not a number above 0" % text)
    return value


def _not_negative(text):
    return 0.0 if float(text) == 0.0 else _positive(text)


def _fraction(text):
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("%s is not between 0 and 1" % text)
    return value


def _device_counts(text):
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("%r is not a list of whole numbers above 0, such as 8,16,32" % text)
    return numbers


def _parser():
    parser = make_parser("open_seq2seq.launch.cost_model", "Expected time and efficiency of training on many devices.")
    parser.add_argument("--config_file", type=file_path, required=True,
                        help="the experiment whose parameters and batch size are used")
    parser.add_argument("--step_seconds", type=_positive, required=True,
                        help="seconds of one update on a single device (run.py --benchmark prints it)")
    parser.add_argument("--bandwidth", type=_positive, required=True,
                        help="GB/s in one direction between two devices of a server")
    parser.add_argument("--network_bandwidth", type=_positive,
                        help="GB/s in one direction of a whole server, all its network cards together; required for several "
                             "servers")
    parser.add_argument("--latency", type=_not_negative, default=10.0, help="microseconds for a message inside a server")
    parser.add_argument("--network_latency", type=_not_negative, default=30.0, help="microseconds for a message between servers")
    parser.add_argument("--devices", type=_device_counts, default="1,8,16,32,64,128,256,512", help="numbers of devices")
    parser.add_argument("--devices_per_server", type=whole_number(1), default=8, help="devices in one server")
    parser.add_argument("--bytes_per_number", type=int, choices=(2, 4), default=4, help="gradients sent as float32 or float16")
    parser.add_argument("--buffer_megabytes", type=_positive, default=128.0, help="gradients are sent together up to this size")
    parser.add_argument("--overlap", type=_fraction, default=0.0,
                        help="part of the backward pass during which gradients are sent")
    parser.add_argument("--ring", choices=("hierarchical", "flat"), default="hierarchical",
                        help="algorithm for several servers: HCCL and NCCL are hierarchical, Gloo uses one flat ring")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser


def main(argv=None):
    """Runs the command line ``argv``; see the module."""
    arguments = _parser().parse_args(argv)
    if arguments.network_bandwidth is None and max(arguments.devices) > arguments.devices_per_server:
        raise UsageError("--network_bandwidth is missing; expected the GB/s of all network cards of one server together, because "
                         "%d devices are more than the %d of one server (--devices, --devices_per_server)"
                         % (max(arguments.devices), arguments.devices_per_server))
    parameters, batch_size, micro_batches = gradient_numbers(arguments.config_file)
    gradient_bytes = parameters * arguments.bytes_per_number
    buffers = int(math.ceil(gradient_bytes / (arguments.buffer_megabytes * 1e6)))
    training = Training(arguments.step_seconds, batch_size * micro_batches, gradient_bytes, buffers, arguments.overlap,
                        micro_batches)
    inside = Link(arguments.bandwidth * 1e9, arguments.latency * 1e-6)
    between = inside
    if arguments.network_bandwidth is not None:
        between = Link(arguments.network_bandwidth * 1e9, arguments.network_latency * 1e-6)
    cluster = Cluster(arguments.devices_per_server, inside, between, arguments.ring == "hierarchical")
    predictions = predict_table(training, cluster, arguments.devices)
    if arguments.json:
        print(json.dumps({"parameters": parameters, "training": training._asdict(),
                          "predictions": [prediction._asdict() for prediction in predictions]}))
        return
    print("%d parameters, %.1f MB of gradients per step in %d buffer%s, %d utterances per step and device" % (
        parameters, gradient_bytes / 1e6, buffers, "" if buffers == 1 else "s", batch_size * micro_batches))
    print("%8s %14s %14s %10s %14s %11s %9s" % (
        "devices", "all-reduce s", "not hidden s", "step s", "utterances/s", "efficiency", "speedup"))
    for prediction in predictions:
        print("%8d %14.4f %14.4f %10.4f %14.1f %10.1f%% %9.2f" % (
            prediction.devices, prediction.all_reduce_seconds, prediction.exposed_seconds, prediction.step_seconds,
            prediction.utterances_per_second, 100 * prediction.efficiency, prediction.speedup))


if __name__ == "__main__":
    sys.exit(exit_status_of(main, sys.argv[1:]))
