"""Input bins: a model's inputs as raw files, one pair for each utterance, for Ascend's ``msame`` and ``ais_bench``.

``FOLDER/input_0/NAME.bin`` holds the features [1, T, F] and ``FOLDER/input_reshape/NAME.bin`` the mask [M] of the frames that
the first convolution leaves: 1 for a real one, 0 behind the utterance's end. float32 or float16, in the machine's (little-endian)
order, without a header: the mask tells which of the two, as no other type makes it ones and zeros.

Result bins: what a tool made of input bins, the logits [1, T', V + 1] of one utterance in each file.

Three tools name them in three ways; ``msame`` and ``ais_bench`` make a folder named by the time for each run.
"""
import contextlib
import os
import re
import shutil

import numpy as np

from open_seq2seq.errors import DataError, StorageError

FEATURES_FOLDER, MASK_FOLDER = "input_0", "input_reshape"
DTYPES = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}


def bin_names(wav_filenames):
    """A name for each utterance's bins.

    It is the audio file's without folder and extension, as in the public Ascend port. Dots become underscores, as ``ais_bench``
    cuts a name at its first dot, and so does whatever else a shell would trip over. Utterances of the same name get their
    number behind it.

    Args:
      wav_filenames: list of str, in the manifests' order.

    Returns:
      List of as many different str.
    """
    names, taken = [], set()
    for number, wav_filename in enumerate(wav_filenames, 1):
        stem = os.path.splitext(os.path.basename(wav_filename))[0]
        stem = re.sub(r"[^\w-]", "_", stem).lstrip("-") or "utterance"
        name = stem
        while name in taken:
            name = "%s_%d" % (stem if name == stem else name, number)
        taken.add(name)
        names.append(name)
    return names


def frame_mask(length, frames, mask_frames):
    """float32 [M]: 1 for the frames that the first convolution makes of real ones, 0 behind them.

    Args:
      length: real input frames.
      frames: input frames with the padding.
      mask_frames: function int input frames -> int frames that the mask counts.
    """
    return (np.arange(mask_frames(frames)) < mask_frames(length)).astype(np.float32)


@contextlib.contextmanager
def replaced_folder(path):
    """Yields a new, empty neighbour of ``path``, which takes its place when the block ends without an exception.

    Raises:
      StorageError: it cannot be written, or what is to be replaced holds other files than bins.
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
        raise StorageError("cannot write %s: %s. Free some space, mend the permissions or choose another --output_dir"
                           % (path, error.strerror or error))
    finally:
        shutil.rmtree(new, ignore_errors=True)


class BinWriter:
    """Writes bins into new folders, which take the old ones' place when all went well.

    Args:
      folder: where the folders ``input_0`` and ``input_reshape`` go; made if missing.
      dtype: "float32" or "float16".

    Raises:
      StorageError: the folder cannot be written, or what is to be replaced holds other files than bins.
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
        """Writes an utterance's pair of bins.

        Args:
          name: one of :func:`bin_names`.
          features: float [T, F], with the padding.
          mask: float [M].

        Raises:
          DataError: the features are too large for float16.
        """
        with np.errstate(over="ignore"):  # the check below says it better
            stored = features.astype(self._dtype)
        if not np.isfinite(stored).all():
            raise DataError("%s: %d features are not finite as %s, the largest is %g; write float32 bins" % (
                name, np.sum(~np.isfinite(stored)), self._dtype.name, np.max(np.abs(features))))
        stored.tofile(os.path.join(self._new[FEATURES_FOLDER], name + ".bin"))
        mask.astype(self._dtype).tofile(os.path.join(self._new[MASK_FOLDER], name + ".bin"))


