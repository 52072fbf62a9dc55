"""The configuration in a run's folder: what is trained there, and what only goes on there."""

from __future__ import annotations

from typing import Any

import yaml

from segtalker.config import parse_config, to_dict, to_yaml
from segtalker.errors import ConfigError
from segtalker.storage import Uri, exists, join, read_bytes, write_bytes
from segtalker.weights.uses import AUTO

_NAME = "config.yaml"
_MAY_DIFFER = ("log_every", "save_every", "keep", "validate_every", "picture_every", "threads", "workers")


def keep_config(folder: Uri, cfg: Any) -> None:
    """Save the configuration beside the results, instead of that of an earlier start."""
    write_bytes(join(folder, _NAME), to_yaml(cfg).encode())


def refuse_other_config(folder: Uri, cfg: Any, option: str = "--out") -> None:
    """`ConfigError` if the folder, which `option` chooses, holds a run of another configuration.

    A network of `networks` that is `auto` in one and null in the other makes no other run: whether `auto`
    found one, only a checkpoint knows, and `resume` compares.
    """
    place = join(folder, _NAME)
    if not exists(place):
        return
    try:
        before = parse_config(type(cfg), yaml.safe_load(read_bytes(place)) or {})
    except (yaml.YAMLError, UnicodeDecodeError, ConfigError) as error:
        told = " ".join(str(error).split())
        raise ConfigError(
            f"{place}: cannot be read ({told}). Choose another folder with {option}."
        ) from error
    if _what_matters(before) != _what_matters(cfg):
        raise ConfigError(
            f"{folder}: holds a run of another configuration ({place}). Choose another folder with {option}."
        )


def _what_matters(cfg: Any) -> dict[str, Any]:
    """The configuration without what may differ between a run and its continuation."""
    values = to_dict(cfg)
    for name in (*_MAY_DIFFER, "device"):
        values["run"].pop(name)
    if isinstance(values.get("networks"), dict):
        values["networks"] = {
            name: None if place == AUTO else place for name, place in values["networks"].items()
        }
    return values
