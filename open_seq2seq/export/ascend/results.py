"""Result bins, which a tool writes: the logits [1, T', V + 1] of one utterance in each file.

Three tools name them in three ways; ``msame`` and ``ais_bench`` make a folder for each run, named by the time. A result's name
contains the stem of its input bin, see :mod:`naming`.
"""
import os

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.export.ascend.bins import DTYPES, read_numbers, size_of

PORT, MSAME, AIS_BENCH = "the public Ascend port", "msame", "ais_bench"
RESULT_NAMES = {PORT: "davinci_%s_output0.bin", MSAME: "%s_output_0.bin", AIS_BENCH: "%s_0.bin"}


def result_name(stem, tool=PORT):
    """File name of the result for the input bin ``STEM.bin``."""
    if tool == AIS_BENCH:
        stem = stem.split(".")[0]  # it cuts the name at its first dot
    return RESULT_NAMES[tool] % stem


def find_results(folder, stems_of):
    """The result of each utterance.

    Args:
      folder: the folder of the results, or the parent of several, of which the newest with results counts.
      stems_of: dict from an utterance's name to the stems that its bins can have, see ``naming``; all lists have the same length,
        and the stems at one position are of one naming.

    Returns:
      (folder with the files, name of the tool, dict from utterance name to path)

    Raises:
      DataError: a result is missing, belongs to no utterance, or has another size than the others, or there are results of
        several tools or namings.
    """
    folder, found = _results_folder(folder)
    tool, files = _chosen(folder, found, stems_of)
    paths = {name: os.path.join(folder, file) for name, file in files.items()}
    _require_equal_sizes(paths)
    return folder, tool, paths


def _chosen(folder, found, stems_of):
    """(tool, dict from utterance name to file name) of the results among the names ``found`` in a folder; see find_results."""
    positions = range(len(next(iter(stems_of.values()))))
    candidates = [(tool, {name: result_name(stems[position], tool) for name, stems in stems_of.items()})
                  for tool in RESULT_NAMES for position in positions]
    tool, files = max(candidates, key=lambda candidate: len(found.intersection(candidate[1].values())))
    expected = set(files.values())
    if len(expected) < len(files):
        raise DataError("%s: %s gives the results of %d utterances %d names only, so that they overwrite each other; write the "
                        "bins again with --pre_process True, which gives each a name of its own" % (
                            folder, tool, len(files), len(expected)))
    others = set().union(*(candidate[1].values() for candidate in candidates)) & found - expected
    missing, unknown = sorted(expected - found), sorted(found - expected)
    if others and expected & found:
        raise DataError("%s holds results of two runs: %d named like %s and %d like %s. The names are those of different tools "
                        "or namings; remove the results of one run, or run the inference again into an empty folder" % (
                            folder, len(expected & found), min(expected & found), len(others), min(others)))
    if missing:
        raise DataError("%s has results of %d of the %d utterances; %s is missing%s. Run the inference again on all bins" % (
            folder, len(expected & found), len(expected), missing[0], ", like others" if len(missing) > 1 else ""))
    if unknown:
        raise DataError("%s holds %s, which is not the result of any of the %d utterances; expected names like %s. The bins "
                        "belong to another run: write them and run the inference again" % (
                            folder, unknown[0], len(expected), min(expected)))
    return tool, files


def _require_equal_sizes(paths):
    """A float32 result of which half is missing would read as float16: its size must be that of the others."""
    sizes = {path: size_of(path) for path in paths.values()}
    largest = max(sizes.values())
    for path, size in sorted(sizes.items()):
        if size != largest:
            raise DataError("%s has %d bytes, other results have %d. It was cut short, or is another model's: run the inference "
                            "again" % (path, size, largest))


def _results_folder(folder):
    """(the folder that holds result bins, their names): ``folder`` or the newest folder in it that has any."""
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
        raise DataError("cannot read the results in %s: %s. Expected the folder that the inference, msame or ais_bench wrote"
                        % (folder, error.strerror))
    raise DataError("%s holds no result .bin file, nor do the folders in it%s" % (
        folder, ", but %s: run the tool with --outfmt BIN" % texts[0] if texts else ""))


def _bins(folder):
    return {name for name in os.listdir(folder) if name.endswith(".bin")}


def read_result(path, output_frames, num_outputs):
    """Reads the logits of one utterance.

    Args:
      path: the file; its size tells whether it is float32 or float16.
      output_frames: T'.
      num_outputs: V + 1.

    Returns:
      float32 [T', V + 1]

    Raises:
      DataError: the file cannot be read, has a wrong length or values that are not finite.
    """
    size, count = size_of(path), output_frames * num_outputs
    for dtype in DTYPES.values():
        if size == count * dtype.itemsize:
            logits = read_numbers(path, dtype)
            if not np.isfinite(logits).all():
                raise DataError("%s: %d of %d logits are NaN or infinite; float16 may have overflowed on the device: convert the "
                                "model with --precision_mode=force_fp32, or check the input bin"
                                % (path, np.sum(~np.isfinite(logits)), count))
            return logits.reshape(output_frames, num_outputs)
    expected = " or ".join("%d (%s)" % (count * dtype.itemsize, name) for name, dtype in DTYPES.items())
    raise DataError("%s has %d bytes, expected %s for logits [1, %d, %d]. It is the result of another model, holds several "
                    "utterances, or was cut short" % (path, size, expected, output_frames, num_outputs))
