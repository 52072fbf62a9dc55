"""An application behind a real server on a free port of the loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def served(app: Any) -> Iterator[tuple[str, int]]:
    """Host and port at which `app` answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield listener.getsockname()[:2]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def until(happens: Any, within_s: float = 60.0) -> None:
    """Wait until `happens()` is true."""
    end = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
