"""What the bytes of an audio file say about it, before anything is decoded: parts, number of samples, what is missing."""
import collections

from open_seq2seq.data.audio.containers import START_BYTES, container_of
from open_seq2seq.data.speech2text.rejection import DAMAGED_HEADER, WRONG_HEADER, RejectedData

MAX_MISSING_FRACTION = 0.01        # the default of the config key max_missing_fraction

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

    def missing(self, declared, present, unit, cause="was it cut off while copying?"):
        """Compares what a header declares with what is there.

        Raises:
          RejectedData: more than ``max_missing_fraction`` is missing.
        """
        if present >= declared:
            return
        text = "the header declares %d %s, the file holds %d" % (declared, unit, present)
        if declared - present > self.max_missing_fraction * declared:
            raise RejectedData(WRONG_HEADER, "%s; %s" % (text, cause))
        self.note("%s (%.2f %% missing)" % (text, 100.0 * (declared - present) / declared))

    def behind(self, count, total, what="the end that its header states", source=None):
        """Judges ``count`` bytes behind the audio, which has ``total`` bytes; ``source``: the file, to name what they are.

        Raises:
          RejectedData: they are more than ``max_missing_fraction`` of it.
        """
        other = None if source is None else container_of(source.at(source.size - count, START_BYTES), is_certain=True)
        if other is not None and count > self.max_missing_fraction * total:
            raise RejectedData(WRONG_HEADER, "the file continues for %d bytes behind %s: another recording (%s) begins there; "
                                             "split the file at byte %d" % (count, what, other, source.size - count))
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


def contradiction(text):
    """Raises RejectedData for a header whose fields contradict each other."""
    raise RejectedData(DAMAGED_HEADER, "the header contradicts itself: %s; the file is damaged, or the program that wrote it is "
                                       "at fault" % text)


def damaged(text):
    """Raises RejectedData for a header that cannot be understood."""
    raise RejectedData(DAMAGED_HEADER, text)
