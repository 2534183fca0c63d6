"""Time of every convolution of a network, forward pass and gradients: direct sum, Fourier transforms, and which one is chosen.

    python benchmarks/convolutions.py --model jasper5x3 --batch_size 16 --frames 800

Each distinct convolution (taps, channels, dilation) of stride 1 is measured alone, both ways in turns: with one thread by the
processor time of the process, with --threads 2 by the time on the clock of an idle machine. "ratio" above 1 means that the
Fourier transforms are faster. The predicted ratio is that of ``open_seq2seq/encoders/fast_convolutions.py``, which chooses them
above %.1f. The block length is the one that it would choose, also where it does not choose them.
"""
import argparse
import json
import resource
import sys
import time

import network
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.cli import whole_number
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders import fast_convolutions
from open_seq2seq.encoders.convnet_layers import convolved_frames
from open_seq2seq.encoders.convolution import conv1d

TURNS = 5


def layers_of(case):
    """The distinct convolutions: dict from (kernel shape, frames, dilation) to the names of the layers."""
    _, params = network.checked_params(case, "train")
    channels, frames, found = params["data_layer_params"]["num_audio_features"], case.frames, {}
    for block, layer in enumerate(params["encoder_params"]["convnet_layers"]):
        for repeat in range(layer["repeat"]):
            frames = convolved_frames(layer, frames)
            shape = (layer["kernel_size"][0], channels, layer["num_channels"])
            if layer["stride"][0] == 1 and shape[0] > 1 and layer["type"] == "conv1d":
                found.setdefault((shape, frames, layer["dilation"][0]), []).append("conv%d%d" % (block + 1, repeat + 1))
            channels = layer["num_channels"]
    return found


def processor_seconds():
    """Processor time of this process, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measured(shape, batch_size, frames, dilation, block, config, clock):
    """(seconds of the direct sum, seconds of the Fourier transforms), medians, and the largest relative difference."""
    _, inputs, outputs = shape
    generator = np.random.RandomState(0)

    def variable(*sizes):
        return tf.Variable(generator.randn(*sizes).astype(np.float32), use_resource=False)

    with tf.Graph().as_default():
        signal, gradient = variable(batch_size, frames, inputs), variable(batch_size, frames, outputs)
        kernel = variable(*shape)
        results, fetches = [], []
        for length in (None, block):
            convolved = conv1d(signal, kernel, dilation=dilation, block=length)
            results.append([convolved] + tf.gradients(convolved, [signal, kernel], gradient))
            # a number of each, because TensorFlow removes what nobody reads, and copying them would take time
            fetches.append([tf.reduce_max(tf.reshape(tensor, [-1])[:1]) for tensor in results[-1]])
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            differences = [np.abs(ours - direct).max() / np.abs(direct).max() for direct, ours in zip(*session.run(results))]
            seconds = [[], []]
            for _ in range(TURNS):
                for times, fetch in zip(seconds, fetches):
                    start = clock()
                    session.run(fetch)
                    times.append(clock() - start)
    return np.median(seconds[0]), np.median(seconds[1]), max(differences)


def main():
    parser = argparse.ArgumentParser(description=__doc__ % fast_convolutions.LEAST_GAIN,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser)
    parser.add_argument("--threads", type=whole_number(1), default=1, help="threads of an operation (default %(default)s)")
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    # several threads wait for memory at the same time, which processor time does not show
    clock = processor_seconds if arguments.threads == 1 else time.perf_counter
    config = Cpu().session_config()
    config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = arguments.threads
    rows, totals = [], np.zeros(2)
    print("%s, batch %d x %d frames, %d thread(s)" % (arguments.model, case.batch_size, case.frames, arguments.threads))
    print("%-28s %22s %6s %10s %10s %7s %10s %8s %9s" % (
        "convolutions", "taps x in x out (step)", "block", "direct s", "Fourier s", "ratio", "predicted", "chosen", "difference"))
    for (shape, frames, dilation), names in layers_of(case).items():
        cost = fast_convolutions.cheapest(shape, case.batch_size, frames, dilation)
        predicted = fast_convolutions.direct_multiplications(shape, case.batch_size, frames) / cost.multiplications
        chosen = predicted > fast_convolutions.LEAST_GAIN
        direct, fourier, difference = measured(shape, case.batch_size, frames, dilation, cost.block, config, clock)
        totals += len(names) * np.array([direct, fourier if chosen else direct])
        rows.append({"names": names, "shape": shape, "dilation": dilation, "block": cost.block, "direct_seconds": direct,
                     "fourier_seconds": fourier, "predicted": predicted, "chosen": bool(chosen), "difference": float(difference)})
        print("%-28s %22s %6d %10.4f %10.4f %7.2f %10.2f %8s %9.1e" % (
            names[0] + (" to %s, %d" % (names[-1], len(names)) if len(names) > 1 else ""),
            "%d x %d x %d (%d)" % (shape + (dilation,)), cost.block, direct, fourier, direct / fourier, predicted,
            "Fourier" if chosen else "direct", difference))
        sys.stdout.flush()
    print("all of them: direct %.3f s, as chosen %.3f s, ratio %.2f" % (totals[0], totals[1], totals[0] / totals[1]))
    print(json.dumps({"title": "convolutions of %s" % arguments.model, "tensorflow": tf.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
