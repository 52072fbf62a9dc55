"""Every YAML of the repository loads into the configuration that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtalker.config import load_yaml
from segtalker.errors import ConfigError
from segtalker.training.run import load_train_config

CONFIGS = Path(__file__).parents[1] / "configs"
NETWORK_OF = {
    "sync_expert": "syncnet",
    "tsg_sync": "tsg",
    "speech_tuned": "speech",
    "syncnet_voices": "syncnet",
}
TRAININGS = sorted(path for size in ("mini", "smoke", "paper") for path in (CONFIGS / size).glob("*.yaml"))


def test_there_are_configurations_of_every_size():
    assert {path.parent.name for path in TRAININGS} == {"mini", "smoke", "paper"}


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_training_configuration_loads(path: Path):
    assert load_train_config(NETWORK_OF.get(path.stem, path.stem), path).run.max_steps > 0


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_misspelt_key_of_a_training_is_refused_by_file(path: Path, tmp_path: Path):
    assert "runn" not in load_yaml(path)
    with pytest.raises(ConfigError, match="did you mean 'run"):
        load_train_config(NETWORK_OF.get(path.stem, path.stem), path, ["runn.max_steps=1"])
