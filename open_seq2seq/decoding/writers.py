"""Transcripts as files: text, JSON, SRT and WebVTT subtitles, NIST's CTM, TextGrids of Praat."""
import collections
import itertools
import json
import os
import re

from open_seq2seq.files import replaced_file


def text_of(transcript, name):
    """The words on one line."""
    return transcript.text + "\n"


def json_of(transcript, name):
    """All of it: ``{"audio", "duration", "text", "words": [{"text", "start", "end", "confidence",
    "characters"}], "segments": [...]}``."""
    return json.dumps(json_record(transcript, name), ensure_ascii=False, indent=2) + "\n"


def json_record(transcript, name):
    """A transcript as dicts, lists, strings and numbers; times in s, confidences 0..1."""
    return {
        "audio": name,
        "duration": transcript.duration,
        "text": transcript.text,
        "words": [dict(_timed_record(word), characters=[_timed_record(character) for character in word.characters])
                  for word in transcript.words],
        "segments": [{"text": segment.text, "start": segment.start, "end": segment.end, "words": len(segment.words)}
                     for segment in transcript.segments],
    }


def _timed_record(timed):
    """A Word or TimedCharacter as a dict."""
    return {"text": timed.text, "start": timed.start, "end": timed.end, "confidence": round(timed.confidence, 4)}


def srt_of(transcript, name):
    """SubRip subtitles, one for each segment."""
    return "\n".join("%d\n%s --> %s\n%s\n" % (number, _clock(segment.start, ","), _clock(segment.end, ","), segment.text)
                     for number, segment in enumerate(transcript.segments, 1))


def vtt_of(transcript, name):
    """WebVTT subtitles (W3C), one for each segment, with the time of each word."""
    return "\n".join(["WEBVTT\n"] + ["%s --> %s\n%s\n" % (_clock(segment.start, "."), _clock(segment.end, "."), _timed(segment))
                                     for segment in transcript.segments])


def ctm_of(transcript, name):
    """Time-marked conversation scoring (NIST sctk): ``RECORDING CHANNEL START DURATION WORD CONFIDENCE``."""
    return ctm_lines(transcript.words, recording_names([name])[0])


def ctm_lines(items, recording):
    """Lines of a CTM.

    Args:
      items: list of Word or TimedCharacter.
      recording: name of the recording without blanks, see :func:`recording_names`.
    """
    return "".join("%s 1 %.3f %.3f %s %.4f\n" % (recording, item.start, item.end - item.start, item.text, item.confidence)
                   for item in items)


def recording_names(paths):
    """Names of recordings for a file that holds several, and for the names of files.

    The name of a file without folders and extension. Where two would be equal, their folders are part of the names, then their
    extensions, and then a number.

    Args:
      paths: list of str.

    Returns:
      List of str, all different, without blanks, slashes and semicolons.
    """
    def plain(text):
        # fields of a CTM are separated by blanks, and lines that begin with ;; are comments
        return re.sub(r"[\s;/\\]+", "_", text).strip("_") or "_"

    candidates = [[plain(os.path.splitext(os.path.basename(path))[0]), plain(os.path.splitext(path)[0]), plain(path)]
                  for path in paths]
    names, open_rows = [""] * len(paths), range(len(paths))
    for column in range(3):
        for row in open_rows:
            names[row] = candidates[row][column]
        counts = collections.Counter(names)
        open_rows = [row for row in open_rows if counts[names[row]] > 1]
    used = set(names[row] for row in range(len(paths)) if row not in set(open_rows))
    for row in open_rows:
        number = next(number for number in itertools.count(1) if "%s_%d" % (names[row], number) not in used)
        names[row] = "%s_%d" % (names[row], number)
        used.add(names[row])
    return names


def textgrid_of(transcript):
    """A TextGrid of Praat with the tiers words and characters."""
    characters = [character for word in transcript.words for character in word.characters]
    tiers = [("words", _intervals(transcript.words, transcript.duration)),
             ("characters", _intervals(characters, transcript.duration))]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", "xmax = %.3f" % transcript.duration,
             "tiers? <exists>", "size = %d" % len(tiers), "item []:"]
    for number, (name, intervals) in enumerate(tiers, 1):
        lines += ["    item [%d]:" % number, '        class = "IntervalTier"', '        name = "%s"' % name, "        xmin = 0",
                  "        xmax = %.3f" % transcript.duration, "        intervals: size = %d" % len(intervals)]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += ["        intervals [%d]:" % place, "            xmin = %.3f" % start, "            xmax = %.3f" % end,
                      '            text = "%s"' % text.replace('"', '""')]
    return "\n".join(lines) + "\n"


def _intervals(items, duration):
    """List of (start, end, text) that cover 0..duration without overlap; text is "" between items."""
    intervals, reached = [], 0.0
    for item in items:
        start, end = max(round(item.start, 3), reached), min(round(item.end, 3), duration)
        if end <= start:
            continue
        if start > reached:
            intervals.append((reached, start, ""))
        intervals.append((start, end, item.text))
        reached = end
    return intervals + [(reached, duration, "")] * (reached < duration)


def write_json_array(path, records):
    """Writes an array of JSON objects, one on a line, atomically.

    Args:
      path: of the file.
      records: iterable of dict.

    Raises:
      StorageError: it cannot be written.
    """
    with replaced_file(path) as file:
        separator = "["
        for record in records:
            file.write("%s\n%s" % (separator, json.dumps(record, ensure_ascii=False)))
            separator = ","
        file.write("\n]\n" if separator == "," else "[]\n")


# extension of the file, function of a transcript and the recording's name
FORMATS = {"text": ("txt", text_of), "json": ("json", json_of), "srt": ("srt", srt_of), "vtt": ("vtt", vtt_of),
           "ctm": ("ctm", ctm_of)}


def _clock(seconds, point):
    milliseconds = int(round(seconds * 1000))
    return "%02d:%02d:%02d%s%03d" % (milliseconds // 3600000, milliseconds // 60000 % 60, milliseconds // 1000 % 60, point,
                                     milliseconds % 1000)


def _timed(segment):
    """A cue's text: with a time before every word except the first, so that a player can highlight the spoken word."""
    escaped = [word.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for word in segment.words]
    if segment.text != " ".join(word.text for word in segment.words):
        return "".join(escaped)
    times = [_clock(word.start, ".") for word in segment.words]
    return escaped[0] + "".join(" <%s>%s" % pair for pair in zip(times[1:], escaped[1:]))
