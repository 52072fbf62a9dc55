"""Pictures of a performance: textured, lit and composited over the same layers that the maps are made of."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import affine_scale, apply_affine
from segtalker.faces.mesh import OVAL
from segtalker.synthetic import backdrop
from segtalker.synthetic.appearance import Appearance, linear, random_appearance
from segtalker.synthetic.brush import (
    Picture,
    blend,
    darken,
    frayed,
    gaussian,
    polygon_mask,
    soft_shadow,
    view,
)
from segtalker.synthetic.clip import Performance
from segtalker.synthetic.figure import FACE, Layer
from segtalker.synthetic.identity import Glasses
from segtalker.synthetic.light import Light
from segtalker.synthetic.skin import FaceSkin
from segtalker.types import Affine, Image


@dataclass(frozen=True)
class _Scene:
    """One frame in the making; all pictures are supersampled and in linear light."""

    canvas: Picture
    frame: int
    affine: Affine
    """Picture plane -> pixels."""
    unit: float
    """Pixels of a unit crop."""
    face: NDArray[np.float64]
    """[468, 2] pixels."""
    oval: Picture
    """Where the face is, 0..1."""
    hair: Picture
    """The lit hair texture, everywhere."""


class Renderer:
    """Renders the frames of one performance. Textures are made once and travel with the person."""

    def __init__(
        self,
        performance: Performance,
        resolution: int = 128,
        supersampling: int = 2,
        look: Appearance | None = None,
    ) -> None:
        """resolution: pixels of a unit crop in the pictures to come, which sets how fine the skin is.

        look: of the person, their own by default.
        """
        seed = performance.identity.seed
        self.performance = performance
        self.look: Appearance = look or random_appearance(seed)
        self._seed, self._factor = seed, supersampling
        self._light = Light(self.look)
        fineness = int(np.clip(1.2 * resolution * supersampling, 200, 640))
        self._skin = FaceSkin(performance, self.look, self._light, fineness)
        self._background = backdrop.background(seed)
        self._cloth = backdrop.cloth(self.look, seed)
        overhead = self._light.towards(0.0, -0.7, -0.7) * np.float32(0.8)
        self._hair = backdrop.hair_texture(self.look, performance.identity.hair, seed) * overhead

    def crop(self, frame: int, size: int) -> Image:
        """The aligned crop [size, size, 3] RGB uint8 of one frame."""
        return self.picture(frame, self.performance.crop[frame] * size, size, size)

    def picture(self, frame: int, pixels_from_picture: Affine, width: int, height: int) -> Image:
        """Any view [height, width, 3] RGB uint8 of one frame, by an affine picture plane -> pixels."""
        affine = pixels_from_picture * self._factor
        canvas = self._paint(frame, affine, (height * self._factor, width * self._factor))
        if self.look.blur > 0.1:
            canvas = gaussian(canvas, max(0.2, self.look.blur * affine_scale(affine) / 128))
        canvas = np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        rng = np.random.default_rng((self._seed, 9, frame))
        shown = np.sqrt(np.clip(canvas, 0, 1))
        shown += rng.standard_normal(shown.shape, np.float32) * np.float32(self.look.noise)
        return (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _paint(self, frame: int, affine: Affine, shape: tuple[int, int]) -> Picture:
        posed = self.performance.posed[frame, :, :2]
        face = apply_affine(affine, posed)
        scene = _Scene(
            canvas=view(self._background, affine, backdrop.BACKGROUND_PLANE, shape),
            frame=frame,
            affine=affine,
            unit=affine_scale(affine),
            face=face,
            oval=polygon_mask(face[list(OVAL)], shape),
            hair=view(self._hair, affine, self._hair_plane(frame), shape),
        )
        for layer in self.performance.figure.layers(frame, posed):
            if layer.name == FACE:
                self._skin.paint(scene.canvas, frame, affine, face)
            elif layer.name != "forehead":  # the upper end of the face, painted with it
                self._paint_layer(scene, layer, apply_affine(affine, layer.points))
        return scene.canvas

    def _paint_layer(self, scene: _Scene, layer: Layer, points: NDArray[np.float64]) -> None:
        canvas, unit = scene.canvas, scene.unit
        mask = polygon_mask(points, canvas.shape[:2])
        match layer.name:
            case "hair_back":
                blend(canvas, frayed(mask, scene.hair, unit), scene.hair * np.float32(0.55))
            case "hair" | "lock" | "fringe":
                strands = frayed(mask, scene.hair, unit)
                darken(canvas, soft_shadow(strands, 0.012 * unit, 0.018 * unit), 0.4)
                blend(canvas, strands, scene.hair)
            case "neck":
                blend(canvas, mask, self._neck(scene, points))
            case "cloth" | "collar":
                self._paint_fabric(scene, mask, brightness=1.1 if layer.name == "collar" else 1.0)
            case "skull":
                blend(canvas, mask, self._bald(points, canvas.shape[:2]))
            case "ear_left" | "ear_right":
                self._paint_ear(canvas, points, mask)
            case "earring":
                self._paint_earring(canvas, points, mask)
            case "bridge":
                blend(canvas, mask, self._frame_colour())
            case "hat":
                darken(canvas, soft_shadow(mask, 0.02 * unit, 0.02 * unit), 0.45)
                blend(canvas, mask, linear(self.look.cloth_second) * self._light.towards(0.0, -0.5, -0.85))
            case "glasses":
                if self.performance.identity.glasses is not None:
                    self._paint_lens(scene, points, mask, self.performance.identity.glasses)

    def _neck(self, scene: _Scene, points: NDArray[np.float64]) -> Picture:
        """An upright cylinder in the shadow of the chin."""
        left, right = points[0], points[1]
        middle, half = 0.5 * (left + right), 0.55 * np.linalg.norm(right - left)
        across = np.clip((np.arange(scene.oval.shape[1]) + 0.5 - middle[0]) / max(half, 1.0), -0.97, 0.97)
        normals = np.stack([across, 0 * across, -np.sqrt(1 - across**2)], axis=1).astype(np.float32)
        row = self._light.on(normals) * linear(self.look.skin) * np.float32(0.9)
        shadow = 1 - 0.62 * soft_shadow(scene.oval, 0.055 * scene.unit, 0.03 * scene.unit)
        return (row[None] * shadow[..., None]).astype(np.float32)

    def _bald(self, points: NDArray[np.float64], shape: tuple[int, int]) -> Picture:
        """An ellipsoid of skin that fills the outline `points`."""
        centre, radius = 0.5 * (points.min(0) + points.max(0)), 0.56 * np.ptp(points, axis=0)
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        nx = (x - centre[0]) / radius[0]
        ny = (y - centre[1] - 0.25 * radius[1]) / (1.25 * radius[1])
        nz = -np.sqrt(np.clip(1 - nx**2 - ny**2, 0.02, 1))
        normals = np.stack([nx, ny, nz], axis=-1).reshape(-1, 3).astype(np.float32)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        lit = linear(self.look.skin) * self._light.on(normals) + self._light.gloss(normals)[:, None]
        return lit.reshape(*shape, 3).astype(np.float32)

    def _paint_fabric(self, scene: _Scene, mask: Picture, brightness: float) -> None:
        canvas = scene.canvas
        fabric = view(self._cloth, scene.affine, backdrop.CLOTH_PLANE, canvas.shape[:2])
        darken(canvas, soft_shadow(mask, 0.0, 0.012 * scene.unit), 0.35)
        seam = np.asarray(cv2.erode(mask, np.ones((3, 3)), iterations=max(1, int(0.012 * scene.unit))))
        light = self._light.towards(0.0, -0.6, -0.8) * np.float32(brightness)
        blend(canvas, mask, fabric * light * (1 - 0.3 * (mask - seam))[..., None].astype(np.float32))

    def _paint_ear(self, canvas: Picture, points: NDArray[np.float64], mask: Picture) -> None:
        reddish = linear(self.look.skin * np.array((1.0, 0.9, 0.88), np.float32))
        blend(canvas, mask, reddish * self._light.towards(0.0, -0.2, -0.95))
        centre = points.mean(0)
        for scale, share in ((0.72, 0.3), (0.42, 0.35)):
            darken(canvas, polygon_mask(centre + scale * (points - centre), canvas.shape[:2]), share)

    def _paint_earring(self, canvas: Picture, points: NDArray[np.float64], mask: Picture) -> None:
        blend(canvas, mask, linear(self.look.metal) * np.float32(0.75))
        centre = points.mean(0)
        glint = centre - 0.2 * np.ptp(points, axis=0) + 0.3 * (points - centre)
        blend(canvas, polygon_mask(glint, canvas.shape[:2]), np.ones(3, np.float32))

    def _frame_colour(self) -> NDArray[np.float32]:
        return linear(self.look.frame) * self._light.towards(0.0, -0.3, -0.95)

    def _paint_lens(
        self, scene: _Scene, points: NDArray[np.float64], mask: Picture, glasses: Glasses
    ) -> None:
        canvas = scene.canvas
        centre = points.mean(0)
        shrink = 1 - 2 * glasses.rim / np.array([glasses.width, glasses.height]) / 1.6
        inner = polygon_mask(centre + shrink * (points - centre), canvas.shape[:2])
        if glasses.dark:
            blend(canvas, 0.88 * inner, np.full(3, 0.02, np.float32))
        across, down = np.linspace(0, 9, canvas.shape[1]), np.linspace(0, 6, canvas.shape[0])
        bands = np.sin(across[None] + down[:, None] + 3 * (self._seed % 7))
        canvas += (inner * np.clip(bands - 0.6, 0, 1) * 0.22)[..., None].astype(np.float32)
        rim = np.clip(mask - inner, 0, 1)
        darken(canvas, soft_shadow(rim, 0.012 * scene.unit, 0.006 * scene.unit), 0.25)
        blend(canvas, rim, self._frame_colour())

    def _hair_plane(self, frame: int) -> Affine:
        """Hair texture pixels -> picture plane, moving with the skull."""
        figure, local = self.performance.figure, backdrop.HAIR_PLANE
        centre, scale = figure.skull_frame(frame)
        turn = scale * figure.turn(frame)
        return np.concatenate([turn @ local[:, :2], (turn @ local[:, 2] + centre)[:, None]], axis=1)
