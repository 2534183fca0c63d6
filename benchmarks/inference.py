"""Time of one forward pass in evaluation beside tf.matmul: features to logits and best path.

    python benchmarks/inference.py --model jasper5x3
"""
import argparse

import network
from machine_limit import Candidate, measure, report

from open_seq2seq.devices.cpu import Cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=45.0)
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    session_config = Cpu().session_config()
    built = network.build(case, "eval", session_config, fast_gradients=True)
    frames = case.batch_size * case.frames
    candidate = Candidate("forward pass", lambda: built.session.run(built.fetches), built.flops,
                          {"frames": frames, "audio_seconds": frames / network.FRAMES_PER_SECOND})
    report("inference, %s, batch %d x %d frames" % (arguments.model, case.batch_size, case.frames),
           measure([candidate], session_config, arguments.seconds))


if __name__ == "__main__":
    main()