class InputBins:
    """The bins of a folder.

    Args:
      folder: what holds ``input_0`` and ``input_reshape``.
      num_features: F, features per frame.
      mask_frames: function int input frames -> int frames that the mask counts, as ``ExportDescription.mask_frames``.
      frames: T, of a model whose shapes are static; None: the bins decide, and all are equally long.

    Attributes:
      names: sorted list of str.
      frames: T.

    Raises:
      DataError: a folder is missing or empty, an utterance has one bin only, or a bin has a wrong length (the first is checked
        here, the others when they are read).
    """

    def __init__(self, folder, num_features, mask_frames, frames=None):
        self.folder, self._num_features = folder, num_features
        names = {kind: set(bins_of(os.path.join(folder, kind))) for kind in (FEATURES_FOLDER, MASK_FOLDER)}
        for here, there in ((FEATURES_FOLDER, MASK_FOLDER), (MASK_FOLDER, FEATURES_FOLDER)):
            alone = sorted(names[here] - names[there])
            if alone:
                raise DataError("%s has no %s.bin, but %s has (%d like it); write the bins anew with --pre_process True" % (
                    os.path.join(folder, there), alone[0], os.path.join(folder, here), len(alone)))
        self.names = sorted(names[FEATURES_FOLDER])
        self.frames = frames
        self._masked = None if frames is None else mask_frames(frames)
        if frames is None:
            mask, dtype = self._read_mask(self.names[0])
            size = os.path.getsize(self.path(FEATURES_FOLDER, self.names[0]))
            self.frames, self._masked = size // (num_features * dtype.itemsize), len(mask)
            if mask_frames(self.frames) != len(mask):
                raise DataError("%s has %d bytes, which is %d frames of %d %s features, but its mask has %d frames, expected %d. "
                                "The bins were made for another model: write them anew with --pre_process True" % (
                                    self.path(FEATURES_FOLDER, self.names[0]), size, self.frames, num_features, dtype.name,
                                    len(mask), mask_frames(self.frames)))

    def path(self, kind, name):
        """Path of a bin; ``kind`` is one of the two folders' names."""
        return os.path.join(self.folder, kind, name + ".bin")

    def mask_length(self, name):
        """How many frames of an utterance's mask are real."""
        return int(self._read_mask(name)[0].sum())

    def read(self, name):
        """Reads an utterance's pair.

        Returns:
          (float32 [1, T, F], float32 [M])

        Raises:
          DataError: a wrong length or values that are not finite, with the file's name.
        """
        mask, dtype = self._read_mask(name)
        path = self.path(FEATURES_FOLDER, name)
        features = np.fromfile(path, dtype)
        expected = self.frames * self._num_features
        if len(features) != expected or os.path.getsize(path) != expected * dtype.itemsize:
            raise DataError("%s has %d bytes, expected %d: %s [1, %d, %d]. Write the bins anew with --pre_process True" % (
                path, os.path.getsize(path), expected * dtype.itemsize, dtype.name, self.frames, self._num_features))
        if not np.isfinite(features).all():
            raise DataError("%s: %d of %d values are NaN or infinite; write the bins anew with --pre_process True"
                            % (path, np.sum(~np.isfinite(features)), expected))
        return features.astype(np.float32).reshape(1, self.frames, self._num_features), mask

    def _read_mask(self, name):
        path = self.path(MASK_FOLDER, name)
        for dtype in DTYPES.values():
            if os.path.getsize(path) % dtype.itemsize:
                continue
            mask = np.fromfile(path, dtype)
            # ones, then zeros
            if len(mask) and mask[0] == 1 and np.isin(mask, (0, 1)).all() and (np.diff(mask) <= 0).all():
                if self._masked is not None and len(mask) != self._masked:
                    raise DataError("%s has %d bytes, which is a mask of %d %s frames, expected %d. The bins were made for "
                                    "another model: write them anew with --pre_process True"
                                    % (path, os.path.getsize(path), len(mask), dtype.name, self._masked))
                return mask.astype(np.float32), dtype
        raise DataError("%s (%d bytes) is no mask: expected ones, then zeros, as float32 or float16. Write the bins anew with "
                        "--pre_process True" % (path, os.path.getsize(path)))


def bins_of(folder):
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


def require_only_bins(folder):
    """Makes sure that a folder may be replaced.

    Raises:
      StorageError: it is no folder, or holds something else than bins.
    """
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder) or os.path.islink(folder):
        raise StorageError("%s is no folder; expected one with bins, to be replaced. Choose another --output_dir" % folder)
    others = sorted(name for name in os.listdir(folder) if not name.endswith(".bin"))
    if others:
        raise StorageError("%s was to be replaced, but holds %s, which is no bin; move it away or choose another --output_dir"
                           % (folder, others[0]))


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
