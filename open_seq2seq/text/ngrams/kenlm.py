"""KenLM at work for us: its estimation on disk, and the perplexity of its models."""
import collections
import math
import os
import subprocess
import tempfile

from open_seq2seq.errors import StorageError

LMPLZ_MEMORY = "50%"

Perplexity = collections.namedtuple("Perplexity", "sentences words oov with_oov without_oov")
Perplexity.__doc__ = """How well a model predicts a text.

sentences, words: int, without ends of sentences. oov: int, words that are not in the model. with_oov, without_oov: perplexity per
word and end of sentence; in the latter unknown words are not predicted, as KenLM's ``query`` reports both."""


def perplexity(model, sentences):
    """Perplexity of a text.

    Args:
      model: a ``kenlm.Model``.
      sentences: iterable of lists of words.

    Returns:
      :class:`Perplexity`; its perplexities are NaN without sentences.
    """
    count = words = oov = 0
    total = known = 0.0
    for sentence in sentences:
        count, words = count + 1, words + len(sentence)
        for score, _, is_oov in model.full_scores(" ".join(sentence)):
            total += score
            oov += is_oov
            known += 0.0 if is_oov else score
    predicted = words + count
    return Perplexity(count, words, oov, 10 ** (-total / predicted) if predicted else math.nan,
                      10 ** (-known / (predicted - oov)) if predicted > oov else math.nan)


def run_lmplz(lmplz, sentences, arpa, order, prune, fallback, folder):
    """Estimates a model on disk, for texts that exceed the memory.

    Args:
      lmplz: path of the program.
      sentences: iterable of lists of words.
      arpa: path of the ARPA file to write.
      order, prune, fallback: see :mod:`~open_seq2seq.text.ngrams.kneser_ney`.
      folder: for temporary files.

    Raises:
      StorageError: lmplz fails.
    """
    with tempfile.TemporaryFile(dir=folder) as messages:
        command = [lmplz, "--order", str(order), "--arpa", arpa, "--temp_prefix", os.path.join(folder, "lmplz-"),
                   "--memory", LMPLZ_MEMORY, "--discount_fallback"] + ["%g" % value for value in fallback]
        command += ["--prune"] + [str(count) for count in prune] if prune else []
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=messages)
        try:
            with process.stdin as pipe:
                for sentence in sentences:
                    pipe.write((" ".join(sentence) + "\n").encode("utf-8"))
        except BrokenPipeError:
            pass  # its message says why
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            messages.seek(0)
            raise StorageError("lmplz failed: %s. Without it: --estimator numpy" % _last_lines(messages.read()))


def _last_lines(output):
    return " ".join(output.decode("utf-8", "replace").split("\n")[-4:]).strip() or "no message"
