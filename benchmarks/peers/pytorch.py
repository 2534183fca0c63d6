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

import comparison
import network

REQUIREMENTS = ["torch==2.14.1", "numpy==2.4.6"]  # Python 3.11
REQUIREMENTS_OF_PYTHON_37 = ["torch==1.13.1", "numpy==1.21.6"]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.10")


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
        if arguments.python and shutil.which(arguments.python) is None:
            raise SystemExit("--python %s: there is no such program" % arguments.python)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=120.0)
    parser.add_argument("--work", required=True, metavar="DIR", help="folder for PyTorch's environment, kept for the next call")
    parser.add_argument("--python", help="Python of the environment; default: the first of %s on the PATH" % ", ".join(PYTHONS))
    parser.add_argument("--torch", metavar="REQUIREMENT", help="what pip installs; default %s" % REQUIREMENTS[0])
    parser.add_argument("--index_url", help="package index; default: pip's own setting")
    arguments = parser.parse_args()
    worker = os.path.join(comparison.HERE, "pytorch_worker.py")
    comparison.compare(arguments, "PyTorch", [environment(arguments), worker])


if __name__ == "__main__":
    main()
