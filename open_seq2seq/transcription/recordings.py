"""Which files are transcribed, and where the results go."""
import collections
import os

from open_seq2seq.data.audio.containers import (
    AUDIO_EXTENSIONS,
    CONVERTIBLE_EXTENSIONS,
    audio_by_content,
    unsupported_container,
)
from open_seq2seq.decoding.writers import FORMATS
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import files_below, replaced_file

STANDARD_INPUT = "-"

Recording = collections.namedtuple("Recording", "path name result")
Recording.__doc__ = """path: of the audio, or "-". name: for messages and results, one line of printable text. result: path of
its results below the output folder, to which .txt and so on is added; the extension of the audio stays in it, because a.wav and
a.flac may be in one folder."""

Skipped = collections.namedtuple("Skipped", "path reason")
Skipped.__doc__ = """Something in a folder that is not transcribed although a user could expect it: its path, the reason as a
sentence."""


def find_recordings(inputs):
    """The recordings that the command line names, those of folders in the order of their names.

    Args:
      inputs: list of paths of files and folders, and "-".

    Returns:
      (list of Recording, list of DataError for inputs that do not exist or contain no audio, list of Skipped)
    """
    recordings, errors, skipped = [], [], []
    for given in inputs:
        if given == STANDARD_INPUT:
            recordings.append(Recording(given, "standard input", "stdin"))
        elif os.path.isdir(given):
            try:
                found, skipped_here = audio_files(given)
            except DataError as error:
                errors.append(error)
                continue
            recordings += found
            skipped += skipped_here
            if not found:
                errors.append(DataError("%s contains no audio files; expected names ending in %s"
                                        % (display_name(given), " ".join(AUDIO_EXTENSIONS))))
        elif os.path.exists(given):
            recordings.append(Recording(given, display_name(given), os.path.basename(given)))
        else:
            errors.append(DataError("%s does not exist" % display_name(given)))
    return recordings, errors, skipped


def require_different_results(recordings):
    """Raises UsageError if the results of two recordings would be written to the same file."""
    seen = {}
    for recording in recordings:
        other = seen.setdefault(recording.result, recording)
        if other is not recording:
            raise UsageError("the results of %s and %s would both be written to %s in the output folder; transcribe them "
                             "separately into two folders" % (other.name, recording.name, display_name(recording.result)))


def audio_files(folder):
    """The audio files in a folder and below it, by their extension; other files whose content is audio are skipped.

    Hidden files are excluded. Links to folders are followed; each folder is read once.

    Returns:
      (list of Recording, list of Skipped), each sorted by path.

    Raises:
      DataError: the folder, or one in it, cannot be read.
    """
    found, skipped = [], []
    for path in files_below(folder, lambda link, read_as: skipped.append(
            Skipped(link, "It is a link to a folder that was already read as %s." % display_name(read_as)))):
        if path.lower().endswith(AUDIO_EXTENSIONS):
            found.append(Recording(path, display_name(path), os.path.relpath(path, folder)))
        elif path.lower().endswith(CONVERTIBLE_EXTENSIONS):
            skipped.append(Skipped(path, unsupported_container(path) or "Its extension is not one of an audio file that can be "
                                                                        "read here; name the file itself to transcribe it."))
        else:
            reason = audio_by_content(path)
            if reason is not None:
                skipped.append(Skipped(path, reason))
    return sorted(found, key=_parts), sorted(skipped)


def _parts(recording):
    """Sorts the files of a folder before those of the folders in it."""
    folder, name = os.path.split(recording.path)
    return folder.split(os.sep), name


def skipped_lines(skipped):
    """Lines that report what was skipped, files of one extension together."""
    groups = collections.OrderedDict()
    for item in skipped:
        extension = os.path.splitext(item.path)[1].lower()
        groups.setdefault((extension, item.reason), []).append(item.path)
    for (extension, reason), paths in groups.items():
        more = "" if len(paths) == 1 else " and %d more %s" % (
            len(paths) - 1, "%s files" % display_name(extension) if extension else "files without an extension")
        yield "skipped %s%s: %s" % (display_name(paths[0]), more, reason)


def display_name(path):
    """A path as one line of text: bytes that are not UTF-8 become U+FFFD, control characters become escape sequences."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def result_paths(output, recording, formats):
    """Paths of the files for a recording's results, one for each format."""
    return [os.path.join(output, "%s.%s" % (recording.result, FORMATS[name][0])) for name in formats]


def write_results(output, recording, formats, transcript):
    """Writes a recording's results below the folder ``output``, each file atomically.

    Raises:
      StorageError: one cannot be written.
    """
    for path, name in zip(result_paths(output, recording, formats), formats):
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        except OSError as error:
            raise StorageError("cannot create the folder %s: %s" % (os.path.dirname(path), error.strerror))
        with replaced_file(path) as file:
            file.write(FORMATS[name][1](transcript, recording.name))
