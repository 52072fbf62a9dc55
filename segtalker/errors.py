"""Errors that a user can act on. The CLI prints their message on one line and exits with `exit_code`."""

from __future__ import annotations


class SegTalkerError(Exception):
    """Something that the user can mend; the message says what, where and how."""

    exit_code = 1


class ConfigError(SegTalkerError):
    """A configuration value is unknown, missing or out of range."""

    exit_code = 2


class MediaError(SegTalkerError):
    """A media file cannot be read or written."""

    exit_code = 3


class FaceNotFound(SegTalkerError):
    """No face that could be dubbed."""

    exit_code = 4


class WeightsError(SegTalkerError):
    """Weights are missing, damaged, or of another network."""

    exit_code = 5


class DataError(SegTalkerError):
    """A manifest or shard is missing or damaged."""

    exit_code = 6


class StorageError(SegTalkerError):
    """A folder or bucket cannot be read or written."""

    exit_code = 7
