"""S3 for tests by real HTTP: moto in a process of its own, and a proxy before it that breaks what it is told.

Settings reach every client (s3fs, pyarrow, child processes) by the environment alone.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest

# The port is the server's own choice, and it ends with its standard input: also when the tests are killed.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class S3Server:
    """Where the server listens, and an empty bucket on it."""

    endpoint: str
    bucket: str = "bucket"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to reach the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.endpoint.removeprefix("http://").split(":")
        return host, int(port)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for the whole run of tests; its settings stay in this process's environment meanwhile.

    Request it before whatever starts processes that shall see the bucket.
    """
    for package in ("moto.server", "s3fs", "boto3"):
        pytest.importorskip(package, reason="needs the extras ray and dev")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the S3 server did not start"
        server = S3Server(f"http://127.0.0.1:{port}")
        with reach_s3(server), _described_once():
            import boto3

            boto3.client("s3").create_bucket(Bucket=server.bucket)
            yield server
    finally:
        process.kill()
        process.wait()


@contextmanager
def reach_s3(server: S3Server, **more: str) -> Iterator[None]:
    """Point this process at `server`; `more` replaces settings, as `AWS_ACCESS_KEY_ID="wrong"`."""
    import s3fs

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**server.environment, **more}.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # a file system keeps the settings that it was made with
        yield
    s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def _described_once() -> Iterator[None]:
    """Every new session reads the same description of the service: half of the time of a connection."""
    import botocore.session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@dataclass(frozen=True)
class Fault:
    """What the proxy does instead of forwarding a request."""

    kind: Literal["answer", "stall", "cut"]
    status: int = 0
    """Of the answer."""
    code: str = ""
    """S3's name for the error."""
    stall_s: float = 0.0


Rule = Callable[[str, str], Fault | None]
"""(method, path with query) to what goes wrong with the request; None lets it pass."""


def answers(status: int, code: str) -> Fault:
    """The server refuses with a status."""
    return Fault("answer", status, code)


class FaultyS3:
    """A proxy before an S3 server that breaks the requests for which `rule` says so, and notes them all."""

    def __init__(self, server: S3Server) -> None:
        self.rule: Rule = lambda method, path: None
        self.requests: list[tuple[str, str]] = []
        self._upstream = server.address
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.server = S3Server(f"http://127.0.0.1:{self._http.server_address[1]}", server.bucket)

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The server's own answer."""
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "expect")}
            connection.request(method, path, body, kept)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


def _handler_of(proxy: FaultyS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.requests.append((self.command, self.path))
            fault = proxy.rule(self.command, self.path)
            if fault is not None and fault.kind == "answer":
                text = f"<Error><Code>{fault.code}</Code><Message>{fault.code}</Message></Error>".encode()
                self._answer(fault.status, {"Content-Type": "application/xml"}, text, len(text))
                return
            status, headers, data = proxy.forward(self.command, self.path, dict(self.headers), body)
            length = int(headers.get("Content-Length") or len(data))
            if fault is not None and fault.kind == "stall":
                time.sleep(fault.stall_s)
            if fault is not None and fault.kind == "cut":
                data = data[: len(data) // 2]
                self.close_connection = True
            self._answer(status, headers, data, length)

        def _answer(self, status: int, headers: dict[str, str], data: bytes, length: int) -> None:
            skipped = {"content-length", "transfer-encoding", "connection", "server", "date"}
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in skipped:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client went away while it was kept waiting
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def faulty_s3(s3_server: S3Server) -> Iterator[FaultyS3]:
    """The server behind a proxy that breaks what its `rule` says; this process reaches only the proxy."""
    proxy = FaultyS3(s3_server)
    try:
        with reach_s3(proxy.server, AWS_MAX_ATTEMPTS="2"):  # s3fs tries again as well
            yield proxy
    finally:
        proxy.close()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place: a folder on this disk, or a prefix of a bucket; the cache of shards is empty too."""
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path / "shard-cache"))
    if request.param == "local":
        return str(tmp_path / "store")
    server = request.getfixturevalue("s3_server")
    return f"s3://{server.bucket}/{os.urandom(8).hex()}"
