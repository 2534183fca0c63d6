#!/usr/bin/env python
"""Prints the lines of a requirements file whose packages are not installed in this Python, in any version.

    python missing_requirements.py requirements.txt > missing.txt

For images with a TensorFlow for their devices: installed packages are kept, and ``pip install --no-deps`` adds the missing ones.
An image without TensorFlow is an error, because TensorFlow from pip would not support the devices.
"""
import re
import sys

import pkg_resources


def normalized(name):
    """A package's name in the form in which package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(lines, installed):
    """The requirements of ``lines`` that apply to this Python and whose package is not in ``installed``.

    Args:
      lines: lines of a requirements file.
      installed: set of normalized names.

    Returns:
      A list of requirements without their markers.
    """
    found = []
    for line in lines:
        text = line.split("#")[0].strip()
        if text and not text.startswith("-"):
            requirement = next(pkg_resources.parse_requirements(text))
            if (requirement.marker is None or requirement.marker.evaluate()) and normalized(requirement.name) not in installed:
                found.append(text.split(";")[0].strip())
    return found


def main(path):
    """Prints the missing requirements; returns the exit status."""
    installed = {normalized(distribution.project_name) for distribution in pkg_resources.working_set}
    if not any(name.startswith("tensorflow") for name in installed):
        print("%s has no TensorFlow; expected an image with the TensorFlow of its Ascend adapter"
              % sys.executable, file=sys.stderr)
        return 4
    with open(path, encoding="utf-8") as file:
        for requirement in missing(file, installed):
            # TensorFlow may be installed under another name, e.g. tensorflow-cpu
            if not re.match(r"tensorflow(-cpu|-gpu)?\b", normalized(requirement)):
                print(requirement)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
