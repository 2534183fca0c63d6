"""The dictation itself: waits for its key or a request, listens, and types until it is stopped."""
import queue
import threading

from open_seq2seq.dictation.typing_tool import WindowLost
from open_seq2seq.errors import JasperError

IDLE, LISTENING, FINISHING = "idle", "listening", "finishing"
_ANSWER_SECONDS = 4.0


class Dictation:
    """Starts and stops listening on requests, which may come from any thread.

    Args:
      open_stream: function that returns a new ``StreamingTranscriber``.
      sample_rate: samples per second of the blocks of ``sound``.
      sound: ``Microphone`` or ``Recording``.
      writer: Writer.
      status: StatusLine.
    """

    def __init__(self, open_stream, sample_rate, sound, writer, status):
        self._open_stream, self._sample_rate, self._sound = open_stream, sample_rate, sound
        self._writer, self._status = writer, status
        self._requests = queue.Queue()
        self._thread, self._stop, self._failed = None, threading.Event(), None

    @property
    def state(self):
        """"idle", "listening" or "finishing"."""
        if self._thread is None or not self._thread.is_alive():
            return IDLE
        return FINISHING if self._stop.is_set() else LISTENING

    def ask(self, request):
        """Requests "toggle", "start", "stop" or "quit"; returns at once."""
        self._requests.put((request, None))

    def answer(self, request):
        """Makes a request, or "status", and returns the state after it as a line of text."""
        if request == "status":
            return self.state
        if request not in ("toggle", "start", "stop", "quit"):
            return "unknown request %r" % request
        answer = queue.Queue()
        self._requests.put((request, answer))
        try:
            return answer.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            return "busy: the request follows when the text before it is typed"

    def run(self, at_once=False):
        """Serves requests until "quit".

        Args:
          at_once: listen at once, and return when that ends.

        Raises:
          JasperError: with ``at_once``, what ended the dictation.
        """
        if at_once:
            self._start()
        else:
            self._status.show(IDLE)
        while True:
            try:
                request, answer = self._requests.get(timeout=0.1 if at_once else None)
            except queue.Empty:
                if self.state == IDLE:
                    break
                continue
            if request == "quit":
                if answer is not None:
                    answer.put("ended")
                break
            if request == "start" or request == "toggle" and self.state != LISTENING:
                self._start()
            elif self.state == LISTENING:
                self._stop.set()
                self._status.show(FINISHING)
            if answer is not None:
                answer.put(self.state)
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if at_once and self._failed is not None:
            raise self._failed

    def _start(self):
        if self.state == LISTENING:
            return
        if self._thread is not None:
            # the words before the key was released are still being typed
            self._thread.join()
        self._stop, self._failed = threading.Event(), None
        # the focus may move while the microphone is opened
        try:
            self._writer.begin()
        except WindowLost as error:
            self._fail(error)
            return
        self._thread = threading.Thread(target=self._listen, args=(self._stop,), name="listening", daemon=True)
        self._thread.start()
        self._status.show(LISTENING, self._writer.window.title)

    def _listen(self, stop):
        try:
            self._type_until(stop)
        except (JasperError, OSError) as error:
            # OSError: the pipe or the disk of standard output
            self._fail(error)
        except BaseException as error:
            self._failed = error
            raise
        finally:
            stop.set()
            self._status.show(IDLE)

    def _type_until(self, stop):
        stream = self._open_stream()
        for block in self._sound.blocks(stop):
            if self._take(stream.feed(block, self._sample_rate)):
                return
        if not self._take(stream.finish()):
            self._writer.end_phrase()

    def _take(self, events):
        """Types what is final in the events of the stream; returns whether a command ended the dictation."""
        for event in events:
            if not event.final:
                self._status.show(self.state, self._writer.window.title, event.text)
            elif self._writer.add([word.text for word in event.words]) or event.ends_segment and self._writer.end_phrase():
                return True
        return False

    def _fail(self, error):
        self._failed = error
        unwritten = self._writer.unwritten.split()
        self._status.warn("Dictation stopped: %s" % error, '. Not typed: "%s"' % " ".join(unwritten) if unwritten else "",
                          ". Words that were not typed: %d" % len(unwritten) if unwritten else "")
