"""Time of a training step by kind of operation, with the direct sum and with fast convolutions.

    python benchmarks/step_profile.py --model quarter

One thread; of every operation the shortest time of several traced steps, which leaves out waiting for other processes.
"""
import argparse
import collections

import network
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu

STEPS = 6
SHOWN = 14
GROUPS = {  # the kinds of operations that a line shows together
    "products: convolutions": "Conv2D",
    "products: matrices and transforms": "MatMul _FusedMatMul",
    "products: frequencies": "BatchMatMul BatchMatMulV2 BatchMatMulV3",
    "batch norm": "FusedBatchNormV3",
    "batch norm, gradient": "FusedBatchNormGradV3",
    "CTC loss and gradient": "CTCLoss",
    "NovoGrad": "ApplyMomentum ApplyGradientDescent L2Loss",
    "random numbers": "RandomUniform StatelessRandomUniform",
    "activation": "Relu ReluGrad",
    "reordering of frames": "Transpose Pad PadV2 GatherV2 ReverseV2 StridedSlice",
}
GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds.split()}


def profile(case, config, fast):
    """(milliseconds of each group of operations, FLOPs of the convolutions as direct sums) of a training step."""
    built = network.build(case, "train", config, fast_convolutions=fast)
    shortest, kinds = {}, {}
    with built.session as session:
        for step in range(STEPS + 2):
            trace = tf.RunMetadata()
            session.run(built.fetches, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=trace)
            if step < 2:
                continue
            for device in trace.step_stats.dev_stats:
                for node in device.node_stats:
                    kind = node.timeline_label.partition(" = ")[2].partition("(")[0] or node.node_name
                    kinds[node.node_name] = GROUP_OF.get(kind, kind)
                    time = node.op_end_rel_micros - node.op_start_rel_micros
                    shortest[node.node_name] = min(shortest.get(node.node_name, time), time)
    groups = collections.Counter()
    for name, time in shortest.items():
        groups[kinds[name]] += time / 1000.0
    return groups, built.flops


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser)
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    config = Cpu().session_config()
    config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = 1
    (direct, flops), (fast, _) = (profile(case, config, fast) for fast in (False, True))
    print("training step, %s, batch %d x %d frames: %.1f GFLOP as direct sums" % (
        arguments.model, case.batch_size, case.frames, flops / 1e9))
    print("%-36s %14s %8s %14s %8s" % ("milliseconds", "direct sum", "", "fast", ""))
    totals = sum(direct.values()), sum(fast.values())
    kinds = sorted(set(direct) | set(fast), key=lambda kind: -max(direct[kind], fast[kind]))
    others = [sum(times[kind] for kind in kinds[SHOWN:]) for times in (direct, fast)]
    rows = [(kind, (direct[kind], fast[kind])) for kind in kinds[:SHOWN]]
    for kind, times in rows + [("other operations", others), ("all", totals)]:
        print("%-36s %14.1f %6.1f %% %14.1f %6.1f %%" % (
            kind, times[0], 100 * times[0] / totals[0], times[1], 100 * times[1] / totals[1]))


if __name__ == "__main__":
    main()
