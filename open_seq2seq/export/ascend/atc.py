"""The arguments of ATC, Ascend's converter to ``.om``, for an exported model; scripts/pb2om.sh runs it.

    python -m open_seq2seq.export.ascend.atc MODEL ...     prints ATC's arguments, one per line
"""
import argparse
import os
import re
import sys

from open_seq2seq.cli import Parser, exit_status_of
from open_seq2seq.errors import UsageError
from open_seq2seq.export.description import FEATURES_INPUT, MASK_INPUT, read_description

FRAMEWORKS = {".pb": 3, ".onnx": 5}  # ATC's numbers for TensorFlow and ONNX
PRECISION_MODES = ("force_fp16", "force_fp32", "cube_fp16in_fp32out", "allow_fp32_to_fp16", "must_keep_origin_dtype",
                   "allow_mix_precision")


def atc_arguments(model_path, output=None, soc_version="Ascend310", batch_sizes=(), frames=(), precision_mode=None):
    """ATC's arguments.

    With several batch sizes or lengths the model is compiled for each; the tool that runs it has to be given the one in use.

    Args:
      model_path: NAME.pb or NAME.onnx, with its JSON next to it.
      output: path of the result without ``.om``; None: next to the model, named after the shapes.
      soc_version: the chip, e.g. "Ascend310", "Ascend310P3", "Ascend910A".
      batch_sizes: list of int; empty: the model's batch size, or 1 where that is dynamic.
      frames: list of int, input frames; empty: the model's number.
      precision_mode: one of ``PRECISION_MODES``, or None for ATC's default.

    Returns:
      List of str.

    Raises:
      UsageError: the model has other shapes, or cannot be converted by ATC.
      CheckpointError: the model or its JSON is missing or wrong.
    """
    _check_chip(soc_version)
    extension = os.path.splitext(model_path)[1]
    if extension not in FRAMEWORKS:
        raise UsageError("%s is not a model for ATC; expected a .pb or .onnx file of run.py --mode=export" % model_path)
    description = read_description(model_path)
    names = [tensor.name for tensor in description.inputs]
    if sorted(names) != sorted([FEATURES_INPUT, MASK_INPUT]):
        raise UsageError("%s has the inputs %s, expected %s and %s: ATC cannot convert the computation of features. Export "
                         "without --with_features" % (model_path, ", ".join(names), FEATURES_INPUT, MASK_INPUT))
    if description.convolutions == "fast":
        raise UsageError("%s has fast convolutions, which are for CPUs: more weights, and sums for which float16 is not precise "
                         "enough. Export with --convolutions=plain" % model_path)
    batch_sizes = _chosen("--batch_size", batch_sizes, description.batch_size, 1, model_path)
    frames = _chosen("--frames", frames, description.frames, None, model_path)
    for length in frames:
        if length % description.pad_to:
            raise UsageError("--frames %d: expected a multiple of %d, to which the model's features are padded (pad_to)" % (
                length, description.pad_to))
    dynamic_batch, dynamic_frames = len(batch_sizes) > 1, len(frames) > 1
    shapes = {
        FEATURES_INPUT: [-1 if dynamic_batch else batch_sizes[0], 1, -1 if dynamic_frames else frames[0],
                         description.num_audio_features],
        MASK_INPUT: [-1 if dynamic_batch else batch_sizes[0],
                     -1 if dynamic_frames else description.mask_frames(frames[0])]}
    arguments = ["--model=" + model_path, "--framework=%d" % FRAMEWORKS[extension], "--soc_version=" + soc_version,
                 "--input_shape=" + ";".join("%s:%s" % (name, _joined(shapes[name])) for name in names)]
    if dynamic_frames:
        # ATC expects the sizes of all -1 in the order of the inputs, and accepts such models in the format ND only
        choices = []
        for batch_size in batch_sizes:
            for length in frames:
                sizes = {FEATURES_INPUT: [length], MASK_INPUT: [description.mask_frames(length)]}
                choices.append(_joined(size for name in names for size in [batch_size] * dynamic_batch + sizes[name]))
        arguments += ["--input_format=ND", "--dynamic_dims=" + ";".join(choices)]
    elif dynamic_batch:
        arguments.append("--dynamic_batch_size=" + _joined(batch_sizes))
    if precision_mode is not None:
        arguments.append("--precision_mode=" + precision_mode)
    default = "%s_b%s_t%s" % (os.path.splitext(model_path)[0], "_".join(map(str, batch_sizes)), "_".join(map(str, frames)))
    return arguments + ["--output=" + (output or default)]


def _check_chip(name):
    """Raises UsageError for text that cannot be a chip's name; the list of chips differs between releases of ATC."""
    if re.fullmatch(r"Ascend[0-9]{3}\w*", name, re.ASCII):
        return
    # npu-smi shows the name without the prefix that ATC needs
    bare = re.fullmatch(r"(?:ascend)?[ _-]*([0-9]{3}\w*)", name, re.ASCII | re.IGNORECASE)
    raise UsageError("--soc_version is %r, expected %s" % (
        name, "Ascend" + bare.group(1) if bare else "a chip's name for ATC, e.g. Ascend310, Ascend310P3 or Ascend910A: "
        "Ascend and the name that `npu-smi info` shows"))


def _chosen(option, asked, fixed, default, model_path):
    """The sizes to convert for."""
    if fixed is not None:
        if any(size != fixed for size in asked):
            raise UsageError("%s %s, but %s was exported for %d; omit the option, or export again %s" % (
                option, _joined(asked), model_path, fixed, "without --batch_size" if option == "--batch_size"
                else "with --frames=dynamic --convolutions=plain"))
        return [fixed]
    if asked:
        return sorted(set(asked))
    if default is None:
        raise UsageError("%s has a dynamic number of frames, and ATC compiles for fixed numbers: give %s, e.g. %s 2336" % (
            model_path, option, option))
    return [default]


def _joined(numbers):
    return ",".join(str(number) for number in numbers)


def _sizes(text):
    numbers = text.split(",")
    if not all(number.isdigit() and int(number) for number in numbers):
        raise argparse.ArgumentTypeError("is %r, expected whole numbers above 0, separated by commas, e.g. 1,4,8" % text)
    return [int(number) for number in numbers]


def main(words):
    """Prints ATC's arguments for the command line ``words``, one per line."""
    parser = Parser(prog="pb2om.sh")
    parser.add_argument("model")
    parser.add_argument("--output")
    parser.add_argument("--soc_version", default="Ascend310")
    parser.add_argument("--batch_size", type=_sizes, default=[])
    parser.add_argument("--frames", type=_sizes, default=[])
    parser.add_argument("--precision_mode", choices=PRECISION_MODES)
    arguments = parser.parse_args(words)
    print("\n".join(atc_arguments(arguments.model, arguments.output, arguments.soc_version, arguments.batch_size,
                                  arguments.frames, arguments.precision_mode)))


if __name__ == "__main__":
    sys.exit(exit_status_of(main, sys.argv[1:]))
