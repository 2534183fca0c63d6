#!/usr/bin/env python
"""Writes manifests for Common Voice, as ``python -m open_seq2seq.data.importers common_voice`` does; see docs/importers.md."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.data.importers.common_voice import main  # noqa: E402
from open_seq2seq.data.importers.importer_command import run_importer  # noqa: E402

if __name__ == "__main__":
    sys.exit(run_importer(main))
