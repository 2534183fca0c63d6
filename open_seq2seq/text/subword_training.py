"""A program that trains a SentencePiece model: it reads JSON from stdin and writes the model's bytes to stdout.

It is a process of its own because sentencepiece 0.2.0 ends with SIGSEGV in training if TensorFlow 1.15 was imported before it. It
imports nothing of this package. ``subwords.train_model`` runs it.
"""
import io
import json
import sys

import sentencepiece


def main():
    """Trains with ``{"texts": [...], "options": {...}}``; a mistake in them is exit status 1 with the reason on stderr."""
    request, output = json.loads(sys.stdin.buffer.read().decode("utf-8")), io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(request["texts"]), model_writer=output, **request["options"])
    except RuntimeError as error:
        sys.stderr.buffer.write(str(error).encode("utf-8"))
        return 1
    sys.stdout.buffer.write(output.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
