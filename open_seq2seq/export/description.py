"""The JSON beside an exported model: everything that its user has to know and that the graph does not say.

How many frames a network leaves of its input, worked out from a description instead of a graph.
"""
import collections
import hashlib
import json
import os

import open_seq2seq
from open_seq2seq.config.parameters import (
    Bool,
    Choice,
    Dict,
    Either,
    Float,
    Int,
    List,
    Parameter,
    Report,
    String,
    Struct,
    check_parameters,
)
from open_seq2seq.encoders.convnet_layers import convolved_frames
from open_seq2seq.errors import CheckpointError
from open_seq2seq.files import replaced_file

FORMAT_VERSION = 1
FEATURES_INPUT, MASK_INPUT = "input", "input_reshape"
AUDIO_INPUT, AUDIO_LENGTHS_INPUT = "audio", "audio_lengths"
LOGITS_OUTPUT = "ForwardPass/fully_connected_ctc_decoder/logits"

_SIZE = Either(Int(minimum=1), Choice(None))
_TENSOR = Struct((
    Parameter("name", String(), doc="name of the node"),
    Parameter("shape", List(_SIZE), doc="null where any size will do"),
    Parameter("dtype", Choice("float32", "int32"), doc="as NumPy names it"),
))
_CHANGE = Struct((
    Parameter("kernel_size", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("stride", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("dilation", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("padding", Choice("SAME", "VALID"), doc="as TensorFlow names it"),
))
_WER = Struct((
    Parameter("value", Float(minimum=0.0), doc="word error rate, 0.25 for 25 %"),
    Parameter("data_set", String(), doc="what it was measured on"),
))

PARAMETERS = (
    Parameter("format_version", Int(minimum=1), doc="of this file"),
    Parameter("inputs", List(_TENSOR, minimum_length=1), doc="what is fed"),
    Parameter("outputs", List(_TENSOR, minimum_length=1), doc="what is fetched"),
    Parameter("batch_size", Int(minimum=1), default=None, doc="null: any"),
    Parameter("frames", Int(minimum=1), default=None, doc="feature frames of an utterance; null: any"),
    Parameter("num_audio_features", Int(minimum=1), doc="features of a frame"),
    Parameter("feature_params", Dict(), doc="what the features are computed with"),
    Parameter("with_features", Bool(), doc="whether the graph takes audio and computes the features itself"),
    Parameter("sample_rate", Int(minimum=1), doc="of the audio, Hz"),
    Parameter("vocabulary", List(String(), minimum_length=1), doc="the characters, in the order of the logits"),
    Parameter("blank", Int(minimum=1), doc="index of the CTC blank"),
    Parameter("subsampling", Int(minimum=1), doc="feature frames for one frame of the logits"),
    Parameter("frame_changes", List(_CHANGE), doc="the convolutions that change the number of frames, in order"),
    Parameter("mask_changes", Int(minimum=0), doc="how many of these come before the frames that the mask counts"),
    Parameter("pad_to", Int(minimum=1), doc="the number of feature frames is a multiple of this"),
    Parameter("depends_on_padding", Bool(), doc="whether an utterance's logits change with the padding behind it"),
    Parameter("folded", Bool(), doc="whether batch norm was folded into the convolutions"),
    Parameter("convolutions", Choice("plain", "fast"), doc="fast: with fewer multiplications, for CPUs"),
    Parameter("precision", Choice("float32", "float16", "int8"), doc="of weights and products"),
    Parameter("checkpoint", String(), doc="its name"),
    Parameter("step", Int(), default=None, doc="of the training"),
    Parameter("config_sha256", String(), default=None, doc="of the config file, hexadecimal"),
    Parameter("wer", _WER, default=None, doc="word error rate, where it is known"),
    Parameter("project_version", String(), default=open_seq2seq.__version__, doc="of the code that exported"),
    Parameter("sha256", Dict(), default={}, doc="of the model's files, by their extension"),
)

Tensor = collections.namedtuple("Tensor", "name shape dtype")
Tensor.__doc__ = """An input or output. shape: tuple, None where any size will do. dtype: as NumPy names it."""

WordErrorRate = collections.namedtuple("WordErrorRate", "value data_set")
WordErrorRate.__doc__ = """A word error rate (0.25 for 25 %) and the name of what it was measured on."""


class ExportDescription(collections.namedtuple("ExportDescription", [parameter.name for parameter in PARAMETERS])):
    """What an exported model is and how to feed it; one field for each of :data:`PARAMETERS`.

    ``inputs`` and ``outputs`` are tuples of :class:`Tensor`, ``wer`` is a :class:`WordErrorRate` or None.
    """

    __slots__ = ()

    @classmethod
    def of(cls, values, where):
        """A description from a dict as :meth:`as_dict` returns it.

        Args:
          values: the dict.
          where: how to name it in messages.

        Raises:
          CheckpointError: a field is missing, unknown or wrong, or fields contradict each other; all mistakes are named.
        """
        report = Report()
        if not isinstance(values, dict):
            raise CheckpointError("%s is %s, expected a JSON object that describes a model" % (where, type(values).__name__))
        version = values.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError("%s has format version %d, this code knows up to %d; update the project or export the model "
                                  "again" % (where, version, FORMAT_VERSION))
        checked = check_parameters(PARAMETERS, values, where, report)
        if not report.problems:
            _check_rules(checked, where, report)
        if report.problems:
            raise CheckpointError("\n".join(report.problems + ["Export the model again, or take the JSON that belongs to it"]))
        for key in ("inputs", "outputs"):
            checked[key] = tuple(Tensor(one["name"], tuple(one["shape"]), one["dtype"]) for one in checked[key])
        if checked["wer"] is not None:
            checked["wer"] = WordErrorRate(**checked["wer"])
        return cls(**checked)

    def as_dict(self):
        """The fields as JSON has them."""
        values = collections.OrderedDict((name, getattr(self, name)) for name in self._fields)
        for key in ("inputs", "outputs"):
            values[key] = [collections.OrderedDict(one._asdict(), shape=list(one.shape)) for one in values[key]]
        if self.wer is not None:
            values["wer"] = self.wer._asdict()
        return values

    def with_file(self, path):
        """The same, with the hash of a model's file."""
        return self._replace(sha256=dict(self.sha256, **{_extension(path): file_sha256(path)}))

    def mask_frames(self, frames):
        """Frames of the mask input for feature frames (an int)."""
        return frames_after(self.frame_changes[:self.mask_changes], frames)

    def logit_frames(self, frames):
        """Frames of the logits for feature frames (an int)."""
        return frames_after(self.frame_changes, frames)


def description_path(model_path):
    """The path of the JSON beside a model's file."""
    return os.path.splitext(model_path)[0] + ".json"


def write_description(description, model_path):
    """Writes the JSON beside a model's file, with that file's hash, and returns the :class:`ExportDescription` as written.

    Raises:
      StorageError: it cannot be written.
    """
    description = description.with_file(model_path)
    with replaced_file(description_path(model_path)) as file:
        json.dump(description.as_dict(), file, indent=2, ensure_ascii=False)
        file.write("\n")
    return description


def read_description(model_path):
    """The :class:`ExportDescription` beside a model's file, which it must belong to.

    Args:
      model_path: NAME.pb or NAME.onnx; the JSON is NAME.json.

    Raises:
      CheckpointError: one of the two is missing or cannot be read, the JSON is none or has mistakes, or it is another model's.
    """
    if not os.path.isfile(model_path):
        raise CheckpointError("there is no model %s; expected what run.py --mode=export writes" % model_path)
    path = description_path(model_path)
    if not os.path.isfile(path):
        raise CheckpointError("%s is missing; expected it beside %s, as run.py --mode=export writes it. It says what the model "
                              "is fed with and what its outputs mean" % (path, model_path))
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        actual = file_sha256(model_path)
    except OSError as error:
        raise CheckpointError("cannot read %s: %s" % (error.filename, error.strerror))
    except ValueError as error:
        raise CheckpointError("%s is not JSON: %s. Export the model again" % (path, error))
    description = ExportDescription.of(values, path)
    expected = description.sha256.get(_extension(model_path))
    if expected != actual:
        raise CheckpointError("%s does not belong to %s: it names a file with sha256 %s, and this one has %s. Copy both files of "
                              "one export, or export again" % (path, model_path, expected, actual))
    return description


def file_sha256(path):
    """The SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _extension(path):
    return os.path.splitext(path)[1].lstrip(".")


def _check_rules(values, where, report):
    """Reports what fields contradict each other in."""
    def expect(name, actual, expected, because):
        if actual != expected:
            report.problem('%s: "%s"' % (where, name), "is %r, expected %r, %s" % (actual, expected, because))

    size = len(values["vocabulary"])
    expect("blank", values["blank"], size, "the number of characters in the vocabulary")
    if len(set(values["vocabulary"])) != size:
        report.problem('%s: "vocabulary"' % where, "has a character twice")
    expect("subsampling", values["subsampling"], subsampling_of(values["frame_changes"]), "the product of the strides")
    if values["mask_changes"] > len(values["frame_changes"]):
        report.problem('%s: "mask_changes"' % where, "is %d, more than there are frame_changes" % values["mask_changes"])
    features, frames = values["feature_params"], values["frames"]
    for name, parameter in (("num_audio_features", "num_audio_features"), ("sample_rate", "sample_freq")):
        expect(name, values[name], features.get(parameter), 'as in feature_params["%s"]' % parameter)
    names = (AUDIO_INPUT, AUDIO_LENGTHS_INPUT) if values["with_features"] else (FEATURES_INPUT, MASK_INPUT)
    expect("inputs", tuple(tensor["name"] for tensor in values["inputs"]), names, "by with_features")
    for output in values["outputs"]:
        if output["name"] == LOGITS_OUTPUT:
            logit_frames = None if frames is None else frames_after(values["frame_changes"], frames)
            expect("outputs", output["shape"], [values["batch_size"], logit_frames, size + 1],
                   "by batch_size, frames, frame_changes, and the vocabulary and the blank")
    for tensor in values["inputs"]:
        if tensor["name"] == FEATURES_INPUT:
            expect("inputs", tensor["shape"], [values["batch_size"], 1, frames, values["num_audio_features"]],
                   "by batch_size, frames and num_audio_features")


KEYS = ("kernel_size", "stride", "dilation", "padding")


def changes_of(convnet_layers):
    """The convolutions of a network that change the number of frames, in order.

    Args:
      convnet_layers: checked list of layers.

    Returns:
      (changes, mask_changes): a list of dicts with the keys ``KEYS``, one a convolution; and how many of them come before
      the frames that the mask input counts, which are those that the first convolution leaves.
    """
    changes, mask_changes = [], 0
    for index, layer in enumerate(convnet_layers):
        for repeat in range(layer["repeat"]):
            if convolved_frames(layer, PROBE_FRAMES) != PROBE_FRAMES:
                changes.append({key: layer[key] for key in KEYS})
                mask_changes += index == repeat == 0
    return changes, mask_changes


PROBE_FRAMES = 1 << 20  # a number of frames that every convolution with a stride or without padding changes


def frames_after(changes, frames):
    """Frames that are left of ``frames`` (an int) after ``changes``, at least 0."""
    for change in changes:
        frames = int(convolved_frames(change, int(frames)))
    return frames


def subsampling_of(changes):
    """Input frames for one output frame: the product of the strides."""
    product = 1
    for change in changes:
        product *= change["stride"][0]
    return product
