"""Programs in processes of their own that are measured in turns: other revisions, other frameworks, other environments.

A worker builds what is measured, then performs a step for each line that it reads, so several workers are measured alternately
in one run. This module needs only Python's standard library: workers run in environments without TensorFlow as well.

The worker's side is :func:`serve`, the other side is :class:`Worker`.
"""
import json
import os
import subprocess
import sys


def peak_memory():
    """The largest resident memory of this process since :func:`forget_peak_memory`, in bytes (Linux)."""
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def forget_peak_memory():
    """Resets the peak to the present memory; without the right to do so, the peak includes the construction of the network."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def private_output():
    """A file for the answers of :func:`serve`; everything else that this process prints goes to stderr from now on."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return output


def serve(output, step, facts):
    """Performs steps for the :class:`Worker` at the other end until that closes the pipe.

    Args:
      output: the file of :func:`private_output`.
      step: function without arguments, returns the loss of a step.
      facts: dict about what was built, in JSON's types; flops: of a step.
    """
    def answer(values):
        output.write(json.dumps(values) + "\n")
        output.flush()

    forget_peak_memory()
    answer(facts)
    for line in sys.stdin:
        answer({"loss": float(step())} if line.strip() == "step" else {"peak_bytes": peak_memory()})


class Worker:
    """A process that performs a step on demand.

    Args:
      name: str, in tables.
      command: list of str.
      environ: dict of variables that are added to those of this process.

    Attributes:
      name: see above.
      facts: the dict that the worker sent when it was ready.
      losses: list of float, of every step.

    Raises:
      RuntimeError: the worker ended; its own message is on stderr.
    """

    def __init__(self, name, command, environ=None):
        self.name, self.losses = name, []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=dict(os.environ, **(environ or {})))
        self.facts = self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("%s: the worker `%s` ended with status %d; its message is above" % (
                self.name, " ".join(self._process.args), self._process.wait()))
        return json.loads(line)

    def _ask(self, request):
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer is then missing, which is reported
        return self._answer()

    def step(self):
        """Performs one step; returns its loss."""
        self.losses.append(self._ask("step")["loss"])
        return self.losses[-1]

    def peak_bytes(self):
        """The worker's largest resident memory since it was ready."""
        return self._ask("memory")["peak_bytes"]

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def report_memory(workers):
    """Prints the peak memory of the steps of each worker, and the ratio of the first one's to the others'."""
    peaks = [worker.peak_bytes() for worker in workers]
    for worker, peak in zip(workers, peaks):
        print("peak memory, %s: %.2f GiB" % (worker.name, peak / 2 ** 30))
    for worker, peak in zip(workers[1:], peaks[1:]):
        print("%s needs %.2f times the memory of %s" % (workers[0].name, peaks[0] / peak, worker.name))
    return {worker.name: peak for worker, peak in zip(workers, peaks)}
