"""Lists the audio files of a folder as fairseq's ``wav2vec_manifest.py`` does: ``train.tsv`` and ``valid.tsv``.

    python -m open_seq2seq.pretraining.manifest FOLDER --ext flac --dest train.tsv --valid_percent 0.01

Instead of a folder, a manifest CSV of this project or a TSV list is accepted; a list whose audio files were moved is written with
its new root by ``--root``.
"""
import os
import random
import sys

from open_seq2seq.cli import file_path, make_parser
from open_seq2seq.data.fairseq_files.audio_list import EXTENSION, is_audio_list, read_audio_list, write_audio_list
from open_seq2seq.data.fairseq_files.feature_shards import make_folder
from open_seq2seq.data.importers.frame import share
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import scan_audio
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import files_below, require_writable
from open_seq2seq.pretraining.features import path_of

_ANY_RATE = 16000
_SHOWN = 5


def main(arguments=None):
    parser = make_parser("open_seq2seq.pretraining.manifest", "List audio files for pre-training, as fairseq does.")
    parser.add_argument("source", type=file_path, metavar="FOLDER", help="folder of audio files, a manifest CSV or a TSV list")
    parser.add_argument("--ext", default="flac", help="extension of the audio files of a folder")
    parser.add_argument("--dest", type=file_path, default=".", help="file to write, e.g. train.tsv; or a folder for train.tsv")
    parser.add_argument("--valid_percent", "--valid-percent", type=share,
                        help="share of the files for validation, 0 to 1, in valid.tsv next to train.tsv (default: 0.01; if the "
                             "source is a TSV list, 0)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the choice of files for validation")
    parser.add_argument("--path_must_contain", "--path-must-contain", help="list only files with this text in their path")
    parser.add_argument("--root", type=file_path, help="folder of the audio files, instead of the first line of a TSV list")
    parser.add_argument("--skip_unreadable", action="store_true", help="skip files that cannot be read, and list them")
    options = parser.parse_args(arguments)
    if options.root is not None and not is_audio_list(options.source):
        raise UsageError("--root belongs to a TSV list, and %s is not one" % options.source)
    if options.valid_percent is None:
        options.valid_percent = 0.0 if is_audio_list(options.source) else 0.01
    root, paths = _paths(options)
    train, valid = _destinations(options.dest)
    if options.path_must_contain:
        paths = [path for path in paths if options.path_must_contain in path]
    if not paths:
        raise DataError("%s has no audio files%s; check --ext" % (options.source, " whose path contains %r" % (
            options.path_must_contain) if options.path_must_contain else " with the extension .%s" % options.ext.lstrip(".")))
    # fairseq draws one number for each file, and takes those above the share for training
    draw, lists = random.Random(options.seed), {train: [], valid: []}
    for path, info in _readable(paths, options.skip_unreadable):
        lists[train if draw.random() > options.valid_percent else valid].append((os.path.relpath(path, root), info.file_samples))
    if not lists[train]:
        raise DataError("no file is left for training: %d of %d are for validation; lower --valid_percent" % (
            len(lists[valid]), len(paths)))
    for path, entries in lists.items():
        if path == valid and options.valid_percent == 0:
            continue
        write_audio_list(path, root, entries)
        print("Wrote %d files to %s" % (len(entries), path))
    if options.valid_percent and not lists[valid]:
        print("Note: no file is in %s; raise --valid_percent for a validation set" % valid)


def _destinations(dest):
    """(path of the training list, path of the validation list)."""
    if not dest.endswith(EXTENSION):
        dest = os.path.join(dest, "train" + EXTENSION)
    folder, name = os.path.split(dest)
    valid = name.replace("train", "valid") if "train" in name else "valid" + EXTENSION
    if valid == name:
        raise UsageError("--dest is %s, which is the name of the validation list; give another one, e.g. train.tsv" % dest)
    make_folder(folder or ".", "--dest")
    require_writable(dest)
    return dest, os.path.join(folder, valid)


def _paths(options):
    """(root, list of paths below it) of the source."""
    source = options.source
    if os.path.isdir(source):
        ending, root = "." + options.ext.lstrip(".").lower(), os.path.realpath(source)
        found = files_below(root, lambda link, read_as: print("Note: %s is another path of %s, which is read once" % (
            link, read_as)))
        return root, sorted(path for path in found if path.lower().endswith(ending))
    if is_audio_list(source):
        entries = read_audio_list(source, options.root and os.path.abspath(options.root))
        return os.path.realpath(entries.root), [os.path.realpath(entry.path) for entry in entries.entries]
    if not os.path.exists(source):
        raise DataError("%s does not exist; expected a folder of audio files, a manifest CSV or a TSV list" % source)
    rows = read_manifest(source, transcripts=False)
    for row in rows:
        if row.problem is not None:
            raise DataError("%s:%d %s" % (source, row.row, row.problem))
    paths = [os.path.abspath(path_of(row)) for row in rows]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    return root, paths


def _readable(paths, skip):
    """(path, AudioInfo) of the files that can be read."""
    infos = scan_audio([(path, None) for path in paths], _ANY_RATE)
    bad = [(path, info) for path, info in zip(paths, infos) if isinstance(info, RejectedData)]
    for path, info in bad[:_SHOWN if not skip else None]:
        print("%s: %s: %s" % (path, info.reason.name, info), file=sys.stderr)
    if bad and not skip:
        raise DataError("%d of %d audio files cannot be read, the first is %s: %s. Repair or remove them, or skip them with "
                        "--skip_unreadable" % (len(bad), len(paths), bad[0][0], bad[0][1]))
    return [(path, info) for path, info in zip(paths, infos) if not isinstance(info, RejectedData)]


if __name__ == "__main__":
    sys.exit(run_importer(main))
