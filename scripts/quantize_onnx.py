#!/usr/bin/env python3
"""Writes an ONNX model with 8-bit weights and compares its word error rate with the original's: ``quantize_onnx.py --help``."""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path  # noqa: E402

DESCRIPTION = """Writes NAME.int8.onnx and NAME.int8.json next to NAME.onnx (dynamic quantization by onnxruntime), scores both
models on the same utterances and prints both word error rates. The JSON contains that of the 8-bit model."""


def run(words):
    """Runs the command line."""
    parser = Parser(prog="quantize_onnx.py", description=DESCRIPTION,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    epilog="exit status: 0 success, 2 command line, 3 data or model")
    parser.add_argument("model", type=file_path, metavar="NAME.onnx", help="a model of run.py --mode=export --format onnx")
    parser.add_argument("--data_dir", default=".", type=file_path, metavar="DIR", help="folder of the manifest CSVs (default: .)")
    parser.add_argument("--manifest", type=file_path, action="append", default=[], metavar="CSV",
                        help="a manifest, a name in --data_dir or a path; may be repeated (default: librivox-dev-clean.csv if it "
                             "exists, else every .csv)")
    arguments = parser.parse_args(words)
    from open_seq2seq.export.description import description_path
    from open_seq2seq.export.quantize import compare, quantize
    from open_seq2seq.export.runtime.scoring import find_manifests
    manifests = find_manifests(arguments.data_dir, arguments.manifest)
    path = quantize(arguments.model)
    compare(arguments.model, path, manifests)
    print("wrote %s and %s" % (path, description_path(path)))


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(run, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
