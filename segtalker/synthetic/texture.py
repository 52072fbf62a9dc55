"""The skin of a face as a picture over the mean face; the mesh carries it, so it moves with every muscle."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import BROW_L, BROW_R, EYE_L, EYE_R, LIP_OUT, mean_face
from segtalker.synthetic.appearance import Appearance, linear
from segtalker.synthetic.brush import Picture, gaussian

ORIGIN = np.array([0.1, 0.08])
"""Unit-crop coordinates of the texture's corner."""
EXTENT = (0.8, 0.86)
_CREASE_L, _CREASE_R = (247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414)


def value_noise(shape: tuple[int, int], cell: float, rng: np.random.Generator, octaves: int = 3) -> Picture:
    """Smooth noise [H, W] in about -1..1 whose largest features measure `cell` pixels."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        rows, columns = max(2, int(height / cell) + 2), max(2, int(width / cell) + 2)
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        amplitude, cell = amplitude * 0.55, cell / 2.1
        if cell < 1.2:
            break
    return total


def face_texture(look: Appearance, seed: int, resolution: int) -> Picture:
    """Albedo [H, W, 3] in linear light, `resolution` pixels a unit crop, of the region from `ORIGIN`."""
    rng = np.random.default_rng((seed, 5))
    x, y = _grid(resolution)
    u = x - 0.5
    skin = np.ones((*x.shape, 3), np.float32) * linear(look.skin)
    blotches = value_noise(x.shape, 0.16 * resolution, rng)
    skin *= (1 + 0.07 * blotches + 0.03 * value_noise(x.shape, 0.02 * resolution, rng, 2))[..., None]
    red = 0.8 * _spot(np.abs(u), y, 0.17, 0.62, 0.075, 0.06) + 0.7 * _spot(u, y, 0, 0.62, 0.04, 0.035)
    red += 0.4 * _spot(u, y, 0, 0.83, 0.07, 0.04) + 0.15 * value_noise(x.shape, 0.1 * resolution, rng)
    tint = 1 + look.redness * red[..., None] * np.array((0.10, -0.22, -0.20), np.float32)
    skin *= np.clip(tint, 0.4, 1.4)
    skin *= _relief(u, y, look)[..., None]
    skin *= 1 - _wrinkles(resolution, look, rng)[..., None]
    _freckles(skin, look, resolution, rng)
    _beard(skin, u, y, look, resolution, rng)
    _lips(skin, u, y, look, resolution, rng)
    _eye_surroundings(skin, look, resolution)
    _brows(skin, look, resolution, rng)
    return np.clip(skin, 0.002, 1.0)


def texture_position(points: NDArray[np.float64], resolution: int) -> NDArray[np.float32]:
    """Unit-crop points [..., 2] of the mean face to texture pixels (OpenCV's centres at whole numbers)."""
    return ((points - ORIGIN) * resolution - 0.5).astype(np.float32)


@cache
def _grid(resolution: int) -> tuple[Picture, Picture]:
    width, height = (round(side * resolution) for side in EXTENT)
    x = (np.arange(width) + 0.5) / resolution + ORIGIN[0]
    y = (np.arange(height) + 0.5) / resolution + ORIGIN[1]
    grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return grid_x, grid_y


def _spot(u: Picture, y: Picture, cu: float, cy: float, su: float, sy: float) -> Picture:
    return np.exp(-(((u - cu) / su) ** 2) - ((y - cy) / sy) ** 2)


def _relief(u: Picture, y: Picture, look: Appearance) -> Picture:
    """Baked shading of forms that are finer than the mesh: sockets, nostrils, folds, philtrum."""
    side = np.abs(u)
    shade = 1 - 0.22 * _spot(side, y, 0.1, 0.44, 0.05, 0.02) - 0.10 * _spot(side, y, 0.128, 0.50, 0.06, 0.018)
    shade -= (0.12 + 0.2 * look.age) * _spot(side, y, 0.115, 0.512, 0.04, 0.009)
    shade -= 0.72 * _spot(side, y, 0.026, 0.647, 0.013, 0.0065)
    shade -= 0.18 * _spot(side, y, 0.064, 0.63, 0.008, 0.02) + 0.12 * _spot(u, y, 0, 0.665, 0.045, 0.010)
    shade += 0.10 * _spot(u, y, 0, 0.58, 0.010, 0.07) + 0.10 * _spot(u, y, 0, 0.61, 0.018, 0.016)
    shade -= 0.07 * _spot(u, y, 0, 0.683, 0.006, 0.012) - 0.04 * _spot(side, y, 0.014, 0.683, 0.006, 0.012)
    shade -= 0.20 * _spot(u, y, 0, 0.785, 0.055, 0.010) + 0.08 * _spot(side, y, 0.118, 0.722, 0.012, 0.012)
    return np.clip(shade, 0.08, 1.2).astype(np.float32)


def _wrinkles(resolution: int, look: Appearance, rng: np.random.Generator) -> Picture:
    """Darkening 0..1 of the lines of age."""
    canvas = np.zeros(_grid(resolution)[0].shape, np.float32)

    def line(points: list[tuple[float, float]], strength: float, width: float) -> None:
        layer = np.zeros_like(canvas)
        position = texture_position(np.array(points), resolution)
        cv2.polylines(layer, [(position * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4)
        soft = gaussian(layer, max(0.5, width * resolution))
        np.maximum(canvas, soft * strength / max(float(soft.max()), 1e-6), out=canvas)

    fold = 0.08 + 0.22 * look.age
    for side in (-1, 1):
        curve = [(0.5 + side * (0.062 + 0.062 * t**0.8), 0.63 + 0.09 * t) for t in np.linspace(0, 1, 8)]
        line(curve, fold * rng.uniform(0.7, 1.2), 0.006)
        if look.age > 0.45:
            for k in range(3):
                start = (0.5 + side * 0.2, 0.462 + 0.009 * k)
                line([start, (0.5 + side * 0.235, 0.455 + 0.017 * k)], 0.18 * look.age, 0.002)
    if look.age > 0.35:
        for k in range(int(rng.integers(1, 4))):
            height = 0.385 - 0.03 * k
            bow = [
                (0.5 + t, height + 0.01 * np.cos(12 * t) + 0.003 * rng.normal())
                for t in np.linspace(-0.14, 0.14, 9)
            ]
            line(bow, 0.2 * look.age, 0.003)
        line([(0.487, 0.40), (0.489, 0.43)], 0.2 * look.age, 0.003)
    return np.clip(canvas, 0, 0.6)


def _freckles(skin: Picture, look: Appearance, resolution: int, rng: np.random.Generator) -> None:
    mask = np.zeros(skin.shape[:2], np.float32)
    count = int(260 * look.freckles)
    for x, y in np.stack([0.5 + rng.normal(0, 0.13, count), rng.normal(0.58, 0.06, count)], axis=1):
        _dot(mask, x, y, rng.uniform(0.0015, 0.0035), rng.uniform(0.15, 0.45), resolution)
    for _ in range(rng.poisson(0.8)):
        _dot(
            mask,
            rng.uniform(0.28, 0.72),
            rng.uniform(0.35, 0.85),
            rng.uniform(0.003, 0.006),
            0.75,
            resolution,
        )
    mask = gaussian(mask, 0.7)[..., None]
    skin *= 1 - mask * np.array((0.45, 0.62, 0.7), np.float32)


def _dot(mask: Picture, x: float, y: float, radius: float, value: float, resolution: int) -> None:
    px, py = texture_position(np.array([x, y]), resolution)
    cv2.circle(mask, (int(px * 16), int(py * 16)), int(radius * resolution * 16), value, -1, cv2.LINE_AA, 4)


def _beard(
    skin: Picture, u: Picture, y: Picture, look: Appearance, resolution: int, rng: np.random.Generator
) -> None:
    if not look.beard:
        return
    side = np.abs(u)
    jaw = 1 / (
        1 + np.exp(-(y - 0.79 + 1.1 * np.maximum(0, side - 0.1) - 2.0 * np.maximum(0, side - 0.2)) / 0.012)
    )
    jaw = np.maximum(jaw, 1 / (1 + np.exp(-(side - 0.235) / 0.01)) * (y > 0.55))
    lip = look.moustache * _spot(side, y, 0.045, 0.686, 0.05, 0.016) + 0.6 * _spot(u, y, 0, 0.79, 0.03, 0.018)
    ring = look.moustache * _spot(side, y, 0.125, 0.75, 0.014, 0.045)
    cover = np.clip(jaw + lip + ring, 0, 1)
    grain = rng.random(skin.shape[:2]).astype(np.float32)
    strokes = cv2.blur(grain, (1, max(2, resolution // 90)))
    strokes = (strokes - strokes.mean()) / strokes.std()
    alpha = np.clip(cover * look.beard * (0.85 + 0.28 * strokes), 0, 0.96)[..., None]
    skin += alpha * (linear(look.brow) * (1 + 0.35 * strokes[..., None]) - skin)


def _lips(
    skin: Picture, u: Picture, y: Picture, look: Appearance, resolution: int, rng: np.random.Generator
) -> None:
    mask = np.zeros(skin.shape[:2], np.float32)
    contour = texture_position(mean_face()[list(LIP_OUT), :2].astype(np.float64), resolution)
    cv2.fillPoly(mask, [(contour * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    mask = gaussian(mask, max(0.6, 0.0028 * resolution))
    v = y - 0.7215
    creases = np.interp(u, np.linspace(-0.13, 0.13, 90), rng.normal(0, 1, 90)).astype(np.float32)
    shade = 1 - 0.42 * np.exp(-np.abs(v) / 0.0045) + 0.05 * creases - 0.10 * (v < 0)
    gloss = look.lip_gloss * _spot(np.abs(u), y, 0.018, 0.742, 0.028, 0.006) * (1 + 0.3 * creases)
    gloss += 0.5 * look.lip_gloss * _spot(np.abs(u), y, 0.022, 0.704, 0.02, 0.004)
    colour = linear(look.lip) * np.clip(shade, 0.3, 1.2)[..., None] + 0.35 * np.maximum(gloss, 0)[..., None]
    skin += mask[..., None] * (colour - skin)


def _eye_surroundings(skin: Picture, look: Appearance, resolution: int) -> None:
    mesh = mean_face()[:, :2].astype(np.float64)
    for eye, crease in ((EYE_L, _CREASE_L), (EYE_R, _CREASE_R)):
        line = np.zeros(skin.shape[:2], np.float32)
        points = texture_position(mesh[list(crease)], resolution)
        cv2.polylines(
            line, [(points * 16).astype(np.int32)], False, 1.0, max(1, resolution // 220), cv2.LINE_AA, 4
        )
        line = gaussian(line, 0.004 * resolution)
        skin *= 1 - 0.45 * (line / max(float(line.max()), 1e-6))[..., None]
        if look.eyeshadow:
            lid = np.zeros_like(line)
            outline = texture_position(mesh[[*eye[8:], *crease]], resolution)
            cv2.fillConvexPoly(lid, cv2.convexHull(outline.astype(np.int32)), 1.0)
            lid = look.eyeshadow * gaussian(lid, 0.008 * resolution)[..., None]
            skin += lid * (linear(look.eyeshadow_colour) - skin)


def _brows(skin: Picture, look: Appearance, resolution: int, rng: np.random.Generator) -> None:
    """Hairs that start on the middle line of the brow and lean outwards."""
    mesh = mean_face()[:, :2].astype(np.float64)
    mask = np.zeros(skin.shape[:2], np.float32)
    for brow, outward in ((BROW_L, -1.0), (BROW_R, 1.0)):
        upper, lower = mesh[list(brow[:5])], mesh[list(brow[:4:-1])]
        for _ in range(int(190 * look.brow_density)):
            t, s = rng.uniform(0, 4), rng.uniform(-0.5, 0.5)
            k, f = min(int(t), 3), t - min(int(t), 3)
            top, low = upper[k] * (1 - f) + upper[k + 1] * f, lower[k] * (1 - f) + lower[k + 1] * f
            root = 0.5 * (top + low) + s * look.brow_thickness * (low - top)
            tip = root + np.array(
                [outward * rng.uniform(0.008, 0.016), -rng.uniform(0.002, 0.012) * (1 - t / 6)]
            )
            ends = (texture_position(np.stack([root, tip]), resolution) * 16).astype(np.int32)
            cv2.line(mask, ends[0], ends[1], float(rng.uniform(0.5, 1.0)), 1, cv2.LINE_AA, 4)
    soft = gaussian(mask, 0.006 * resolution)
    alpha = np.clip(0.75 * mask + 0.7 * look.brow_density * soft, 0, 0.95)[..., None]
    skin += alpha * (linear(look.brow) - skin)
