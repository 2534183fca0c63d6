"""``python -m open_seq2seq.launch``: starts one process for each device; see its ``--help`` and docs/clusters.md."""
import sys

from open_seq2seq.launch.launcher import main

sys.exit(main(sys.argv[1:]))
