"""Quantizes an ONNX model to 8-bit weights and compares the word error rates; scripts/quantize_onnx.py is the command.

Dynamic quantization: weights are stored as integers, activations are quantized at run time by the range of each tensor. The file
has a quarter of the size. It is faster only where the processor multiplies 8-bit integers faster than floats (AVX-512 VNNI).
"""
import os
import shutil
import tempfile

from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.export.description import WordErrorRate, read_description, write_description
from open_seq2seq.export.formats import INSTALL_ONNX, QUANTIZED
from open_seq2seq.export.runtime.onnx_model import OnnxModel
from open_seq2seq.export.runtime.scoring import References, log_score, transcribe_references
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import MODEL


def quantize(onnx_path):
    """Writes NAME.int8.onnx and NAME.int8.json next to NAME.onnx.

    Args:
      onnx_path: a float32 model with its JSON next to it.

    Returns:
      Path of the quantized model.

    Raises:
      UsageError: onnxruntime's quantization is not installed, or the model is quantized already.
      CheckpointError: the model is missing or wrong.
      StorageError: a file cannot be written.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise UsageError("onnxruntime.quantization cannot be imported (%s); %s" % (error, INSTALL_ONNX))
    if not onnx_path.endswith(".onnx"):
        raise UsageError("%s is not a model that onnxruntime can quantize; expected a .onnx file of run.py --mode=export "
                         "--format=onnx"
                         % onnx_path)
    description = read_description(onnx_path)
    if description.precision != "float32":
        raise UsageError("%s has precision %s; expected a float32 model to quantize" % (onnx_path, description.precision))
    path = os.path.splitext(onnx_path)[0] + QUANTIZED + ".onnx"
    # a folder for the optimized copy that onnxruntime writes next to the model
    with tempfile.TemporaryDirectory(prefix="jasper-quantize-") as folder:
        source, result = os.path.join(folder, "source.onnx"), os.path.join(folder, "result.onnx")
        shutil.copyfile(onnx_path, source)
        try:
            # unsigned: the only type that every version of the integer convolution accepts
            quantize_dynamic(source, result, weight_type=QuantType.QUInt8)
        except Exception as error:  # ValueError, RuntimeError and onnx's classes
            raise CheckpointError("onnxruntime cannot quantize %s: %s" % (onnx_path, error))
        with open(result, "rb") as stored, replaced_file(path, "wb") as file:
            shutil.copyfileobj(stored, file)
    # the SentencePiece model is that of the original
    subword_model = {name: digest for name, digest in description.sha256.items() if name == MODEL.lstrip(".")}
    write_description(description._replace(precision="int8", wer=None, sha256=subword_model), path)
    return path


def compare(onnx_path, quantized_path, manifests, threads=0):
    """Scores both models on the same utterances and writes the quantized model's word error rate into its JSON.

    Args:
      onnx_path, quantized_path: the two models.
      manifests: list of paths.
      threads: see ``OnnxModel``.

    Returns:
      (word error rate of the float32 model, of the quantized model), two floats.

    Raises:
      UsageError: the manifests have no transcripts.
      DataError: a manifest is wrong, or too many of its rows are faulty.
    """
    references = References(manifests, read_description(onnx_path).text_normalization())
    if not references.has_transcripts:
        raise UsageError("%s: the manifests have no reference transcripts" % ", ".join(manifests))
    rates = []
    for path in (onnx_path, quantized_path):
        log_line("%s (%.1f MB):" % (path, os.path.getsize(path) / 1e6))
        with OnnxModel(path, threads) as model:
            rates.append(log_score(references, transcribe_references(model, references)).word_error_rate.rate)
    log_line("WER %.4f in float32, %.4f in int8" % tuple(rates))
    names = ", ".join(os.path.basename(path) for path in manifests)
    write_description(read_description(quantized_path)._replace(wer=WordErrorRate(rates[1], names)), quantized_path)
    return tuple(rates)
