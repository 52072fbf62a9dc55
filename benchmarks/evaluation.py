"""Are the figures of an evaluation right, the same on a cluster, and quick?

    max_error_vs_reference  largest relative difference of a figure from a reference library or an independent
                            computation on the same crops (scikit-image, SciPy, plain loops)
    cluster_vs_single       largest relative difference between figures of two Ray workers, and of parts of a
                            video that were scored apart, stored and merged, and those of one process
    offset_error_frames     largest error of the offset by our evaluation expert where the speech of a
                            synthetic clip is moved by -10..10 frames
    scaling_2_workers       videos per second of two Ray workers over twice those of one, both warm; median of
                            interleaved pairs

The pair of the first two is a synthetic person whose video was blurred, dimmed in every other frame, and
encoded again. Without the published weights, SyncNet v2 and the recogniser of CSIM are run with random
numbers in their layouts: that tests the procedure, not the networks.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._evaluation_references import Material, independent
from benchmarks._held_out import held_out
from benchmarks._report import log, main, table
from benchmarks._speech import speech_of
from segtalker.audio.mel import mel_spectrogram
from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.run import evaluate, run_processes
from segtalker.evaluation.score import score_pair
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tasks import Truth, plan_tasks
from segtalker.evaluation.tools import Tools, load_tools
from segtalker.evaluation.videos import PairLooker, open_pair
from segtalker.faces.identity import ArcFaceEmbedder
from segtalker.media.audio import decode_speech
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig, mux, write_segment
from segtalker.metrics.sync import curve_of_mouths, inner_windows, mouths_of_windows
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.syncnet_v2 import SyncNetV2, SyncNetV2Config
from segtalker.synthetic.video import demo_clip

_SHIFTS = range(-10, 11)
_FRAME = (240, 240)
_FIGURES = EvalProtocol()
_TIMED = EvalProtocol(metrics=("image", "landmarks", "mini"))
_COLD = 2
"""Records of each worker of a run that do not count: it was still loading."""
TARGETS = {
    "max_error_vs_reference": "<= 1e-3",
    "cluster_vs_single": "<= 1e-6",
    "offset_error_frames": "== 0",
    "scaling_2_workers": ">= 0.85",
}


def run(quick: bool) -> dict[str, Any]:
    """All figures."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        true, made = _pair(folder, 3.2 if quick else 8.0)
        errors = reference_errors(true, made)
        scattered = scattered_error(true, made)
        offsets = offset_errors(4 if quick else 16)
        cluster = _on_ray(folder, quick)
    return {
        "max_error_vs_reference": max(errors.values()),
        "worst_figure": max(errors, key=lambda name: errors[name]),
        "figures_compared": len(errors),
        "cluster_vs_single": max(scattered, cluster["ray_vs_single"]),
        "scattered_vs_single": scattered,
        "offset_error_frames": max(offsets),
        "offset_clips": len(offsets),
        **cluster,
    }


def reference_errors(true: Path, made: Path) -> dict[str, float]:
    """Relative error of every figure of a pair that has an independent computation."""
    tools, pair = _tools(), _pair_of(true, made)
    scored = score_pair(pair, _FIGURES, tools)
    ours = scored.figures.figures() | scored.sets.figures()
    rows, errors = [], {}
    for name, theirs, by in independent(_material(pair, tools)):
        found = ours[name]
        errors[name] = math_error(found, theirs)
        rows.append(
            {"figure": name, "ours": found, "theirs": theirs, "by": by, "relative error": errors[name]}
        )
    table(rows)
    left = sorted(set(ours) - set(errors))
    log(f"not compared here: {', '.join(left)}")
    return errors


