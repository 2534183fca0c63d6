"""Input bins for Ascend's ``msame`` and ``ais_bench``: one file for each utterance and each input of the model.

``FOLDER/input_0/STEM.bin`` holds the features [1, T, F] and ``FOLDER/input_reshape/STEM.bin`` the mask [M] of the frames after
the first convolution: 1 for a valid frame, 0 for padding. They are float32 or float16, little-endian, without a header; the mask
tells which of the two, because only one of them reads as ones and zeros. :mod:`naming` defines the stems. The public Ascend
port's bins have the same content and layout: its pre-processing writes float32, its inference reads float16.
"""
import contextlib
import os
import shutil
import stat

import numpy as np

from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.export.ascend.naming import require_one_naming

FEATURES_FOLDER, MASK_FOLDER = "input_0", "input_reshape"
DTYPES = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
LARGEST_MASK = 1 << 26  # bytes; a larger file is not read

_REWRITE = "Write the bins again with --pre_process True"
_ELSEWHERE = "write elsewhere: --output_dir is for bins, ./result_Files is in the working directory unless --naming is ours"


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
        raise StorageError("cannot write %s: %s. Free some space, fix the permissions, or %s" % (
            path, error.strerror or error, _ELSEWHERE))
    finally:
        shutil.rmtree(new, ignore_errors=True)


def require_only_bins(folder):
    """Raises StorageError where ``folder`` must not be replaced: it is not a folder, or it holds other files than bins."""
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or os.path.islink(folder):
        raise StorageError("%s is not a folder; expected a folder of bins, which will be replaced. Move it away, or %s" % (
            folder, _ELSEWHERE))
    others = sorted(name for name in os.listdir(folder) if not name.endswith(".bin"))
    if others:
        raise StorageError("%s would be replaced, but holds %s, which is not a bin; move it away, or %s" % (
            folder, others[0], _ELSEWHERE))


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

    def add(self, stem, features, mask):
        """Writes the two bins of an utterance.

        Args:
          stem: their name without ``.bin``, see ``naming.stem_of``.
          features: float [T, F], with the padding.
          mask: float [M].

        Raises:
          DataError: the features are too large for float16.
        """
        with np.errstate(over="ignore"):  # the check below has the better message
            stored = features.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise DataError("%s: %d features are not finite as %s, the largest is %g; write float32 bins" % (
                stem, np.sum(~np.isfinite(stored)), self._dtype.name, np.max(np.abs(features))))
        stored.tofile(os.path.join(self._new[FEATURES_FOLDER], stem + ".bin"))
        mask.astype(self._dtype).tofile(os.path.join(self._new[MASK_FOLDER], stem + ".bin"))


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
      stems: sorted list of str, the bins' names without ``.bin``.
      frames: T.

    Raises:
      DataError: a folder is missing or empty or has bins of two namings, an utterance has only one of the two bins, or the first
        bin has a wrong length (the others are checked when they are read).
    """

    def __init__(self, folder, num_features, mask_frames, frames=None, pad_to=1):
        self.folder, self._num_features = folder, num_features
        stems = {kind: set(stems_in(os.path.join(folder, kind))) for kind in (FEATURES_FOLDER, MASK_FOLDER)}
        for here, there in ((FEATURES_FOLDER, MASK_FOLDER), (MASK_FOLDER, FEATURES_FOLDER)):
            alone = sorted(stems[here] - stems[there])
            if alone:
                raise DataError("%s has no %s.bin, but %s has (%d bins like it). %s" % (
                    os.path.join(folder, there), alone[0], os.path.join(folder, here), len(alone), _REWRITE))
        self.stems = sorted(stems[FEATURES_FOLDER])
        require_one_naming(os.path.join(folder, FEATURES_FOLDER), self.stems)
        self.frames = frames
        self._masked = None if frames is None else mask_frames(frames)
        if frames is None:
            self.frames, self._masked = self._sizes_of_first(mask_frames, pad_to)

    def _sizes_of_first(self, mask_frames, pad_to):
        """(T, M) of the first utterance."""
        mask, dtype = self._read_mask(self.stems[0])
        path = self.path(FEATURES_FOLDER, self.stems[0])
        size = size_of(path)
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

    def path(self, kind, stem):
        """Path of a bin; ``kind`` is ``FEATURES_FOLDER`` or ``MASK_FOLDER``."""
        return os.path.join(self.folder, kind, stem + ".bin")

    def mask_length(self, stem):
        """Number of valid frames in an utterance's mask."""
        return int(self._read_mask(stem)[0].sum())

    def read(self, stem):
        """Reads the two bins of an utterance.

        Returns:
          (float32 [1, T, F], float32 [M])

        Raises:
          DataError: a bin cannot be read, has a wrong length or values that are not finite.
        """
        mask, dtype = self._read_mask(stem)
        path, expected = self.path(FEATURES_FOLDER, stem), self.frames * self._num_features
        size = size_of(path)
        if size != expected * dtype.itemsize:
            raise DataError("%s has %d bytes, expected %d: %s [1, %d, %d]. %s" % (
                path, size, expected * dtype.itemsize, dtype.name, self.frames, self._num_features, _REWRITE))
        features = read_numbers(path, dtype)
        if not np.isfinite(features).all():
            raise DataError("%s: %d of %d values are NaN or infinite. %s" % (
                path, np.sum(~np.isfinite(features)), expected, _REWRITE))
        return features.reshape(1, self.frames, self._num_features), mask

    def _read_mask(self, stem):
        path = self.path(MASK_FOLDER, stem)
        size = size_of(path)
        for dtype in DTYPES.values():
            if size % dtype.itemsize or size > LARGEST_MASK:
                continue
            mask = read_numbers(path, dtype)
            # ones, then zeros
            if len(mask) and mask[0] == 1 and np.isin(mask, (0, 1)).all() and (np.diff(mask) <= 0).all():
                if self._masked is not None and len(mask) != self._masked:
                    raise DataError("%s has %d bytes, which is a mask of %d %s frames, expected %d. The bins were made for "
                                    "another model. %s" % (path, size, len(mask), dtype.name, self._masked, _REWRITE))
                return mask, dtype
        raise DataError("%s (%d bytes) is not a mask: expected ones, then zeros, as float32 or float16. %s" % (
            path, size, _REWRITE))


def stems_in(folder):
    """Names (without .bin) of the bins in a folder.

    Raises:
      DataError: it is missing or holds none.
    """
    try:
        found = os.listdir(folder)
    except OSError as error:
        raise DataError("cannot read the folder of bins %s: %s. --pre_process True writes it" % (folder, error.strerror))
    stems = [name[:-len(".bin")] for name in found if name.endswith(".bin")]
    if not stems:
        raise DataError("%s holds no .bin file; --pre_process True writes them" % folder)
    return stems


def size_of(path):
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


def read_numbers(path, dtype):
    """The numbers of a bin of the checked size, as float32.

    Raises:
      DataError: it cannot be read.
    """
    try:
        return np.fromfile(path, dtype).astype(np.float32)
    except OSError as error:
        raise DataError("cannot read the bin %s: %s" % (path, error.strerror))
