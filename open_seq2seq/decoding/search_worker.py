"""``python -m open_seq2seq.decoding.search_worker``: a process that searches for :class:`~.worker_pool.WorkerPool`.

It reads pickled messages from stdin and writes the answers to stdout, each after its length: first a ``SearchSpec``, answered by
None; then (log probabilities, with_characters) for each utterance, answered by a ``Hypothesis``. An exception is an answer, too.
It ends with its stdin, that is, also when the process that started it was killed.
"""
import os
import pickle
import signal
import struct
import sys

_LENGTH = struct.Struct("<Q")


def write_message(stream, message):
    """Writes a pickled object after its length."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def read_message(stream):
    """Reads what :func:`write_message` wrote.

    Raises:
      EOFError: the stream has ended.
    """
    length = stream.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        raise EOFError("the stream has ended")
    content = stream.read(_LENGTH.unpack(length)[0])
    if len(content) < _LENGTH.unpack(length)[0]:
        raise EOFError("the stream has ended in a message")
    return pickle.loads(content)


def main():
    """Answers messages until stdin ends."""
    # Ctrl-C reaches every process of a terminal; this one ends with its parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is not an answer
    search = None
    while True:
        try:
            message = read_message(source)
        except EOFError:
            return
        try:
            if search is None:
                from open_seq2seq.decoding.searches import make_search
                search, answer = make_search(message), None
            else:
                answer = search.search(*message)
        except Exception as error:
            answer = _sendable(error)
        try:
            write_message(target, answer)
        except BrokenPipeError:
            return


def _sendable(error):
    """``error``, or one of the same text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError("%s: %s" % (type(error).__name__, error))


if __name__ == "__main__":
    main()
