"""Every YAML of the repository loads into the configuration that it is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segtalker.config import load_config, load_yaml
from segtalker.errors import ConfigError
from segtalker.training.run import load_train_config
from serve.config import ServiceConfig

CONFIGS = Path(__file__).parents[1] / "configs"
NETWORK_OF = {
    "speech_tuned": "speech",
    "speech_more": "speech",
    "syncnet_voices": "syncnet",
    "syncnet_more": "syncnet",
    "sync_expert": "syncnet",
    "tsg_sync": "tsg",
    "tsg_polish": "tsg",
    "tsg_more": "tsg",
    "sgi_512": "sgi",
    "tsg_avhubert": "tsg",
    "sgi_e4s": "sgi",
    "sgi_e4s_512": "sgi",
}
SIZES = {"mini", "smoke", "paper", "improved"}
SERVICES = sorted((CONFIGS / "service").glob("*.yaml"))
TRAININGS = sorted(p for size in SIZES for p in (CONFIGS / size).glob("*.yaml") if p.stem != "prepare")


def test_there_are_configurations_of_every_size():
    assert {path.parent.name for path in TRAININGS} == SIZES


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_training_configuration_loads(path: Path):
    assert load_train_config(NETWORK_OF.get(path.stem, path.stem), path).run.max_steps > 0


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_misspelt_key_of_a_training_is_refused_by_file(path: Path, tmp_path: Path):
    assert "runn" not in load_yaml(path)
    with pytest.raises(ConfigError, match="did you mean 'run"):
        load_train_config(NETWORK_OF.get(path.stem, path.stem), path, ["runn.max_steps=1"])


def test_every_training_finds_what_the_commands_before_it_made():
    """The commands of the model card, in their order, make every file that a mini configuration reads."""
    card = (CONFIGS.parent / "docs" / "model_card.md").read_text(encoding="utf-8")
    made: set[str] = set()
    for network, config, folder in re.findall(r"segtalker train (\w+) (\S+) --out (\S+)", card):
        cfg = load_train_config(network, CONFIGS.parent / config)
        wanted = {value for value in vars(cfg).values() if isinstance(value, str) and "/" in value}
        assert wanted <= made, config
        made.add(f"{folder}/{getattr(cfg, 'name', network)}.safetensors")
    assert {
        f"runs/{name}.safetensors" for name in ("tsg_more/tsg", "syncnet_more/syncnet", "sgi/sgi")
    } <= made


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_configuration_of_the_service_loads(path: Path):
    cfg = load_config(ServiceConfig, path)
    assert cfg.graph == ("fused" if "fused" in path.stem else "split")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_misspelt_key_of_the_service_is_refused_by_file(path: Path):
    with pytest.raises(ConfigError, match=rf"{path.name}.*did you mean 'driver"):
        load_config(ServiceConfig, path, ["drivr.jobs=1"])


def test_there_is_a_configuration_of_the_service_for_a_laptop_and_for_both_graphs():
    assert {path.stem for path in SERVICES} == {"laptop", "a100_split", "a100_fused"}
