"""What the tests of published networks share."""

from pathlib import Path

import pytest

from tests.weights.web import on_web, web  # noqa: F401 - fixtures of all tests here

_TRAINING = """
model:
  encoder: {input_size: 32, stem: 8, widths: [8, 8, 8, 16], units: [1, 1, 1, 1]}
  generator: {size: 16, style_dim: 12, channel_base: 256, channel_max: 16, num_mapping_layers: 0}
  mlp_hidden: 8
discriminator: {size: 16, channel_base: 256, channel_max: 16}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that fetches from publishers alone."""
    for name in ("SEGTALKER_WEIGHTS_MIRROR", "SEGTALKER_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """The file of a training of a small SGI: its sizes alone."""
    path = tmp_path / "sgi.yaml"
    path.write_text(_TRAINING)
    return path
