"""Dub many clips on a Ray cluster: manifest rows in, one outcome row for each, whatever happens to a clip.

python -m ray_jobs.dub manifest.jsonl outcomes.jsonl --config dub.yaml --actors 2

A manifest row holds `video`, `speech` and `output`, paths that every worker sees.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ray

from segtalker.config import load_config, parse_config, to_dict
from segtalker.errors import SegTalkerError
from segtalker.pipeline import DubConfig, SegTalker
from segtalker.workspace import write_atomically


class Dubber:
    """One worker: networks are loaded once, then clip after clip is dubbed where the worker runs."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._segtalker = SegTalker(parse_config(DubConfig, config))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with its outcome: `done`, or `failed` and why; a bad clip never stops the job."""
        try:
            report = self._segtalker.dub(row["video"], row["speech"], row["output"], quiet=True)
        except Exception as error:  # whatever it is, the other clips go on and the outcome says it
            why = str(error) if isinstance(error, SegTalkerError) else f"{type(error).__name__}: {error}"
            return {**row, "status": "failed", "error": why, "frames": 0, "synthesized": 0}
        frames = {"frames": report.num_frames, "synthesized": report.synthesized}
        return {**row, "status": "done", "error": "", **frames}


def dub_manifest(manifest: Path, config: DubConfig, actors: int) -> list[dict[str, Any]]:
    """Outcome rows of all clips of a manifest (.parquet or .jsonl)."""
    read = ray.data.read_parquet if manifest.suffix == ".parquet" else ray.data.read_json
    clips = read(str(manifest)).repartition(target_num_rows_per_block=1)
    pool = ray.data.ActorPoolStrategy(size=actors)
    dubbed = clips.map(Dubber, fn_constructor_args=(to_dict(config),), compute=pool, num_cpus=1)  # type: ignore[arg-type]
    return dubbed.take_all()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--actors", type=int, default=1)
    options = parser.parse_args()
    rows = dub_manifest(options.manifest, load_config(DubConfig, options.config), options.actors)
    write_atomically(options.outcomes, "".join(json.dumps(row) + "\n" for row in rows))
    print(f"{sum(row['status'] == 'done' for row in rows)} of {len(rows)} clips done: {options.outcomes}")
