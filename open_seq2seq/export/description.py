"""The JSON next to an exported model: what its graph does not contain and a caller needs.

Inputs and outputs, features, vocabulary, and how many frames the network leaves of its input. Everything is checked when the
file is read: a value that is wrong, out of range or in contradiction to another one is a :class:`CheckpointError`.
"""
import collections
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
from open_seq2seq.data.speech2text import features
from open_seq2seq.data.speech2text.features import LARGEST_FEATURES, LARGEST_PAD_TO, LARGEST_RATE
from open_seq2seq.encoders.convnet_layers import convolved_frames
from open_seq2seq.errors import CheckpointError
from open_seq2seq.files import checksum_of, file_digest, replaced_file, unique_keys
from open_seq2seq.text import steps
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.subwords import problems_of_pieces
from open_seq2seq.text.vocabulary import Vocabulary, check_labels, has_subwords, is_tag

FORMAT_VERSION = 1
FEATURES_INPUT, MASK_INPUT = "input", "input_reshape"
AUDIO_INPUT, AUDIO_LENGTHS_INPUT = "audio", "audio_lengths"
LOGITS_OUTPUT = "ForwardPass/fully_connected_ctc_decoder/logits"
FEATURE_PARAMETERS = tuple(parameter.name for parameter in features.PARAMETERS if parameter.ignored is None)

LONGEST_NUMBER = 400          # digits of a number in the JSON

