"""Names of jobs and of their folders: nothing else is ever put into a path of the storage."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from calendar import timegm
from dataclasses import dataclass

_JOB_ID = re.compile(r"j[a-z2-7]{26}")
_FOLDER = re.compile(r"(j[a-z2-7]{26})-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{8}")
_PIECE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,3}")
_STAMP = "%Y%m%dT%H%M%SZ"


def job_id(owner: str, key: str) -> str:
    """The id of the job that `owner` asks for with an idempotency key: the same for each repetition."""
    digest = hashlib.sha256(f"{len(owner)}:{owner}:{key}".encode("utf-8", "surrogatepass")).digest()
    return _named(digest[:16])


def random_job_id() -> str:
    """An id that nobody can guess, for a request without a key."""
    return _named(secrets.token_bytes(16))


def is_job_id(text: str) -> bool:
    """Whether the text has the form of an id, and so is safe in a path: `j` and 26 of a-z, 2-7."""
    return _JOB_ID.fullmatch(text) is not None


def is_piece_name(text: str) -> bool:
    """Whether the text may name a file of a job: up to four plain parts, none of which begins with a dot."""
    return _PIECE.fullmatch(text) is not None


@dataclass(frozen=True)
class FolderName:
    """The folder of one acceptance of a job, `ID-TIME-RANDOM`.

    An id can be used again after its job was deleted, and two requests with one id can arrive together: each
    has a folder of its own, so that neither touches the files of the other.
    """

    text: str
    job: str
    made: float
    """UTC seconds, whole."""

    @classmethod
    def new(cls, job: str, now: float) -> FolderName:
        """A folder that no one else has."""
        stamp = time.strftime(_STAMP, time.gmtime(now))
        return cls(f"{job}-{stamp}-{secrets.token_hex(4)}", job, float(int(now)))

    @classmethod
    def parse(cls, text: str) -> FolderName | None:
        """None for a text of another form."""
        match = _FOLDER.fullmatch(text)
        if match is None:
            return None
        try:
            made = float(timegm(time.strptime(match[2], _STAMP)))
        except ValueError:
            return None
        return cls(text, match[1], made)


def _named(data: bytes) -> str:
    return "j" + base64.b32encode(data).decode().rstrip("=").lower()
