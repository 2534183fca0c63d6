"""Errors that a user can mend: each says what was found, where, what was expected and what to do.

``run.py`` prints them without a traceback and exits with ``exit_status``; any other exception is a bug
of ours, prints its full traceback and exits 1.
"""


class JasperError(Exception):
    """Base class of every error that is the fault of an input, a file or a device."""

    exit_status = 1


class ConfigError(JasperError):
    """A config module, a command-line override or a flag is wrong (exit status 2)."""

    exit_status = 2


class UsageError(ConfigError):
    """The command line asks for something that cannot be done, e.g. a log directory already in use."""


class DataError(JasperError):
    """A manifest, an audio file, a vocabulary or a transcript is wrong (exit status 3)."""

    exit_status = 3


class CheckpointError(JasperError):
    """A checkpoint is missing, damaged, or belongs to another architecture (exit status 3)."""

    exit_status = 3


class StorageError(JasperError):
    """A file or directory cannot be written: permissions, a full disk (exit status 3)."""

    exit_status = 3


class DeviceError(JasperError):
    """A device or a group of devices is missing or failed (exit status 4)."""

    exit_status = 4


class PeerLostError(DeviceError):
    """Another process of the run died or did not answer any more: a consequence, whose cause is in that process's log."""


class NonFiniteError(JasperError):
    """Training produced a value that is not finite and could not go on (exit status 3)."""

    exit_status = 3
