"""Folders of generated corpora, written atomically; and what the corpora of spoken digit strings share.

A corpus is written into ``.NAME.partial`` next to its final place and renamed when it is complete, so an interrupted run (Ctrl-C,
a full disk) leaves no incomplete corpus. ``corpus.json`` in the folder records the importer and its parameters; a second run with
the same parameters finds the corpus complete.
"""
import contextlib
import fcntl
import json
import os
import shutil

from open_seq2seq.errors import StorageError

DESCRIPTION_FILE = "corpus.json"


def read_description(folder):
    """The dict in a corpus's ``corpus.json``, or None if ``folder`` is not a corpus that an importer made."""
    try:
        with open(os.path.join(folder, DESCRIPTION_FILE), encoding="utf-8") as stream:
            description = json.load(stream)
    except (OSError, ValueError, RecursionError):  # the last: nested thousands deep
        return None
    return description if isinstance(description, dict) and "importer" in description else None


def is_complete(folder, order):
    """Whether ``folder`` already contains the corpus that ``order`` describes.

    Args:
      folder: the corpus's folder.
      order: dict of everything that determines the corpus's content (importer, its version, parameters); JSON values only.
    """
    description = read_description(folder)
    return description is not None and all(description.get(key) == value for key, value in order.items())


@contextlib.contextmanager
def new_corpus(folder, order, overwrite):
    """Context manager in which a corpus is written; it becomes ``folder`` when the block ends without an exception.

    Args:
      folder: the corpus's folder.
      order: see :func:`is_complete`; written to ``corpus.json`` with what the body adds to the dict it receives.
      overwrite: replace an existing corpus. Only a folder with a ``corpus.json`` is ever replaced.

    Yields:
      (path of the folder to write into, dict that is written to ``corpus.json``).

    Raises:
      StorageError: ``folder`` exists, another process is writing it, or it cannot be written.
    """
    folder = os.path.abspath(folder)
    _refuse_occupied(folder, overwrite)
    partial = os.path.join(os.path.dirname(folder), ".%s.partial" % os.path.basename(folder))
    try:
        os.makedirs(partial, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise StorageError("cannot create a corpus in %s: %s" % (os.path.dirname(folder), error.strerror))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StorageError("another process is writing %s; wait until it has finished" % folder)
    try:
        _empty(partial)
        description = dict(order)
        yield partial, description
        with open(os.path.join(partial, DESCRIPTION_FILE), "w", encoding="utf-8") as stream:
            json.dump(description, stream, indent=1, sort_keys=True)
            stream.write("\n")
        _put_in_place(partial, folder)
    except OSError as error:
        raise StorageError("cannot write the corpus %s: %s" % (folder, error.strerror or error))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _refuse_occupied(folder, overwrite):
    if not os.path.exists(folder) or (os.path.isdir(folder) and not os.listdir(folder)):
        return
    description = read_description(folder)
    if description is None:
        raise StorageError("%s exists and is not a corpus that an importer made (it has no %s); choose another --output"
                           % (folder, DESCRIPTION_FILE))
    if not overwrite:
        raise StorageError("%s already contains a corpus of %s made with other parameters; choose another --output, or replace "
                           "it with --overwrite" % (folder, description["importer"]))


def _empty(folder):
    """Removes what an interrupted run left."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def _put_in_place(partial, folder):
    """Renames ``partial``; an older corpus is moved out of the way first and deleted afterwards."""
    if os.path.isdir(folder) and os.listdir(folder):
        old = os.path.join(os.path.dirname(folder), ".%s.replaced" % os.path.basename(folder))
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
        os.rename(partial, folder)
        shutil.rmtree(old)
    else:
        os.rename(partial, folder)


DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN_DIGIT_WORDS = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
SHORTEST_STRING = 1  # digits in an utterance
LONGEST_STRING = 7


def transcript_of(digits, words=DIGIT_WORDS):
    """``[3, 0]`` -> ``"three zero"``."""
    return " ".join(words[digit] for digit in digits)
