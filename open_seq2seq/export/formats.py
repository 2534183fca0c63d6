"""The files of exported models: what their names say, and which of a folder's is meant."""
import collections
import glob
import os

from open_seq2seq.errors import CheckpointError

QUANTIZED = ".int8"  # NAME.int8.onnx is NAME.onnx with 8-bit weights
INSTALL_ONNX = "install it with `bash scripts/setup.sh --onnx`, or `pip install -r requirements-onnx.txt`"


def model_in_folder(folder):
    """The path of the exported model in a folder, or the folder itself where it holds none, e.g. a run's folder.

    Of several formats of one model the ``.pb`` is preferred. The 8-bit copy is taken only if the original is not there.

    Raises:
      CheckpointError: the folder holds several models.
    """
    found = collections.OrderedDict()
    for extension in (".pb", ".onnx"):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*" + extension))):
            name = os.path.splitext(path)[0]
            if os.path.isfile(name + ".json"):
                found.setdefault(name, path)
    names = [name for name in found if not (name.endswith(QUANTIZED) and name[:-len(QUANTIZED)] in found)]
    if len(names) > 1:
        raise CheckpointError("%s holds several models: %s. Name one of them instead of the folder, e.g. %s" % (
            folder, ", ".join(os.path.basename(found[name]) for name in names), found[names[0]]))
    if names:
        return found[names[0]]
    # a model without its JSON: reading it raises an error that names the missing file
    alone = sorted(glob.glob(os.path.join(glob.escape(folder), "*.pb")) + glob.glob(os.path.join(glob.escape(folder), "*.onnx")))
    is_run = glob.glob(os.path.join(glob.escape(folder), "resolved_config_*.json"))
    return alone[0] if alone and not is_run else folder
