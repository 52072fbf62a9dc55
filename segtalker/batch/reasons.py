"""Why a row failed, in words for a person, and whether another attempt is worth while."""

from __future__ import annotations

from collections.abc import Mapping

from segtalker.errors import SegTalkerError, StorageError

_LASTING = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)


def reason(error: Exception, words: Mapping[str, str]) -> str:
    """One line. words: as for `told`."""
    why = str(error) if isinstance(error, SegTalkerError) else f"{type(error).__name__}: {error}"
    return told(why, words)


def told(text: str, words: Mapping[str, str]) -> str:
    """One line. words: place on this machine -> how a person calls it."""
    for here, name in words.items():
        text = text.replace(here, name)
    return " ".join(text.split())


def may_pass(error: Exception) -> bool:
    """Whether it may not come again: storage that is away for a while, memory that ran out."""
    if isinstance(error, StorageError):  # without a cause it is about a name, not about a store
        return error.__cause__ is not None and not isinstance(error.__cause__, _LASTING)
    return not isinstance(error, SegTalkerError)
