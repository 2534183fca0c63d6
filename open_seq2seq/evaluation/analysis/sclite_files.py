"""Files for NIST's sclite: transcripts (trn), references with times (stm).

sclite interprets some characters: ``;`` ends what it compares of a word, so ``a;b`` equals ``a;c``; ``{ a / b }`` are
alternatives, and a brace within a word crashes it; ``@`` is no word; ``(uh)`` may be missing with -D; a line that begins with
``;;`` or ``**`` is a comment. These are written as percent codes, e.g. ``%3B``, in references and hypotheses alike, so words are
equal exactly where they were before.
"""
import re

from open_seq2seq.errors import DataError

_SPECIAL = re.compile(r"[{};()]|^@$|^\*|%(?=7B|7D|3B|28|29|40|2A|25)")
_MAYBE_SPECIAL = re.compile(r"[{};()@*%]")
_CODE = re.compile(r"%(7B|7D|3B|28|29|40|2A|25)")
_TRN_LINE = re.compile(r"(?s)(.*)\(([^()\s]+)\)\s*$")


def sclite_word(word):
    """A word as sclite reads it unchanged."""
    return _SPECIAL.sub(lambda found: "%%%02X" % ord(found.group()), word)


def sclite_text(text):
    """The words of a text, separated by single spaces, as sclite reads them unchanged."""
    if _MAYBE_SPECIAL.search(text) is None:
        return " ".join(text.split())
    return " ".join(sclite_word(word) for word in text.split())


def plain_text(text):
    """The text of what :func:`sclite_text` returned."""
    return _CODE.sub(lambda found: chr(int(found.group(1), 16)), text)


def sclite_ids(names, speakers):
    """Ids for trn files: SPEAKER-NAME in letters, digits and ``_``, all different, also without regard to case.

    sclite -i rm takes what precedes the first ``-`` or ``_`` as the speaker.

    Args:
      names: list of str, e.g. ``wav_filename``; folders and extensions are removed.
      speakers: list of str, or None if they are not known.

    Returns:
      List of str.
    """
    speaker_names, ids, speakers_taken, taken = {}, [], {}, {}
    for speaker in speakers or []:
        if speaker not in speaker_names:
            speaker_names[speaker] = _distinct(re.sub(r"[^A-Za-z0-9]", "", speaker) or "speaker", speakers_taken, "x")
    for place, name in enumerate(names):
        stem = re.sub(r"\.\w{1,5}$", "", re.split(r"[/\\]", name)[-1])
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", stem) or "utterance"
        speaker = speaker_names[speakers[place]] if speakers else "unknown"
        if not re.match(re.escape(speaker) + "[-_]", stem):
            stem = "%s-%s" % (speaker, stem)
        ids.append(_distinct(stem, taken, "_"))
    return ids


def _distinct(name, taken, separator):
    """The name, with a number if it is taken; ``taken`` is a dict from names in lower case to the last number tried."""
    candidate = name
    while candidate.lower() in taken:
        taken[name.lower()] += 1
        candidate = "%s%s%d" % (name, separator, taken[name.lower()])
    taken[candidate.lower()] = 1
    return candidate


def trn_lines(ids, texts):
    """The lines of a trn file, with line ends."""
    for name, text in zip(ids, texts):
        yield "%s (%s)\n" % (sclite_text(text), name)


def stm_lines(recordings, speakers, durations, texts):
    """The lines of an stm file: RECORDING CHANNEL SPEAKER START END WORDS, in the order that sclite needs.

    Args:
      recordings: list of str, the names of the recordings in the ctm file.
      speakers: list of str, without blanks.
      durations: list of s.
      texts: list of str.
    """
    for recording, speaker, duration, text in sorted(zip(recordings, speakers, durations, texts)):
        yield "%s 1 %s 0.000 %.3f %s\n" % (recording, speaker, duration, sclite_text(text))


def parse_trn(text, path):
    """The transcripts of a trn file.

    Args:
      text: its contents.
      path: for messages.

    Returns:
      List of (id, text).

    Raises:
      DataError: a line has no id, or alternatives, which have no single text.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith((";;", "**")):
            continue
        parts = _TRN_LINE.match(line)
        if parts is None:
            raise DataError("%s:%d: the line does not end with an id in parentheses; expected WORDS (SPEAKER-UTTERANCE): %r"
                            % (path, number, line[:80]))
        words = parts.group(1).split()
        if "{" in words and "/" in words:
            raise DataError("%s:%d: %s has alternatives { a / b }, which only sclite scores. Write one of them: %r"
                            % (path, number, parts.group(2), line[:80]))
        found.append((parts.group(2), plain_text(" ".join(words))))
    return found
