#!/usr/bin/env python
"""Prints those lines of a requirements file whose packages this Python does not have, in whatever version.

    python missing_requirements.py requirements.txt > missing.txt

For images that come with a TensorFlow fitted to their devices: what is there stays as it is, and ``pip install --no-deps`` adds
the rest. An image without TensorFlow is refused: pip's would know nothing of the devices.
"""
import re
import sys

import pkg_resources


def normalized(name):
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(lines, installed):
    """The requirements among ``lines`` that apply to this Python and whose package is not in ``installed``.

    Args:
      lines: of a requirements file.
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
    """Prints what is missing; returns the exit status."""
    installed = {normalized(distribution.project_name) for distribution in pkg_resources.working_set}
    if not any(name.startswith("tensorflow") for name in installed):
        print("%s has no TensorFlow; expected an image with the TensorFlow that its Ascend adapter was made for"
              % sys.executable, file=sys.stderr)
        return 4
    with open(path, encoding="utf-8") as file:
        for requirement in missing(file, installed):
            # tensorflow-cpu and the like are there under another name
            if not re.match(r"tensorflow(-cpu|-gpu)?\b", normalized(requirement)):
                print(requirement)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
