"""Held-out clips for the benchmarks of the talking side: the caller's corpus, or one made once and kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import log, main
from segtalker.config import config_hash
from segtalker.data.shards import FPS, ShardReader
from segtalker.errors import DataError
from segtalker.synthetic.corpus import make_corpus
from segtalker.synthetic.plan import preset_config
from segtalker.weights.store import cache_dir

SEED = 77
"""Of the benchmarks' own corpus; trainings use other seeds, and so other people and sentences."""
SPLITS = ("held_out_voices", "unseen_synthesiser")
MINI_WEIGHTS = Path(__file__).parents[1] / "segtalker" / "weights" / "mini"


def run_with_corpus(
    description: str | None,
    run: Callable[[argparse.Namespace, bool], Mapping[str, Any]],
    targets: Mapping[str, str],
    weights: Mapping[str, str],
) -> None:
    """`_report.main` with `--corpus FOLDER` and one option for each file of `weights` (name -> file)."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--corpus", type=Path, default=None)
    for name, file in weights.items():
        parser.add_argument(f"--{name}", type=Path, default=MINI_WEIGHTS / file)
    options, rest = parser.parse_known_args()
    main(description, lambda quick: run(options, quick), targets, rest)


def held_out(corpus: Path | None, quick: bool) -> tuple[ShardReader, list[int], list[int]]:
    """A corpus, its clips by held-out voices and its clips by the unseen synthesiser.

    Nobody in them was trained on. Without `corpus`, a few minutes are synthesized once and kept in the cache.
    """
    folder = corpus or _cached_corpus(quick)
    reader = ShardReader(folder)
    voices, unseen = (reader.select(split) for split in SPLITS)
    if quick and corpus is not None:  # a given corpus may be large; the one made for `quick` is small already
        voices, unseen = (clips[:: max(1, len(clips) // 14)] for clips in (voices, unseen))
    if not voices or not unseen:
        raise DataError(f"{folder}: needs clips of the splits {' and '.join(SPLITS)}.")
    seconds = sum(reader.rows[i].num_frames for i in voices + unseen) / FPS
    log(f"{len(voices)} clips by held-out voices, {len(unseen)} by the unseen synthesiser, {seconds:.0f} s")
    return reader, voices, unseen


def _cached_corpus(quick: bool) -> Path:
    cfg = replace(
        preset_config("speech"), seed=SEED, splits=SPLITS, held_out_minutes=1.5 if quick else 5.0, workers=2
    )
    folder = cache_dir() / "benchmarks" / f"speech-{config_hash(cfg)}"
    log(f"held-out clips in {folder} (made where they are missing)")
    return make_corpus(cfg, folder, lambda done, total: log(f"  {done} of {total} clips"))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over clips and half the width of its 95 % interval (bootstrap over clips)."""
    clean = np.array([value for value in values if np.isfinite(value)])
    if not len(clean):
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)
    means = clean[rng.integers(0, len(clean), (1000, len(clean)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(clean.mean()), float(high - low) / 2
