"""What the comparisons with other software share: the same weights and batch, the check of equality, the measurement."""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import network  # noqa: E402
import step_worker  # noqa: E402
import turns  # noqa: E402
from training_step import measure_workers, worker_words  # noqa: E402

from open_seq2seq.cores import usable_cores  # noqa: E402

CHECKED_STEPS = 3
FIRST_LOSS_TOLERANCE, LATER_LOSS_TOLERANCE = 1e-4, 1e-3  # relative; rounding grows from step to step


def workers_of(case, model, name, peer, folder, *others):
    """The two workers on the same weights and the same batch: [this project, the other software].

    Args:
      case: a ``Case`` of network.py; model: its name.
      name: of the other software.
      peer: command of its worker, a list of str, without the arguments that are added here: --values, a file that
        ``step_worker.py --export`` writes, --threads and --learning_rate.
      folder: for that file.
      others: further arguments of step_worker.py.
    """
    values = os.path.join(folder, "values.npz")
    ours = turns.Worker("this project", worker_words(
        case, model, "--checkout", network.REPOSITORY, "--comparable", "--export", values, *others))
    # OpenMP's threads would wait for work in busy loops, and take the processor from what is measured next
    environ = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(usable_cores())}
    return [ours, turns.Worker(name, peer + ["--values", values, "--threads", str(usable_cores()),
                                             "--learning_rate", repr(step_worker.LEARNING_RATE)], environ)]


def check_equal(workers):
    """Compares the number of parameters and the losses of the first steps.

    Raises:
      SystemExit: they differ.
    """
    ours, peer = workers
    if ours.facts["parameters"] != peer.facts["parameters"]:
        raise SystemExit("this project's network has %d parameters, that of %s %d" % (
            ours.facts["parameters"], peer.name, peer.facts["parameters"]))
    for step in range(CHECKED_STEPS):
        losses = [worker.step() for worker in workers]
        tolerance = LATER_LOSS_TOLERANCE if step else FIRST_LOSS_TOLERANCE
        print("step %d: loss %.5f with this project, %.5f with %s" % (step + 1, losses[0], losses[1], peer.name))
        if not abs(losses[0] - losses[1]) <= tolerance * abs(losses[0]):
            raise SystemExit("the losses differ by more than %g: these are not the same networks" % tolerance)
    print("equal: %d parameters, losses of %d steps without dropout" % (ours.facts["parameters"], CHECKED_STEPS), flush=True)


def compare(arguments, name, peer):
    """Checks that two networks are equal, then measures them in turns. Arguments: see :func:`workers_of`.

    Args:
      arguments: the parsed command line, with the arguments of ``network.add_arguments``.
    """
    case = network.case_of(arguments)
    with tempfile.TemporaryDirectory(prefix="jasper-peer-") as folder:
        # utterances of different lengths, so that masks and lengths count; short, because weights take most of the time
        workers = workers_of(case._replace(batch_size=3, frames=192), arguments.model, name, peer, folder, "--exact")
        try:
            check_equal(workers)
        finally:
            for worker in workers:
                worker.close()
        workers = workers_of(case, arguments.model, name, peer, folder)
        measure_workers("training step, %s, batch %d x %d frames, against %s (%s)" % (
            arguments.model, case.batch_size, case.frames, name, workers[1].facts["software"]), case, workers,
            arguments.seconds, workers[0].facts["flops"])
