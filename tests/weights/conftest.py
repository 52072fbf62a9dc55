"""What the tests of published networks share."""

from pathlib import Path

import pytest

from tests.weights.web import web  # noqa: F401 - a fixture of all tests here


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that fetches from publishers alone."""
    for name in ("SEGTALKER_WEIGHTS_MIRROR", "SEGTALKER_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
