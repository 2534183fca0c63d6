"""Which files are to be transcribed, and where the results go."""
import collections
import os

from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import replaced_file
from open_seq2seq.transcription.writers import FORMATS

STANDARD_INPUT = "-"
# what libsndfile reads; a folder's other files are none of ours
EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
              ".voc", ".sph", ".nist")

Recording = collections.namedtuple("Recording", "path name result")
Recording.__doc__ = """path: of the audio, or "-". name: what it is called. result: its results' path below the output folder, to
which .txt and so on is added; the extension of the audio stays in it, so that a.wav and a.flac do not meet."""


def find_recordings(inputs):
    """The recordings that the command line names, those of folders in the order of their names.

    Args:
      inputs: list of paths of files and folders, and "-".

    Returns:
      (list of Recording, list of DataError for inputs that are not there or hold no audio)

    Raises:
      UsageError: two recordings would have the same results.
    """
    recordings, errors = [], []
    for given in inputs:
        if given == STANDARD_INPUT:
            recordings.append(Recording(given, "standard input", "stdin"))
        elif os.path.isdir(given):
            try:
                found = audio_files(given)
            except DataError as error:
                errors.append(error)
                continue
            recordings += found
            if not found:
                errors.append(DataError("%s holds no audio files; expected some that end in %s" % (given, " ".join(EXTENSIONS))))
        elif os.path.exists(given):
            recordings.append(Recording(given, _printable(given), os.path.basename(given)))
        else:
            errors.append(DataError("%s does not exist" % given))
    return recordings, errors


def require_different_results(recordings):
    """Raises UsageError when two recordings would be written to the same file."""
    seen = {}
    for recording in recordings:
        other = seen.setdefault(recording.result, recording)
        if other is not recording:
            raise UsageError("%s and %s would both be written to %s in the output folder; transcribe them one after the other "
                             "into two folders" % (other.name, recording.name, recording.result))


def audio_files(folder):
    """The audio files in a folder and below it, by their extension, hidden ones left out.

    Returns:
      List of Recording, sorted by path.

    Raises:
      DataError: the folder, or one in it, cannot be read.
    """
    def fail(error):
        raise DataError("cannot look into %s: %s" % (error.filename, error.strerror))

    found = []
    for directory, subdirectories, names in os.walk(folder, onerror=fail):
        subdirectories[:] = sorted(name for name in subdirectories if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(directory, name)
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS):
                found.append(Recording(path, _printable(path), os.path.relpath(path, folder)))
    return found


def _printable(path):
    """A path as one line of text: bytes that are no UTF-8 cannot be written, and terminals obey control characters."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def result_paths(output, recording, formats):
    """Paths of the files that hold a recording's results, one a format."""
    return [os.path.join(output, "%s.%s" % (recording.result, FORMATS[name][0])) for name in formats]


def write_results(output, recording, formats, transcript):
    """Writes a recording's results below the folder ``output``; each file appears whole or not at all.

    Raises:
      StorageError: one cannot be written.
    """
    for path, name in zip(result_paths(output, recording, formats), formats):
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        except OSError as error:
            raise StorageError("cannot make the folder %s: %s" % (os.path.dirname(path), error.strerror))
        with replaced_file(path) as file:
            file.write(FORMATS[name][1](transcript, recording.name))
