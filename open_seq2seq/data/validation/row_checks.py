"""Checks of single rows: the audio file, the transcript, and both together."""
import math
import re
import unicodedata

from open_seq2seq.data import rejection
from open_seq2seq.data.speech2text.audio import resampled_length
from open_seq2seq.data.speech2text.manifest import SIZE_COLUMN
from open_seq2seq.data.speech2text.selection import frames_to_align
from open_seq2seq.data.validation.audio_files import duration_of
from open_seq2seq.data.validation.checks import WARNING, found
from open_seq2seq.data.validation.rows import EVAL, INFER, TRAIN, raw_audio, raw_transcript
from open_seq2seq.errors import DataError
from open_seq2seq.text.vocabulary import check_labels

CLIPPED_SHARE = 0.0005
QUIET_DB = -40.0                       # peak against full scale
SILENCE_SHARE = 0.4                    # of the frames without any sound
OFFSET = 0.1                           # of the peak
DURATION_TOLERANCE, DURATION_SHARE = 0.05, 0.01   # seconds, and a share of the duration, by which a stated one may differ
RESERVED_WORDS = frozenset(("<s>", "</s>", "<unk>", "<eps>", "<blank>", "<pad>", "#0"))
SHOWN = 80                             # characters of a transcript in a message

_CHECK_OF_REASON = {
    rejection.MISSING_FILE: "missing_file", rejection.EMPTY_AUDIO: "empty_audio", rejection.WRONG_HEADER: "truncated_audio",
    rejection.WRONG_RATE: "impossible_rate", rejection.NOT_FINITE: "nan_audio",
    rejection.CANCELLING_CHANNELS: "cancelling_channels"}

_LINE_ENDS = dict.fromkeys(map(ord, "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"), " ")


def audio_findings(row, facts, mode, model):
    """Yields what is wrong with the audio of a row, given its AudioFacts."""
    if facts.reason is not None:
        yield found(_CHECK_OF_REASON.get(facts.reason, "unreadable_audio"), row, facts.detail)
        return
    duration = duration_of(facts)
    # an evaluation may measure what is recognized in silence
    if facts.is_silent and (row.transcript or mode != EVAL):
        yield found("silent_audio", row, "%.3f s of silence%s" % (
            duration, ": %r" % row.transcript[:SHOWN] if row.transcript else ""))
    size = row.raw.get(SIZE_COLUMN, "").strip()
    if size.isdigit() and int(size) not in (0, facts.size):
        yield found("other_size", row, "the file has %d bytes, the manifest states %s" % (facts.size, size))
    stated = _number(row.duration)
    if stated is not None and abs(stated - duration) > DURATION_TOLERANCE + DURATION_SHARE * duration:
        yield found("other_duration", row, "the file has %.3f s, the manifest states %g" % (duration, stated),
                    abs(stated - duration))
    for note in facts.notes:
        yield found("audio_note", row, note)
    if facts.channels > 1:
        yield found("several_channels", row, "%d channels" % facts.channels, facts.channels)
    if facts.sample_rate < model.sample_rate:
        yield found("low_rate", row, "%d Hz, the model's is %d Hz" % (facts.sample_rate, model.sample_rate),
                    model.sample_rate / float(facts.sample_rate))
    elif facts.sample_rate > model.sample_rate:
        yield found("high_rate", row, "%d Hz, the model's is %d Hz" % (facts.sample_rate, model.sample_rate))
    if facts.clipped is not None and facts.clipped > CLIPPED_SHARE:
        yield found("clipped_audio", row, "%.2f %% of the samples are clipped" % (100 * facts.clipped), facts.clipped)
    if facts.level_db is None or facts.is_silent:
        return
    if facts.level_db < QUIET_DB:
        yield found("quiet_audio", row, "the peak is %.0f dB of full scale" % facts.level_db, -facts.level_db)
    if facts.digital_silence > SILENCE_SHARE:
        yield found("digital_silence", row, "%.0f %% of the frames have no sound at all" % (100 * facts.digital_silence),
                    facts.digital_silence)
    if facts.offset > OFFSET:
        yield found("offset", row, "a constant of %.2f of the peak" % facts.offset, facts.offset)


