"""Small requests and stores for tests of jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve.config import JobsConfig
from serve.jobs import JobRequest, JobStore, random_job_id


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_store(root: str, clock: Callable[[], float] | None = None, **knobs: Any) -> JobStore:
    return JobStore(root, JobsConfig(**{"lease_s": 15.0, **knobs}), clock or Clock())


def make_request(folder: Path, **given: Any) -> tuple[JobRequest, dict[str, Path]]:
    """A request of the owner `ann`, with files of a few bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in ("video", "speech"):
        files[name] = folder / name
        files[name].write_bytes(f"{name} of {folder.name}".encode())
    inputs = {name: _told(path) for name, path in files.items()}
    values = {"id": random_job_id(), "owner": "ann", "created": 1.8e9, "fingerprint": "f", **given}
    return JobRequest(**{"inputs": inputs, **values}), files


def accept(store: JobStore, folder: Path, **given: Any) -> str:
    """The id of a new job."""
    view, is_new = store.create(*make_request(folder / "sent", **given))
    assert is_new
    return view.id


def _told(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"file_name": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
