"""Where the files of jobs lie.

jobs/ID.json                   the accepted request and its folder; written last: it makes the job exist
open/FOLDER                    empty, while the job has not ended: drivers look only here
calls/FOLDER                   empty, while somebody has to be told that the job has ended
owners/OWNER/FOLDER            empty, as long as the job exists: the list of one owner's jobs
data/FOLDER/inputs/NAME        what was uploaded
data/FOLDER/log/000001.json    claims, releases and the outcome, each by conditional create
data/FOLDER/beats/000001.json  sign of life of the driver whose claim has this number
data/FOLDER/work/...           finished pieces
data/FOLDER/results/000001/    what the driver of this claim has made; visible once the outcome names it
data/FOLDER/calls/000001.json  attempts to tell that the job has ended
data/FOLDER/callback.json      how telling has ended
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from segtalker import storage
from segtalker.errors import StorageError
from serve.jobs.ids import FolderName, is_job_id
from serve.jobs.record import JobNotFound, JobRequest


@dataclass(frozen=True)
class Job:
    """An accepted request and where its files lie."""

    request: JobRequest
    folder: str

    def to_bytes(self) -> bytes:
        """The content of its record."""
        return json.dumps({"folder": self.folder, "request": asdict(self.request)}).encode()


class Layout:
    """Names of all files under one root, a path or an fsspec URI."""

    def __init__(self, root: str) -> None:
        self.root = str(storage.local_path(root).expanduser()) if storage.is_local(root) else root

    def record(self, job: str) -> str:
        """The accepted request; `JobNotFound` for what has not the form of an id."""
        if not is_job_id(job):
            raise JobNotFound(f"There is no job {job[:40]!r}: that is not the id of a job.")
        return storage.join(self.root, "jobs", f"{job}.json")

    def all(self, kind: str) -> str:
        """Everything of a kind: `jobs`, `open`, `calls`, `owners` or `data`."""
        return storage.join(self.root, kind)

    def marker(self, kind: str, folder: str) -> str:
        """`open` or `calls`."""
        return storage.join(self.root, kind, folder)

    def owner(self, owner: str, folder: str = "") -> str:
        """The list of an owner's jobs, or an entry of it."""
        return storage.join(self.root, "owners", hashlib.sha256(owner.encode()).hexdigest()[:32], folder)

    def data(self, folder: str, *parts: str) -> str:
        """A file or folder of a job."""
        return storage.join(self.root, "data", folder, *parts)

    def beat(self, folder: str, fence: int) -> str:
        """The sign of life of one claim."""
        return self.data(folder, "beats", f"{fence:06d}.json")

    def results(self, folder: str, fence: int) -> str:
        """What the driver of one claim has made."""
        return self.data(folder, "results", f"{fence:06d}")

    def folders(self, kind: str) -> list[FolderName]:
        """What is marked as `open`, `calls`, or lies in `data`; oldest first."""
        found = map(FolderName.parse, storage.list_names(self.all(kind)))
        return sorted(filter(None, found), key=lambda name: (name.made, name.text))

    def read_job(self, job: str) -> Job | None:
        """The accepted request as the storage has it now; None: no such job."""
        uri = self.record(job)
        data = storage.read_if_exists(uri)
        return None if data is None else _parse_job(data, uri)

    def has(self, job: Job) -> bool:
        """Whether the job exists: neither deleted nor, under the same id, sent again since."""
        found = self.read_job(job.request.id)
        return found is not None and found.folder == job.folder


def read_json(uri: str) -> dict[str, Any] | None:
    """A small file of ours; None if it is absent."""
    data = storage.read_if_exists(uri)
    return None if data is None else parse_json(data, uri)


def parse_json(data: bytes, uri: str) -> dict[str, Any]:
    """The object in a file of ours; `StorageError` names a damaged one."""
    try:
        found = json.loads(data)
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise StorageError(f"{uri}: damaged, it is no JSON object. Delete the job's files and send it again.")


def _parse_job(data: bytes, uri: str) -> Job:
    found = parse_json(data, uri)
    try:
        job = Job(JobRequest(**found["request"]), found["folder"])
    except (KeyError, TypeError) as error:
        raise StorageError(
            f"{uri}: not the record of a job ({error}). Delete it and send it again."
        ) from error
    if FolderName.parse(job.folder) is None:
        raise StorageError(f"{uri}: names a folder of another kind. Delete it and send the job again.")
    return job
