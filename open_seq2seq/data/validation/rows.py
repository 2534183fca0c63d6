"""The rows of the sets that are validated, as the data layer reads them and as they are in the files."""
import collections
import os
import re

from open_seq2seq.data.speech2text.manifest import AUDIO_COLUMN, TRANSCRIPT_COLUMN, read_manifest, read_records
from open_seq2seq.data.validation.checks import CHECKS, Finding
from open_seq2seq.errors import DataError
from open_seq2seq.text.steps import Refused

TRAIN, EVAL, INFER = "train", "eval", "infer"
SPEAKER_COLUMNS = ("speaker", "speaker_id", "spk", "spk_id", "client_id")
GENDER_COLUMNS = ("gender", "sex")
DURATION_COLUMN = "duration"
ID_COLUMNS = ("id", "utterance_id", "utt_id", "utterance")

DataSet = collections.namedtuple("DataSet", "name mode manifests model")
DataSet.__doc__ = """Manifests that are used together.

name: for messages. mode: "train", "eval" or "infer", as of the data layer. manifests: list of paths. model: :class:`Model`."""

Model = collections.namedtuple(
    "Model", "sample_rate vocabulary logit_frames max_missing_fraction limits feature_frames has_dynamic_range normalization "
    "transcript_column")
Model.__new__.__defaults__ = (None, None, 0.01, None, None, False, None, TRANSCRIPT_COLUMN)
Model.__doc__ = """What validation needs to know of the model that the data are for.

sample_rate: Hz. vocabulary: Vocabulary, or None: any character. logit_frames: function int samples at that rate -> int frames
after the encoder, or None: CTC is not checked. max_missing_fraction: as of the data layer. limits: dict of the data layer's
limits, see ``selection.LIMITS``; None: no limits. feature_frames: function int samples -> int feature frames, needed for a limit
of features. has_dynamic_range: whether the features have a ``dynamic_range``. normalization: a ``text.steps.Normalization`` of
the transcripts, or None. transcript_column: their column.
"""

Row = collections.namedtuple(
    "Row", "set manifest row wav_filename path raw transcript problem refusal speaker id gender duration")
Row.__doc__ = """One row.

set: name of the DataSet. manifest, row, wav_filename, problem: see ``manifest.ManifestRow``. path: of the audio file that the
data layer would open. raw: OrderedDict from column to str as in the file. transcript: as the data layer uses it. refusal: why it
cannot be normalized, or "". speaker, id, gender, duration: of a column, or "".
"""

_COMPONENT = re.compile("[^A-Za-z0-9]+")


def read_rows(data_set):
    """(list of Row, list of Finding about manifests that cannot be read) of a DataSet; a manifest named twice is read once."""
    rows, findings = [], []
    for path in collections.OrderedDict.fromkeys(data_set.manifests):
        try:
            read = read_manifest(path, data_set.mode != INFER, data_set.model.vocabulary, column=data_set.model.transcript_column)
            rows.extend(_rows_of(path, read, data_set))
        except DataError as error:
            findings.append(Finding("unreadable_manifest", CHECKS["unreadable_manifest"].severity, data_set.name, path, None, "",
                                    str(error)))
    return rows, findings


def _rows_of(path, read, data_set):
    records = read_records(path)
    _, header = next(records)
    header = [name.strip() for name in header]
    raw_of = {number: fields for number, fields in records}
    for row in read:
        raw = collections.OrderedDict()
        for name, value in zip(header, raw_of[row.row]):
            raw.setdefault(name, value)
        columns = {_COMPONENT.sub("_", name.strip().lower()): value for name, value in row.columns}
        transcript, refusal = row.transcript, ""
        if data_set.mode != INFER:
            transcript, refusal = normalized(row.transcript, data_set.model)
        yield Row(data_set.name, path, row.row, row.wav_filename, _existing(row), raw, transcript, row.problem, refusal,
                  _first(columns, SPEAKER_COLUMNS), _first(columns, ID_COLUMNS), _first(columns, GENDER_COLUMNS),
                  columns.get(DURATION_COLUMN, ""))


def normalized(transcript, model):
    """(a transcript in composed form as the data layer uses it, ""); (the same transcript, why it cannot be normalized)."""
    if model.normalization is None or not transcript.strip():
        return transcript, ""
    try:
        return model.normalization.apply(transcript).text, ""
    except Refused as refused:
        return transcript, str(refused)


def _first(columns, names):
    return next((columns[name] for name in names if columns.get(name)), "")


def _existing(row):
    """The path relative to the manifest or, if only that exists, to the working directory."""
    if not os.path.isabs(row.wav_filename) and "\0" not in row.wav_filename and not os.path.exists(row.audio_path) and (
            os.path.exists(row.wav_filename)):
        return row.wav_filename
    return row.audio_path


def raw_transcript(row, model):
    """The transcript as in the file; "" where there is none."""
    return row.raw.get(model.transcript_column, "")


def raw_audio(row):
    """The audio file's name as in the file."""
    return row.raw.get(AUDIO_COLUMN, "")
