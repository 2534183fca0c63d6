#!/usr/bin/env python3
"""Makes an ONNX model of 8-bit weights and scores it beside the original: ``quantize_onnx.py --help``."""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of  # noqa: E402

DESCRIPTION = """Writes NAME.int8.onnx and NAME.int8.json beside NAME.onnx (dynamic quantization by onnxruntime), scores both
models on the same utterances and prints both word error rates; the JSON keeps that of the 8-bit model."""


def run(words):
    parser = Parser(prog="quantize_onnx.py", description=DESCRIPTION,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    epilog="exit status: 0 done, 2 command line, 3 data or model")
    parser.add_argument("model", metavar="NAME.onnx", help="of run.py --mode=export --format onnx")
    parser.add_argument("--data_dir", default=".", metavar="DIR", help="what holds the manifest CSVs (default: .)")
    parser.add_argument("--manifest", action="append", default=[], metavar="CSV",
                        help="a manifest, in --data_dir or a path; repeated (default: every .csv in --data_dir)")
    arguments = parser.parse_args(words)
    from open_seq2seq.export.description import description_path
    from open_seq2seq.export.freeze.quantize import compare, quantize
    from open_seq2seq.export.runtime.scoring import find_manifests
    manifests = find_manifests(arguments.data_dir, arguments.manifest)
    path = quantize(arguments.model)
    compare(arguments.model, path, manifests)
    print("wrote %s and %s" % (path, description_path(path)))


def main(words):
    """Runs the command line; returns the exit status, run.py's."""
    return exit_status_of(run, words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
