"""Transcribes audio while it arrives: text that may change at once, and text that never changes after a look-ahead.

The stream is cut into segments by voice activity. Features are computed once for the whole stream, in groups of
:data:`GROUP_SECONDS` that do not depend on the sizes of the blocks; within a segment the network computes each frame of each
layer once. A frame is final when the network has received the audio up to ``latency`` after it.
"""
import collections
import contextlib
import os

import numpy as np

from open_seq2seq.config.report import Report
from open_seq2seq.data.audio.reading import INT16_SCALE
from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.options import BEAM, HotWords, default_options
from open_seq2seq.decoding.sound_levels import levels_of, quiet_frames
from open_seq2seq.decoding.word_times import WordBuilder
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.export import load_model
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.transcription.audio_stream import Resampler
from open_seq2seq.transcription.options import DEFAULT_LATENCY, LATENCIES
from open_seq2seq.transcription.stream_features import EARLIER_SECONDS, HISTORY_SECONDS, StreamFeatures, StreamNormalizer
from open_seq2seq.transcription.stream_network import stream_network
from open_seq2seq.transcription.stream_words import SegmentReader
from open_seq2seq.transcription.voice_activity import VoiceActivity

GROUP_SECONDS = 0.16        # features that are computed and given to the network at a time
RATES = (1000, 1000000)     # Hz, of blocks
LEAST_KNOWN = 0.5           # s of audio whose features are normalized together at the start of a stream
SPEECH_WINDOW = 0.1         # a segment begins where at least half of this time is speech, in s
BEFORE_SPEECH = 0.3         # s of a segment before its first speech
SILENCE_ENDS = 0.7          # s without speech that end a segment
LEVEL_SECONDS = 8.0         # by whose levels a frame is loud or quiet

StreamText = collections.namedtuple("StreamText", "final text words start end segment ends_segment", defaults=(False,))
StreamText.__doc__ = """Text of a stream.

final: True: the words never change, and follow all final words before them. False: the words that follow the final ones of the
segment as far as they are known; they replace the earlier ones of the segment with ``final`` False, which a final text
removes, too. text: the words with separators between them. words: list of Word, with times in s from the start of the stream.
start, end: of the words in s; without words, the end of the segment. segment: its number, from 0. ends_segment: whether the
segment has ended; its text is final then (``words`` may be empty)."""


