"""The log of one job: numbered entries, each written once by conditional create.

The number of a claim is its fence. Whoever wants to say something creates the number after the last one that
it knows; if somebody else was faster, it is told so, and nothing of what it wanted to say is visible.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, Literal

from segtalker import storage
from segtalker.errors import StorageError
from serve.jobs.layout import Job, Layout, parse_json
from serve.jobs.record import JobState, Outcome

_WORKED_S = 900.0
"""Who held a job for longer than anybody waits for one answer has got on with it."""
_NAME = re.compile(r"([0-9]{6})\.json")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the log."""

    kind: Literal["claim", "release", "outcome"]
    by: str
    """Random name of the writer: tells an own entry, whose answer was lost on the way, from another's."""
    time: float
    """UTC seconds."""
    holder: str = ""
    """Who took it, for people."""
    why: str = ""
    """Of a release: what put the job off, for people; empty where its driver was stopped in peace."""
    outcome: Outcome | None = None


@dataclass(frozen=True)
class History:
    """All entries so far; entry number i is at i - 1."""

    entries: tuple[Entry, ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None: it has not."""
        return self.entries[-1].outcome if self.entries else None

    @property
    def fence(self) -> int | None:
        """The claim that holds the job; None: nobody does."""
        return len(self.entries) if self.entries and self.entries[-1].kind == "claim" else None

    @property
    def next(self) -> int:
        """The number that the next entry will have."""
        return len(self.entries) + 1

    @property
    def claims(self) -> list[Entry]:
        """All claims, the first first."""
        return [entry for entry in self.entries if entry.kind == "claim"]

    @property
    def lost(self) -> int:
        """Claims that were neither given back nor ended, counting the one that holds the job now."""
        return len(self.claims) - sum(entry.kind == "release" for entry in self.entries)

    @property
    def put_off(self) -> list[Entry]:
        """The last releases for a reason, since a driver has got on with the job; the first first."""
        found: list[Entry] = []
        for entry in reversed(self.entries):
            if entry.kind == "release" and entry.why:
                found.append(entry)
            elif entry.kind != "claim" or (found and found[-1].time - entry.time > _WORKED_S):
                break
        return found[::-1]

    @property
    def state(self) -> JobState:
        """Where the job stands."""
        if self.outcome is not None:
            return self.outcome.state
        return "running" if self.fence is not None else "queued"


class Log:
    """The entries of one job in storage."""

    def __init__(self, layout: Layout, folder: str) -> None:
        self._uri = layout.data(folder, "log")

    def read(self, known: Sequence[Entry] = ()) -> History:
        """All entries. known: those read before; entries never change, so only newer ones are fetched.

        A log of which a part is gone is one that is being deleted, and reads as empty.
        """
        last = self._last()
        if last < len(known):
            return History()
        names = [self._name(number) for number in range(len(known) + 1, last + 1)]
        try:
            new = [_parse(data, name) for data, name in zip(storage.read_files(names), names, strict=True)]
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return History()
            raise
        return History((*known, *new))

    def ends_with(self, number: int) -> bool:
        """Whether this is the last entry; one request."""
        return self._last() == number

    def append(self, number: int, entry: Entry) -> bool:
        """Write the entry if its number is free; True as well if it is there from an attempt before.

        A store may have written what it never confirmed, and the client then tries again by itself.
        """
        name = self._name(number)
        if storage.create(name, json.dumps(asdict(entry)).encode()):
            return True
        return self.has(number, entry.by)

    def has(self, number: int, by: str) -> bool:
        """Whether the entry of this number is there and was written by `by`."""
        name = self._name(number)
        data = storage.read_if_exists(name)
        return data is not None and _parse(data, name).by == by

    def _last(self) -> int:
        matches = map(_NAME.fullmatch, storage.list_names(self._uri))
        numbers = {int(match[1]) for match in matches if match}
        # A listing that is made while two are written may have the second without the first.
        return next(number for number in count() if number + 1 not in numbers)

    def _name(self, number: int) -> str:
        return storage.join(self._uri, f"{number:06d}.json")


def say(layout: Layout, job: Job, number: int, entry: Entry) -> bool:
    """Append to the log of a job that exists; False if the number is taken, or the job was deleted.

    A deletion takes the log along, and what is written afterwards would be the beginning of another one.
    """
    if not Log(layout, job.folder).append(number, entry):
        return False
    if layout.has(job):
        return True
    storage.remove(layout.data(job.folder))
    return False


def _parse(data: bytes, uri: str) -> Entry:
    found: dict[str, Any] = parse_json(data, uri)
    try:
        if found["outcome"] is not None:
            found["outcome"] = Outcome(**found["outcome"])
        return Entry(**found)
    except (KeyError, TypeError) as error:
        raise StorageError(f"{uri}: not an entry of a job's log ({error}). Delete the job.") from error
