"""The SentencePiece model of a training, kept next to its checkpoints: the labels of new transcripts need it.

The file is ``subwords-DIGEST.model`` in the directory of the checkpoints. Their manifests have its SHA-256 as "subword_model".
"""
import os

from open_seq2seq.checkpoints.manifest import read_manifest
from open_seq2seq.errors import StorageError
from open_seq2seq.files import file_digest, replaced_file

KEY = "subword_model"


def subword_digest(checkpoint):
    """SHA-256 of the model that a checkpoint was trained with, hexadecimal; None if there is none or it is not known."""
    manifest = read_manifest(checkpoint)
    digest = manifest.get(KEY) if manifest is not None else None
    return digest if isinstance(digest, str) else None


def model_next_to(checkpoint, digest):
    """Path of the model's file in the directory of a checkpoint, whether or not it exists."""
    return os.path.join(os.path.dirname(checkpoint), "subwords-%s.model" % digest[:12])


def kept_model(checkpoint):
    """Path of the model's file next to a checkpoint; None if the checkpoint has none, or the file is missing or changed."""
    digest = subword_digest(checkpoint)
    path = model_next_to(checkpoint, digest) if digest is not None else None
    return path if path is not None and os.path.isfile(path) and file_digest(path) == digest else None


def keep_model(checkpoint, model, digest):
    """Writes the model's file next to a checkpoint that is about to be written.

    Args:
      checkpoint: path without extension.
      model: bytes. digest: their SHA-256.

    Raises:
      StorageError: the file cannot be written.
    """
    path = model_next_to(checkpoint, digest)
    if os.path.isfile(path) and file_digest(path) == digest:
        return
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the directory of %s: %s" % (path, error.strerror))
    with replaced_file(path, "wb") as file:
        file.write(model)
