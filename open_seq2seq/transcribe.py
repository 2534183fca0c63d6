"""Transcribes recordings: ``python -m open_seq2seq.transcribe FILE --model DIR``; see its ``--help`` and docs/transcribe.md."""
import contextlib
import os
import signal
import sys
import threading

from open_seq2seq.cli import exit_status_of
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.transcription.options import parse_options
from open_seq2seq.transcription.recordings import find_recordings, require_different_results


def main(arguments):
    """Runs the command line; returns the exit status."""
    # so that temporary files are removed as after Ctrl-C; another thread's caller decides what a signal does
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    return exit_status_of(lambda given: _run(parse_options(given)), arguments)


def _run(arguments):
    if arguments.watch is not None:
        return _watch(arguments)
    if arguments.microphone:
        return _listen(arguments)
    if arguments.serve:
        return _serve(arguments)
    recordings, errors, skipped = find_recordings(arguments.inputs)
    if arguments.output is not None:
        require_different_results(recordings)
    elif arguments.formats[0] in ("srt", "vtt") and len(recordings) > 1:
        raise UsageError("standard output cannot hold %d subtitle files; give a folder with --output" % len(recordings))
    from open_seq2seq.transcription.batch import Batch

    batch = Batch(recordings, arguments.formats, arguments.output, errors, skipped)
    if not recordings:
        # the model is not needed
        return batch.run(None)
    with contextlib.closing(_transcriber(arguments)) as transcriber:
        return batch.run(transcriber)


def _transcriber(arguments):
    from open_seq2seq.transcription.transcriber import Transcriber
    return Transcriber(arguments.model, arguments.device, decoding=arguments.decoding, task=arguments.task)


def _stop_on_signals():
    """An Event that Ctrl-C and SIGTERM set instead of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _watch(arguments):
    from open_seq2seq.transcription.watch import FolderWatch
    if not os.path.isdir(arguments.watch):
        raise DataError("--watch %s is not a folder; create it, or give another one" % arguments.watch)
    with contextlib.closing(_transcriber(arguments)) as transcriber:
        FolderWatch(transcriber, arguments.watch, arguments.output or arguments.watch, arguments.formats,
                    _stop_on_signals()).run()
    return 0


def _listen(arguments):
    from open_seq2seq.transcription.microphone import listen, require_microphone
    from open_seq2seq.transcription.voice_activity import require_webrtcvad
    # checked before the model is loaded
    require_microphone(arguments.microphone_device)
    voice_activity = arguments.voice_activity != "off"
    if voice_activity:
        require_webrtcvad(", or stream without voice activity (--voice_activity off)")
    from open_seq2seq.transcription.streaming import DEFAULT_LATENCY, StreamingTranscriber
    latency = DEFAULT_LATENCY if arguments.latency is None else arguments.latency
    with contextlib.closing(_transcriber(arguments)) as transcriber, StreamingTranscriber(
            transcriber, latency, voice_activity) as stream:
        listen(stream, arguments.formats, arguments.output, _stop_on_signals(), arguments.microphone_device)
    return 0


def _serve(arguments):
    from open_seq2seq.transcription.web.server import serve
    limits = {"max_bytes": arguments.max_megabytes and arguments.max_megabytes << 20, "max_seconds": arguments.max_seconds}
    options = {name: value for name, value in limits.items() if value is not None}
    port = 8000 if arguments.port is None else arguments.port
    # the port is bound before the model is loaded
    serve(lambda: _transcriber(arguments), host=arguments.host or "127.0.0.1", port=port, **options)
    return 0


def command():
    """The command ``jasper-transcribe``."""
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    command()
