"""Eyes and the inside of the mouth, painted over the skin in linear light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import EYE_L, EYE_R
from segtalker.parsing.draw import inner_mouth
from segtalker.synthetic.appearance import Appearance, linear
from segtalker.synthetic.brush import Picture, fixed_point, polygon_mask
from segtalker.synthetic.identity import Identity
from segtalker.synthetic.motion import Motion
from segtalker.synthetic.pose import project

_TEETH = 8


def paint_eyes(
    image: Picture, face: NDArray[np.float64], look: Appearance, gaze: tuple[float, float]
) -> None:
    """Eyeballs, irises and lashes, in place; `face` [468, 2] pixels, `gaze` about -1..1."""
    for eye in (EYE_L, EYE_R):
        contour = face[list(eye)]
        width = float(np.linalg.norm(contour[8] - contour[0]))
        if width < 2.0:
            continue
        _paint_eyeball(image, contour, width, look, gaze)
        upper, lower = contour[8:], contour[:9]
        upper = np.concatenate([upper, contour[:1]])
        _stroke(image, upper, linear(look.brow * 0.35), 0.035 * width + 0.04 * width * look.lashes, 0.85)
        _stroke(image, lower, linear(look.skin * 0.55), 0.025 * width, 0.35 + 0.3 * look.lashes)


def _paint_eyeball(
    image: Picture, contour: NDArray[np.float64], width: float, look: Appearance, gaze: tuple[float, float]
) -> None:
    window = _window(contour, image.shape, 3)
    if window is None:
        return
    left, top, right, bottom = window
    patch = image[top:bottom, left:right]
    local = contour - (left, top)
    mask = polygon_mask(local, patch.shape[:2])
    along = (contour[8] - contour[0]) / width
    centre = 0.5 * (local[0] + local[8]) + width * (0.11 * gaze[0] * along + (0.0, -0.035 + 0.05 * gaze[1]))
    y, x = np.mgrid[0 : patch.shape[0], 0 : patch.shape[1]].astype(np.float32) + 0.5
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    radius = 0.205 * width
    distance = np.sqrt(dx * dx + dy * dy) / radius
    edge = 1.0 / radius
    sclera = np.array((0.80, 0.74, 0.72), np.float32) * (1 - 0.10 * np.minimum(distance, 3.5))[..., None]
    rays = 0.85 + 0.25 * np.sin(np.arctan2(dy, dx) * 13 + 3 * distance)
    tone = rays * (0.65 + 0.55 * distance) * np.where(dy > 0, 1.15, 0.85)
    tone = tone * (1 - 0.7 * _ramp(distance, 0.78, 1.0))
    eyeball = sclera + _ramp(distance, 1 + edge, 1 - edge)[..., None] * (
        linear(look.iris) * 1.3 * tone[..., None] - sclera
    )
    eyeball *= 1 - 0.96 * _ramp(distance, 0.42 + edge, 0.42 - edge)[..., None]
    soft = cv2.blur(np.pad(mask, 1), (3, max(3, int(0.16 * width))), borderType=cv2.BORDER_CONSTANT)[
        1:-1, 1:-1
    ]
    shadow = np.roll(soft, max(1, int(0.05 * width)), axis=0)
    eyeball *= (0.25 + 0.75 * np.minimum(soft, shadow))[..., None]
    glint = np.hypot(dx + 0.55 * radius * np.sign(-look.light[0] or 1), dy + 0.4 * radius) / radius
    eyeball += 0.9 * _ramp(glint, 0.26 + edge, 0.26 - edge)[..., None]
    patch += mask[..., None] * (eyeball * look.exposure - patch)


class Mouths:
    """Teeth and tongue through a clip: the upper row is fixed to the head, the lower to the jaw."""

    def __init__(self, identity: Identity, look: Appearance, motion: Motion) -> None:
        """Poses the teeth of all frames at once."""
        self._look, self._motion = look, motion
        mesh = identity.mesh
        line, depth = mesh[13, 1], mesh[13, 2] + 0.016
        half = 0.86 * (mesh[308, 0] - mesh[78, 0]) / 2
        x = np.linspace(-1, 1, _TEETH + 1)
        x = 0.5 + half * np.sign(x) * np.abs(x) ** 0.92
        z = depth + 2.2 * (x - 0.5) ** 2
        bottom = line + look.teeth_shown * (1 - 0.35 * ((x - 0.5) / half) ** 2)
        upper = np.stack(
            [
                np.concatenate([x, x]),
                np.concatenate([np.full(_TEETH + 1, line - 0.03), bottom]),
                np.tile(z, 2),
            ],
            1,
        )
        lower_top = line - 0.2 * look.teeth_shown + 0 * x
        lower = np.stack(
            [np.concatenate([x, x]), np.concatenate([lower_top, lower_top + 0.05]), np.tile(z + 0.006, 2)],
            axis=1,
        )
        frames = len(motion)
        drop = motion.opening.astype(np.float64) * identity.gap
        lowers = np.repeat(lower[None], frames, axis=0)
        lowers[:, :, 1] += 0.86 * drop[:, None]
        self._upper = project(upper, motion, identity.camera)[..., :2]
        self._lower = project(lowers, motion, identity.camera)[..., :2]

    def paint(
        self, image: Picture, frame: int, face: NDArray[np.float64], affine: NDArray[np.float64]
    ) -> None:
        """Paint an open mouth, in place; `face` [468, 2] pixels, `affine` picture -> pixels."""
        inside = inner_mouth(face)
        window = None if inside is None else _window(inside, image.shape, 3)
        if inside is None or window is None:
            return
        left, top, right, bottom = window
        patch = image[top:bottom, left:right]
        mask = polygon_mask(inside - (left, top), patch.shape[:2])
        offset = affine[:, 2] - (left, top)
        upper = self._upper[frame] @ affine[:, :2].T + offset
        lower = self._lower[frame] @ affine[:, :2].T + offset
        cavity = np.empty_like(patch)
        cavity[:] = (0.030, 0.006, 0.006)
        self._paint_tongue(cavity, frame, lower)
        self._paint_row(cavity, lower, 0.62)
        self._paint_row(cavity, upper, 1.0)
        reach = max(3, int(0.10 * np.linalg.norm(inside[10] - inside[0])))
        depth = cv2.blur(np.pad(mask, 1), (reach, reach), borderType=cv2.BORDER_CONSTANT)[1:-1, 1:-1]
        cavity *= (0.35 + 0.65 * depth)[..., None] * self._look.exposure
        patch += mask[..., None] * (cavity - patch)

    def _paint_tongue(self, cavity: Picture, frame: int, lower: NDArray[np.float64]) -> None:
        tongue = float(self._motion.tongue[frame])
        ends = lower[: _TEETH + 1]
        width = np.linalg.norm(ends[-1] - ends[0])
        centre = ends.mean(0) + np.array((0.0, (0.16 - 0.20 * tongue) * width))
        mask = np.zeros(cavity.shape[:2], np.uint8)
        axes = (int(0.36 * width * 16), int((0.24 + 0.05 * tongue) * width * 16))
        cv2.ellipse(mask, tuple(int(v * 16) for v in centre), axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
        share = (mask.astype(np.float32) / 255)[..., None]
        cavity += share * (np.array((0.36, 0.10, 0.10), np.float32) - cavity)

    def _paint_row(self, cavity: Picture, row: NDArray[np.float64], brightness: float) -> None:
        high, low = row[: _TEETH + 1], row[_TEETH + 1 :]
        colour = linear(self._look.tooth) * np.float32(brightness)
        for k in range(_TEETH):
            a, b, c, d = high[k], high[k + 1], low[k + 1], low[k]
            gap = 0.06 * (b - a)
            rounded = np.stack(
                [
                    a + gap,
                    b - gap,
                    c - gap - 0.12 * (c - b),
                    c - 3 * gap,
                    d + 3 * gap,
                    d + gap - 0.12 * (d - a),
                ]
            )
            mask = polygon_mask(rounded, cavity.shape[:2])[..., None]
            side = 1 - 0.5 * abs((k + 0.5) / _TEETH * 2 - 1) ** 2
            cavity += mask * (colour * side - cavity)


def _stroke(image: Picture, points: NDArray[np.float64], colour: Picture, width: float, alpha: float) -> None:
    """A soft line along `points`, in place."""
    window = _window(points, image.shape, int(width) + 3)
    if window is None:
        return
    left, top, right, bottom = window
    patch = image[top:bottom, left:right]
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.polylines(mask, [fixed_point(points - (left, top))], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    share = min(1.0, width) * alpha * mask.astype(np.float32)[..., None] / 255
    patch += share * (colour - patch)


def _window(
    points: NDArray[np.float64], shape: tuple[int, ...], margin: int
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the part of the picture around `points`; None where it is empty."""
    left, top = (max(0, int(v) - margin) for v in points.min(0))
    right, bottom = (int(v) + margin + 1 for v in points.max(0))
    right, bottom = min(right, shape[1]), min(bottom, shape[0])
    return (left, top, right, bottom) if right - left > 2 and bottom - top > 2 else None


def _ramp(value: Picture, zero: float, one: float) -> Picture:
    """0 at `zero`, 1 at `one`, straight between."""
    return np.clip((value - zero) / (one - zero), 0, 1)
