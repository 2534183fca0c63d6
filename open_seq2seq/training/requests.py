"""What any rank may ask all of them to do at the end of a step: to save, or to stop.

A signal reaches one rank before the other, and clocks differ. What follows from either has to happen on all ranks after the same
step, so it is asked for here; the ranks learn of it together with the mean loss, in the same collective operation.
"""
import enum
import signal

import numpy as np
import tensorflow.compat.v1 as tf


class Request(enum.Enum):
    """What is asked for; the value is how a person calls the reason."""

    SAVE = "saving a checkpoint"
    SIGTERM = "SIGTERM"
    SIGINT = "SIGINT"
    TIME_IS_UP = "max_hours"

    @property
    def stops(self):
        """Whether training ends after the step."""
        return self is not Request.SAVE


SIGNALS = (Request.SIGINT, Request.SIGTERM)
_BY_SIGNAL = {signal.SIGTERM: Request.SIGTERM, signal.SIGINT: Request.SIGINT, signal.SIGUSR1: Request.SAVE}


class Requests:
    """The requests of all ranks, agreed upon at every step.

    One process needs no operation for it. Of several, each feeds a number for every kind of request, which is averaged over the
    ranks together with the loss; whatever is above 0 was asked for by somebody.

    Args:
      group: a ``ProcessGroup``; the operations are built in the current graph.
    """

    def __init__(self, group):
        self._group = group
        self._asked = set()
        self._own = self._alone = None
        if group.size > 1:
            self._own = tf.placeholder(tf.float32, [len(Request)], "requests_of_this_rank")
            self._alone, = group.average([self._own])

    def ask(self, request):
        """Asks all ranks for it; from any thread, and from a signal's handler."""
        # no lock: a handler may interrupt its holder, and adding to a set is a single step of the interpreter
        self._asked.add(request)

    def ask_by_signal(self, number):
        """Asks for what a ``signal.Signals`` means: SIGTERM and SIGINT to stop, SIGUSR1 to save."""
        self.ask(_BY_SIGNAL[number])

    @property
    def signal_has_come(self):
        """Whether this rank has been told by a signal to stop, which the others may not know yet."""
        return any(request in self._asked for request in SIGNALS)

    def with_mean(self, value):
        """(mean over all ranks of a float32 scalar, dict of what a step fetches for :meth:`take`)."""
        if self._own is None:
            return self._group.average([value])[0], {}
        mean, requests = self._group.average([value, self._own])
        return mean, {"requests": requests}

    def feed(self):
        """What to feed to a step that fetches requests."""
        if self._own is None:
            return {}
        return {self._own: np.array([request in self._asked for request in Request], np.float32)}

    def take(self, values):
        """The set of requests that all ranks agree on after a step; each is handed out once.

        Args:
          values: what the step fetched, by name.
        """
        if self._own is None:
            taken = set(self._asked)
        else:
            taken = {request for request, share in zip(Request, values["requests"]) if share > 0.0}
        self._asked -= taken
        return taken

    def agree(self, session):
        """As :meth:`feed` and :meth:`take`, between two steps. All ranks call it together."""
        return self.take({} if self._own is None else {"requests": session.run(self._alone, self.feed())})


def stop_among(requests):
    """The :class:`Request` of a set that stops the training, or None; a signal comes before a clock."""
    return next((request for request in (Request.SIGINT, Request.SIGTERM, Request.TIME_IS_UP) if request in requests), None)
