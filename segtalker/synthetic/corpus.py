"""Makes a synthetic corpus: `segtalker synth PRESET OUT`.

Every clip is a pure function of (configuration, clip number). Clips are written in parts, each a folder that
is complete once it holds its index; a run that was stopped makes only the parts that are missing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from segtalker.config import apply_overrides, config_hash, parse_config, to_dict, to_yaml
from segtalker.data.shards import INDEX_NAME, ShardWriter
from segtalker.errors import DataError
from segtalker.synthetic.plan import ClipPlan, Preset, SynthConfig, plan_parts, preset_config
from segtalker.synthetic.samples import make_sample
from segtalker.synthetic.video import demo_clip, write_planned_clip

__all__ = ["demo_clip", "make_corpus", "run_synth"]

Progress = Callable[[int, int], None]
"""Called with (clips made, clips in all)."""
_CONFIG_NAME = "corpus.yaml"


def make_corpus(cfg: SynthConfig, out_dir: Path | str, progress: Progress | None = None) -> Path:
    """Make what is missing of the corpus `cfg` in `out_dir`; returns the folder.

    A folder that holds another corpus is refused with `DataError`.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, cfg)
    parts = plan_parts(cfg)
    total = sum(len(clips) for clips in parts.values())
    todo = [(name, clips) for name, clips in parts.items() if not _is_complete(cfg, out / name, clips)]
    done = total - sum(len(clips) for _, clips in todo)
    if progress:
        progress(done, total)
    for count in _run(partial(_make_part, cfg, out), todo, cfg.workers):
        done += count
        if progress:
            progress(done, total)
    return out


def run_synth(preset: Preset, out: Path, overrides: Sequence[str] = (), quiet: bool = False) -> str:
    """The command `segtalker synth`: make a corpus with a progress bar; returns one line about it."""
    values = apply_overrides(to_dict(preset_config(preset)), overrides)
    cfg = parse_config(SynthConfig, values)
    if quiet:
        make_corpus(cfg, out)
    else:
        from tqdm import tqdm

        with tqdm(desc=f"synth {preset}", unit="clip", dynamic_ncols=True, disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            make_corpus(cfg, out, show)
    clips = sum(len(part) for part in plan_parts(cfg).values())
    return f"{out}: {clips} clips of the preset '{preset}', version {cfg.version}, seed {cfg.seed}"


def _claim(out: Path, cfg: SynthConfig) -> None:
    """Write the configuration into the folder, or check that the one there is the same."""
    path = out / _CONFIG_NAME
    text = to_yaml(cfg)
    identity = [line for line in text.splitlines() if not line.startswith("workers:")]
    if path.exists():
        known = [
            line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("workers:")
        ]
        if known != identity:
            raise DataError(
                f"{out}: holds a corpus of another configuration ({_CONFIG_NAME}). Take another folder."
            )
    else:
        path.write_text(text, encoding="utf-8")


def _run(
    make: Callable[[tuple[str, list[ClipPlan]]], int], todo: list[tuple[str, list[ClipPlan]]], workers: int
) -> Iterable[int]:
    if workers <= 1 or len(todo) <= 1:
        yield from map(make, todo)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(todo))) as pool:
        yield from pool.imap_unordered(make, todo)


def _is_complete(cfg: SynthConfig, folder: Path, clips: list[ClipPlan]) -> bool:
    if cfg.preset == "clips":
        return all((folder / f"{clip.key}.json").exists() for clip in clips)  # written after the video
    return (folder / INDEX_NAME).exists()


def _make_part(cfg: SynthConfig, out: Path, part: tuple[str, list[ClipPlan]]) -> int:
    name, clips = part
    if cfg.preset == "clips":
        (out / name).mkdir(exist_ok=True)
        for clip in clips:
            write_planned_clip(cfg, clip, out / name)
        return len(clips)
    provenance = {"corpus": "synthetic", "version": cfg.version, "config": config_hash(cfg)}
    with ShardWriter(out / name) as writer:
        for clip in clips:
            writer.add(make_sample(cfg, clip, provenance))
    return len(clips)
