#!/usr/bin/env python
"""The command line: see ``python run.py --help``."""
import os
import sys

# TensorFlow's remarks on the CPU's instruction sets, and its error about a GPU driver on a machine that has none, are no
# news to anybody; set it to 0 to see them
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if os.path.exists("/dev/nvidiactl") else "3")

from open_seq2seq.modes import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
