"""Requests of any rank to all ranks at the end of a step: save a checkpoint, or stop.

A signal reaches one rank before another, and clocks differ, but all ranks have to act after the same step. So a rank makes a
request, and all ranks learn of it together with the mean loss, in the same collective operation.
"""
import enum
import signal

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.gathering import gather_numbers


class Request(enum.Enum):
    """A kind of request; its value is the reason in the words of messages."""

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
    """The requests of all ranks, which agree on them at every step.

    One process needs no operation for it. Each of several ranks feeds a number for every kind of request, which is averaged over
    the ranks together with the loss; a mean above 0 means that at least one rank made the request.

    Args:
      group: a ``ProcessGroup``; the operations are built in the current graph.
    """

    def __init__(self, group):
        self._group = group
        self._asked = set()
        self._own = None
        if group.size > 1:
            self._own = tf.placeholder(tf.float32, [len(Request)], "requests_of_this_rank")

    def ask(self, request):
        """Makes a :class:`Request`; may be called from any thread and from a signal handler."""
        # no lock: a handler may interrupt its holder, and adding to a set is a single step of the interpreter
        self._asked.add(request)

    def ask_by_signal(self, number):
        """Makes the request that a ``signal.Signals`` stands for: SIGTERM and SIGINT stop, SIGUSR1 saves."""
        self.ask(_BY_SIGNAL[number])

    @property
    def signal_has_come(self):
        """Whether a signal has asked this rank to stop; the other ranks may not know it yet."""
        return any(request in self._asked for request in SIGNALS)

    def with_mean(self, value):
        """(mean over all ranks of a float32 scalar, dict of what a step fetches for :meth:`take`)."""
        if self._own is None:
            return self._group.average([value])[0], {}
        mean, requests = self._group.average_in_step([value, self._own])
        return mean, {"requests": requests}

    def feed(self):
        """What to feed to a step that fetches requests."""
        if self._own is None:
            return {}
        return {self._own: self._asked_of_this_rank().astype(np.float32)}

    def _asked_of_this_rank(self):
        return np.array([request in self._asked for request in Request])

    def take(self, values):
        """The set of requests that all ranks agree on after a step; each is returned once.

        Args:
          values: what the step fetched, by name.
        """
        if self._own is None:
            taken = set(self._asked)
        else:
            taken = {request for request, share in zip(Request, values["requests"]) if share > 0.0}
        self._asked -= taken
        return taken

    def agree(self, session, group=None):
        """The set of requests that all ranks agree on between two steps, see :meth:`take`. All ranks call it together.

        Args:
          session: a session.
          group: the ``ProcessGroup``, where it is not that of the steps.
        """
        ranks = gather_numbers(group or self._group, session, self._asked_of_this_rank())
        taken = {request for request, share in zip(Request, ranks.mean(0)) if share > 0.0}
        self._asked -= taken
        return taken


def stop_among(requests):
    """The :class:`Request` of a set that stops the training, or None; a signal takes precedence over the clock."""
    return next((request for request in (Request.SIGINT, Request.SIGTERM, Request.TIME_IS_UP) if request in requests), None)
