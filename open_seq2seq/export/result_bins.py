"""Result bins: what a tool made of input bins, the logits [1, T', V + 1] of one utterance in each file.

Three tools name them in three ways; ``msame`` and ``ais_bench`` make a folder named by the time for each run.
"""
import os

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.export.bins import DTYPES

PORT, MSAME, AIS_BENCH = "the public Ascend port", "msame", "ais_bench"
_NAMES = {PORT: "davinci_%s_output0.bin", MSAME: "%s_output_0.bin", AIS_BENCH: "%s_0.bin"}


def result_name(name):
    """File name of an utterance's result as the public Ascend port's script writes it."""
    return _NAMES[PORT] % name


def find_results(folder, names):
    """The result of each utterance.

    Args:
      folder: what holds the results, or the newest folder inside it does.
      names: the utterances' names, as the input bins have them.

    Returns:
      (folder with the files, name of the tool, dict from name to path)

    Raises:
      DataError: a result is missing, or one is there that belongs to no utterance.
    """
    folder, found = _results_folder(folder)
    by_tool = {tool: {pattern % name for name in names} for tool, pattern in _NAMES.items()}
    tool = max(by_tool, key=lambda tool: len(by_tool[tool] & found))
    missing, unknown = sorted(by_tool[tool] - found), sorted(found - by_tool[tool])
    if missing:
        raise DataError("%s has results of %d of the %d utterances; missing is %s%s. Run the inference again on all bins" % (
            folder, len(by_tool[tool] & found), len(names), missing[0], " and others" if len(missing) > 1 else ""))
    if unknown:
        raise DataError("%s holds %s, which is the result of none of the %d utterances; expected names like %s. The bins are of "
                        "another run: write them and run the inference anew" % (folder, unknown[0], len(names),
                                                                                _NAMES[tool] % names[0]))
    return folder, tool, {name: os.path.join(folder, _NAMES[tool] % name) for name in names}


def _results_folder(folder):
    """(the folder that holds result bins, their names): ``folder`` or the newest one inside it that has any."""
    try:
        found = _bins(folder)
        if found:
            return folder, found
        inside = [os.path.join(folder, name) for name in os.listdir(folder)]
        for path in sorted((path for path in inside if os.path.isdir(path)), key=os.path.getmtime, reverse=True):
            if _bins(path):
                return path, _bins(path)
        texts = [name for name in os.listdir(folder) if name.endswith(".txt")] + [
            name for path in inside if os.path.isdir(path) for name in os.listdir(path) if name.endswith(".txt")]
    except OSError as error:
        raise DataError("cannot read the results in %s: %s. Expected the folder that msame or ais_bench wrote"
                        % (folder, error.strerror))
    raise DataError("%s holds no result .bin file, nor do the folders in it%s" % (
        folder, ", but %s: run the tool with --outfmt BIN" % texts[0] if texts else ""))


def _bins(folder):
    return {name for name in os.listdir(folder) if name.endswith(".bin")}


def read_result(path, output_frames, num_outputs):
    """Reads the logits of one utterance.

    Args:
      path: the file; float32 or float16, which its length tells.
      output_frames: T'.
      num_outputs: V + 1.

    Returns:
      float32 [T', V + 1]

    Raises:
      DataError: a wrong length or values that are not finite, with the file's name.
    """
    size, count = os.path.getsize(path), output_frames * num_outputs
    for dtype in DTYPES.values():
        if size == count * dtype.itemsize:
            logits = np.fromfile(path, dtype).astype(np.float32)
            if not np.isfinite(logits).all():
                raise DataError("%s: %d of %d logits are NaN or infinite; the device's float16 may have overflowed: convert the "
                                "model with --precision_mode=force_fp32, or look at the input bin"
                                % (path, np.sum(~np.isfinite(logits)), count))
            return logits.reshape(output_frames, num_outputs)
    expected = " or ".join("%d (%s)" % (count * dtype.itemsize, name) for name, dtype in DTYPES.items())
    raise DataError("%s has %d bytes, expected %s for logits [1, %d, %d]. It is the result of another model, of several "
                    "utterances in one, or cut short" % (path, size, expected, output_frames, num_outputs))