class StreamingTranscriber:
    """Transcribes one stream at a time.

    Args:
      model: path of a frozen graph, an ONNX file or a run's folder; or a model that ``open_seq2seq.export.load_model`` returned;
        or a ``Transcriber``, whose model and decoder are used and not closed.
      latency: look-ahead in s: audio after a frame that is used for it.
      voice_activity: whether speech is detected (package webrtcvad-wheels), which ends segments and keeps silence from the
        network; False: the stream is one segment.
      hot_words: words that the search prefers: a dict from word to weight, a list, or text such as "zebra:8,quagga"; they turn on
        beam search; None: those of ``decoding``.
      decoding: ``DecodingOptions``; None: greedy, or those of the ``Transcriber``.
      task: of a run with several tasks; None: its main task.
      log: function of a line of text; None: nothing is printed.

    Raises:
      CheckpointError: the model cannot be used.
      DataError: the language model cannot be used, or it has another alphabet than the model.
      UsageError: an argument is wrong, the model cannot transcribe streams, or a package is missing.
    """

    def __init__(self, model, latency=DEFAULT_LATENCY, voice_activity=True, hot_words=None, decoding=None, task=None, log=None):
        if not isinstance(latency, (int, float)) or not LATENCIES[0] <= latency <= LATENCIES[1]:
            raise UsageError("the latency is %r, expected %g to %g s" % ((latency,) + LATENCIES))
        self._close = contextlib.ExitStack()
        try:
            self._open(model, hot_words, decoding, task, log)
            self._voice_activity = voice_activity
            self._set_sizes(latency)
            self.reset()
        except BaseException:
            self._close.close()
            raise

    def _open(self, model, hot_words, decoding, task, log):
        decoder = None
        if isinstance(model, (str, os.PathLike)):
            model = self._close.enter_context(load_model(os.fspath(model), task))
        elif hasattr(model, "transcribe"):
            decoder, model = model.decoder, model.model
        self.description = model.description
        vocabulary = Vocabulary.of(self.description.vocabulary)
        if decoder is None or decoding is not None or hot_words is not None:
            options = decoding or default_options()
            if hot_words is not None:
                options = _with_hot_words(options, hot_words)
            decoder = self._close.enter_context(make_decoder(vocabulary, options, log=log or (lambda line: None)))
        self._decoder = decoder
        self._separator = WordBuilder(self.description.vocabulary, self.description.blank, 1.0).separator
        self._model = model

    def _set_sizes(self, latency):
        description = self.description
        params, subsampling = description.feature_params, description.subsampling
        hop = description.feature_params["window_stride"]
        self._group = max(int(round(GROUP_SECONDS / hop / subsampling)), 1) * subsampling
        self._features = StreamFeatures(params, self._group)
        self._close.callback(self._features.close)
        self._grid = self._features.hop * subsampling
        self._frame_seconds = self._grid / float(self.sample_rate)
        self._look_ahead = int(np.ceil(latency / hop - 1e-6))
        self._normalizer = StreamNormalizer(params, int(HISTORY_SECONDS / hop), int(EARLIER_SECONDS / hop))
        self._least_known = int(LEAST_KNOWN / hop)
        self._network = stream_network(self._model, self._group + self._look_ahead)

    @property
    def sample_rate(self):
        """Samples per second of the model; other audio is resampled to it."""
        return self.description.sample_rate

    @property
    def separator(self):
        """The text between two words of this model: a space, or nothing."""
        return self._separator

    @property
    def decoding(self):
        """A sentence on how logits become text."""
        return self._decoder.describe()

    def reset(self):
        """Begins another stream; what is left of the last one is dropped."""
        self._rate, self._resampler = None, None
        self._samples, self._first_piece = np.zeros([0], np.float32), True
        self._features.reset()
        self._normalizer.reset()
        self._activity = VoiceActivity(self.sample_rate) if self._voice_activity else None
        self._levels = _Levels(self._grid, int(LEVEL_SECONDS / self._frame_seconds))
        self._segment, self._segments = None, 0
        # the frames before a possible segment, and the number of the next frame
        self._before, self._next = collections.deque(maxlen=int(round(BEFORE_SPEECH / self._frame_seconds))), 0
        self._recent = collections.deque(maxlen=max(int(round(SPEECH_WINDOW / self._frame_seconds)), 1))

    def feed(self, samples, sample_rate=None):
        """Takes the next samples of the stream.

        Args:
          samples: floats in -1..1 or int16, [samples] or [samples, channels]; may be empty.
          sample_rate: of the samples; None: the model's. It may change from block to block.

        Returns:
          List of :class:`StreamText`.

        Raises:
          DataError: samples are not finite or of another type, or the model's logits are not finite.
        """
        block = _checked_block(samples)
        rate = self.sample_rate if sample_rate is None else sample_rate
        if not isinstance(rate, (int, float)) or not RATES[0] <= rate <= RATES[1]:
            raise DataError("the sample rate is %r, expected %d to %d samples per second" % ((sample_rate,) + RATES))
        pieces = [self._samples]
        if rate != self._rate:
            if self._resampler is not None:
                pieces.append(self._resampler(np.zeros([0], np.float32), last=True))
            self._rate, self._resampler = rate, Resampler(rate, self.sample_rate, "the stream")
        if len(block):
            pieces.append(self._resampler(block))
        self._samples = np.concatenate(pieces)
        return self._read_samples()

    def finish(self):
        """Ends the stream; the next :meth:`feed` begins another one.

        Returns:
          List of :class:`StreamText`, all of them final.
        """
        if self._resampler is not None:
            self._samples = np.concatenate([self._samples, self._resampler(np.zeros([0], np.float32), last=True)])
        events = self._read_samples()
        self._listen(self._samples)
        rest = self._features.add(self._samples)
        last = self._features.end()
        for features in rest + ([] if last is None else [last]):
            events += self._read_group(features)
        if self._segment is not None:
            events += self._end_segment()
        self.reset()
        return events

    def close(self):
        """Frees what was opened for the stream; a model that was given stays open."""
        self._close.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _read_samples(self):
        """Reads the samples in pieces whose sizes do not depend on the blocks."""
        events = []
        while True:
            size = self._group * self._features.hop + (self._features.after * self._features.hop if self._first_piece else 0)
            if len(self._samples) < size:
                return events
            piece, self._samples, self._first_piece = self._samples[:size], self._samples[size:].copy(), False
            self._listen(piece)
            for features in self._features.add(piece):
                events += self._read_group(features)

    def _listen(self, piece):
        self._levels.add(piece)
        if self._activity is not None:
            self._activity.add(piece)

    def _read_group(self, features):
        """Reads float32 [frames, F], the next features of the stream; returns the list of StreamText that they cause."""
        subsampling, events = self.description.subsampling, []
        for frame in range(-(-len(features) // subsampling)):
            piece = _Frame(features[frame * subsampling:(frame + 1) * subsampling], self._levels.take())
            speech = self._is_speech(self._next)
            self._next += 1
            if self._segment is not None:
                self._segment.frames.append(piece)
                self._segment.silent = 0 if speech else self._segment.silent + 1
                if self._segment.silent * self._frame_seconds >= SILENCE_ENDS and self._activity is not None:
                    events += self._end_segment()
                continue
            self._before.append(piece)
            self._recent.append(speech)
            if 2 * sum(self._recent) >= self._recent.maxlen:
                self._begin_segment()
        return events if self._segment is None else events + self._step()

    def _is_speech(self, frame):
        return self._activity is None or self._activity.speech(frame * self._frame_seconds, (frame + 1) * self._frame_seconds)

    def _begin_segment(self):
        self._segment = _Segment(self._segments, self._next - len(self._before), list(self._before),
                                 self._new_reader(self._next - len(self._before)))
        self._segments += 1
        self._before.clear()
        self._recent.clear()
        self._network.start()
        self._normalizer.begin_segment()

    def _end_segment(self):
        """Ends the segment with the frames read so far; returns the list of StreamText."""
        events, self._segment = self._step(ended=True), None
        return events

    def _step(self, ended=False):
        """Gives the frames of the segment to the network; returns the list of StreamText that this causes."""
        segment = self._segment
        waiting = sum(len(frame.features) for frame in segment.frames)
        # the first frames of a stream are normalized by those that are heard before the first of them is final
        if not ended and self._normalizer.known + waiting < max(self._least_known, self._look_ahead):
            return []
        if waiting:
            self._network.add(self._normalizer(np.concatenate([frame.features for frame in segment.frames])))
            segment.received += waiting
            segment.loud += [frame.loud for frame in segment.frames]
            segment.frames = []
        logits = self._network.logits()
        if not np.isfinite(logits).all():
            raise DataError("the model's logits are not finite; it was exported from a damaged checkpoint, or its float16 "
                            "computation overflowed: export it again without --fp16")
        final = len(logits)
        if not ended:
            final = max((segment.received - self._look_ahead) // self.description.subsampling - segment.taken, 0)
        words = segment.reader.add(logits, np.array(segment.loud[:len(logits)], bool), final, ended)
        self._network.take(final)
        del segment.loud[:final]
        segment.taken += final
        return self._events(segment, words, ended)

    def _events(self, segment, words, ended):
        events, partial = [], segment.reader.partial
        shown, segment.partial = segment.partial, [word.text for word in partial]
        segment.has_text = segment.has_text or bool(words or partial)
        if words or ended and segment.has_text:
            events.append(self._text(True, words, segment, ended))
            shown = []
        if segment.partial != shown:
            events.append(self._text(False, partial, segment, False))
        return events

    def _text(self, final, words, segment, ended):
        end = round(self._next * self._frame_seconds, 3)
        return StreamText(final, self.separator.join(word.text for word in words), words, words[0].start if words else end,
                          words[-1].end if words else end, segment.number, ended)

    def _new_reader(self, first_frame):
        return SegmentReader(self.description, self._frame_seconds, first_frame, self._decoder)


_Frame = collections.namedtuple("_Frame", "features loud")
_Frame.__doc__ = """float32 [subsampling, F], the features of one frame of the logits; whether there is sound in it."""


class _Segment:
    """The state of a segment: ``frames`` wait for the network, ``loud`` are those of the logits that are not final."""

    def __init__(self, number, first_frame, frames, reader):
        self.number, self.first_frame, self.frames, self.reader = number, first_frame, frames, reader
        self.received, self.taken, self.silent = 0, 0, 0
        self.loud, self.partial, self.has_text = [], [], False


class _Levels:
    """Which frames of the logits have sound, compared with the audio before.

    Args:
      frame: samples of a frame. history: frames that are compared.
    """

    def __init__(self, frame, history):
        self._frame, self._samples = frame, np.zeros([0], np.float32)
        self._levels, self._loud = collections.deque(maxlen=history), collections.deque()

    def add(self, samples):
        """Takes float32 [samples]."""
        samples = np.concatenate([self._samples, samples])
        frames = len(samples) // self._frame
        self._samples = samples[frames * self._frame:].copy()
        self._levels.extend(levels_of(samples, self._frame))
        if frames:
            self._loud.extend(~quiet_frames(np.array(self._levels))[-frames:])

    def take(self):
        """Whether the next frame has sound; an incomplete one at the end of a stream is quiet."""
        return bool(self._loud.popleft()) if self._loud else False


def _checked_block(samples):
    """float32 of a block: floats in -1..1 or int16, [samples] or [samples, channels]."""
    samples = np.asarray(samples)
    if samples.dtype == np.int16:
        return samples.astype(np.float32) * INT16_SCALE
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        raise DataError("a block is %s %s, expected floats in -1..1 or int16, [samples] or [samples, channels]" % (
            samples.dtype, list(samples.shape)))
    return samples.astype(np.float32)


def _with_hot_words(options, hot_words):
    report = Report()
    checked = HotWords().check(hot_words, "hot_words", report)
    if report.problems:
        raise UsageError("; ".join(map(str, report.problems)))
    return options._replace(decoding=BEAM, hot_words=checked)
