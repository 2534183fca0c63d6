"""Binary files for Ascend's ``msame`` and ``ais_bench``: one file for each utterance and each input or output of the model.

Input bins are what a tool reads. ``FOLDER/input_0/NAME.bin`` holds the features [1, T, F] and ``FOLDER/input_reshape/NAME.bin``
the mask [M] of the frames after the first convolution: 1 for a valid frame, 0 for padding. They are float32 or float16,
little-endian, without a header; the mask tells which of the two, because only one of them reads as ones and zeros.

Result bins are what a tool writes: the logits [1, T', V + 1] of one utterance in each file. Three tools name them in three ways;
``msame`` and ``ais_bench`` make a folder for each run, named by the time.
"""
import contextlib
import os
import shutil
import stat

import numpy as np

from open_seq2seq.errors import DataError, StorageError

FEATURES_FOLDER, MASK_FOLDER = "input_0", "input_reshape"
DTYPES = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
LARGEST_MASK = 1 << 26  # bytes; a larger file is not read
PORT, MSAME, AIS_BENCH = "the public Ascend port", "msame", "ais_bench"
RESULT_NAMES = {PORT: "davinci_%s_output0.bin", MSAME: "%s_output_0.bin", AIS_BENCH: "%s_0.bin"}

_REWRITE = "Write the bins again with --pre_process True"


def frame_mask(length, frames, mask_frames):
    """float32 [M]: 1 for the frames that the first convolution makes of valid ones, then 0.

    Args:
      length: valid input frames.
      frames: input frames including the padding.
      mask_frames: function int input frames -> int frames that the mask counts.
    """
    return (np.arange(mask_frames(frames)) < mask_frames(length)).astype(np.float32)


# writing

@contextlib.contextmanager
def replaced_folder(path):
    """Yields a new, empty folder next to ``path``, which replaces ``path`` when the block ends without an exception.

    Raises:
      StorageError: it cannot be written, or the folder to be replaced holds other files than bins.
    """
    require_only_bins(path)
    new = "%s.%d.tmp" % (path, os.getpid())
    try:
        os.makedirs(new)
        yield new
        if os.path.isdir(path):
            shutil.rmtree(path)
        os.rename(new, path)
    except OSError as error:
        raise StorageError("cannot write %s: %s. Free some space, fix the permissions or choose another --output_dir"
                           % (path, error.strerror or error))
    finally:
        shutil.rmtree(new, ignore_errors=True)


