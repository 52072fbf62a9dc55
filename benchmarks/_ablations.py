"""The trainings behind the table of `ablations`: which there are, on which clips, what is done already."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks._report import log, table
from segtalker.config import config_hash, load_config
from segtalker.errors import ConfigError
from segtalker.synthetic.corpus import make_corpus
from segtalker.synthetic.plan import Preset, SynthConfig, preset_config
from segtalker.training.run import load_train_config, train
from segtalker.weights.store import cache_dir

CONFIGS = Path(__file__).parents[1] / "configs"
TABLE = CONFIGS / "ablations" / "table.yaml"
SEED = 77
"""Of the benchmark's own people, of whom those that are scored stand in a split of their own."""
PAPER = ("without_prior_learning", "without_cross_entropy", "without_syncnet")
OURS = ("without_context", "plain_codes")
MAP_SYNC = "map_sync_confidence"
JUDGED = (MAP_SYNC, "sync_confidence", "psnr", "ssim")
PRESETS: tuple[Preset, Preset] = ("speech", "faces")
_ALL_FRAMES = 1_000_000
_TALKS = ("syncnet", "tsg")
"""Networks that learn from speech with maps; the others learn from pictures with maps."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a network is trained with at some size."""

    config: str
    """File in `configs/`."""
    set: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Size:
    """The full pipeline at some size; `set` goes to all of its networks."""

    networks: dict[str, Base]
    set: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AblationTable:
    """`configs/ablations/table.yaml`."""

    variants: dict[str, dict[str, tuple[str, ...]]]
    """Variant -> network -> changes."""
    sizes: dict[str, Size] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpora:
    """What is trained on, and the clips that are scored: pictures, maps and speech of every frame."""

    speech: Path
    faces: Path
    held_out: Path
    split: str


@dataclass(frozen=True)
class Training:
    """One training; its folder is named as `segtalker train` and `ray_jobs.train` name theirs."""

    network: str
    config: Path
    overrides: tuple[str, ...]
    folder: Path

    @property
    def weights(self) -> Path:
        """Where its weights are once it is finished."""
        return self.folder / f"{self.network}.safetensors"

    def commands(self) -> Iterator[str]:
        """The same training by hand: on this machine, and on a cluster."""
        what = [self.network, str(self.config)]
        sets = [word for override in self.overrides for word in ("--set", override)]
        yield shlex.join(["segtalker", "train", *what, "--out", str(self.folder), *sets])
        storage = ["--storage", str(self.folder.parent)]
        yield shlex.join(["python", "-m", "ray_jobs.train", *what, *storage, *sets])


def load_table(path: Path = TABLE) -> AblationTable:
    """The table; `ConfigError` where a variant changes a network that a size does not have."""
    ablations = load_config(AblationTable, path)
    for name, size in ablations.sizes.items():
        for variant, changes in ablations.variants.items():
            if strange := set(changes) - set(size.networks):
                raise ConfigError(f"{path}: {variant} changes {min(strange)}, which size {name} lacks.")
    return ablations


def plan(
    ablations: AblationTable, size: str, corpora: Corpora, out: Path, overrides: Sequence[str] = ()
) -> dict[str, dict[str, Training]]:
    """Variant -> network -> its training; alike ones are equal. SyncNet comes before TSG, which needs it."""
    chosen = ablations.sizes[size]
    plans: dict[str, dict[str, Training]] = {}
    for variant, changes in ablations.variants.items():
        nets = plans[variant] = {}
        for network, base in sorted(chosen.networks.items(), key=lambda item: item[0] != "syncnet"):
            folder = corpora.speech if network in _TALKS else corpora.faces
            values = [f"clips.folder={folder}", *chosen.set, *base.set, *changes.get(network, ()), *overrides]
            if network == "tsg":
                values.append(f"syncnet={nets['syncnet'].weights}")
            config = CONFIGS / base.config
            name = f"{network}-{config_hash(load_train_config(network, config, values))}"
            nets[network] = Training(network, config, tuple(values), out / name)
    return plans


