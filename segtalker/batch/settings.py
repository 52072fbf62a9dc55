"""The settings of one row, and the networks that they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import segtalker
from segtalker.batch.rows import DubRow
from segtalker.config import apply_overrides, config_hash, parse_config, to_dict
from segtalker.dub_config import DubConfig
from segtalker.editing.files import with_files
from segtalker.errors import ConfigError
from segtalker.pipeline import SegTalker
from segtalker.render import RenderConfig
from segtalker.stages import Stages
from segtalker.workspace import run_key


class Talkers:
    """A `SegTalker` for the settings of each row; networks are loaded again only where they differ.

    The networks of the batch's own settings are always held, and those of the latest other ones.
    """

    def __init__(self, cfg: DubConfig, make_stages: Callable[[DubConfig], Stages]) -> None:
        """Load what `cfg` needs, so that what is missing is told before the first row."""
        self._make = make_stages
        stages = make_stages(cfg)
        _ = stages.backend, stages.parser, stages.networks
        self._held = [(_of_networks(cfg), stages)]

    def of(self, cfg: DubConfig) -> SegTalker:
        """What dubs with these settings."""
        wanted = _of_networks(cfg)
        for settings, stages in self._held:
            if settings == wanted:
                return SegTalker(cfg, stages)
        self._held[1:] = [(wanted, self._make(cfg))]
        return SegTalker(cfg, self._held[1][1])


def row_config(cfg: DubConfig, row: DubRow) -> DubConfig:
    """The settings of the batch with those of a row; `ConfigError` says which is wrong."""
    if row.fault:
        raise ConfigError(row.fault)
    if row.speaker and any(option.partition("=")[0].strip() == "speaker" for option in row.options):
        raise ConfigError("the speaker is given twice: as a column and among the options. Leave one out.")
    values = apply_overrides(to_dict(cfg), row.options)
    if row.speaker:
        values["speaker"] = row.speaker
    return parse_config(DubConfig, values)


def with_inputs(cfg: DubConfig, row: DubRow, files: Mapping[str, Path]) -> DubConfig:
    """The settings of a row with the files that they name on this machine. files: kind -> file."""
    if "photo" in files:
        cfg = replace(cfg, speaker=f"photo:{files['photo']}")
    here = {Path(place): files[kind] for kind, place in row.inputs.items()}
    return replace(cfg, edits=with_files(cfg.edits, here))


def settings_key(talker: SegTalker) -> str:
    """Names settings, weights and version, without the inputs."""
    return run_key(config_hash(talker.config), *talker.stages.networks.hashes.values(), segtalker.__version__)


def _of_networks(cfg: DubConfig) -> DubConfig:
    """The part of the settings that decides which networks are loaded, and how."""
    return replace(
        DubConfig(),
        faces=cfg.faces,
        parsing=cfg.parsing,
        tsg=cfg.tsg,
        sgi=cfg.sgi,
        device=cfg.device,
        precision=cfg.precision,
        threads=cfg.threads,
        render=RenderConfig(batch=cfg.render.batch),
    )