def require_only_bins(folder):
    """Raises StorageError where ``folder`` must not be replaced: it is not a folder, or it holds other files than bins."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or os.path.islink(folder):
        raise StorageError("%s is not a folder; expected a folder of bins, which will be replaced. Choose another --output_dir"
                           % folder)
    others = sorted(name for name in os.listdir(folder) if not name.endswith(".bin"))
    if others:
        raise StorageError("%s would be replaced, but holds %s, which is not a bin; move it away or choose another --output_dir"
                           % (folder, others[0]))


class BinWriter:
    """Writes bins into new folders, which replace the old ones when all were written.

    Args:
      folder: parent of the folders ``input_0`` and ``input_reshape``; created if missing.
      dtype: "float32" or "float16".

    Raises:
      StorageError: the folder cannot be written, or a folder to be replaced holds other files than bins.
    """

    def __init__(self, folder, dtype="float32"):
        self._folder, self._dtype = folder, DTYPES[dtype]
        self._stack, self._new = contextlib.ExitStack(), {}

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for kind in (FEATURES_FOLDER, MASK_FOLDER):
                self._new[kind] = stack.enter_context(replaced_folder(os.path.join(self._folder, kind)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def add(self, name, features, mask):
        """Writes the two bins of an utterance.

        Args:
          name: the utterance's name, see ``scoring.utterance_names``.
          features: float [T, F], with the padding.
          mask: float [M].

        Raises:
          DataError: the features are too large for float16.
        """
        with np.errstate(over="ignore"):  # the check below has the better message
            stored = features.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise DataError("%s: %d features are not finite as %s, the largest is %g; write float32 bins" % (
                name, np.sum(~np.isfinite(stored)), self._dtype.name, np.max(np.abs(features))))
        stored.tofile(os.path.join(self._new[FEATURES_FOLDER], name + ".bin"))
        mask.astype(self._dtype).tofile(os.path.join(self._new[MASK_FOLDER], name + ".bin"))


# reading

class InputBins:
    """The bins of a folder.

    Args:
      folder: parent of ``input_0`` and ``input_reshape``.
      num_features: F, features per frame.
      mask_frames: function int input frames -> int frames that the mask counts, see ``ExportDescription.mask_frames``.
      frames: T of a model with static shapes; None: T is taken from the first bin, and all bins have the same length.
      pad_to: T is a multiple of this.

    Attributes:
      names: sorted list of str.
      frames: T.

    Raises:
      DataError: a folder is missing or empty, an utterance has only one of the two bins, or the first bin has a wrong length (the
        others are checked when they are read).
    """

    def __init__(self, folder, num_features, mask_frames, frames=None, pad_to=1):
        self.folder, self._num_features = folder, num_features
        names = {kind: set(names_in(os.path.join(folder, kind))) for kind in (FEATURES_FOLDER, MASK_FOLDER)}
        for here, there in ((FEATURES_FOLDER, MASK_FOLDER), (MASK_FOLDER, FEATURES_FOLDER)):
            alone = sorted(names[here] - names[there])
            if alone:
                raise DataError("%s has no %s.bin, but %s has (%d bins like it). %s" % (
                    os.path.join(folder, there), alone[0], os.path.join(folder, here), len(alone), _REWRITE))
        self.names = sorted(names[FEATURES_FOLDER])
        self.frames = frames
        self._masked = None if frames is None else mask_frames(frames)
        if frames is None:
            self.frames, self._masked = self._sizes_of_first(mask_frames, pad_to)

    def _sizes_of_first(self, mask_frames, pad_to):
        """(T, M) of the first utterance."""
        mask, dtype = self._read_mask(self.names[0])
        path = self.path(FEATURES_FOLDER, self.names[0])
        size = _size_of(path)
        frames, rest = divmod(size, self._num_features * dtype.itemsize)
        if rest or frames % pad_to or not frames:
            raise DataError("%s has %d bytes, expected a multiple of %d frames of %d %s features. The file was cut short, or the "
                            "bins were made for another model. %s" % (
                                path, size, pad_to, self._num_features, dtype.name, _REWRITE))
        if mask_frames(frames) != len(mask):
            raise DataError("%s has %d bytes, which is %d frames of %d %s features, but its mask has %d frames, expected %d. "
                            "The bins were made for another model. %s" % (
                                path, size, frames, self._num_features, dtype.name, len(mask), mask_frames(frames), _REWRITE))
        return frames, len(mask)

    def path(self, kind, name):
        """Path of a bin; ``kind`` is ``FEATURES_FOLDER`` or ``MASK_FOLDER``."""
        return os.path.join(self.folder, kind, name + ".bin")

    def mask_length(self, name):
        """Number of valid frames in an utterance's mask."""
        return int(self._read_mask(name)[0].sum())

    def read(self, name):
        """Reads the two bins of an utterance.

        Returns:
          (float32 [1, T, F], float32 [M])

        Raises:
          DataError: a bin cannot be read, has a wrong length or values that are not finite.
        """
        mask, dtype = self._read_mask(name)
        path, expected = self.path(FEATURES_FOLDER, name), self.frames * self._num_features
        size = _size_of(path)
        if size != expected * dtype.itemsize:
            raise DataError("%s has %d bytes, expected %d: %s [1, %d, %d]. %s" % (
                path, size, expected * dtype.itemsize, dtype.name, self.frames, self._num_features, _REWRITE))
        features = _numbers(path, dtype)
        if not np.isfinite(features).all():
            raise DataError("%s: %d of %d values are NaN or infinite. %s" % (
                path, np.sum(~np.isfinite(features)), expected, _REWRITE))
        return features.reshape(1, self.frames, self._num_features), mask

    def _read_mask(self, name):
        path = self.path(MASK_FOLDER, name)
        size = _size_of(path)
        for dtype in DTYPES.values():
            if size % dtype.itemsize or size > LARGEST_MASK:
                continue
            mask = _numbers(path, dtype)
            # ones, then zeros
            if len(mask) and mask[0] == 1 and np.isin(mask, (0, 1)).all() and (np.diff(mask) <= 0).all():
                if self._masked is not None and len(mask) != self._masked:
                    raise DataError("%s has %d bytes, which is a mask of %d %s frames, expected %d. The bins were made for "
                                    "another model. %s" % (path, size, len(mask), dtype.name, self._masked, _REWRITE))
                return mask, dtype
        raise DataError("%s (%d bytes) is not a mask: expected ones, then zeros, as float32 or float16. %s" % (
            path, size, _REWRITE))


