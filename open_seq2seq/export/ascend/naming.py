"""Names of an utterance's bins.

There are two ways to name an utterance's bins. The ModelZoo's Jasper port names them after the audio file, extension included:
``84-121123-0000.wav_input_data.bin``. Its post-processing takes the fourth part from the end of a result's name, separated by
underscores (``davinci_84-121123-0000.wav_input_data_output0.bin``), and looks for it in the manifest. The project's own naming is
``84-121123-0000.bin``. Both are read.

A result's name contains that of its input bin without ``.bin``, here called the stem.
"""
import os
import re

from open_seq2seq.errors import DataError

MODELZOO, OURS = NAMINGS = ("modelzoo", "ours")
SUFFIX = "_input_data"  # of the port's stems


def stem_of(name, wav_filename, naming):
    """The stem of an utterance's bins.

    Args:
      name: the utterance's name, see ``scoring.utterance_names``.
      wav_filename: of its row.
      naming: one of ``NAMINGS``.
    """
    if naming == OURS:
        return name
    extension = re.sub(r"[^A-Za-z0-9]", "", os.path.splitext(os.path.basename(wav_filename))[1])
    return name + ("." + extension if extension else "") + SUFFIX


def stems_of(name, wav_filename):
    """The stems that an utterance's bins can have: of each naming, and that of the port itself, which keeps all characters.

    Returns:
      List of str.
    """
    return [stem_of(name, wav_filename, naming) for naming in NAMINGS] + [os.path.basename(wav_filename) + SUFFIX]


def names_of_stems(rows):
    """The utterance's name for every stem that its bins can have.

    Args:
      rows: dict from an utterance's name to its ManifestRow, see ``scoring.References``.

    Returns:
      Dict from stem to name. The port gives files of the same name in several folders the same stem; it is that of the first.
    """
    names = {}
    # the last is not unique, so it comes after those of all utterances
    for position in range(len(NAMINGS) + 1):
        for name, row in rows.items():
            names.setdefault(stems_of(name, row.wav_filename)[position], name)
    return names


def require_one_naming(folder, stems):
    """Raises DataError where a folder has bins of both namings: they are from different runs.

    Args:
      folder: its path.
      stems: list of str.
    """
    # a stem of this project's naming has no dot
    port = sorted(stem for stem in stems if re.search(r"\.\w+%s$" % SUFFIX, stem))
    ours = sorted(stem for stem in stems if not stem.endswith(SUFFIX) and "." not in stem)
    if port and ours:
        raise DataError("%s holds bins of two namings: %d like %s.bin and %d like %s.bin. They are from different runs: remove "
                        "those of one of them, or write the bins again with --pre_process True" % (
                            folder, len(port), port[0], len(ours), ours[0]))
