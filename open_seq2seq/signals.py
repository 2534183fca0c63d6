"""Signals to a training: SIGTERM and SIGINT stop it after the current step, SIGUSR1 saves, a second SIGINT exits at once.

Python runs a signal's handler in the main thread only, between two of its instructions, and a training step is one instruction.
So a thread reads the numbers of the signals as they arrive (``signal.set_wakeup_fd``): it prints an answer at once, and exits the
process at a second SIGINT, whatever the main thread is doing.
"""
import contextlib
import ctypes
import os
import shlex
import signal
import sys
import threading

NOTICED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
RESUME_COMMAND = "JASPER_RESUME_COMMAND"
"""Environment variable in which launchers and scripts pass on the command that the user typed, and that resumes the run."""


_PR_SET_PDEATHSIG = 1  # of Linux


class StoppedBySignal(KeyboardInterrupt):
    """A signal has stopped a training; the message says what is saved. Not a ``JasperError``, because nothing is wrong.

    Args:
      number: the ``signal.Signals``.
      message: for the user.

    Attributes:
      number: as given.
      exit_status: int, 128 + number, by the shells' convention.
    """

    def __init__(self, number, message):
        super().__init__(message)
        self.number = signal.Signals(number)
        self.exit_status = 128 + self.number


def print_on_stderr(text):
    """Prints a line; ignores a closed stderr."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


class TrainingSignals:
    """Context of a training in which signals are handled; to be entered before anything that takes long.

    Before the first step and after the last, SIGTERM and SIGINT raise :class:`StoppedBySignal` in the main thread. In between,
    see :meth:`asking`, they are requests. Does nothing outside the main thread, where Python accepts no handlers.

    Args:
      resume: the command that resumes the run, for messages.
      leave: function of an exit status that exits the process.
      say: function that prints a line.

    Attributes:
      resume: as given.
    """

    def __init__(self, resume, leave=os._exit, say=print_on_stderr):
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
            # undone in reverse order: the handlers, the wakeup descriptor, the pipe, whose end ends the thread
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
        """Context of the training steps, in which signals are requests.

        Args:
          requests: the ``Requests`` of the training.
        """
        self._requests, self._steps_begun = requests, True
        if self._raised is not None:
            # other code, e.g. an import with a fallback, has caught the exception
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
                signal.Signals(number).name, "after the training's last step, which is saved. Do what is left with:\n  %s"
                % self.resume if self._steps_begun else "before the first step; nothing was changed"))

    def _listen(self, reader):
        """Prints an answer to every signal; runs in a thread."""
        for number in iter(lambda: os.read(reader, 1), b""):
            number = signal.Signals(number[0])
            if number == signal.SIGINT:
                self._interrupts += 1
            if number == signal.SIGINT and self._interrupts > 1:
                self._say("Stopped at once by a second SIGINT; the steps after the last checkpoint are lost. Resume from it "
                          "with:\n  %s" % self.resume)
                if sys.stdout.isatty():
                    self._say("\033[?25h")  # the progress bar has hidden the cursor
                self._leave(128 + signal.SIGINT)
            elif number in NOTICED:
                self._say(self._answer(number))

    def _answer(self, number):
        running = self._requests is not None
        if number == signal.SIGUSR1:
            return "SIGUSR1: %s" % ("a checkpoint will be saved after this step" if running else
                                    "everything is already saved" if self._steps_begun else
                                    "there is nothing to save before the first step")
        if not running:
            return number.name
        return "%s: the training will finish and save this step, then stop%s" % (
            number.name, "; a second SIGINT stops it at once, without saving" if number == signal.SIGINT else "")


def follow_parent(parent):
    """Makes this worker process end with the one that started it, also when that is killed; only the parent handles Ctrl-C.

    Args:
      parent: process id. If it has ended already, this process ends here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def raise_if_stopped_by_signal(request, step, resume):
    """Raises :class:`StoppedBySignal` for a training that a signal has stopped.

    Args:
      request: the ``Request`` that stopped it, or None.
      step: number of steps made.
      resume: the command that resumes the run; "" on ranks that do not save.
    """
    if request is None or not hasattr(signal, request.name):
        return
    raise StoppedBySignal(signal.Signals[request.name], "Stopped by %s after step %d%s" % (
        request.name, step, ", which is saved. Resume with:\n  " + resume if resume else ""))


def resume_command(argv, environ=os.environ):
    """The command that resumes a run, as it can be typed into a shell.

    Args:
      argv: ``sys.argv``.
      environ: mapping of the environment variables; whoever started this process may have put its own command there.
    """
    if environ.get(RESUME_COMMAND):
        return environ[RESUME_COMMAND]
    return " ".join(["python"] + [shlex.quote(argument) for argument in continuing(argv)])


def continuing(argv):
    """A command line of run.py with ``--continue_learning``, whatever value of that flag it contains."""
    argv, flag = list(argv), "--continue_learning"
    for place, argument in enumerate(argv):
        if argument == flag:
            if argv[place + 1:place + 2] and argv[place + 1].lower() in ("true", "false"):
                del argv[place + 1]
            return argv
        if argument.startswith(flag + "="):
            argv[place] = flag
            return argv
    return argv + [flag]
