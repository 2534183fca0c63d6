"""What an importer reads: utterances with their audio, and what it skips. Names and texts of a corpus are not trusted."""
import collections
import hashlib
import math
import re
import unicodedata

import numpy as np

from open_seq2seq.data.rejection import EMPTY_TRANSCRIPT, MALFORMED_ROW, Reason, RejectedData

BAD_NAME = Reason("unusable file name", False)
BAD_SEGMENT = Reason("segment outside the recording", False)
SHORT_SEGMENT = Reason("segment shorter than 0.1 s", True)
BAD_TEXT = Reason("unusable characters in the transcript", False)
DUPLICATE_ID = Reason("duplicate id", False)
NO_TRANSCRIPT = Reason("no transcript", False)
UNSAFE_MEMBER = Reason("unsafe archive member", False)
UNSUPPORTED = Reason("unsupported source of audio", False)

Entry = collections.namedtuple("Entry", "manifest name place recording transcript columns segment", defaults=[(), None])
Entry.__doc__ = """One utterance as an importer finds it.

manifest: name of the manifest without extension, e.g. "train". name: relative path, without extension, of the audio file if one
has to be written; from :class:`Names`. place: where the utterance is in the corpus, e.g. "train.tsv:12". recording: a
:class:`Recording`. transcript: str as it is in the corpus. columns: tuple of (name, value). segment: :class:`Segment`, or None
for the whole recording."""

Skip = collections.namedtuple("Skip", "manifest place name reason detail")
Skip.__doc__ = "An utterance that is not imported; ``reason`` is a Reason of data/rejection.py, ``detail`` says what was found."

Recording = collections.namedtuple("Recording", "path data offset", defaults=[None, None])
Recording.__doc__ = """Encoded audio: the file ``path``; or ``data``, bytes of a file, found in the archive ``path``; or the WAV
file that begins at byte ``offset`` of ``path``."""

KALDI, NEAREST, LENIENT = "kaldi", "nearest", "lenient"
_OVERSHOOT = 0.1                                        # seconds that a segment may end behind the recording
_LENIENCE = 0.02                                        # seconds by which rounded durations differ from the file
_KALDI_OVERSHOOT, _KALDI_SHORTEST = 0.5, 0.1            # seconds

_Segment = collections.namedtuple("_Segment", "start end channel rule", defaults=[0.0, None, None, NEAREST])


class Segment(_Segment):
    """A part of a recording.

    Attributes:
      start, end: seconds; ``end`` None: the end of the recording.
      channel: counted from 0; None: the mean of all channels.
      rule: how seconds become samples. KALDI: extract-segments. NEAREST: the nearest sample. LENIENT: the same, but a
        segment that is the whole recording up to 0.02 s is the whole recording.
    """

    __slots__ = ()

    def samples(self, rate, num_samples):
        """(first sample, sample behind the last one) of a recording of ``num_samples`` at ``rate`` Hz.

        Raises:
          RejectedData: the segment is not within the recording; KALDI: or it is shorter than 0.1 s.
        """
        if self.rule == KALDI:
            return self._kaldi_samples(rate, num_samples)
        start, end = self.start, num_samples / float(rate) if self.end is None else self.end
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or end <= start:
            raise RejectedData(BAD_SEGMENT, "the segment is %g to %g s; expected 0 <= start < end" % (start, end))
        # the nearest numbers of samples in front of it and in it, as in lhotse; decimal times are not exact in binary
        first = int(round(start * rate, 6) + 0.5)
        last = num_samples if self.end is None else first + int(round((end - start) * rate, 6) + 0.5)
        if first >= num_samples or last > num_samples and last >= num_samples + int(_OVERSHOOT * rate):
            raise RejectedData(BAD_SEGMENT, "the segment is %g to %g s, the recording has %.3f s"
                               % (start, end, num_samples / float(rate)))
        last = min(last, num_samples)
        if self.rule == LENIENT and max(first, num_samples - last) <= _LENIENCE * rate:
            return 0, num_samples
        if last == first:
            raise RejectedData(BAD_SEGMENT, "the segment of %g to %g s has no sample" % (start, end))
        return first, last

    def _kaldi_samples(self, rate, num_samples):
        """As extract-segments since May 2019 (kaldi-asr/kaldi, pull requests 3321 and 3331), with its float32 arithmetic.

        Except for segments of exactly 0.1 s: Kaldi compares with 0.1 as a float32 number, which is more than 0.1, so it skips
        them, or, if it was compiled for double precision, those where the difference of the times happens to be less.
        """
        length = np.float32(num_samples) / np.float32(rate)
        start, end = self.start, float(length) if self.end is None else self.end
        if not (math.isfinite(start) and math.isfinite(end)) or start < 0 or self.end is not None and end <= start:
            raise RejectedData(BAD_SEGMENT, "the segment is %g to %g s; expected 0 <= start < end" % (start, end))
        if start >= num_samples / float(rate) or start > length or end > float(length + np.float32(_KALDI_OVERSHOOT)):
            raise RejectedData(BAD_SEGMENT, "the segment is %g to %g s, the recording has %.3f s" % (start, end, length))
        end = min(end, float(length))
        if round(end - start, 6) < _KALDI_SHORTEST:
            raise RejectedData(SHORT_SEGMENT, "the segment has %.3f s" % (end - start))
        return int(start * rate + 0.5), min(int(end * rate + 0.5), num_samples)


