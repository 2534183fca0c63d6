#!/usr/bin/env python3
"""Runs an exported model on a data set, by the interface of the public Ascend port: ``offline_inference.py --help``."""
import argparse
import contextlib
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SCRIPTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(SCRIPTS))

from open_seq2seq.cli import Parser, exit_status_of  # noqa: E402
from open_seq2seq.errors import UsageError  # noqa: E402

DESCRIPTION = """Transcribes the audio of manifest CSVs with a .pb (or .onnx) of run.py --mode=export, and prints the word
error rate. Three steps: audio to bins (--pre_process), bins through the model, results to transcripts and score
(--post_process). The bins are what Ascend's msame and ais_bench read (scripts/om_infer.sh), and their results can be scored here
(--result_dir)."""

EPILOG = """files, below OUTPUT_DIR/jasper:
  input_0/NAME.bin         features [1, T, F]         input_reshape/NAME.bin   mask of the real frames
  result_Files/davinci_NAME_output0.bin               logits [1, T', V + 1]
  transcripts.csv          wav_filename,predicted_transcript
  rejected.csv             rows that were left out, and why

examples:
  offline_inference.py --model_path m.pb --data_dir corpus --output_dir work --pre_process True --batchSize 8
  offline_inference.py ... --pre_process True --inference False --post_process False     only the bins, for om_infer.sh
  offline_inference.py ... --result_dir work/jasper/om_results                           only the score of its results

exit status: 0 done, 2 command line, 3 data or model, 4 device"""

PRECISION_MODES = ("force_fp16", "allow_mix_precision", "allow_fp32_to_fp16", "must_keep_origin_dtype", "force_fp32",
                   "cube_fp16in_fp32out")


def truth(text):
    """The port takes yes, true, t and 1 for true."""
    if text.lower() in ("yes", "true", "t", "1"):
        return True
    if text.lower() in ("no", "false", "f", "0"):
        return False
    raise argparse.ArgumentTypeError("is %r, expected True or False" % text)


def count(text):
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError("is %r, expected a whole number above 0" % text)
    return int(text)


def fraction(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError("is %r, expected a number from 0 to 1" % text)
    return value


def beside(*parts):
    return os.path.normpath(os.path.join(SCRIPTS, "..", *parts))


def make_parser():
    parser = Parser(prog="offline_inference.py", description=DESCRIPTION, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", default=beside("model", "jasper_infer_float32.pb"), metavar="FILE",
                        help="NAME.pb or NAME.onnx, with NAME.json beside it (default: ../model/jasper_infer_float32.pb, counted "
                             "from this script)")
    parser.add_argument("--data_dir", default=beside("datasets"), metavar="DIR",
                        help="what holds the manifest CSVs (default: ../datasets from this script)")
    parser.add_argument("--output_dir", default=beside("datasets"), metavar="DIR",
                        help="where the folder jasper is made (default: ../datasets from this script)")
    parser.add_argument("--pre_process", type=truth, default=False, metavar="True|False", help="write the bins (default: False)")
    parser.add_argument("--post_process", type=truth, default=True, metavar="True|False",
                        help="transcripts and word error rate (default: True)")
    parser.add_argument("--batchSize", type=count, default=1, metavar="N", help="utterances for each run (default: 1)")
    parser.add_argument("--inference", type=truth, default=True, metavar="True|False",
                        help="run the model; without effect with --result_dir (default: True)")
    parser.add_argument("--result_dir", metavar="DIR",
                        help="score these results of msame or ais_bench instead of the model's own")
    parser.add_argument("--manifest", action="append", default=[], metavar="CSV",
                        help="a manifest, in --data_dir or a path; repeated (default: librivox-dev-clean.csv if there is one, "
                             "else every .csv)")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of the bins (default: float32)")
    parser.add_argument("--frames", type=count, metavar="T", help="of the bins, for a model exported with --frames dynamic "
                                                                  "(default: what the longest utterance needs)")
    parser.add_argument("--max_rejected_fraction", type=fraction, default=0.01, metavar="X",
                        help="part of the rows that may be unusable (default: 0.01)")
    parser.add_argument("--device", choices=("auto", "npu", "cpu"), default="auto",
                        help="where the model runs (default: an NPU if there is one)")
    parser.add_argument("--precision_mode", choices=PRECISION_MODES, default="force_fp16",
                        help="how an NPU computes (default: force_fp16, as in the port)")
    return parser


def open_model(path, device_name, precision_mode):
    """The model on its device: a ``LogitModel``."""
    from open_seq2seq.devices import npu_present, select_device
    from open_seq2seq.export.runtime.exported_model import ExportedModel, model_on_device
    from open_seq2seq.export.runtime.onnx_model import OnnxModel
    if path.endswith(".onnx"):
        if device_name == "npu":
            raise UsageError("--device npu: an .onnx runs on the CPU here; give the .pb, or convert to .om with scripts/pb2om.sh")
        return OnnxModel(path)
    if device_name == "auto":
        device_name = "npu" if npu_present() else "cpu"
    device = select_device(device_name, training=False, params={"npu_params": {"precision_mode": precision_mode}})
    model = model_on_device(path, device) if device_name == "npu" else ExportedModel(path)
    for line in device.describe():
        print(line)
    return model


def run(arguments):
    from open_seq2seq.export import model_in_folder
    from open_seq2seq.export.ascend import offline
    from open_seq2seq.export.description import read_description
    from open_seq2seq.export.runtime.scoring import References, find_manifests
    if not (arguments.pre_process or arguments.post_process or arguments.inference):
        raise UsageError("--pre_process, --inference and --post_process are all False: nothing is left to do")
    if os.path.isdir(arguments.model_path):
        arguments.model_path = model_in_folder(arguments.model_path)
    description = read_description(arguments.model_path)
    offline.require_feature_inputs(description, arguments.model_path)
    folder = os.path.join(arguments.output_dir, offline.BINS_FOLDER)
    references = None
    if arguments.pre_process or arguments.post_process:
        references = References(find_manifests(arguments.data_dir, arguments.manifest))
    timing, results = None, arguments.result_dir or os.path.join(folder, offline.RESULTS_FOLDER)
    with contextlib.ExitStack() as stack:
        model = None
        if arguments.inference and not arguments.result_dir:
            # first of all: what is wrong with the model or the device shows before hours of features
            offline.require_batch_size(description, arguments.batchSize)
            model = stack.enter_context(open_model(arguments.model_path, arguments.device, arguments.precision_mode))
        if arguments.pre_process:
            offline.pre_process(description, references, folder, arguments.dtype, arguments.frames,
                                arguments.max_rejected_fraction)
        if model is not None:
            timing = offline.infer(model, offline.open_bins(description, folder), results, arguments.batchSize)
    if arguments.post_process:
        offline.post_process(description, references, offline.open_bins(description, folder), results,
                             os.path.join(folder, offline.TRANSCRIPTS_FILE))
    if timing is not None:
        offline.log_timing(timing, arguments.batchSize)


def main(words):
    return exit_status_of(lambda given: run(make_parser().parse_args(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