_SIZE = Either(Int(minimum=1), Choice(None))
_TENSOR = Struct((
    Parameter("name", String(), doc="name of the node"),
    Parameter("shape", List(_SIZE), doc="null where any size is accepted"),
    Parameter("dtype", Choice("float32", "int32"), doc="NumPy's name"),
))
_CHANGE = Struct((
    Parameter("kernel_size", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("stride", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("dilation", List(Int(minimum=1), length=1), doc="in frames"),
    Parameter("padding", Choice("SAME", "VALID"), doc="TensorFlow's name"),
))
_WER = Struct((
    Parameter("value", Float(minimum=0.0), doc="word error rate, 0.25 for 25 %"),
    Parameter("data_set", String(), doc="the evaluated data set"),
))

PARAMETERS = (
    Parameter("format_version", Int(minimum=1), doc="version of this file format"),
    Parameter("inputs", List(_TENSOR, minimum_length=1), doc="input tensors"),
    Parameter("outputs", List(_TENSOR, minimum_length=1), doc="output tensors"),
    Parameter("batch_size", Int(minimum=1), default=None, doc="null: any"),
    Parameter("frames", Int(minimum=1), default=None, doc="feature frames of an utterance; null: any"),
    Parameter("num_audio_features", Int(minimum=1, maximum=LARGEST_FEATURES), doc="features of a frame"),
    Parameter("feature_params", Dict(), doc="parameters of the features"),
    Parameter("with_features", Bool(), doc="whether the graph takes audio and computes the features itself"),
    Parameter("sample_rate", Int(minimum=1, maximum=LARGEST_RATE), doc="sample rate of the audio, Hz"),
    Parameter("vocabulary", List(String(), minimum_length=1),
              doc="the characters, or the pieces of a subword vocabulary, in the order of the logits"),
    Parameter("blank", Int(minimum=1), doc="index of the CTC blank"),
    Parameter("subsampling", Int(minimum=1), doc="feature frames for one frame of the logits"),
    Parameter("frame_changes", List(_CHANGE), doc="the convolutions that change the number of frames, in order"),
    Parameter("mask_changes", Int(minimum=0), doc="how many of these precede the frames that the mask counts"),
    Parameter("pad_to", Int(minimum=1, maximum=LARGEST_PAD_TO), doc="the number of feature frames is a multiple of this"),
    Parameter("depends_on_padding", Bool(), doc="whether an utterance's logits change with the padding after it"),
    Parameter("folded", Bool(), doc="whether batch norm was folded into the convolutions"),
    Parameter("convolutions", Choice("plain", "fast"), doc="fast: fewer multiplications, for CPUs"),
    Parameter("precision", Choice("float32", "float16", "int8"), doc="of weights and products"),
    Parameter("checkpoint", String(), doc="name of the checkpoint"),
    Parameter("step", Int(), default=None, doc="training step of the checkpoint"),
    Parameter("config_sha256", String(), default=None, doc="SHA-256 of the config file, hexadecimal"),
    Parameter("wer", _WER, default=None, doc="word error rate, where it is known"),
    Parameter("project_version", String(), default=open_seq2seq.__version__, doc="version of the exporting code"),
    Parameter("sha256", Dict(), default={}, doc="SHA-256 of the model's files, by their extension"),
) + steps.parameters(loads_languages=False)
CHECKSUM = "checksum"  # SHA-256 of the other fields; files of earlier versions have none

Tensor = collections.namedtuple("Tensor", "name shape dtype")
Tensor.__doc__ = """An input or output. shape: tuple, None where any size is accepted. dtype: NumPy's name."""

WordErrorRate = collections.namedtuple("WordErrorRate", "value data_set")
WordErrorRate.__doc__ = """A word error rate (0.25 for 25 %) and the name of the evaluated data set."""


class ExportDescription(collections.namedtuple("ExportDescription", [parameter.name for parameter in PARAMETERS])):
    """An exported model and how to feed it; one field for each of :data:`PARAMETERS`.

    ``inputs`` and ``outputs`` are tuples of :class:`Tensor`, ``wer`` is a :class:`WordErrorRate` or None.
    """

    __slots__ = ()

    @classmethod
    def of(cls, values, where):
        """A description from a dict in the form that :meth:`as_dict` returns.

        Args:
          values: the dict.
          where: name of the dict in messages.

        Raises:
          CheckpointError: a field is missing, unknown or wrong, or fields contradict each other; all mistakes are listed.
        """
        report = Report()
        if not isinstance(values, dict):
            raise CheckpointError("%s is %s, expected a JSON object that describes a model" % (where, type(values).__name__))
        version = values.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError("%s has format version %d, this code supports versions up to %d; update the project or export "
                                  "the model again" % (where, version, FORMAT_VERSION))
        checked = check_parameters(PARAMETERS, values, where, report)
        if not report.problems:
            _check_rules(checked, where, report)
        if report.problems:
            raise CheckpointError("\n".join(report.problems + ["Export the model again, or copy the JSON that belongs to it"]))
        for key in ("inputs", "outputs"):
            checked[key] = tuple(Tensor(one["name"], tuple(one["shape"]), one["dtype"]) for one in checked[key])
        if checked["wer"] is not None:
            checked["wer"] = WordErrorRate(**checked["wer"])
        return cls(**checked)

    def as_dict(self):
        """The fields in the form that JSON stores."""
        values = collections.OrderedDict((name, getattr(self, name)) for name in self._fields)
        for key in ("inputs", "outputs"):
            values[key] = [collections.OrderedDict(one._asdict(), shape=list(one.shape)) for one in values[key]]
        if self.wer is not None:
            values["wer"] = self.wer._asdict()
        # at their defaults they are not written: earlier versions do not know them, and read transcripts as they are
        used = steps.chosen(values)
        for parameter in steps.parameters(loads_languages=False):
            if parameter.name not in used:
                del values[parameter.name]
        return values

    def text_normalization(self):
        """The :class:`~open_seq2seq.text.steps.Normalization` of references.

        Raises:
          DataError: it reads numbers, and num2words is not installed.
        """
        return Normalization(self.normalization, self.unknown_characters, Vocabulary.of(self.vocabulary))

    def with_batch_size(self, batch_size):
        """A copy for batches of ``batch_size`` (an int) of a model that accepts any batch."""
        inputs, outputs = (tuple(tensor._replace(shape=(batch_size,) + tensor.shape[1:]) for tensor in tensors)
                           for tensors in (self.inputs, self.outputs))
        return self._replace(batch_size=batch_size, inputs=inputs, outputs=outputs)

    def with_file(self, path):
        """A copy with the SHA-256 of a model's file."""
        return self._replace(sha256=dict(self.sha256, **{_extension(path): file_digest(path)}))

    def mask_frames(self, frames):
        """Frames of the mask input for feature frames (an int)."""
        return frames_after(self.frame_changes[:self.mask_changes], frames)

    def logit_frames(self, frames):
        """Frames of the logits for feature frames (an int)."""
        return frames_after(self.frame_changes, frames)


# the file

def description_path(model_path):
    """The path of the JSON next to a model's file."""
    return os.path.splitext(model_path)[0] + ".json"


def write_description(description, model_path):
    """Writes the JSON next to a model's file, with that file's hash, and returns the :class:`ExportDescription` as written.

    Raises:
      StorageError: it cannot be written.
    """
    description = description.with_file(model_path)
    values = description.as_dict()
    values[CHECKSUM] = checksum_of(values)
    with replaced_file(description_path(model_path)) as file:
        json.dump(values, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return description


def read_description(model_path):
    """The :class:`ExportDescription` next to a model's file.

    Args:
      model_path: NAME.pb or NAME.onnx; the JSON is NAME.json.

    Raises:
      CheckpointError: a file is missing or cannot be read, the JSON has mistakes or was changed, or it describes another model.
    """
    if not os.path.isfile(model_path):
        raise CheckpointError("there is no model %s; expected a file that run.py --mode=export wrote" % model_path)
    path = description_path(model_path)
    if not os.path.isfile(path):
        raise CheckpointError("%s is missing; expected it next to %s, where run.py --mode=export writes it. It describes the "
                              "model's inputs and outputs" % (path, model_path))
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file, parse_int=_short(int), parse_float=_short(float), parse_constant=_no_constant,
                               object_pairs_hook=unique_keys)
        checksum = values.pop(CHECKSUM, None) if isinstance(values, dict) else None
        expected_checksum = checksum_of(values)
        actual = file_digest(model_path)
    except OSError as error:
        raise CheckpointError("cannot read %s: %s" % (error.filename, error.strerror))
    except RecursionError:
        raise CheckpointError("%s is nested too deeply to be read. Export the model again" % path)
    except ValueError as error:
        raise CheckpointError("%s is not JSON: %s. Export the model again" % (path, error))
    description = ExportDescription.of(values, path)
    if checksum not in (None, expected_checksum):
        raise CheckpointError('%s was changed after the export: its "%s" is %r, expected %r. Export the model again, or copy its '
                              "JSON again" % (path, CHECKSUM, checksum, expected_checksum))
    expected = description.sha256.get(_extension(model_path))
    if expected != actual:
        raise CheckpointError("%s does not belong to %s: it names a file with sha256 %s, and this one has %s. Copy both files of "
                              "one export, or export again" % (path, model_path, expected, actual))
    return description


def _extension(path):
    return os.path.splitext(path)[1].lstrip(".")


def _short(kind):
    """Function from a number's text to ``kind``: Python takes minutes for a million digits."""
    def parse(text):
        if len(text) > LONGEST_NUMBER:
            raise ValueError("it has a number of %d digits" % len(text))
        return kind(text)
    return parse


def _no_constant(name):
    raise ValueError("it has the value %s, which is not a JSON number" % name)


# the rules

def _check_rules(values, where, report):
    """Reports fields that contradict each other."""
    def expect(name, actual, expected, because):
        if actual != expected:
            report.problem('%s: "%s"' % (where, name), "is %r, expected %r, %s" % (actual, expected, because))

    size = len(values["vocabulary"])
    expect("blank", values["blank"], size, "the number of characters in the vocabulary")
    check_characters(values["vocabulary"], '%s: "vocabulary"' % where, report)
    expect("subsampling", values["subsampling"], subsampling_of(values["frame_changes"]), "the product of the strides")
    if values["mask_changes"] > len(values["frame_changes"]):
        report.problem('%s: "mask_changes"' % where, "is %d, more than the number of frame_changes, %d" % (
            values["mask_changes"], len(values["frame_changes"])))
    params, frames = values["feature_params"], values["frames"]
    check_feature_params(params, '%s: "feature_params"' % where, report)
    for name, parameter in (("num_audio_features", "num_audio_features"), ("sample_rate", "sample_freq")):
        if parameter in params:
            expect(name, values[name], params[parameter], 'as in feature_params["%s"]' % parameter)
    if isinstance(params.get("pad_to"), int):
        expect("pad_to", values["pad_to"], max(params["pad_to"], 1), 'as in feature_params["pad_to"]')
    if frames is not None and frames % values["pad_to"]:
        report.problem('%s: "frames"' % where, "is %d, expected a multiple of pad_to, %d" % (frames, values["pad_to"]))
    names = (AUDIO_INPUT, AUDIO_LENGTHS_INPUT) if values["with_features"] else (FEATURES_INPUT, MASK_INPUT)
    expect("inputs", tuple(tensor["name"] for tensor in values["inputs"]), names, "by with_features")
    expect("outputs", [tensor["name"] for tensor in values["outputs"]], [LOGITS_OUTPUT], "the output of every exported model")

    def frames_by(changes):
        return None if frames is None else frames_after(changes, frames)

    shapes = {
        FEATURES_INPUT: ([values["batch_size"], 1, frames, values["num_audio_features"]],
                         "by batch_size, frames and num_audio_features"),
        MASK_INPUT: ([values["batch_size"], frames_by(values["frame_changes"][:values["mask_changes"]])],
                     "by batch_size, frames and mask_changes"),
        AUDIO_LENGTHS_INPUT: ([values["batch_size"]], "by batch_size"),
        LOGITS_OUTPUT: ([values["batch_size"], frames_by(values["frame_changes"]), size + 1],
                        "by batch_size, frames, frame_changes, and the vocabulary and the blank")}
    for key in ("inputs", "outputs"):
        for tensor in values[key]:
            if tensor["name"] in shapes:
                expect(key, tensor["shape"], *shapes[tensor["name"]])


def check_characters(characters, where, report):
    """Reports what is not a character of a transcript.

    Args:
      characters: the vocabulary, an iterable of str.
      where: its name in messages.
      report: receives the problems.
    """
    if has_subwords(characters):
        for problem in problems_of_pieces(list(characters)):
            report.problem(where, "is invalid: %s" % problem)
        return
    if len(set(characters)) != len(characters):
        report.problem(where, "has a character twice")
    for character in characters:
        if len(character) != 1 and not is_tag(character):
            report.problem(where, "has the entry %r, expected single characters, or tags of languages such as <en>" % character)
    problems, notes = check_labels([character for character in characters if len(character) == 1])
    for _, problem in problems:
        report.problem(where, "has an invalid character: %s" % problem)
    for note in notes:
        report.note(where, note)


def check_feature_params(params, where, report):
    """Reports missing, wrong and implausible parameters of the features that a saved model was trained with.

    Args:
      params: dict from a file, e.g. an exported model's JSON.
      where: name of the dict in messages.
      report: receives the problems.
    """
    missing = [name for name in FEATURE_PARAMETERS if name not in params and name not in features.LATER_PARAMETERS]
    if missing:
        report.problem(where, "lacks %s; defaults would compute other features than the model was trained with"
                       % ", ".join(missing))
        return
    found = Report()
    checked = check_parameters(features.PARAMETERS, params, where, found)
    if not found.problems:
        features.check_rules(checked, where, found)
    report.take(found)


# frames

PROBE_FRAMES = 1 << 20  # a number of frames that every convolution with a stride or without padding changes
KEYS = ("kernel_size", "stride", "dilation", "padding")


def changes_of(encoder_params):
    """The convolutions of a network that change the number of frames, in order.

    Args:
      encoder_params: checked dict of ``TDNNEncoder.PARAMETERS``.

    Returns:
      (changes, mask_changes): a list of dicts with the keys ``KEYS``, one for each convolution; and how many of them precede the
      frames that the mask input counts, which are the frames after the first convolution, or after the input transform.
    """
    changes, mask_changes, transforms = [], 0, encoder_params["input_transform"] is not None
    for index, layer in enumerate(encoder_params["convnet_layers"]):
        for repeat in range(layer["repeat"]):
            if convolved_frames(layer, PROBE_FRAMES) != PROBE_FRAMES:
                changes.append({key: layer[key] for key in KEYS})
                mask_changes += index == repeat == 0 and not transforms
    return changes, mask_changes


def frames_after(changes, frames):
    """Frames that ``changes`` leave of ``frames`` (an int), at least 0."""
    for change in changes:
        frames = int(convolved_frames(change, int(frames)))
    return frames


def subsampling_of(changes):
    """Input frames for one output frame: the product of the strides."""
    product = 1
    for change in changes:
        product *= change["stride"][0]
    return product
