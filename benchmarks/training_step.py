"""Time of one training step (forward, backward, update), compared with tf.matmul and with TensorFlow's own gradients.

    python benchmarks/training_step.py --model jasper5x3
    python benchmarks/training_step.py --model jasper5x3 --batch_size 16 --frames 800 --against REVISION

FLOPs are those of the convolutions, three times the forward pass; everything else in a step counts only as time. With --against
the checkout of a git revision is built in another process, and both are measured in turns; dropout draws its random numbers as in
a training on a CPU. --recompute adds the config's key ``recompute`` in turns with the same build without it.
"""
import argparse
import contextlib
import os
import subprocess
import sys
import tempfile

import network
import numpy as np
import turns
from machine_limit import Candidate, measure, report

from open_seq2seq.devices.cpu import Cpu


@contextlib.contextmanager
def checkout_of(revision):
    """Context with the path of a temporary worktree of a git revision.

    Raises:
      SystemExit: the revision does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="jasper-revision-") as folder:
        path = os.path.join(folder, "checkout")
        done = subprocess.run(["git", "-C", network.REPOSITORY, "worktree", "add", "--detach", path, revision],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit("--against %s: git cannot check out this revision: %s" % (revision, done.stdout.strip()))
        try:
            yield path
        finally:
            subprocess.run(["git", "-C", network.REPOSITORY, "worktree", "remove", "--force", path], check=True)


def worker_words(case, model, *others):
    """The command of step_worker.py for a case of network.py."""
    return [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "step_worker.py"), "--model", model,
            "--batch_size", str(case.batch_size), "--frames", str(case.frames)] + list(others)


def measure_workers(title, case, workers, seconds, flops):
    """Measures workers in turns, prints the table and the peak memory of each, and ends them.

    Args:
      title: str.
      case: a ``Case``.
      workers: list of ``turns.Worker``; the speed of the first is compared with that of each other one.
      seconds: how long to measure.
      flops: of the convolutions of a step of each.
    """
    try:
        audio = {"audio_seconds": case.batch_size * case.frames / network.FRAMES_PER_SECOND}
        candidates = [Candidate(worker.name, worker.step, flops, audio) for worker in workers]
        measurements = measure(candidates, Cpu().session_config(), seconds)
        turns.report_memory(workers)
        for worker, measurement in zip(workers[1:], measurements[1:]):
            ratios = np.divide(measurement.seconds, measurements[0].seconds)
            print("seconds of %s to those of %s, median of %d turns: %.2f" % (
                worker.name, workers[0].name, len(ratios), np.median(ratios)))
        report(title, measurements)
    finally:
        for worker in workers:
            worker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=90.0)
    parser.add_argument("--against", metavar="REVISION", help="measure this git revision in turns with the present files")
    parser.add_argument("--recompute", choices=["blocks"], help="measure the config's key recompute in turns")
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    title = "training step, %s, batch %d x %d frames" % (arguments.model, case.batch_size, case.frames)
    if arguments.against or arguments.recompute:
        with contextlib.ExitStack() as stack:
            def started(name, *others):
                return turns.Worker(name, worker_words(case, arguments.model, *others))

            checkout = stack.enter_context(checkout_of(arguments.against)) if arguments.against else None
            workers = [started("present files", "--checkout", network.REPOSITORY)]
            if arguments.recompute:
                workers.insert(0, started("recompute %s" % arguments.recompute, "--checkout", network.REPOSITORY,
                                          "--recompute", arguments.recompute))
            if checkout:
                workers.append(started("revision %s" % arguments.against[:24], "--checkout", checkout))
            # the products that the plain convolutions of either build would take: what is saved counts as speed
            measure_workers(title, case, workers, arguments.seconds, workers[-1].facts["flops"])
        return
    session_config = Cpu().session_config()
    candidates = []
    for name, fast_gradients in (("training step", True), ("same, TensorFlow's gradients", False)):
        built = network.build(case, "train", session_config, fast_gradients)
        candidates.append(Candidate(
            name, lambda built=built: built.session.run(built.fetches), built.flops,
            {"audio_seconds": case.batch_size * case.frames / network.FRAMES_PER_SECOND}))
    report(title, measure(candidates, session_config, arguments.seconds))


if __name__ == "__main__":
    main()