_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 100


class Names:
    """Gives out names of files to be written, each once, also where the file system does not distinguish case.

    A name keeps the letters, digits, "-", "." and "_" of its origin; others become "_". Where that changes the name, or where
    it is taken, a part of a checksum is added, so the result does not depend on the system.
    """

    def __init__(self):
        self._taken = set()

    def unique(self, *parts):
        """The relative path made of ``parts``, e.g. ``unique("train", "spk1-utt1")``."""
        safe = "/".join(map(safe_name, parts))
        key, number = _folded(safe), 1
        while key in self._taken:
            number += 1
            safe = "/".join(list(map(safe_name, parts[:-1])) + [safe_name(parts[-1], "%s %d" % (parts[-1], number))])
            key = _folded(safe)
        self._taken.add(key)
        return safe


def _folded(path):
    return unicodedata.normalize("NFC", path).casefold()


def safe_name(text, distinct_as=None):
    """``text`` as the name of one file: no separators, control characters, leading dots or dashes.

    Args:
      text: any str.
      distinct_as: str whose checksum is appended; None: that of ``text``, if the name had to be changed.
    """
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text))[:_LONGEST_NAME]
    if name[:1] in (".", "-") or not name:
        name = "_" + name[1:]
    while len(name.encode("utf-8")) > 2 * _LONGEST_NAME:      # a file name has at most 255 bytes
        name = name[:-1]
    if distinct_as is None and name != text:
        distinct_as = text
    if distinct_as is not None:
        name += "-" + hashlib.sha1(distinct_as.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name


def cleaned_transcript(text, lower_case=False, allow_empty=False):
    """The transcript on one line in Unicode NFC, with single spaces between words.

    Raises:
      RejectedData: it is empty, or contains control characters or half of a surrogate pair.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not text and not allow_empty:
        raise RejectedData(EMPTY_TRANSCRIPT, "the transcript is empty")
    bad = next((character for character in text if unicodedata.category(character) in ("Cc", "Cs")), None)
    if bad is not None:
        raise RejectedData(BAD_TEXT, "the transcript contains U+%04X" % ord(bad))
    return text.lower() if lower_case else text


def cleaned_value(value):
    """The value of another column as a str on one line; what a manifest cannot contain becomes "?"."""
    text = unicodedata.normalize("NFC", "" if value is None else str(value))
    return " ".join("".join("?" if unicodedata.category(c) == "Cs" or c == "\0" else " " if unicodedata.category(c) == "Cc" else c
                            for c in text).split())


def checked_path(path):
    """``path``, which a manifest will contain.

    Raises:
      RejectedData: it is not UTF-8, or contains control characters, which logs and lists of rejected rows cannot show.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise RejectedData(BAD_NAME, "the file name %s is not valid UTF-8. Rename the file, e.g. with: convmv -f latin1 -t utf-8 "
                           "--notest FILE" % ascii(path))
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise RejectedData(BAD_NAME, "the file name %s contains a line end or another control character; rename the file"
                           % ascii(path))
    return path


def malformed(manifest, place, detail, name=""):
    """The :class:`Skip` of a row that cannot be understood."""
    return Skip(manifest, place, name, MALFORMED_ROW, detail)