def unique(plans: Mapping[str, Mapping[str, Training]]) -> list[Training]:
    """Every training once, in an order in which each finds what it needs."""
    return list(dict.fromkeys(training for nets in plans.values() for training in nets.values()))


def train_missing(trainings: Iterable[Training], quiet: bool) -> int:
    """Train what is not finished; half-finished ones go on. Returns how many were trained."""
    todo = list(trainings)
    missing = [training for training in todo if not training.weights.exists()]
    log(f"{len(todo)} trainings, {len(todo) - len(missing)} found finished")
    for number, training in enumerate(missing, start=1):
        log(f"training {number} of {len(missing)}: {training.folder}")
        train(training.network, training.config, training.overrides, training.folder, quiet)
    return len(missing)


def corpora_for(
    size: str, shards: Path | None, speech: Path | None, faces: Path | None
) -> tuple[Corpora, dict[Path, SynthConfig]]:
    """The caller's prepared clips, else synthetic ones; and those that `make_missing` has to make first."""
    if shards is not None:
        return Corpora(shards, shards, shards, "val"), {}
    talking = replace(preset_config("faces"), seed=SEED, frames_per_identity=_ALL_FRAMES, workers=2)
    match size:
        case "smoke":
            splits = ("train", "val", "held_out_voices")
            every = replace(talking, size=32, splits=splits, identities=48)
            wanted = [every, every, every]
        case "mini":
            seen = (replace(preset_config(kind), splits=("train", "val"), workers=2) for kind in PRESETS)
            wanted = [*seen, replace(talking, splits=("held_out_voices",), identities=16 * 12)]
        case _:
            raise ConfigError(f"--size {size}: there is no synthetic corpus of it. Give prepared --shards.")
    made = [_folder(cfg) for cfg in wanted]
    corpora = Corpora(speech or made[0], faces or made[1], made[2], "held_out_voices")
    used = (corpora.speech, corpora.faces, corpora.held_out)
    return corpora, {folder: cfg for folder, cfg in zip(made, wanted, strict=True) if folder in used}


def make_missing(corpora: Mapping[Path, SynthConfig]) -> None:
    """Make what is missing of synthetic corpora."""
    for folder, cfg in corpora.items():
        log(f"corpus {folder} (made where it is missing)")
        make_corpus(cfg, folder, lambda done, total: log(f"  {done} of {total} clips"))


def compare(figures: Mapping[str, Mapping[str, float | None]]) -> list[dict[str, Any]]:
    """Is full better than each variant? What was not measured is not better."""
    rows, changes = [], load_table().variants
    for variant in (*PAPER, *OURS):
        for figure in JUDGED:
            if figure == MAP_SYNC and "tsg" not in changes[variant]:
                continue  # the same maps
            full, other = figures["full"][figure], figures[variant][figure]
            kept = full is not None and (other is None or full > other)
            rows.append({"variant": variant, "figure": figure, "full": full, "other": other, "kept": kept})
    return rows


def say(order: list[dict[str, Any]]) -> None:
    """The comparisons as a table, and in a sentence what did not come out."""
    log("")
    table([{**row, "kept": "full is better" if row["kept"] else "FULL IS NOT BETTER"} for row in order])
    for whose, variants in (("the paper's", PAPER), ("our", OURS)):
        lost = [
            f"{row['variant']} ({row['figure']})"
            for row in order
            if row["variant"] in variants and not row["kept"]
        ]
        verdict = f"does not hold for {', '.join(lost)}" if lost else "holds throughout"
        log(f"{whose} order {verdict}.")


def sync_is_visible(figures: Mapping[str, Mapping[str, float | None]]) -> bool:
    """Whether the expert hears through the parser that true pictures are in sync, and a still one is not."""
    real, still = (figures[name]["sync_confidence"] for name in ("real", "still"))
    visible = real is not None and (still is None or real > still)
    if not visible:
        log("true pictures seem no more in sync than a still one: sync_confidence says nothing here.")
    return visible


def _folder(cfg: SynthConfig) -> Path:
    return cache_dir() / "benchmarks" / f"{cfg.preset}-{config_hash(replace(cfg, workers=1))}"
