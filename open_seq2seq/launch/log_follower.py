"""Shows a growing log file on the terminal."""
import os
import threading


class LogFollower:
    """Copies what is added to a file to a descriptor, in a thread: a terminal that does not take it stops nobody.

    Args:
      path: the file.
      start: int, from where in it, bytes.
      target: int, file descriptor, e.g. 1.
    """

    def __init__(self, path, start, target):
        self._path, self._position, self._target = path, start, target
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self):
        self._thread.start()

    def finish(self, seconds=5):
        """Copies the rest and ends, after ``seconds`` at the latest."""
        self._finished.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _follow(self):
        with open(self._path, "rb", buffering=0) as file:
            file.seek(self._position)
            while True:
                last = self._finished.is_set()
                chunk = file.read(65536)
                while chunk:
                    if not self._write(chunk):
                        return
                    chunk = file.read(65536)
                if last:
                    return
                self._finished.wait(0.1)

    def _write(self, chunk):
        try:
            while chunk:
                chunk = chunk[os.write(self._target, chunk):]
        except OSError:
            # the reader went away, e.g. with a broken connection; the run goes on, and its log has everything
            return False
        return True
