"""Paths as all nodes of a cluster can name them."""

from __future__ import annotations

from pathlib import Path

from segtalker.errors import ConfigError
from segtalker.storage import is_local

_UNPACKED = "working_dir_files"
"""Ray unpacks a job's working directory below a folder of this name, and deletes it when the job is over."""


def absolute(uri: str) -> str:
    """A local path from the root, since workers may stand in another folder; other URIs as they are."""
    if not uri or not is_local(uri):
        return uri
    return str(Path(uri.removeprefix("file://")).absolute())


def kept(uri: str, option: str) -> str:
    """`absolute`, for what is to stay after the job; `ConfigError` where it would not."""
    found = absolute(uri)
    if is_local(found) and _UNPACKED in Path(found).parts:
        raise ConfigError(
            f"{option} {uri}: lies in the job's working directory, which is deleted after the job. Name an "
            "absolute path that all nodes see, or a bucket."
        )
    return found
