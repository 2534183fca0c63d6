"""Errors that a user can fix. Each message says what was found, where, what was expected and how to fix it.

Commands print them without a traceback and exit with ``exit_status``. Any other exception is a bug: it is printed with its full
traceback, and the exit status is 1.
"""


class JasperError(Exception):
    """Base class of all errors that an input, a file or a device causes."""

    exit_status = 1


class ConfigError(JasperError):
    """A config module, a command-line override or a flag is wrong (exit status 2)."""

    exit_status = 2


class UsageError(ConfigError):
    """The command line asks for something that cannot be done, e.g. training into a directory that is not empty."""


class DataError(JasperError):
    """A manifest, an audio file, a vocabulary or a transcript is wrong (exit status 3)."""

    exit_status = 3


class CheckpointError(JasperError):
    """A checkpoint is missing or damaged, or has another architecture or vocabulary (exit status 3)."""

    exit_status = 3


class StorageError(JasperError):
    """A file or directory cannot be written, e.g. because of permissions or a full disk (exit status 3)."""

    exit_status = 3


class DeviceError(JasperError):
    """A device or a group of devices is missing or has failed (exit status 4).

    Attributes:
      out_of_memory: what the device reported, a phrase, if its memory does not suffice; else None. A smaller batch may fit.
    """

    exit_status = 4
    out_of_memory = None


class PeerLostError(DeviceError):
    """Another process of the run died or stopped answering; the cause is in that process's log."""


class NonFiniteError(JasperError):
    """Training produced non-finite values and cannot continue (exit status 3)."""

    exit_status = 3
