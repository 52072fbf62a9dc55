"""Files that the service fetches itself: only from the folders of buckets and the hosts that are allowed."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from segtalker import storage
from segtalker.errors import StorageError
from serve.addresses import (
    INTERNET,
    AddressRefused,
    AddressUnreachable,
    Network,
    check_https_url,
    open_https,
)
from serve.api.bodies import Room
from serve.api.errors import ApiError
from serve.api.threads import in_thread
from serve.api.uploads import Upload
from serve.config import InputsConfig, LimitsConfig

_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[\w!.'()+=@,~ /-]{1,1000}")
"""Plain names only: no query, no pattern, no `::`, with which a library might be led elsewhere."""
_BLOCK_BYTES = 4 << 20


class Fetcher:
    """Copies inputs to disk, within the size and time of a request."""

    def __init__(self, cfg: InputsConfig, limits: LimitsConfig, network: Network = INTERNET) -> None:
        self._cfg, self._network = cfg, network
        self._room = Room(int(limits.upload_mb * 1e6))

    def check(self, url: str, name: str) -> None:
        """`ApiError` 422 for an address outside the allow-lists; asks no network."""
        if url.startswith("s3://"):
            if not is_under(url, self._cfg.s3_prefixes):
                raise _not_allowed(name, "the operator lists allowed folders in inputs.s3_prefixes")
            return
        try:
            check_https_url(url, self._cfg.https_hosts)
        except AddressRefused as error:
            raise _not_allowed(name, str(error)) from None

    async def fetch(self, sources: Mapping[str, str], folder: Path) -> dict[str, Upload]:
        """All inputs in turn; `ApiError` where one is refused, missing, too large or too slow."""
        copy = _Copy(folder, self._room, time.monotonic() + self._cfg.fetch_s)
        uploads = {}
        for name, url in sources.items():
            self.check(url, name)
            with _explained(name):
                if url.startswith("s3://"):
                    uploads[name] = await in_thread(copy.from_bucket, url, name, on_cancel=copy.stop)
                else:
                    uploads[name] = await in_thread(self._from_web, copy, url, name, on_cancel=copy.stop)
        return uploads

    def _from_web(self, copy: "_Copy", url: str, name: str) -> Upload:
        opened = open_https(
            url, self._cfg.https_hosts, timeout_s=max(0.1, copy.left_s()), network=self._network
        )
        with opened as answer:
            if answer.status != 200:
                raise ApiError(
                    422,
                    "input_unavailable",
                    f"{name}: the server answers with status {answer.status}; redirects are not followed.",
                )
            announced = answer.headers.get("Content-Length", "0")
            copy.check_room(int(announced) if announced.isdigit() else 0)
            return copy.write(iter(lambda: answer.read(_BLOCK_BYTES), b""), url, name)


def is_under(url: str, prefixes: tuple[str, ...]) -> bool:
    """Whether an s3 URL names an object in one of the folders: whole names, without `..`, `.` or `//`."""
    if not _S3.fullmatch(url):
        return False
    parts = url.removeprefix("s3://").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return False
    return any(url.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


class _Copy:
    """Writes the inputs of one request, in a thread; all of them share one limit of size and of time."""

    def __init__(self, folder: Path, room: Room, end: float) -> None:
        self._folder, self._room, self._end = folder, room, end
        self._num_bytes = 0
        self._stopped = threading.Event()

    def from_bucket(self, url: str, name: str) -> Upload:
        size = storage.fingerprint(url, with_hash=False)["bytes"]
        self.check_room(size)
        blocks = (
            storage.read_bytes(url, start, min(start + _BLOCK_BYTES, size))
            for start in range(0, size, _BLOCK_BYTES)
        )
        return self.write(blocks, url, name)

    def write(self, blocks: Iterator[bytes], url: str, name: str) -> Upload:
        digest, size, path = hashlib.sha256(), 0, self._folder / name
        with path.open("xb") as file:
            for block in blocks:
                if self._stopped.is_set() or self.left_s() <= 0:
                    raise _too_slow(name)
                self.check_room(len(block))
                self._num_bytes += len(block)
                size += len(block)
                digest.update(block)
                file.write(block)
        shown = PurePosixPath(url.partition("?")[0]).name[:120]
        return Upload(path, shown, size, digest.hexdigest())

    def check_room(self, more: int) -> None:
        self._room.check_files(self._num_bytes + more)

    def left_s(self) -> float:
        return self._end - time.monotonic()

    def stop(self) -> None:
        self._stopped.set()


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Say no more than that it failed: what a bucket answers is the operator's business."""
    try:
        yield
    except AddressRefused as error:
        raise _not_allowed(name, str(error)) from None
    except AddressUnreachable as error:
        raise ApiError(422, "input_unavailable", f"{name}: {error}") from None
    except StorageError:
        raise ApiError(
            422, "input_unavailable", f"{name}: the object cannot be read; check its name and its rights."
        ) from None


def _not_allowed(name: str, why: str) -> ApiError:
    return ApiError(422, "input_not_allowed", f"{name}: this address is not allowed; {why.rstrip('.')}.")


def _too_slow(name: str) -> ApiError:
    return ApiError(422, "input_unavailable", f"{name}: takes too long to fetch; send it as a file.")