def _number(text):
    """The float that a field contains, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def text_findings(row, mode, model):
    """Yields what is wrong with the transcript of a row, apart from its length."""
    if mode == INFER:
        if raw_audio(row).strip() == row.wav_filename != raw_audio(row):
            yield found("blanks", row, "blanks around the name of the audio file")
        return
    raw = raw_transcript(row, model)
    if not row.transcript.strip():
        # an evaluation scores it: each word that is recognized is an insertion
        yield found("empty_transcript", row, "there is no transcript", severity=WARNING if mode == EVAL else None)
    reserved = sorted(RESERVED_WORDS.intersection(raw.lower().split()))
    if reserved:
        yield found("reserved_word", row, "%s in %r" % (", ".join(reserved), raw[:SHOWN]))
    unprintable = _unprintable(raw, model)
    if unprintable:
        yield found("nonprintable_character", row, "%s in %r" % (", ".join(unprintable[:3]), raw[:SHOWN]), len(unprintable))
    if raw.strip() and not raw.isascii() and _composed(raw, model) != raw:
        yield found("not_nfc", row, repr(raw[:SHOWN]))
    blanks = _blank_problem(row, raw, model)
    if blanks:
        yield found("blanks", row, blanks)
    if row.refusal:
        yield found("not_normalized", row, row.refusal)
    elif model.vocabulary is not None and row.transcript.strip():
        try:
            labels_of(row.transcript, model)
        except DataError as error:
            yield found("unknown_character", row, str(error))


def alignment_findings(row, facts, mode, model):
    """Yields whether CTC cannot align a transcript with its audio."""
    if mode == INFER or model.logit_frames is None or row.refusal or not row.transcript.strip():
        return
    try:
        labels = labels_of(row.transcript, model)
    except DataError:
        return
    samples = resampled_length(facts.num_samples, facts.sample_rate, model.sample_rate)
    available, needed = int(model.logit_frames(samples)), frames_to_align(labels)
    if available < needed:
        repeats = needed - len(labels)
        # an evaluation scores it without a loss
        yield found("too_few_frames", row, "%.3f s are %d frames after the encoder, but %d labels%s need %d: %r" % (
            duration_of(facts), available, len(labels), " with %d repeats" % repeats if repeats else "", needed,
            row.transcript[:SHOWN]), needed / max(available, 0.5), None if mode == TRAIN else WARNING)


def labels_of(transcript, model):
    """Labels of a transcript: of the model's vocabulary, or its characters where the vocabulary is not known.

    Raises:
      DataError: a character has no label.
    """
    return model.vocabulary.encode(transcript) if model.vocabulary is not None else list(transcript)


def repaired_transcript(transcript, model):
    """The transcript with single spaces, without characters that cannot be printed, composed (Unicode NFC).

    Args:
      transcript: str as in the file.
      model: Model; characters of its vocabulary stay.
    """
    known = model.vocabulary.alphabet if model.vocabulary is not None else ()
    text = transcript.translate(_LINE_ENDS)
    unprintable = {characters for characters in _bad_labels(text) if characters not in known and characters != "\ufffd"}
    text = "".join(character for character in text if character not in unprintable)
    text = "".join(" " if character.isspace() and character not in known else character for character in text)
    text = re.sub(" +", " ", text).strip()
    return _composed(text, model)


def _composed(text, model):
    return model.vocabulary.composed(text) if model.vocabulary is not None else unicodedata.normalize("NFC", text)


def _bad_labels(text):
    """The different characters of a text that are not blanks and cannot be labels, each by itself; in order of appearance."""
    characters = [character for character in dict.fromkeys(text) if not _is_space(character)]
    return [characters[index] for index, _ in check_labels(characters)[0]]


def _is_space(character):
    return unicodedata.category(character) == "Zs"


def _unprintable(text, model):
    known = model.vocabulary.alphabet if model.vocabulary is not None else ()
    # line ends around the field are blanks
    return ["U+%04X%s" % (ord(character), " (%s)" % unicodedata.name(character, "") if unicodedata.name(character, "") else "")
            for character in _bad_labels(text.strip()) if character not in known]


def _blank_problem(row, raw, model):
    known = model.vocabulary.alphabet if model.vocabulary is not None else ()
    if raw.strip() and raw != raw.strip():
        return "blanks around the transcript"
    if raw_audio(row) != row.wav_filename:
        return "blanks around the name of the audio file"
    if any(_is_space(character) and character != " " and character not in known for character in raw):
        return "another blank than a space (U+%04X) in %r" % (ord(next(
            character for character in raw if _is_space(character) and character != " ")), raw[:SHOWN])
    if "  " in raw:
        return "several blanks in a row in %r" % raw[:SHOWN]
    return None
