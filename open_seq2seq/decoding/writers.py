"""Transcripts as files: text, JSON, SRT and WebVTT subtitles, NIST's CTM."""
import json
import os
import re


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
    # fields are separated by spaces, and lines that begin with ;; are comments
    recording = re.sub(r"[\s;]+", "_", os.path.splitext(os.path.basename(name))[0]) or "_"
    return "".join("%s 1 %.3f %.3f %s %.4f\n" % (recording, word.start, word.end - word.start, word.text, word.confidence)
                   for word in transcript.words)


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
