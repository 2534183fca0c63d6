"""A transcript: words with their times, grouped into segments of a subtitle's length."""
import collections

TimedCharacter = collections.namedtuple("TimedCharacter", "text start end confidence")
TimedCharacter.__doc__ = """One character of a word; start and end in s from the beginning of the recording.

confidence: geometric mean of its probabilities in the frames of its output, 0..1."""

Word = collections.namedtuple("Word", "text start end confidence characters", defaults=((),))
Word.__doc__ = """One word; start and end in s from the beginning of the recording.

confidence: geometric mean of the confidences of its characters, 0..1. characters: list of TimedCharacter, without times in
between."""

Segment = collections.namedtuple("Segment", "text start end words")
Segment.__doc__ = """Consecutive words: their text, start of the first and end of the last one in s, list of Word."""

Transcript = collections.namedtuple("Transcript", "text words segments duration")
Transcript.__doc__ = """A recording's text, its list of Word, its list of Segment, its duration in s."""

SEGMENT_PAUSE = 0.8          # s between two words that separate segments
SEGMENT_SECONDS = 7.0        # guides for subtitles: at most this time on the screen
SEGMENT_CHARACTERS = 84      # and two lines of 42


def make_transcript(words, duration, separator=" "):
    """A Transcript of ``words``.

    Args:
      words: list of Word in the order of time.
      duration: of the recording in s.
      separator: text between two words; "" for languages written without spaces.

    Returns:
      Transcript.
    """
    # the last frame of a recording may be incomplete
    words = [_cut(word, duration)._replace(characters=[_cut(character, duration) for character in word.characters])
             for word in words]
    return Transcript(separator.join(word.text for word in words), words, make_segments(words, separator), duration)


def make_segments(words, separator=" "):
    """Groups words by the pauses between them and by the length that fits on a screen.

    Args: see :func:`make_transcript`.

    Returns:
      List of Segment.
    """
    groups, characters = [], 0
    for word in words:
        characters += len(separator) + len(word.text)
        if (not groups or word.start - groups[-1][-1].end >= SEGMENT_PAUSE or characters > SEGMENT_CHARACTERS
                or word.end - groups[-1][0].start > SEGMENT_SECONDS):
            groups.append([])
            characters = len(word.text)
        groups[-1].append(word)
    return [Segment(separator.join(word.text for word in group), group[0].start, group[-1].end, group) for group in groups]


def _cut(word, duration):
    """A word or character that ends with the recording at the latest."""
    return word._replace(end=max(word.start, min(word.end, duration)))
