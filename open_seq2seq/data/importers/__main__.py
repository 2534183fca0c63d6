"""``python -m open_seq2seq.data.importers NAME OPTIONS`` runs an importer; without a name it lists them."""
import difflib
import importlib
import sys

from open_seq2seq.data.importers import CONVERTERS, SUMMARIES
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.errors import UsageError

_USAGE = "usage: python -m open_seq2seq.data.importers NAME OPTIONS"


def main(arguments=None):
    """Runs the importer that the first argument names."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE + "\n\nWrite manifests, wav_filename,wav_filesize,transcript, for a corpus. NAME --help lists options.\n")
        width = max(map(len, SUMMARIES))
        for name, summary in list(SUMMARIES.items()) + list(CONVERTERS.items()):
            print("  %s  %s" % (name.ljust(width), summary))
        return
    name = arguments[0].replace("-", "_")
    names = list(SUMMARIES) + list(CONVERTERS)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        raise UsageError("there is no importer %s%s; the importers are: %s" % (
            arguments[0], " (is %s meant?)" % close[0] if close else "", ", ".join(names)))
    importlib.import_module("open_seq2seq.data.importers." + name).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(run_importer(main))