def names_in(folder):
    """Names (without .bin) of the bins in a folder.

    Raises:
      DataError: it is missing or holds none.
    """
    try:
        found = os.listdir(folder)
    except OSError as error:
        raise DataError("cannot read the folder of bins %s: %s. --pre_process True writes it" % (folder, error.strerror))
    names = [name[:-len(".bin")] for name in found if name.endswith(".bin")]
    if not names:
        raise DataError("%s holds no .bin file; --pre_process True writes them" % folder)
    return names


def _size_of(path):
    """Bytes of a bin.

    Raises:
      DataError: it is missing, a dangling link or not a file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        broken = ", a link to a missing file" if os.path.islink(path) else ""
        raise DataError("cannot read the bin %s%s: %s" % (path, broken, error.strerror))
    if not stat.S_ISREG(status.st_mode):
        raise DataError("the bin %s is not a file; remove it or run the previous step again" % path)
    return status.st_size


def _numbers(path, dtype):
    """The numbers of a bin of the checked size, as float32.

    Raises:
      DataError: it cannot be read.
    """
    try:
        return np.fromfile(path, dtype).astype(np.float32)
    except OSError as error:
        raise DataError("cannot read the bin %s: %s" % (path, error.strerror))


# results

def result_name(name):
    """File name of an utterance's result, as the public Ascend port's script writes it."""
    return RESULT_NAMES[PORT] % name


def find_results(folder, names):
    """The result of each utterance.

    Args:
      folder: the folder of the results, or the parent of several, of which the newest with results counts.
      names: the utterances' names, as the input bins have them.

    Returns:
      (folder with the files, name of the tool, dict from name to path)

    Raises:
      DataError: a result is missing, belongs to no utterance, or has another size than the others.
    """
    folder, found = _results_folder(folder)
    by_tool = {tool: {pattern % name for name in names} for tool, pattern in RESULT_NAMES.items()}
    tool = max(by_tool, key=lambda tool: len(by_tool[tool] & found))
    missing, unknown = sorted(by_tool[tool] - found), sorted(found - by_tool[tool])
    if missing:
        raise DataError("%s has results of %d of the %d utterances; %s is missing%s. Run the inference again on all bins" % (
            folder, len(by_tool[tool] & found), len(names), missing[0], ", like others" if len(missing) > 1 else ""))
    if unknown:
        raise DataError("%s holds %s, which is not the result of any of the %d utterances; expected names like %s. The bins "
                        "belong to another run: write them and run the inference again" % (
                            folder, unknown[0], len(names), RESULT_NAMES[tool] % names[0]))
    paths = {name: os.path.join(folder, RESULT_NAMES[tool] % name) for name in names}
    _require_equal_sizes(paths)
    return folder, tool, paths


def _require_equal_sizes(paths):
    """A float32 result of which half is missing would read as float16: its size must be that of the others."""
    sizes = {path: _size_of(path) for path in paths.values()}
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
        raise DataError("cannot read the results in %s: %s. Expected the folder that msame or ais_bench wrote"
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
    size, count = _size_of(path), output_frames * num_outputs
    for dtype in DTYPES.values():
        if size == count * dtype.itemsize:
            logits = _numbers(path, dtype)
            if not np.isfinite(logits).all():
                raise DataError("%s: %d of %d logits are NaN or infinite; float16 may have overflowed on the device: convert the "
                                "model with --precision_mode=force_fp32, or check the input bin"
                                % (path, np.sum(~np.isfinite(logits)), count))
            return logits.reshape(output_frames, num_outputs)
    expected = " or ".join("%d (%s)" % (count * dtype.itemsize, name) for name, dtype in DTYPES.items())
    raise DataError("%s has %d bytes, expected %s for logits [1, %d, %d]. It is the result of another model, holds several "
                    "utterances, or was cut short" % (path, size, expected, output_frames, num_outputs))
