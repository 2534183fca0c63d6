"""What a test may change in the fake's behaviour: environment variables, read at every use so that a test can set them late."""
import os


def unknown_shapes_refused():
    """Whether a run with an unknown shape in its offloaded part is refused; the real adapter compiles then."""
    return os.environ.get("FAKE_ASCEND_UNKNOWN_SHAPES", "refuse") != "allow"


def most_shapes():
    """How many distinct input shapes one set of fetches may be compiled for."""
    return int(os.environ.get("FAKE_ASCEND_MOST_SHAPES", "4"))


def overflow_at():
    """Numbers, from 0, of the readings of the status register that return an overflow for any gradients."""
    text = os.environ.get("FAKE_ASCEND_OVERFLOW_AT", "")
    return frozenset(int(number) for number in text.split(",") if number.strip())


def largest_gradient():
    """Magnitude that a scaled gradient saturates at, setting the status register; None: gradients stay as they are."""
    text = os.environ.get("FAKE_ASCEND_LARGEST_GRADIENT", "65504")  # the largest float16
    return float(text) if text else None


def devices():
    """Number of davinci devices that this machine pretends to have."""
    return int(os.environ.get("FAKE_ASCEND_DEVICES", "8"))


def record_file():
    """File that every session appends a JSON line to when it ends (compiled shapes, nodes, GeOps), or None."""
    return os.environ.get("FAKE_ASCEND_RECORD_FILE") or None


def rendezvous_folder():
    """Folder in which rank 0 writes the address at which it waits for the others, if no other rendezvous is running."""
    return os.environ.get("FAKE_ASCEND_RENDEZVOUS_FOLDER") or None
