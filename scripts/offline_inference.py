#!/usr/bin/env python3
"""Runs an exported model on a data set, with the interface of the public Ascend port: ``offline_inference.py --help``."""
import argparse
import contextlib
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SCRIPTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(SCRIPTS))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.decoding.options import add_decoding_arguments, options_from_arguments  # noqa: E402
from open_seq2seq.errors import UsageError  # noqa: E402

DESCRIPTION = """Transcribes the audio of manifest CSVs with a .pb (or .onnx) file of run.py --mode=export, and prints the word
error rate. It has three steps: audio to bins (--pre_process), bins to results by the model (--inference), results to transcripts
and word error rate (--post_process). Ascend's msame and ais_bench read the same bins (scripts/om_infer.sh); this script can score
their results (--result_dir)."""

EPILOG = """files:
  OUTPUT_DIR/jasper/input_0/NAME.wav_input_data.bin          features [1, T, F]
  OUTPUT_DIR/jasper/input_reshape/NAME.wav_input_data.bin    mask of the valid frames
  ./result_Files/davinci_NAME.wav_input_data_output0.bin     logits [1, T', V + 1]
  OUTPUT_DIR/jasper/transcripts.csv                          wav_filename,predicted_transcript
  OUTPUT_DIR/jasper/rejected.csv                             skipped rows with the reason
--naming ours: NAME.bin, OUTPUT_DIR/jasper/result_Files/davinci_NAME_output0.bin

examples:
  offline_inference.py --model_path m.pb --data_dir corpus --output_dir work --pre_process True --batchSize 8
  offline_inference.py ... --pre_process True --inference False --post_process False     write only the bins, for om_infer.sh
  offline_inference.py ... --result_dir work/jasper/om_results                           score its results
  offline_inference.py ... --lm_path lm.binary --alpha 0.6 --beta 1.2                     beam search with a language model

exit status: 0 success, 2 command line, 3 data or model, 4 device"""

PRECISION_MODES = ("force_fp16", "allow_mix_precision", "allow_fp32_to_fp16", "must_keep_origin_dtype", "force_fp32",
                   "cube_fp16in_fp32out")


def truth(text):
    """An argparse type: True or False in the spellings that the public Ascend port accepts."""
    if text.lower() in ("yes", "true", "t", "1"):
        return True
    if text.lower() in ("no", "false", "f", "0"):
        return False
    raise argparse.ArgumentTypeError("is %r, expected True or False" % text)


def fraction(text):
    """An argparse type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("is %r, expected a number from 0 to 1" % text)
    return value


def near_scripts(*parts):
    """A path relative to the parent of this script's folder."""
    return os.path.normpath(os.path.join(SCRIPTS, "..", *parts))


def make_parser():
    """The command line's parser."""
    parser = Parser(prog="offline_inference.py", description=DESCRIPTION, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", default=near_scripts("model", "jasper_infer_float32.pb"), type=file_path, metavar="FILE",
                        help="NAME.pb or NAME.onnx, with NAME.json next to it (default: ../model/jasper_infer_float32.pb, "
                             "relative to this script)")
    parser.add_argument("--data_dir", default=near_scripts("datasets"), type=file_path, metavar="DIR",
                        help="folder of the manifest CSVs (default: ../datasets, relative to this script)")
    parser.add_argument("--output_dir", default=near_scripts("datasets"), type=file_path, metavar="DIR",
                        help="folder in which the folder jasper is created (default: ../datasets, relative to this script)")
    parser.add_argument("--pre_process", type=truth, default=False, metavar="True|False", help="write the bins (default: False)")
    parser.add_argument("--post_process", type=truth, default=True, metavar="True|False",
                        help="write transcripts, print the word error rate (default: True)")
    parser.add_argument("--batchSize", type=whole_number(1), default=1, metavar="N", help="utterances per run (default: 1)")
    parser.add_argument("--inference", type=truth, default=True, metavar="True|False",
                        help="run the model; has no effect with --result_dir (default: True)")
    parser.add_argument("--result_dir", type=file_path, metavar="DIR",
                        help="score these results of msame, ais_bench or the public Ascend port instead of running the model")
    parser.add_argument("--naming", choices=("modelzoo", "ours"), default="modelzoo",
                        help="names of the files that are written: those of the public Ascend port, or the shorter ones of "
                             "earlier versions, see below; both are read (default: modelzoo)")
    parser.add_argument("--manifest", type=file_path, action="append", default=[], metavar="CSV",
                        help="a manifest, a name in --data_dir or a path; may be repeated (default: librivox-dev-clean.csv if it "
                             "exists, else every .csv)")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32",
                        help="number format of the bins (default: float32)")
    parser.add_argument("--frames", type=whole_number(1), metavar="T",
                        help="length of the bins, for a model exported with --frames dynamic (default: that of the longest "
                             "utterance)")
    parser.add_argument("--max_rejected_fraction", type=fraction, default=0.01, metavar="X",
                        help="largest fraction of faulty rows (default: 0.01)")
    parser.add_argument("--device", choices=("auto", "npu", "cpu"), default="auto",
                        help="device that runs the model (default: an NPU if there is one, else the CPU)")
    parser.add_argument("--precision_mode", choices=PRECISION_MODES, default="force_fp16",
                        help="precision on an NPU (default: force_fp16, as in the public Ascend port)")
    add_decoding_arguments(parser)
    return parser


