"""A training step of Jasper with this project and with PyTorch, measured in turns in one run on the CPU.

    python benchmarks/peers/pytorch.py --work DIR --model jasper5x3

The first call makes a virtual environment with PyTorch in DIR/pytorch (up to 6 GB with the wheel of PyPI; --index_url names a
package index with smaller wheels for CPUs). Both programs train the same network (NVIDIA's Jasper) on the same batch with the
same optimizer, each in a process of its own. Before they are measured it is checked that they have equally many parameters, and
that with the same initial weights, without dropout, the losses of three steps are equal.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import network  # noqa: E402
import step_worker  # noqa: E402
import turns  # noqa: E402
from training_step import measure_workers, worker_words  # noqa: E402

from open_seq2seq.cores import usable_cores  # noqa: E402

REQUIREMENTS = ["torch==2.14.1", "numpy==2.4.6"]  # Python 3.11
REQUIREMENTS_OF_PYTHON_37 = ["torch==1.13.1", "numpy==1.21.6"]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.10")
CHECKED_STEPS = 3
FIRST_LOSS_TOLERANCE, LATER_LOSS_TOLERANCE = 1e-4, 1e-3  # relative; rounding grows from step to step


def environment(arguments):
    """The Python of the virtual environment with PyTorch, which is made if it does not exist.

    Raises:
      SystemExit: it cannot be made.
    """
    folder = os.path.join(arguments.work, "pytorch")
    python = os.path.join(folder, "bin", "python")
    complete = os.path.join(folder, "complete")
    if not os.path.exists(complete):
        base = arguments.python or next(filter(None, map(shutil.which, PYTHONS)), None)
        if base is None:
            raise SystemExit("none of %s is on the PATH: name a Python for which PyTorch has a wheel with --python" % (
                ", ".join(PYTHONS)))
        version = subprocess.run([base, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], stdout=subprocess.PIPE,
                                 text=True, check=True).stdout.strip()
        requirements = REQUIREMENTS_OF_PYTHON_37 if version == "3.7" else REQUIREMENTS
        if arguments.torch:
            requirements = [arguments.torch, "numpy"]
        print("installing %s for Python %s into %s" % (" ".join(requirements), version, folder), file=sys.stderr, flush=True)
        index = ["--index-url", arguments.index_url] if arguments.index_url else []
        install = [python, "-m", "pip", "install", "--quiet"] + index + requirements
        for command in ([base, "-m", "venv", "--clear", folder], install):
            if subprocess.run(command).returncode:
                raise SystemExit("`%s` failed, see above. --python, --torch and --index_url choose another Python, version and "
                                 "package index" % " ".join(command))
        with open(complete, "w") as file:
            file.write("\n".join(requirements) + "\n")
    return python


def workers_of(case, model, python, folder, *others):
    """The two workers on the same weights and the same batch: [this project, PyTorch]."""
    values = os.path.join(folder, "values.npz")
    ours = turns.Worker("this project", worker_words(
        case, model, "--checkout", network.REPOSITORY, "--comparable", "--export", values, *others))
    torch = turns.Worker("PyTorch", [
        python, os.path.join(HERE, "pytorch_worker.py"), "--values", values, "--threads", str(usable_cores()),
        "--learning_rate", repr(step_worker.LEARNING_RATE)])
    return [ours, torch]


def check_equal(workers):
    """Compares the number of parameters and the losses of the first steps.

    Raises:
      SystemExit: they differ.
    """
    ours, torch = workers
    if ours.facts["parameters"] != torch.facts["parameters"]:
        raise SystemExit("this project's network has %d parameters, PyTorch's %d" % (
            ours.facts["parameters"], torch.facts["parameters"]))
    for step in range(CHECKED_STEPS):
        losses = [worker.step() for worker in workers]
        tolerance = LATER_LOSS_TOLERANCE if step else FIRST_LOSS_TOLERANCE
        print("step %d: loss %.5f here, %.5f in %s" % (step + 1, losses[0], losses[1], torch.facts["software"]))
        if not abs(losses[0] - losses[1]) <= tolerance * abs(losses[0]):
            raise SystemExit("the losses differ by more than %g: these are not the same network" % tolerance)
    print("equal: %d parameters, losses of %d steps without dropout" % (ours.facts["parameters"], CHECKED_STEPS))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=120.0)
    parser.add_argument("--work", required=True, metavar="DIR", help="folder for PyTorch's environment, kept for the next call")
    parser.add_argument("--python", help="Python of the environment; default: the first of %s on the PATH" % ", ".join(PYTHONS))
    parser.add_argument("--torch", metavar="REQUIREMENT", help="what pip installs; default %s" % REQUIREMENTS[0])
    parser.add_argument("--index_url", help="package index; default: pip's own setting")
    arguments = parser.parse_args()
    python = environment(arguments)
    case = network.case_of(arguments)
    with tempfile.TemporaryDirectory(prefix="jasper-pytorch-") as folder:
        # utterances of different lengths, so that masks and lengths count; short, because weights take most of the time
        workers = workers_of(case._replace(batch_size=3, frames=192), arguments.model, python, folder, "--exact")
        try:
            check_equal(workers)
        finally:
            for worker in workers:
                worker.close()
        workers = workers_of(case, arguments.model, python, folder)
        measure_workers("training step, %s, batch %d x %d frames, against %s" % (
            arguments.model, case.batch_size, case.frames, workers[1].facts["software"]), case, workers, arguments.seconds,
            workers[0].facts["flops"])


if __name__ == "__main__":
    main()