def scattered_error(true: Path, made: Path) -> float:
    """Of a video that was scored in three parts, each stored and read again, against one pass."""
    tools, pair = _tools(), _pair_of(true, made)
    whole = score_pair(pair, _FIGURES, tools)
    count = whole.figures.frames
    edges = [0, count // 3 + 1, 2 * count // 3, count]
    parts = [score_pair(pair, _FIGURES, tools, part) for part in pairwise(edges)]
    kept = [
        Scored.from_json(json.loads(json.dumps(part.to_json())), SetFigures.from_bytes(part.sets.to_bytes()))
        for part in parts
    ]
    merged = sum((part.figures for part in kept), VideoFigures()).figures()
    merged |= sum((part.sets for part in kept), SetFigures()).figures()
    return _largest_error({"": whole.figures.figures() | whole.sets.figures()}, {"": merged})


def offset_errors(count: int) -> list[int]:
    """Largest |found - true| offset of each of `count` clips of the synthetic corpus over all shifts.

    The speech is moved by whole frames, its samples; what leaves the clip is lost and silence comes in. Clips
    are of held-out voices, at least 4 s long, and read as prepared: maps, and speech said again.
    """
    expert = load_tools(EvalProtocol(metrics=("expert",))).expert
    assert expert is not None
    reader, voices, _ = held_out(None, quick=True)
    clips = [clip for clip in voices if reader.rows[clip].num_frames >= 100][:count]
    rows, errors = [], []
    for clip in clips:
        maps, samples = reader.read(clip, "maps"), speech_of(reader, clip)
        starts = np.array(inner_windows(len(maps), expert.cfg.window), np.int64)
        mouths = mouths_of_windows(expert, maps, starts)
        found = {
            shift: curve_of_mouths(expert, mouths, starts, mel_spectrogram(moved(samples, shift))).offset
            for shift in _SHIFTS
        }
        errors.append(max(abs(found[shift] - shift) for shift in _SHIFTS))
        wrong = [shift for shift in _SHIFTS if found[shift] != shift]
        rows.append(
            {"clip": reader.rows[clip].key, "frames": len(maps), "error": errors[-1], "wrong at": wrong}
        )
    table(rows)
    return errors


def moved(samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Speech that comes so many frames later, at its old length."""
    by = 640 * frames
    result = np.zeros_like(samples)
    if by >= 0:
        result[by:] = samples[: len(samples) - by]
    else:
        result[:by] = samples[-by:]
    return result


def _on_ray(folder: Path, quick: bool) -> dict[str, Any]:
    """The same videos by two workers of a cluster and by one process, and how much faster two are."""
    import ray

    from ray_jobs.evaluate import run_actors
    from ray_jobs.local_cluster import local_cluster

    videos, pairs = (10, 3) if quick else (24, 5)
    source, made = _pair(folder, 1.2, "short")
    places = _copies(folder / "many", source, made, videos)
    truth = Truth(str(places / "true"), labels=str(places / "labels"))
    tasks = plan_tasks({"ours": str(places / "ours")}, truth)
    timed = [task for task in tasks if task.method == "ours"]
    with local_cluster(1, 3) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        few = [task for task in tasks if task.pair.id in ("0", "1", "2")]
        there = evaluate(few, _FIGURES, folder / "there", 2, runner=run_actors)
        here = evaluate(few, _FIGURES, folder / "here", 1, runner=run_processes)
        error = max(
            _largest_error({**one.videos, "": one.whole}, {**other.videos, "": other.whole})
            for one, other in zip(here.methods, there.methods, strict=True)
        )
        ratios = []
        for number in range(pairs):
            rates = {}
            for workers in (1, 2)[:: 1 if number % 2 else -1]:
                records = run_actors(timed, _TIMED, folder / f"timed{number}-{workers}", workers)
                rates[workers] = _rate(records, workers)
            ratios.append(rates[2] / (2 * rates[1]))
            log(f"pair {number}: one {rates[1]:.2f}, two {rates[2]:.2f} videos a second, {ratios[-1]:.3f}")
        ray.shutdown()
    return {
        "ray_vs_single": error,
        "scaling_2_workers": round(statistics.median(ratios), 3),
        "scaling_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "videos": videos,
    }


def _rate(records: Iterable[Any], workers: int) -> float:
    """Records a second after the first ones."""
    times = []
    for record in records:
        if record.reason:
            raise RuntimeError(f"{record.id}: {record.reason}")
        times.append(time.perf_counter())
    cold = _COLD * workers
    return (len(times) - cold) / (times[-1] - times[cold - 1])


def math_error(ours: float | None, theirs: float) -> float:
    """|ours - theirs| over |theirs|; what is below 1e-6 in both is equal."""
    if ours is None:
        return float("inf")
    return abs(ours - theirs) / max(abs(theirs), 1e-6)


def _largest_error(
    expected: Mapping[str, Mapping[str, float | None]], found: Mapping[str, Mapping[str, float | None]]
) -> float:
    """Over the figures of all videos; infinite where one has a figure that the other lacks."""
    if expected.keys() != found.keys():
        return float("inf")
    errors = [0.0]
    for video, figures in expected.items():
        if figures.keys() != found[video].keys():
            return float("inf")
        for name, value in figures.items():
            other = found[video][name]
            if (value is None) != (other is None):
                return float("inf")
            if value is not None and other is not None:
                errors.append(math_error(other, value))
    return max(errors)


def _pair(folder: Path, seconds: float, name: str = "pair") -> tuple[Path, Path]:
    """A true video with its labels, and one that a poor method made of it."""
    true = demo_clip(folder / f"{name}.mp4", seconds, 3, _FRAME)
    segment, made = folder / f"{name}-made.seg.mp4", folder / f"{name}-made.mp4"
    images = (
        np.asarray(cv2.GaussianBlur(frame.image, (0, 0), 1.5) * (0.97 if frame.index % 2 else 1.0), np.uint8)
        for frame in read_frames(true)
    )
    count = write_segment(images, segment, Fraction(25), EncodeConfig(preset="veryfast"))
    mux([segment], None, made, np.arange(count + 1, dtype=np.int64), Fraction(1, 25))
    return true, made


def _copies(folder: Path, true: Path, made: Path, count: int) -> Path:
    """The same pair many times, each of its own content: a free box at the end that no player reads."""
    for kind in ("true", "ours", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        mark = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / "true" / f"{number}.mp4").write_bytes(true.read_bytes() + mark)
        (folder / "ours" / f"{number}.mp4").write_bytes(made.read_bytes() + mark)
        (folder / "labels" / f"{number}.json").write_bytes(true.with_suffix(".json").read_bytes())
    return folder


def _pair_of(true: Path, made: Path) -> Pair:
    return Pair(
        id="pair",
        output=str(made),
        reference=str(true),
        speech=str(true),
        labels=str(true.with_suffix(".json")),
    )


def _tools() -> Tools:
    """Those of this machine; networks that are published and not here with random numbers."""
    torch.manual_seed(0)
    found = load_tools(_FIGURES)
    sync = found.published.sync or SyncNetV2(SyncNetV2Config(divisor=16)).eval()
    embedder = found.published.embedder or ArcFaceEmbedder(ArcFace(ArcFaceConfig.mini()).eval())
    return replace(found, published=replace(found.published, sync=sync, embedder=embedder))


def _material(pair: Pair, tools: Tools) -> Material:
    """What the independent computations begin with."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        videos = open_pair(pair, _FIGURES, work)
        seen = list(PairLooker.of(videos, _FIGURES, tools, work).read(0, videos.frames))
        assert videos.sound is not None
        speech = decode_speech(videos.sound, work / "speech.npy")
        samples = speech.samples()
    return Material(seen, Path(pair.labels), samples, _FIGURES, tools)


if __name__ == "__main__":
    main(__doc__, run, TARGETS, sys.argv[1:])
