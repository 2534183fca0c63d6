"""What signals mean to a training: SIGTERM and SIGINT stop it after the step under way, SIGUSR1 saves, a second SIGINT ends it.

Python runs a signal's handler in the main thread only, between two of its instructions, and a step of training is one of them. So
a thread reads the numbers of the signals as they come (``signal.set_wakeup_fd``): it answers at once, and ends the process at a
second SIGINT whatever the main thread does.
"""
import contextlib
import os
import shlex
import signal
import sys
import threading

NOTICED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
RESUME_COMMAND = "JASPER_RESUME_COMMAND"
"""Environment variable by which launchers and scripts tell the command that was typed and that goes on with a run."""


class StoppedBySignal(KeyboardInterrupt):
    """A training was told to stop; the message says what is saved. No ``JasperError``: nothing is wrong.

    Args:
      number: the ``signal.Signals``.
      message: for the person who reads it.

    Attributes:
      number: as given.
      exit_status: int, 128 + number, as shells have it.
    """

    def __init__(self, number, message):
        super().__init__(message)
        self.number = signal.Signals(number)
        self.exit_status = 128 + self.number


def say_on_stderr(text):
    """Prints a line for the person at the terminal, if there is one."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it any more


class TrainingSignals:
    """Context of a training in which signals are noticed; to be entered before anything that takes long.

    Before the first step and after the last, SIGTERM and SIGINT raise :class:`StoppedBySignal` in the main thread. In between,
    see :meth:`asking`, they are requests. Does nothing in another thread than the main one, where Python takes no handlers.

    Args:
      resume: the command that goes on with the run, for the message of a second SIGINT.
      leave: function of an exit status that ends the process.
      say: function that prints a line.

    Attributes:
      resume: as given.
    """

    def __init__(self, resume, leave=os._exit, say=say_on_stderr):
        self.resume, self._leave, self._say = resume, leave, say
        self._requests, self._interrupts, self._raised = None, 0, None
        self._steps_begun = False
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        with contextlib.ExitStack() as stack:
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            os.set_blocking(writer, False)
            thread = threading.Thread(target=self._listen, args=(reader,), name="signals", daemon=True)
            thread.start()
            # in this order at the end: the handlers, the numbers, the pipe, whose end ends the thread
            stack.callback(thread.join)
            stack.callback(os.close, writer)
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer, warn_on_full_buffer=False))
            for number in NOTICED:
                stack.callback(signal.signal, number, signal.signal(number, self._in_main_thread))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._stack.close()
        return False

    @contextlib.contextmanager
    def asking(self, requests):
        """Context of the steps, in which signals ask.

        Args:
          requests: the ``Requests`` of the training.
        """
        self._requests, self._steps_begun = requests, True
        if self._raised is not None:
            # somebody else's code, an import perhaps, has caught the exception and gone on
            requests.ask_by_signal(self._raised)
        try:
            yield
        finally:
            self._requests = None

    def _in_main_thread(self, number, frame):
        if self._requests is not None:
            self._requests.ask_by_signal(number)
        elif number != signal.SIGUSR1:
            self._raised = number
            raise StoppedBySignal(number, "Stopped by %s %s" % (
                signal.Signals(number).name, "after the training's last step, which is saved. For what was still to be done, go "
                "on with:\n  %s" % self.resume if self._steps_begun else "before the first step; nothing was changed"))

    def _listen(self, reader):
        """Answers every signal; in a thread."""
        for number in iter(lambda: os.read(reader, 1), b""):
            number = signal.Signals(number[0])
            if number == signal.SIGINT:
                self._interrupts += 1
            if number == signal.SIGINT and self._interrupts > 1:
                self._say("Stopped at once by a second SIGINT; what came after the last checkpoint is lost. Go on from it "
                          "with:\n  %s" % self.resume)
                if sys.stdout.isatty():
                    self._say("\033[?25h")  # the progress bar has hidden the cursor
                self._leave(128 + signal.SIGINT)
            elif number in NOTICED:
                self._say(self._answer(number))

    def _answer(self, number):
        running = self._requests is not None
        if number == signal.SIGUSR1:
            return "SIGUSR1: %s" % ("a checkpoint is saved after this step" if running else
                                    "everything is saved already" if self._steps_begun else
                                    "there is nothing to save before the first step")
        if not running:
            return number.name
        return "%s: this step is finished and saved, then the training stops%s" % (
            number.name, "; once more stops at once, without saving" if number == signal.SIGINT else "")


def raise_if_stopped_by_signal(request, step, resume):
    """Raises :class:`StoppedBySignal` for a training that a signal has ended.

    Args:
      request: the ``Request`` that ended it, or None.
      step: steps made.
      resume: the command that goes on with the run; "" on ranks that saved nothing.
    """
    if request is None or not hasattr(signal, request.name):
        return
    raise StoppedBySignal(signal.Signals[request.name], "Stopped by %s after step %d%s" % (
        request.name, step, ", which is saved. Go on with:\n  " + resume if resume else ""))


def resume_command(words, environ=os.environ):
    """The command that goes on with a run, as it can be typed into a shell.

    Args:
      words: ``sys.argv``.
      environ: mapping of the environment variables, in which whoever started this process may have told its own command.
    """
    if environ.get(RESUME_COMMAND):
        return environ[RESUME_COMMAND]
    return " ".join(["python"] + [shlex.quote(word) for word in continuing(words)])


def continuing(words):
    """The words of a command line of run.py with ``--continue_learning``, whatever they said about it before."""
    words, flag = list(words), "--continue_learning"
    for place, word in enumerate(words):
        if word == flag:
            if words[place + 1:place + 2] and words[place + 1].lower() in ("true", "false"):
                del words[place + 1]
            return words
        if word.startswith(flag + "="):
            words[place] = flag
            return words
    return words + [flag]
