"""``--microphone``: shows words as they are spoken, and writes the whole when it ends."""
import sys
import time

from open_seq2seq.transcription.microphone import microphone_blocks
from open_seq2seq.transcription.recordings import Recording, write_results
from open_seq2seq.transcription.segmentation import FOR_MICROPHONE
from open_seq2seq.transcription.transcript import make_transcript
from open_seq2seq.transcription.writers import FORMATS


def listen(transcriber, formats, output, stop, device=None):
    """Transcribes the microphone until ``stop`` is set.

    Text on standard output comes window by window, a line for each; other formats, and all into a folder, at the end.

    Args:
      transcriber: a Transcriber.
      formats: list of names of ``writers.FORMATS``.
      output: folder for the results, named by date and time; None for standard output, then there is one format.
      stop: ``threading.Event``.
      device: name or number of the microphone.

    Returns:
      Transcript of all that was heard.

    Raises:
      DeviceError: there is no microphone.
      StorageError: a result cannot be written.
    """
    name = time.strftime("microphone_%Y-%m-%d_%H-%M-%S")
    words, samples = [], 0

    def counted():
        nonlocal samples
        for block in microphone_blocks(transcriber.sample_rate, stop, device, _log):
            samples += len(block)
            yield block

    _log("listening; Ctrl-C stops")
    for some in transcriber.stream(counted(), FOR_MICROPHONE, name="the microphone"):
        words += some
        line = transcriber.separator.join(word.text for word in some)
        if line:
            # where the result goes to a folder, what was understood is shown beside it
            print(line, file=sys.stdout if output is None and formats == ["text"] else sys.stderr, flush=True)
    transcript = make_transcript(words, round(samples / float(transcriber.sample_rate), 3), transcriber.separator)
    if output is not None:
        write_results(output, Recording(name, name, name), formats, transcript)
    elif formats != ["text"]:
        sys.stdout.write(FORMATS[formats[0]][1](transcript, name))
        sys.stdout.flush()
    return transcript


def _log(text):
    print(text, file=sys.stderr, flush=True)
