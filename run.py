#!/usr/bin/env python
"""The command line: see ``python run.py --help``."""
import sys

from open_seq2seq.modes import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
