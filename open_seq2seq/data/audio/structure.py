"""What the bytes of an audio file say about it, before anything is decoded: parts, number of samples, what is missing."""
import collections

from open_seq2seq.data.audio.containers import (
    AIFF,
    AU,
    CAF,
    FLAC,
    MP3,
    NIST,
    OGG,
    RF64,
    START_BYTES,
    VOC,
    W64,
    W64_RIFF,
    WAV,
    container_of,
)
from open_seq2seq.data.rejection import DAMAGED_HEADER, WRONG_HEADER, RejectedData

MAX_MISSING_FRACTION = 0.01        # the default of the config key max_missing_fraction

# how each container begins, to recognize one that is cut off before container_of can
_BEGINNINGS = (
    (b"RIFF", WAV), (b"RIFX", WAV), (b"RF64", RF64), (b"BW64", RF64), (W64_RIFF, W64), (b"FORM", AIFF), (b".snd", AU),
    (b"dns.", AU), (b"caff", CAF), (b"fLaC", FLAC), (b"OggS", OGG), (b"ID3", MP3), (b"NIST_1A", NIST),
    (b"Creative Voice File\x1a", VOC))
_SIGNATURE_BYTES = 12              # a signature and a type behind the size of the file

Structure = collections.namedtuple("Structure", "parts sample_rate channels samples pcm16 contains_floats")
Structure.__new__.__defaults__ = (None, None, None, None, False)
Structure.__doc__ = """parts: tuple of :class:`~open_seq2seq.data.audio.source.Part`. sample_rate, channels, samples (of each
channel, all parts): None where only libsndfile can tell. pcm16: offset of 16-bit little-endian samples that can be read without
libsndfile, or None. contains_floats: the samples may be NaN."""


class Checks:
    """The rules for incomplete files, the same for every container.

    Args:
      max_missing_fraction: a file of which a larger part is missing is refused; a smaller part becomes a note.

    Attributes:
      rate_is_rounded: the container cannot state common sample rates exactly.
      notes: list of sentences about what is wrong with a file that is used nevertheless.
    """

    def __init__(self, max_missing_fraction=MAX_MISSING_FRACTION):
        self.max_missing_fraction, self.notes, self.rate_is_rounded = max_missing_fraction, [], False
        self._present_fraction = 1.0   # of the samples; several small losses add up

    def missing(self, declared, present, unit, cause="was it cut off while copying?"):
        """Compares what a header declares with what is there.

        Raises:
          RejectedData: more than ``max_missing_fraction`` is missing, together with what was missing before.
        """
        if present >= declared:
            return
        text = "the header declares %d %s, the file holds %d" % (declared, unit, present)
        self._present_fraction *= present / float(declared)
        if declared - present > self.max_missing_fraction * declared or 1 - self._present_fraction > self.max_missing_fraction:
            raise RejectedData(WRONG_HEADER, "; ".join([text] + self.notes + [cause]))
        self.note("%s (%.2f %% missing)" % (text, 100.0 * (declared - present) / declared))

    def behind(self, count, total, what="the end that its header states", source=None):
        """Judges ``count`` bytes behind the audio, which has ``total`` bytes; ``source``: the file, to name what they are.

        Raises:
          RejectedData: they are more than ``max_missing_fraction`` of it, or another recording, of any size.
        """
        other = None if source is None or count <= 0 else beginning_of(source.at(source.size - count, START_BYTES))
        if other is not None:
            raise RejectedData(WRONG_HEADER, "the file continues for %d bytes behind %s: another recording (%s) begins there; "
                                             "split the file at byte %d. If that recording is cut off or damaged, how much is "
                                             "missing is unknown" % (count, what, other, source.size - count))
        self.unreadable(count, total, "the file continues for %d bytes behind %s" % (count, what))

    def unreadable(self, count, total, text):
        """Judges ``count`` bytes that are not audio, in a file with ``total`` bytes of audio; ``text`` says where they are.

        Raises:
          RejectedData: they are more than ``max_missing_fraction`` of it.
        """
        if count <= 0:
            return
        if count > self.max_missing_fraction * total:
            raise RejectedData(WRONG_HEADER, "%s, and these bytes cannot be read; save it again, e.g. ffmpeg -i INPUT OUTPUT.wav"
                               % text)
        self.note(text)

    def note(self, text):
        """Remembers a sentence once."""
        if text not in self.notes:
            self.notes.append(text)


def beginning_of(rest):
    """The container that the last bytes of a file, or the first :data:`START_BYTES` of them, begin as; None: not a recording.

    A signature that the end of the file cuts counts, too.
    """
    if rest[:4] == b"ID3 ":            # a chunk of AIFF or WAV; an ID3v2 tag has a version there
        return None
    container = container_of(rest, is_certain=True)
    if container is None and 0 < len(rest) < max(_SIGNATURE_BYTES, len(W64_RIFF)):
        container = next((name for signature, name in _BEGINNINGS if _agree(signature, rest)), None)
    return container


def _agree(signature, rest):
    length = min(len(signature), len(rest))
    return signature[:length] == rest[:length]


def contradiction(text):
    """Raises RejectedData for a header whose fields contradict each other."""
    raise RejectedData(DAMAGED_HEADER, "the header contradicts itself: %s; the file is damaged, or the program that wrote it is "
                                       "at fault" % text)


def damaged(text):
    """Raises RejectedData for a header that cannot be understood."""
    raise RejectedData(DAMAGED_HEADER, text)
