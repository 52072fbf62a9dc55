"""Clips that `provenance` marks: people made here, a real portrait, real and drawn films, and hard cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks._rendering_clips import find_real_clip
from segtalker.faces.align import apply_affine
from segtalker.media.read import read_frames
from segtalker.provenance.mark import face_area
from segtalker.synthetic.clip import LabelNoise, perform
from segtalker.synthetic.identity import random_identity
from segtalker.synthetic.motion import random_style
from segtalker.synthetic.render import Renderer
from segtalker.types import Image, Phone

FPS = 25


@dataclass(frozen=True)
class Clip:
    """Frames of one size, and where the face is in each, where that is known."""

    name: str
    images: list[Image]
    faces: list[NDArray[np.uint8]] | None = None


def clips(quick: bool, num_frames: int) -> Iterator[Clip]:
    """One clip after the other, so that only one is held."""
    real = find_real_clip()
    if real is not None:
        films = [real] if quick else [real, real.with_name("bikes.mp4"), real.with_name("bigbuckbunny.mp4")]
        yield from (Clip(film.stem, _first(film, num_frames)) for film in films if film.exists())
    yield portrait(num_frames)
    yield drawn("cartoon", num_frames, _cartoon)
    yield drawn("noise", num_frames // 3, _noise)
    sizes = [(360, 360), (640, 360)] if quick else [(360, 360), (480, 360), (640, 360), (640, 480)] * 3
    sizes += [] if quick else [(1280, 720), (1280, 720)]
    for seed, size in enumerate(sizes):
        yield synthetic(seed, size, num_frames)


def synthetic(seed: int, size: tuple[int, int], num_frames: int) -> Clip:
    """A synthetic person who says nonsense."""
    rng = np.random.default_rng((seed, 71))
    ends = np.cumsum(rng.uniform(0.06, 0.16, 200))
    labels = rng.choice(["aa", "m", "iy", "s", "uw", "p", "eh", "t"], len(ends))
    phones = [
        Phone(str(label), float(end) - 0.1, float(end)) for label, end in zip(labels, ends, strict=True)
    ]
    phones = [Phone(p.label, before, p.end_s) for p, before in zip(phones, [0.0, *ends[:-1]], strict=True)]
    times = np.arange(num_frames) / FPS
    exact = LabelNoise(jitter=0.0, drift=0.0, crop_offset=0.0, lost_ears=0.0, lost_neck=0.0)
    performance = perform(random_identity(9000 + seed), phones, times, seed, random_style(rng), exact)
    width, height = size
    scale = 0.65 * height
    frame_from_unit = np.array([[scale, 0.0, 0.5 * (width - scale)], [0.0, scale, 0.4 * (height - scale)]])
    renderer = Renderer(performance, resolution=round(scale))
    images = [renderer.picture(index, frame_from_unit, width, height) for index in range(num_frames)]
    points = apply_affine(frame_from_unit, performance.posed[..., :2])
    faces = [face_area(frame.astype(np.float32), height, width) for frame in points]
    return Clip(f"synthetic-{seed}-{width}x{height}", images, faces)


def portrait(num_frames: int) -> Clip:
    """scikit-image's astronaut under a hand-held camera."""
    from skimage.data import astronaut

    picture = np.asarray(astronaut(), np.uint8)
    height, width = picture.shape[:2]
    oval = np.zeros((height, width), np.uint8)
    cv2.ellipse(oval, (223, 115), (60, 85), 0, 0, 360, 255, -1)
    moved = []
    for index in range(num_frames):
        y, x = 2.0 * np.sin(index / 17.0), 3.0 * np.sin(index / 29.0 + 1)
        moved.append(np.array([[1.02, 0.0, x - 5], [0.0, 1.02, y - 5]]))
    images = [cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT) for move in moved]
    faces = [cv2.warpAffine(oval, move, (width, height), flags=cv2.INTER_NEAREST) for move in moved]
    return Clip(
        "astronaut", [np.asarray(i, np.uint8) for i in images], [np.asarray(f, np.uint8) for f in faces]
    )


def drawn(name: str, num_frames: int, draw: Callable[[int], Image]) -> Clip:
    """A clip of a function of the frame's number."""
    return Clip(name, [draw(index) for index in range(num_frames)])


def _first(path: Path, num_frames: int) -> list[Image]:
    return [frame.image for frame in read_frames(path, 0, num_frames)]


def _cartoon(index: int) -> Image:
    """Flat colours; a ball rolls."""
    image = np.full((360, 640, 3), (96, 148, 204), np.uint8)
    cv2.rectangle(image, (0, 290), (640, 360), (52, 122, 60), -1)
    cv2.circle(image, (200 + 2 * index, 210), 80, (238, 196, 160), -1)
    cv2.circle(image, (170 + 2 * index, 190), 8, (20, 20, 20), -1)
    return image


def _noise(index: int) -> Image:
    """Nothing but noise: no codec keeps it."""
    return np.random.default_rng((index, 72)).integers(0, 256, (240, 320, 3), np.uint8)
