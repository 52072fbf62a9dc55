from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from tests.serve.page.driving import Watched, watch


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of `app`, served in a thread on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.025)
    assert server.started, "uvicorn did not start within 60 s"
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for a module, not for the session: while it is there, nobody else can use `asyncio.run`."""
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is not installed: apt-get install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """`open_page(url, size=(1280, 800), **context)`; whatever the browser complains about fails the test."""
    opened: list[Watched] = []

    def open_at(url: str, size: tuple[int, int] = (1280, 800), **context: Any) -> Watched:
        viewport = {"width": size[0], "height": size[1]}
        page = chromium.new_context(viewport=viewport, reduced_motion="reduce", **context).new_page()
        opened.append(watch(page))
        page.set_default_timeout(120_000)
        page.goto(url)
        return opened[-1]

    yield open_at
    for watched in opened:
        watched.page.context.close()
    complaints = [line for watched in opened for line in watched.complaints]
    assert not complaints, complaints
