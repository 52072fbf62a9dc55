from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.api import create_api
from tests.conftest import click_track, write_tiny_video, write_wav
from tests.serve.api.service import PlainService, make_service

BASE = "http://127.0.0.1:8000"


@dataclass
class Api:
    """A service and a client of its application, in one process."""

    service: PlainService
    app: Any
    client: httpx.AsyncClient
    root: Path

    def left_over(self) -> list[str]:
        """What requests have left in the scratch folder; it may be vanishing just now."""
        (uploads,) = (self.root / "scratch").iterdir()
        walk = os.walk(uploads)
        return [os.path.join(at, name) for at, folders, files in walk for name in (*folders, *files)]

    def audit(self) -> str:
        return (self.root / "audit.jsonl").read_text()


@pytest.fixture
def make_api(tmp_path: Path) -> Callable[..., Api]:
    """`make_api(**sections)`: of the configuration; `client=(host, port)`: where requests come from."""

    def make(client: tuple[str, int] = ("127.0.0.1", 5000), **parts: Any) -> Api:
        service = make_service(tmp_path, **parts)
        app = create_api(service)
        transport = httpx.ASGITransport(app, client=client)
        return Api(service, app, httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30), tmp_path)

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """With the defaults: no tokens, so a caller on this machine."""
    return make_api()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """video.mp4 of 0.2 s and 64 x 48 px, speech.wav of 0.2 s, photo.png."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("media")
    write_tiny_video(folder / "video.mp4", num_frames=5)
    write_wav(folder / "speech.wav", click_track(16000, 0.2, [0.1]), 16000)
    cv2.imwrite(str(folder / "photo.png"), np.full((40, 60, 3), 120, np.uint8))
    return folder


@pytest.fixture
def parts(media: Path) -> Callable[..., dict[str, Any]]:
    """`parts(**more)`: files of a dub for httpx; `photo=True` adds the photo."""

    def make(photo: bool = False, **more: Any) -> dict[str, Any]:
        files: dict[str, Any] = {
            "video": ("talk.mp4", (media / "video.mp4").read_bytes(), "video/mp4"),
            "speech": ("speech.wav", (media / "speech.wav").read_bytes(), "audio/wav"),
        }
        if photo:
            files["photo"] = ("ann.png", (media / "photo.png").read_bytes(), "image/png")
        return {**files, **more}

    return make
