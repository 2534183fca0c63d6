"""The list of TensorFlow operators that the Ascend adapter offloads: that of the installed CANN, or the built-in list.

The adapter reads a JSON file of the operator package (npu_ops_identifier.cc): it offloads an operator whose type is a key of the
file and leaves every other one on the host. Without the file it silently offloads nothing.
"""
import collections
import glob
import json
import os

from open_seq2seq.errors import DeviceError

DEFAULT_OPP_PATH = "/usr/local/Ascend/opp"
FILE_NAME = "npu_supported_ops.json"
BUILT_IN_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npu_operators.txt")

OperatorList = collections.namedtuple("OperatorList", "source files supported gray")
OperatorList.__doc__ = """The operators that the adapter offloads.

source: the path of the list, or "the built-in list". files: paths that were read, empty for the built-in list.
supported: frozenset of operator types. gray: those of them that stay on the host with mix_compile_mode.
"""


def operator_list_files(environ=None):
    """Paths of the installed operator lists, in the order in which the adapter reads them.

    Args:
      environ: the environment; None: this process's. ASCEND_OPP_PATH and ASCEND_CUSTOM_OPP_PATH are used.

    Returns:
      List of paths of existing files: the product's own list, followed by the lists of custom operators. Empty without the
      product's list.
    """
    environ = os.environ if environ is None else environ
    opp = environ.get("ASCEND_OPP_PATH") or DEFAULT_OPP_PATH
    if os.path.isdir(os.path.join(opp, "built-in")):
        product = os.path.join(opp, "built-in", "framework", "tensorflow", FILE_NAME)
    else:
        product = os.path.join(opp, "framework", "built-in", "tensorflow", FILE_NAME)
    if not os.path.isfile(product):
        return []
    custom = [os.path.join(folder, "framework", "tensorflow", FILE_NAME)
              for folder in environ.get("ASCEND_CUSTOM_OPP_PATH", "").split(":") if folder]
    custom += sorted(glob.glob(os.path.join(opp, "vendors", "*", "framework", "tensorflow", FILE_NAME)))
    custom.append(os.path.join(opp, "framework", "custom", "tensorflow", FILE_NAME))
    return [product] + [path for path in custom if os.path.isfile(path)]


def load_operator_list(environ=None):
    """The operator list of the installed operator package, else the built-in one.

    Args:
      environ: the environment; None: this process's.

    Returns:
      An :class:`OperatorList`.

    Raises:
      DeviceError: an installed list cannot be read. The adapter would treat it as empty.
    """
    files = operator_list_files(environ)
    if not files:
        return built_in_operator_list()
    operators = {}
    for path in files:
        operators.update(_read(path))
    return OperatorList(files[0], tuple(files), frozenset(operators),
                        frozenset(name for name, facts in operators.items() if facts.get("isGray") is True))


def built_in_operator_list():
    """The operator list of the Ascend 910 in this repository."""
    supported, gray = [], []
    with open(BUILT_IN_FILE, encoding="ascii") as file:
        for line in file:
            if line.startswith("#"):
                continue
            name, _, mark = line.strip().partition(" ")
            supported.append(name)
            if mark == "gray":
                gray.append(name)
    return OperatorList("the built-in list", (), frozenset(supported), frozenset(gray))


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            operators = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise DeviceError("%s cannot be read: %s. Without it the adapter leaves every operator on the host; reinstall the "
                          "operator package of CANN" % (path, error))
    if not isinstance(operators, dict):
        raise DeviceError("%s contains a JSON %s, expected an object whose keys are operator types; reinstall the operator "
                          "package of CANN" % (path, type(operators).__name__))
    # the adapter accepts a key as an operator only if its value is an object
    return {name: facts for name, facts in operators.items() if isinstance(facts, dict)}
