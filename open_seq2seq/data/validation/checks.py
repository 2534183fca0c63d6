"""What validation checks: the table of all checks, and the record of what one of them found."""
import collections

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)

Check = collections.namedtuple("Check", "name severity is_full title advice")
Check.__doc__ = """One check.

name: in validation.json and dropped.csv. severity: an error makes a row unusable or a result invalid; a warning is worth looking
at; info is shown only. is_full: needs decoded audio, so it is not made with ``--headers``. title: what was found, a phrase.
advice: what to do, a sentence without a full stop.
"""

Finding = collections.namedtuple("Finding", "check severity set manifest row wav_filename detail value")
Finding.__new__.__defaults__ = (0.0,)
Finding.__doc__ = """What a check found.

check: its name. severity: that of the check, unless the check says otherwise for the mode of the set. set: name of the DataSet.
manifest: path. row: number of the row's first line in the manifest; None: the whole manifest or set. wav_filename: as in the
manifest. detail: what was found, a phrase. value: how bad it is; the largest are shown first.
"""

_CHECKS = (
    Check("unreadable_manifest", ERROR, False, "manifest that cannot be read", "correct the file as the message says"),
    Check("malformed_row", ERROR, False, "malformed row", "quote fields that contain commas; add missing fields"),
    Check("cut_off_manifest", WARNING, False, "manifest whose last line has no line end",
          "compare the last row with the original: the file may have been cut off"),
    Check("missing_file", ERROR, False, "missing audio file",
          "correct the path, which is relative to the manifest's folder, or remove the row"),
    Check("unreadable_audio", ERROR, False, "unreadable audio file",
          "convert or copy the file again; docs/audio.md lists formats"),
    Check("truncated_audio", ERROR, False, "truncated audio file", "copy or download the file again"),
    Check("empty_audio", ERROR, False, "audio file without samples", "record or copy it again, or remove the row"),
    Check("impossible_rate", ERROR, False, "impossible sample rate", "the header is damaged; copy the file again"),
    Check("nan_audio", ERROR, False, "NaN, infinite or huge samples", "fix the program that wrote the file"),
    Check("cancelling_channels", ERROR, False, "channels that cancel each other", "keep one channel: sox IN OUT.wav remix 1"),
    Check("silent_audio", ERROR, False, "silent audio", "remove the row; check the recording"),
    Check("audio_note", WARNING, False, "audio that is used although something is wrong", "check the file"),
    Check("clipped_audio", WARNING, True, "clipped audio", "record at a lower level; occasional clipping is harmless"),
    Check("quiet_audio", WARNING, True, "very quiet audio", "record louder; at this level rounding to 16 bits is heard"),
    Check("digital_silence", WARNING, True, "much digital silence", "cut it off, or set dynamic_range in the config"),
    Check("offset", WARNING, True, "constant offset in the waveform",
          "remove it with a high-pass filter: sox IN OUT highpass 20"),
    Check("narrow_band", WARNING, True, "narrower band than the rest of the set",
          "these may be telephone recordings; use them knowingly"),
    Check("several_rates", WARNING, False, "another sample rate than most of the set", "convert the set to one rate"),
    Check("low_rate", WARNING, False, "lower sample rate than the model's",
          "the upper band is empty; use a model of this rate, or only recordings of this rate"),
    Check("high_rate", INFO, False, "higher sample rate than the model's", "is resampled; convert once to save time"),
    Check("several_channels", WARNING, False, "several channels", "are averaged; choose one if they hold different speakers"),
    Check("empty_transcript", ERROR, False, "empty transcript", "write what is said, or remove the row"),
    Check("not_normalized", ERROR, False, "transcript that cannot be normalized",
          "correct it, or the steps of normalization in the config"),
    Check("unknown_character", ERROR, False, "character outside the vocabulary",
          "normalize the transcripts, or add the character to the vocabulary"),
    Check("reserved_word", WARNING, False, "word with a special meaning in language models",
          "replace it by what is said, or remove it"),
    Check("nonprintable_character", WARNING, False, "character that cannot be printed", "remove it; fixed.csv does"),
    Check("not_nfc", WARNING, False, "transcript not in composed form (Unicode NFC)", "is composed when read; fixed.csv is"),
    Check("blanks", WARNING, False, "superfluous or unusual blanks", "use single spaces; fixed.csv does"),
    Check("too_few_frames", ERROR, False, "transcript too long for CTC",
          "the transcript or the audio is wrong, or subsampling is too strong; remove the row"),
    Check("speaking_rate", WARNING, False, "unusual number of characters per second",
          "listen to it: the transcript may belong to another recording, or be cut off"),
    Check("duration", WARNING, False, "unusual duration", "listen to it; cut long recordings at pauses"),
    Check("duplicate_id", ERROR, False, "utterance listed twice", "keep one of the rows; fixed.csv keeps the first"),
    Check("duplicate_audio", WARNING, False, "same audio under another name", "keep one of the rows; fixed.csv keeps the first"),
    Check("conflicting_transcripts", ERROR, False, "same audio with different transcripts",
          "find out which transcript is right; fixed.csv has none of the rows"),
    Check("several_genders", WARNING, False, "speaker with several genders",
          "correct the gender, or the speaker: two people may share a name"),
    Check("speaker_overlap", WARNING, False, "speaker also in the data of the evaluation",
          "results will be too good for new speakers; split by speaker"),
    Check("audio_overlap", ERROR, False, "audio also in the data of the evaluation",
          "remove it from one of the sets; fixed.csv lacks it"),
    Check("text_overlap", WARNING, False, "sentence also in the data of the evaluation",
          "results will be too good for new sentences; split by sentence"),
    Check("audio_differs", WARNING, True, "audio of the sets differs", "see docs/robustness.md"),
    Check("repeated_transcript", INFO, False, "transcripts shared by several recordings",
          "normal for commands and digits; else check the corpus"),
    Check("one_speaker", INFO, False, "set with a single speaker",
          "a model of one voice; for other voices add speakers"),
    Check("other_duration", WARNING, False, "duration column is not the duration of the file",
          "check whether the file is that of the row, then correct the column"),
    Check("other_size", INFO, False, "wav_filesize is not the size of the file",
          "the file was changed after the manifest was made"),
    Check("beyond_limit", INFO, False, "rows outside the limits of the config",
          "are skipped; change min_duration, max_duration, max_feature_length or max_label_length to use them"),
)

CHECKS = collections.OrderedDict((check.name, check) for check in _CHECKS)
"""All checks by name, in the order in which they are shown."""


def made_checks(decode):
    """The checks of a depth; ``decode``: whether audio is decoded. List of Check."""
    return [check for check in CHECKS.values() if decode or not check.is_full]


def found(check, row, detail, value=0.0, severity=None):
    """A Finding of the check named ``check`` on a ``Row``."""
    return Finding(check, severity or CHECKS[check].severity, row.set, row.manifest, row.row, row.wav_filename, detail, value)
