"""What do region-wise codes cost? The mask-guided generator against the literal loop and plain StyleGAN2.

One forward pass of the generator with config-f widths, every layer masked, random weights and codes, batch
1, on the CPU, routing of the map included. "loop" runs supplement eq. (1) to the letter: one un-fused conv(x
s_j) d_j for each of the 12 regions. "plain" is the same class with one code. Runs are interleaved (ours,
plain, loop, ours, ...); figures are medians of the ratios of pairs, with their range beside. The headline
figures are the worst over sizes and maps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._report import log, main, table
from segtalker.errors import SegTalkerError
from segtalker.models.stylegan2 import Generator, SynthesisConfig
from segtalker.models.stylegan2.reference import literal_loop
from segtalker.regions import NUM_REGIONS, Region

SIZES = (256, 512)
PORTRAIT_SIZE = 512
TARGETS = {"speedup_vs_loop": ">= 6", "cost_vs_plain": "<= 2.0", "max_relative_error": "<= 1e-4"}


def run(quick: bool) -> dict[str, Any]:
    """The table, one row a size and map, and its worst values."""
    maps = face_maps()
    rows = []
    for size in SIZES:
        torch.manual_seed(0)
        generator = Generator(SynthesisConfig(size=size, num_mapping_layers=0)).eval()
        for number, (name, draw) in enumerate(maps.items()):
            loops = 5 if number == 0 or not quick else 1
            region_map = torch.from_numpy(draw(size))[None]
            rows.append({"size": size, "map": name, **measure(generator, region_map, loops, quick)})
            log(f"{size} px, {name}: {rows[-1]['speedup_vs_loop']:.1f} x the loop")
    table(rows)
    by_map = {
        f"{figure} at {row['size']} px, {row['map']}": round(row[figure], 3)
        for figure in ("speedup_vs_loop", "cost_vs_plain")
        for row in rows
    }
    return {
        "speedup_vs_loop": min(row["speedup_vs_loop"] for row in rows),
        "cost_vs_plain": max(row["cost_vs_plain"] for row in rows),
        "max_relative_error": max(row["max_relative_error"] for row in rows),
        "threads": torch.get_num_threads(),
        **by_map,
    }


@torch.no_grad()
def measure(generator: Generator, region_map: Tensor, loops: int, quick: bool) -> dict[str, Any]:
    """Ratios and the error of one map [1, S, S]; the loop runs in the first `loops` of the rounds."""
    codes = torch.randn(1, NUM_REGIONS, generator.cfg.num_layers, generator.cfg.style_dim)

    def loop(skip_absent: bool = False) -> Tensor:
        with literal_loop(generator, skip_absent):
            return generator(codes, region_map)

    def ours() -> Tensor:
        return generator(codes, region_map)

    def plain() -> Tensor:
        return generator(codes[:, :1])

    expected, found, _ = loop(), ours(), plain()  # warm all three
    seconds: dict[str, list[float]] = {"ours": [], "plain": [], "loop": []}
    for turn in range(5 if quick else 9):
        for name, call in (("ours", ours), ("plain", plain), ("loop", loop)):
            if name != "loop" or turn < loops:
                seconds[name].append(_timed(call))
    present_s = _timed(lambda: loop(skip_absent=True)) if loops > 1 else float("nan")
    speedups = [slow / fast for slow, fast in zip(seconds["loop"], seconds["ours"], strict=False)]
    costs = [fast / base for fast, base in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        "regions": len(region_map.unique()),
        "ours_ms": round(1000 * statistics.median(seconds["ours"])),
        "plain_ms": round(1000 * statistics.median(seconds["plain"])),
        "loop_ms": round(1000 * statistics.median(seconds["loop"])),
        "speedup_vs_loop": statistics.median(speedups),
        "speedup_range": f"{min(speedups):.1f}..{max(speedups):.1f}",
        "speedup_vs_loop_of_present_regions": present_s / statistics.median(seconds["ours"]),
        "cost_vs_plain": statistics.median(costs),
        "cost_range": f"{min(costs):.2f}..{max(costs):.2f}",
        "max_relative_error": float((found - expected).abs().max() / expected.abs().max()),
        "pairs": f"{len(speedups)} and {len(costs)}",
    }


def face_maps() -> dict[str, Callable[[int], NDArray[np.int64]]]:
    """Maps by name: a real face where the face models are at hand, and drawn ones of 1, 10, 12 regions."""
    maps: dict[str, Callable[[int], NDArray[np.int64]]] = {}
    try:
        parsed = _parsed_portrait()
    except (SegTalkerError, ImportError) as error:
        log(f"No map of a real face ({error}); the drawn ones stand in.")
    else:
        maps["real face"] = lambda size: _resized(parsed, size)
    maps["drawn face, 12 regions"] = lambda size: drawn_face(size)
    maps["drawn face, 10 regions"] = lambda size: drawn_face(size, accessories=False)
    maps["1 region"] = lambda size: np.zeros((size, size), dtype=np.int64)
    return maps


def drawn_face(size: int, accessories: bool = True) -> NDArray[np.int64]:
    """A face of ellipses [size, size] in FFHQ-like framing; `accessories` adds glasses and earrings."""
    regions = np.zeros((size, size), dtype=np.int64)
    y, x = (np.mgrid[:size, :size] + 0.5) / size

    def ellipse(region: Region, cx: float, cy: float, rx: float, ry: float, hole: float = 0.0) -> None:
        distance = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2
        regions[(distance < 1) & (distance >= hole)] = region

    ellipse(Region.HAIR, 0.50, 0.45, 0.42, 0.44)
    regions[(abs(x - 0.5) < 0.2) & (y > 0.7)] = Region.NECK
    ellipse(Region.SKIN, 0.50, 0.53, 0.30, 0.40)
    ellipse(Region.NOSE, 0.50, 0.56, 0.06, 0.10)
    ellipse(Region.LIP, 0.50, 0.74, 0.12, 0.055)
    ellipse(Region.MOUTH, 0.50, 0.74, 0.09, 0.02)
    for side in (-1, 1):
        ellipse(Region.EARS, 0.5 + side * 0.31, 0.52, 0.04, 0.10)
        ellipse(Region.EYEBROWS, 0.5 + side * 0.123, 0.40, 0.09, 0.02)
        ellipse(Region.EYES, 0.5 + side * 0.123, 0.47, 0.06, 0.03)
        if accessories:
            ellipse(Region.EYE_GLASS, 0.5 + side * 0.123, 0.47, 0.11, 0.08, hole=0.75)
            ellipse(Region.EAR_RINGS, 0.5 + side * 0.32, 0.64, 0.015, 0.03)
    return regions


def _parsed_portrait() -> NDArray[np.uint8]:
    """Region map [512, 512] of the public-domain portrait in scikit-image, by the landmark parser."""
    from skimage import data

    from segtalker.faces.align import apply_affine, crop_from_landmarks, scale_affine, warp_image
    from segtalker.faces.detect import load_backend
    from segtalker.parsing.parse import load_parser

    portrait = data.astronaut()
    backend = load_backend()
    face = backend.detect(portrait)[0]
    crop_from_frame = scale_affine(crop_from_landmarks(face.landmarks), PORTRAIT_SIZE)
    size = (PORTRAIT_SIZE, PORTRAIT_SIZE)
    matte = warp_image(backend.matte(portrait), crop_from_frame, size)
    crop = warp_image(portrait, crop_from_frame, size)
    landmarks = apply_affine(crop_from_frame, face.landmarks).astype(np.float32)
    return load_parser().parse(crop, landmarks, matte).region_map


def _resized(regions: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
    index = np.arange(size) * len(regions) // size
    return regions[index[:, None], index[None, :]].astype(np.int64)


def _timed(call: Callable[[], Tensor]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(__doc__, run, targets=TARGETS)
