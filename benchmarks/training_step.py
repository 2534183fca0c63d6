"""Time of one training step (forward, backward, update), compared with tf.matmul and with TensorFlow's own gradients.

    python benchmarks/training_step.py --model jasper5x3

FLOPs are those of the convolutions, three times the forward pass; everything else in a step counts only as time.
"""
import argparse

import network
from machine_limit import Candidate, measure, report

from open_seq2seq.devices.cpu import Cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=90.0)
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    session_config = Cpu().session_config()
    candidates = []
    for name, fast_gradients in (("training step", True), ("same, TensorFlow's gradients", False)):
        built = network.build(case, "train", session_config, fast_gradients)
        candidates.append(Candidate(
            name, lambda built=built: built.session.run(built.fetches), built.flops,
            {"audio_seconds": case.batch_size * case.frames / network.FRAMES_PER_SECOND}))
    report("training step, %s, batch %d x %d frames" % (arguments.model, case.batch_size, case.frames),
           measure(candidates, session_config, arguments.seconds))


if __name__ == "__main__":
    main()