def open_model(path, device_name, precision_mode, batch_size):
    """The model on its device, for batches of ``batch_size`` on an NPU: a ``LogitModel``."""
    from open_seq2seq.devices import npu_present, select_device
    from open_seq2seq.export.runtime.exported_model import ExportedModel, model_on_device
    from open_seq2seq.export.runtime.onnx_model import OnnxModel
    if path.endswith(".onnx"):
        if device_name == "npu":
            raise UsageError("--device npu: this script runs .onnx files on the CPU; give the .pb, or convert to .om with "
                             "scripts/pb2om.sh")
        return OnnxModel(path)
    if device_name == "auto":
        device_name = "npu" if npu_present() else "cpu"
    device = select_device(device_name, training=False, params={"npu_params": {"precision_mode": precision_mode}})
    model = model_on_device(path, device, batch_size) if device_name == "npu" else ExportedModel(path)
    for line in device.describe():
        print(line)
    return model


def run(arguments):
    """Runs the steps that the flags select."""
    options = options_from_arguments(arguments)
    from open_seq2seq.decoding import make_decoder
    from open_seq2seq.export import model_in_folder
    from open_seq2seq.export.ascend import offline
    from open_seq2seq.export.description import read_description
    from open_seq2seq.export.runtime.scoring import References, find_manifests
    from open_seq2seq.text.vocabulary import Vocabulary
    if not (arguments.pre_process or arguments.post_process or arguments.inference):
        raise UsageError("--pre_process, --inference and --post_process are all False; set at least one of them to True")
    if os.path.isdir(arguments.model_path):
        arguments.model_path = model_in_folder(arguments.model_path)
    description = read_description(arguments.model_path)
    offline.require_feature_inputs(description, arguments.model_path)
    folder = os.path.join(arguments.output_dir, offline.BINS_FOLDER)
    references = None
    if arguments.pre_process or arguments.post_process:
        references = References(find_manifests(arguments.data_dir, arguments.manifest), description.text_normalization())
    infers = arguments.inference and not arguments.result_dir
    timing, results = None, arguments.result_dir or offline.results_folder(arguments.naming, folder, exists=not infers)
    with contextlib.ExitStack() as stack:
        model = decoder = None
        if arguments.post_process:
            decoder = stack.enter_context(make_decoder(Vocabulary.of(description.vocabulary), options, verbose=True))
        if infers:
            # first, so that a wrong model or device is found before hours of computing features
            model = stack.enter_context(open_model(arguments.model_path, arguments.device, arguments.precision_mode,
                                                   arguments.batchSize))
        if arguments.pre_process:
            offline.pre_process(description, references, folder, arguments.dtype, arguments.frames,
                                arguments.max_rejected_fraction, arguments.naming)
        if model is not None:
            timing = offline.infer(model, offline.open_bins(description, folder), results, arguments.batchSize)
        if decoder is not None:
            offline.post_process(description, references, offline.open_bins(description, folder), results,
                                 os.path.join(folder, offline.TRANSCRIPTS_FILE), decoder)
    if timing is not None:
        offline.log_timing(timing, arguments.batchSize)


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: run(make_parser().parse_args(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
