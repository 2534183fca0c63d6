"""Transcribes recordings of any length to text with word times, in bounded memory, on the requested device."""
import os
import sys

import numpy as np

from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.options import default_options
from open_seq2seq.decoding.sound_levels import loud_frames
from open_seq2seq.decoding.transcript import make_transcript
from open_seq2seq.decoding.word_times import WordBuilder, best_path
from open_seq2seq.errors import CheckpointError, DataError, UsageError
from open_seq2seq.export import load_model, model_in_folder
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.transcription.audio_stream import blocks_of_array, blocks_of_file, warn_on_stderr
from open_seq2seq.transcription.section_search import SectionSearch
from open_seq2seq.transcription.segmentation import FOR_FILES, Segmenter
from open_seq2seq.transcription.stitching import LogitPath, Stitcher


class Transcriber:
    """Transcribes with one model; one recording at a time.

    Args:
      model: path of a frozen graph, an ONNX file or a run's folder, or a model that ``open_seq2seq.export.load_model`` returned.
      device: "cpu", "gpu" or "npu", where the model runs; only used with a path, see :func:`load_model_on`.
      segmentation: a Segmentation, how long recordings are split.
      decoding: ``DecodingOptions``, how logits become text; None: greedily.
      task: see :func:`load_model_on`; only used with a path.

    Raises:
      CheckpointError: the model cannot be used, e.g. because its description is inconsistent.
      DataError: the language model cannot be used, or it has another alphabet than the model.
      DeviceError, UsageError: the device is missing, or it does not run such a model; a package for the decoding is missing.
    """

    def __init__(self, model, device="cpu", segmentation=FOR_FILES, decoding=None, task=None):
        if isinstance(model, (str, os.PathLike)):
            # not at the top: it imports TensorFlow, which parsing the command line does not need
            from open_seq2seq.transcription.transcriber import load_model_on
            model = load_model_on(os.fspath(model), device, task)
        self.model = model
        self.description = description = model.description
        self._segmentation = segmentation
        # the frames of a window that begins at a multiple of this coincide with frames of the whole recording
        self._grid = model.extractor.hop * description.subsampling
        self._frame_seconds = self._grid / float(self.sample_rate)
        self._capacity = self._largest_window()
        self._decoder = make_decoder(Vocabulary.of(description.vocabulary), decoding or default_options(), log=_print_on_stderr)

    @property
    def sample_rate(self):
        """Samples per second of the model; other audio is resampled to it."""
        return self.description.sample_rate

    def transcribe(self, path_or_array, sample_rate=None, name=None, progress=None, warn=warn_on_stderr):
        """Transcribes a recording.

        Args:
          path_or_array: path of an audio file; or floats in -1..1 or int16, [samples] or [samples, channels].
          sample_rate: of the array; None: the model's.
          name: what messages call the recording, by default its path.
          progress: function of the seconds transcribed so far, called after each window. An exception in it ends the work.
          warn: function of a sentence about a file that is used although something is wrong with it.

        Returns:
          Transcript.

        Raises:
          DataError: the recording cannot be read, is empty or not finite; or the model's logits are not finite.
          StorageError: a temporary file cannot be written.
        """
        if isinstance(path_or_array, (str, os.PathLike)):
            path = os.fspath(path_or_array)
            name = name or path
            blocks = blocks_of_file(path, self.sample_rate, name, warn=warn)
        else:
            name = name or "the array"
            rate = self.sample_rate if sample_rate is None else sample_rate
            blocks = blocks_of_array(path_or_array, rate, self.sample_rate)
        seconds = _Seconds(self.sample_rate)
        words = []
        for some in self.stream(seconds.counted(blocks), name=name):
            words += some
            if progress is not None:
                progress(seconds.seen)
        return make_transcript(words, round(seconds.seen, 3), self.separator)

    @property
    def separator(self):
        """The text between two words of this model: a space, or nothing."""
        return self._new_builder().separator

    def stream(self, blocks, segmentation=None, name="the stream"):
        """Transcribes a stream while it arrives.

        Args:
          blocks: iterable of float32 [samples] at the model's rate.
          segmentation: a Segmentation, by default the transcriber's.
          name: its name in messages.

        Yields:
          For each window the list of Words that are final after it; it may be empty.
        """
        segmenter = Segmenter(segmentation or self._segmentation, self.sample_rate, self._grid, self._capacity)
        search = None
        if self._decoder.needs_logits:
            search = SectionSearch(self._decoder, self._frame_seconds, (segmentation or self._segmentation).eager)
        reader = _Reader(Stitcher(self.description.blank, self._frame_seconds), search, self._new_builder())
        for block in blocks:
            for window in segmenter.add(block):
                yield self._words(window, reader, name, segmenter.overlap)
        for window in segmenter.end():
            yield self._words(window, reader, name, segmenter.overlap)

    @property
    def decoding(self):
        """A sentence on how logits become text."""
        return self._decoder.describe()

    @property
    def decoder(self):
        """The :class:`~open_seq2seq.decoding.decoder.Decoder`."""
        return self._decoder

    def close(self):
        """Frees the memory of the model and ends the processes of the search."""
        self._decoder.close()
        self.model.close()

    def _words(self, window, reader, name, overlap):
        first_frame = window.start // self._grid
        path = self._path(window.samples, name)
        if window.cut is None:
            return reader.end(path, first_frame)
        return reader.add(path, first_frame, (window.cut - overlap) // self._grid, window.cut // self._grid)

    def _path(self, samples, name):
        logits, logit_lengths = self.model.logits_of_audio([samples])
        logits = np.asarray(logits[0][:int(logit_lengths[0])], np.float32)
        if not np.isfinite(logits).all():
            raise DataError("%s: the model's logits are not finite; it was exported from a damaged checkpoint, or its float16 "
                            "computation overflowed: export it again without --fp16" % name)
        path = best_path(logits, loud_frames(samples, self._grid, len(logits)))
        return LogitPath(*path, logits=logits) if self._decoder.needs_logits else path

    def _new_builder(self):
        return WordBuilder(self.description.vocabulary, self.description.blank, self._frame_seconds)

    def _largest_window(self):
        """Samples whose features fill a model of static shape; None for a model of any length."""
        frames = self.description.frames
        if frames is None:
            return None
        samples = (frames + 1) * self._grid // self.description.subsampling
        while samples > 0 and self.model.extractor.num_frames(samples) > frames:
            samples -= 1
        if samples < self.sample_rate:
            raise CheckpointError("the model has a static shape of %d feature frames, which is less than a second of audio; "
                                  "export it with --frames=dynamic or more frames" % frames)
        return samples


class _Reader:
    """From the paths of windows to words.

    Args:
      stitcher: Stitcher. search: SectionSearch, or None for greedy decoding. builder: WordBuilder.
    """

    def __init__(self, stitcher, search, builder):
        self._stitcher, self._search, self._builder = stitcher, search, builder

    def add(self, path, first_frame, overlap_frame, cut_frame):
        """The Words that are final with a window that the next one overlaps; arguments: see ``Stitcher.add``."""
        pieces = self._stitcher.add(path, first_frame, overlap_frame, cut_frame)
        return self._read(pieces if self._search is None else self._search.add(pieces))

    def end(self, path, first_frame):
        """The Words that are left, with the last window before a silence."""
        pieces = self._stitcher.add(path, first_frame)
        if self._search is not None:
            pieces = self._search.add(pieces) + self._search.end()
        return self._read(pieces) + self._builder.end()

    def _read(self, pieces):
        return [word for piece in pieces for word in self._builder.add(*piece)]


class _Seconds:
    """Counts the seconds of the blocks that are read."""

    def __init__(self, sample_rate):
        self._sample_rate, self._samples = sample_rate, 0

    @property
    def seen(self):
        return self._samples / float(self._sample_rate)

    def counted(self, blocks):
        for block in blocks:
            self._samples += len(block)
            yield block


def _print_on_stderr(line):
    print(line, file=sys.stderr, flush=True)


DEVICES = ("cpu", "gpu", "npu")


def load_model_on(path, device, task=None):
    """Loads a model.

    Args:
      path: as ``open_seq2seq.export.load_model`` takes it; for a GPU or an NPU NAME.pb, or a folder with one.
      device: one of :data:`DEVICES`. An NPU compiles a graph for each shape, which takes minutes; it needs a static shape.
      task: name of one of the tasks of a training run; None: the main task.

    Returns:
      A ``LogitModel``.

    Raises:
      CheckpointError: the model does not exist or cannot be used.
      DeviceError: the device is missing, or the session does not use it.
      UsageError: the device does not run this kind of model.
    """
    if device == "cpu":
        return load_model(path, task)
    # not at the top: these import TensorFlow, which an .onnx on the CPU does not need
    from open_seq2seq.devices import select_device
    from open_seq2seq.export.description import read_description
    from open_seq2seq.export.runtime.exported_model import model_on_device

    if task is not None:
        raise UsageError("--device %s runs an exported .pb, which has one task; export task %s with run.py --mode=export "
                         "--task=%s" % (device, task, task))
    found = model_in_folder(path) if os.path.isdir(path) else path
    if not found.endswith(".pb") or not os.path.isfile(found):
        raise UsageError("--device %s runs an exported .pb, and %s is not one; export the model with run.py --mode=export, "
                         "or use --device cpu" % (device, path))
    if device == "npu" and read_description(found).frames is None:
        raise UsageError("%s has a dynamic number of frames, and an NPU would compile each one; export it with a static number, "
                         "e.g. --frames=2336, or use --device cpu" % found)
    return model_on_device(found, select_device(device, training=False))
