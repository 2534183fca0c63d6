"""Settings of the fake: environment variables, read at every use, so that a test can set them at any time."""
import os


def unknown_shapes_refused():
    """Whether an unknown shape in the offloaded part of a run is an error; the real adapter compiles it."""
    return os.environ.get("FAKE_ASCEND_UNKNOWN_SHAPES", "refuse") != "allow"


def most_shapes():
    """Maximum number of distinct input shapes of one set of fetches."""
    return int(os.environ.get("FAKE_ASCEND_MOST_SHAPES", "4"))


def overflow_at():
    """Indices, from 0, of the readings of the status register that return an overflow whatever the gradients are."""
    text = os.environ.get("FAKE_ASCEND_OVERFLOW_AT", "")
    return frozenset(int(number) for number in text.split(",") if number.strip())


def overflow_outside_steps():
    """Whether every run that is not a training step (evaluations, initialization) sets the status register."""
    return bool(os.environ.get("FAKE_ASCEND_OVERFLOW_OUTSIDE_STEPS"))


def largest_gradient():
    """Magnitude at which a scaled gradient saturates and sets the status register; None: gradients are not changed."""
    text = os.environ.get("FAKE_ASCEND_LARGEST_GRADIENT", "65504")  # the largest float16
    return float(text) if text else None


def devices():
    """Number of simulated davinci devices."""
    return int(os.environ.get("FAKE_ASCEND_DEVICES", "8"))


def record_file():
    """File that every session appends a JSON line to when it ends (compiled shapes, nodes, GeOps), or None."""
    return os.environ.get("FAKE_ASCEND_RECORD_FILE") or None


def rendezvous_folder():
    """Folder in which rank 0 writes the address at which it waits for the others, if no other rendezvous is running."""
    return os.environ.get("FAKE_ASCEND_RENDEZVOUS_FOLDER") or None
