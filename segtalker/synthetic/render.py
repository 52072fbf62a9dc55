"""Pictures of a performance: textured, lit and composited over the same layers that the maps are made of."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.faces.align import apply_affine
from segtalker.faces.mesh import OVAL, mean_face, mesh_triangles
from segtalker.synthetic.appearance import Appearance, linear, random_appearance
from segtalker.synthetic.backdrop import (
    BACKGROUND_ORIGIN,
    BACKGROUND_PIXELS,
    BACKGROUND_SIDE,
    CLOTH_ORIGIN,
    CLOTH_PIXELS,
    CLOTH_SIDE,
    HAIR_ORIGIN,
    HAIR_PIXELS,
    HAIR_SIDE,
    affine_of,
    background,
    cloth,
    hair_texture,
)
from segtalker.synthetic.clip import Performance
from segtalker.synthetic.features import Mouths, paint_eyes, polygon_mask
from segtalker.synthetic.figure import FACE, FOREHEAD_ARC, Layer
from segtalker.synthetic.pose import rotations
from segtalker.synthetic.raster import rasterize, vertex_normals
from segtalker.synthetic.texture import Picture, face_texture, texture_position
from segtalker.types import Affine, Image


class Renderer:
    """Renders the frames of one performance. Textures are made once and travel with the mesh."""

    def __init__(self, performance: Performance, resolution: int = 128, supersampling: int = 2) -> None:
        """resolution: pixels of a unit crop in the pictures to come, which sets how fine the textures are."""
        seed = performance.identity.seed
        self.performance = performance
        self.look: Appearance = random_appearance(seed)
        self._factor = supersampling
        self._texture_resolution = int(np.clip(1.2 * resolution * supersampling, 200, 640))
        self._skin = face_texture(self.look, seed, self._texture_resolution)
        self._background = background(seed)
        self._cloth = cloth(self.look, seed)
        self._hair = hair_texture(self.look, performance.identity.hair, seed)
        self._mouths = Mouths(performance.identity, self.look, performance.motion)
        self._rotations = rotations(performance.motion)
        self._seed = seed

    def crop(self, frame: int, size: int) -> Image:
        """The aligned crop [size, size, 3] RGB uint8 of one frame."""
        return self.picture(frame, self.performance.crop[frame] * size, size, size)

    def picture(self, frame: int, pixels_from_picture: Affine, width: int, height: int) -> Image:
        """Any view [height, width, 3] RGB uint8 of one frame; the affine leads from the picture plane to pixels."""
        factor = self._factor
        affine = pixels_from_picture * factor
        canvas = self._paint(frame, affine, width * factor, height * factor)
        if self.look.blur > 0.1:
            scale = np.sqrt(abs(np.linalg.det(affine[:, :2]))) / 128
            canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.2, self.look.blur * scale))
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        rng = np.random.default_rng((self._seed, 9, frame))
        shown = np.sqrt(np.clip(canvas, 0, 1))
        shown += rng.standard_normal(shown.shape, np.float32) * np.float32(self.look.noise)
        return (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _paint(self, frame: int, affine: Affine, width: int, height: int) -> Picture:
        shape = (height, width)
        unit = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
        canvas = _view(
            self._background, affine, affine_of(BACKGROUND_ORIGIN, BACKGROUND_SIDE, BACKGROUND_PIXELS), shape
        )
        hair = _view(self._hair, affine, self._hair_plane(frame), shape) * np.float32(self._overhead())
        face = apply_affine(affine, self.performance.posed[frame, :, :2])
        oval = polygon_mask(face[list(OVAL)], shape)
        for layer in self.performance.figure.layers(frame, self.performance.posed[frame, :, :2]):
            points = apply_affine(affine, layer.points) if len(layer.points) else layer.points
            self._paint_layer(canvas, layer, points, frame, affine, unit, face, oval, hair)
        return canvas

    def _paint_layer(
        self,
        canvas: Picture,
        layer: Layer,
        points: NDArray[np.float64],
        frame: int,
        affine: Affine,
        unit: float,
        face: NDArray[np.float64],
        oval: Picture,
        hair: Picture,
    ) -> None:
        look, shape = self.look, canvas.shape[:2]
        if layer.name == FACE:
            self._paint_face(canvas, frame, affine, face)
            return
        if layer.name == "forehead":
            return  # painted with the face, of which it is the upper end
        mask = polygon_mask(points, shape)
        match layer.name:
            case "hair_back":
                _blend(canvas, _wispy(mask, hair, unit), hair * np.float32(0.55))
            case "hair" | "lock" | "fringe":
                strands = _wispy(mask, hair, unit)
                _darken(canvas, _shifted_blur(strands, 0.012 * unit, 0.018 * unit), 0.4)
                _blend(canvas, strands, hair)
            case "neck":
                _blend(canvas, mask, self._neck_colour(points, oval, unit))
            case "cloth" | "collar":
                fabric = _view(self._cloth, affine, affine_of(CLOTH_ORIGIN, CLOTH_SIDE, CLOTH_PIXELS), shape)
                _darken(canvas, _shifted_blur(mask, 0.0, 0.012 * unit), 0.35)
                rim = mask - cv2.erode(mask, np.ones((3, 3)), iterations=max(1, int(0.012 * unit)))
                light = (self._light_on(np.array((0.0, -0.6, -0.8))) * (1 - 0.3 * rim)[..., None]).astype(
                    np.float32
                )
                _blend(canvas, mask, fabric * light * (1.1 if layer.name == "collar" else 1.0))
            case "skull":
                _blend(canvas, mask, self._bald_colour(points, shape))
            case "ear_left" | "ear_right":
                self._paint_ear(canvas, points, mask)
            case "earring":
                _blend(canvas, mask, linear(look.metal) * np.float32(0.75))
                centre = points.mean(0) - 0.2 * np.ptp(points, axis=0)
                glint = polygon_mask(centre + 0.3 * (points - points.mean(0)), shape)
                _blend(canvas, glint, np.ones(3, np.float32))
            case "glasses" | "bridge":
                self._paint_glasses(canvas, points, mask, unit, layer.name == "bridge")
            case "hat":
                light = self._light_on(np.array((0.0, -0.5, -0.85)))
                _darken(canvas, _shifted_blur(mask, 0.02 * unit, 0.02 * unit), 0.45)
                _blend(canvas, mask, linear(look.cloth_second) * light)

    def _paint_face(self, canvas: Picture, frame: int, affine: Affine, face: NDArray[np.float64]) -> None:
        performance, look = self.performance, self.look
        height, width = canvas.shape[:2]
        posed = performance.posed[frame]
        rim = performance.figure.forehead_rim(frame)
        solid = np.concatenate([posed, rim])
        triangles, positions = _face_triangles()
        pixels = np.concatenate([face, apply_affine(affine, rim[:, :2])])
        normals = -vertex_normals(solid, triangles)
        normals *= -np.sign(normals[1, 2] or 1.0)  # the tip of the nose looks at the camera
        flat, owner, weights = rasterize(pixels, solid[:, 2], triangles, width, height)
        if not len(flat):
            return
        corners = triangles[owner]
        uv = _interpolate(texture_position(positions, self._texture_resolution), corners, weights)
        normal = _interpolate(normals, corners, weights)
        normal /= np.sqrt(np.maximum(np.einsum("pc,pc->p", normal, normal), 1e-9))[:, None]
        rows = -(-len(flat) // 512)
        padded = np.zeros((rows * 512, 2), np.float32)
        padded[: len(flat)] = uv
        maps = padded.reshape(rows, 512, 2)
        albedo = cv2.remap(self._skin, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        albedo = albedo.reshape(-1, 3)[: len(flat)]
        lit = albedo * self._shade(normal) + self._gloss(normal)[:, None]
        canvas.reshape(-1, 3)[flat] = lit
        motion = performance.motion
        paint_eyes(canvas, face, look, (float(motion.gaze_x[frame]), float(motion.gaze_y[frame])))
        self._mouths.paint(canvas, frame, face, affine)

    def _shade(self, normal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Light [P, 3] on surfaces of unit normals [P, 3]: wrapped key light, sky-like fill, darker rims."""
        look = self.look
        toward = normal @ look.light
        key = np.clip((toward + 0.25) / 1.25, 0, 1)[:, None] * look.key
        fill = (0.72 - 0.28 * normal[:, 1:2]) * look.fill
        rim = 0.72 + 0.28 * np.clip(-normal[:, 2:3], 0, 1)
        return (look.exposure * 1.25 * (key + fill) * rim).astype(np.float32)

    def _gloss(self, normal: NDArray[np.float32]) -> NDArray[np.float32]:
        half = self.look.light + np.array((0.0, 0.0, -1.0), np.float32)
        half /= np.linalg.norm(half)
        return self.look.shine * np.clip(normal @ half, 0, 1) ** 24 * np.float32(0.7)

    def _light_on(self, normal: NDArray[np.float64]) -> NDArray[np.float32]:
        return self._shade(np.asarray(normal, np.float32)[None])[0]

    def _overhead(self) -> NDArray[np.float32]:
        return self._light_on(np.array((0.0, -0.7, -0.7))) * np.float32(0.8)

    def _neck_colour(self, points: NDArray[np.float64], oval: Picture, unit: float) -> Picture:
        height, width = oval.shape
        left, right = points[0], points[1]
        middle, half = 0.5 * (left + right), 0.55 * np.linalg.norm(right - left)
        across = np.clip((np.arange(width) + 0.5 - middle[0]) / max(half, 1.0), -0.97, 0.97)
        normal = np.stack([across, np.zeros(width), -np.sqrt(1 - across**2)], axis=1).astype(np.float32)
        row = self._shade(normal) * linear(self.look.skin) * np.float32(0.9)
        shadow = 1 - 0.62 * _shifted_blur(oval, 0.055 * unit, 0.03 * unit)
        return (row[None] * shadow[..., None]).astype(np.float32)

    def _bald_colour(self, points: NDArray[np.float64], shape: tuple[int, int]) -> Picture:
        centre, radius = 0.5 * (points.min(0) + points.max(0)), 0.56 * np.ptp(points, axis=0)
        centre = centre + (0.0, 0.25 * radius[1])
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        nx, ny = (x - centre[0]) / radius[0], (y - centre[1]) / (1.25 * radius[1])
        nz = -np.sqrt(np.clip(1 - nx**2 - ny**2, 0.02, 1))
        normal = np.stack([nx, ny, nz], axis=-1).reshape(-1, 3)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        lit = linear(self.look.skin) * self._shade(normal) + self._gloss(normal)[:, None]
        return lit.reshape(*shape, 3).astype(np.float32)

    def _paint_ear(self, canvas: Picture, points: NDArray[np.float64], mask: Picture) -> None:
        colour = linear(self.look.skin * np.array((1.0, 0.9, 0.88), np.float32)) * self._light_on(
            np.array((0.0, -0.2, -0.95))
        )
        _blend(canvas, mask, colour)
        centre = points.mean(0)
        for scale, share in ((0.72, 0.3), (0.42, 0.35)):
            inner = polygon_mask(centre + scale * (points - centre), canvas.shape[:2])
            _darken(canvas, inner, share)

    def _paint_glasses(
        self, canvas: Picture, points: NDArray[np.float64], mask: Picture, unit: float, bridge: bool
    ) -> None:
        glasses = self.performance.identity.glasses
        if glasses is None:
            return
        frame_colour = linear(self.look.frame) * self._light_on(np.array((0, -0.3, -0.95)))
        if bridge:
            _blend(canvas, mask, frame_colour)
            return
        centre = points.mean(0)
        shrink = 1 - 2 * glasses.rim / np.array([glasses.width, glasses.height]) / 1.6
        inner = polygon_mask(centre + shrink * (points - centre), canvas.shape[:2])
        if glasses.dark:
            _blend(canvas, 0.88 * inner, np.full(3, 0.02, np.float32))
        height, width = inner.shape
        glint = (
            np.linspace(0, 1, width)[None, :] * 3.0
            + np.linspace(0, 1, height)[:, None] * 2.0
            + self._seed % 7
        )
        canvas += (inner * np.clip(np.sin(glint * 3.0) - 0.6, 0, 1) * 0.22)[..., None].astype(np.float32)
        _darken(canvas, _shifted_blur(np.clip(mask - inner, 0, 1), 0.012 * unit, 0.006 * unit), 0.25)
        _blend(canvas, np.clip(mask - inner, 0, 1), frame_colour)

    def _hair_plane(self, frame: int) -> NDArray[np.float64]:
        """Hair texture pixels -> picture plane, moving with the skull."""
        figure = self.performance.figure
        centre, scale = figure.skull_frame(frame)
        local = affine_of(HAIR_ORIGIN, HAIR_SIDE, HAIR_PIXELS)
        turn = scale * figure.turn(frame)
        return np.concatenate([turn @ local[:, :2], (turn @ local[:, 2] + centre)[:, None]], axis=1)


@cache
def _face_triangles() -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Triangles of mesh and forehead rim, all front-facing, and where each vertex lies in the texture."""
    mesh = mean_face().astype(np.float64)
    arc = FOREHEAD_ARC
    rim = mesh[arc, :2] - (0.0, 0.05)
    positions = np.concatenate([mesh[:, :2], rim])
    strip = []
    for k in range(len(arc) - 1):
        a, b, c, d = arc[k], arc[k + 1], len(mesh) + k, len(mesh) + k + 1
        strip += [(a, b, c), (b, d, c)]
    triangles = np.concatenate([mesh_triangles(), np.array(strip, np.int32)])
    corner = positions[triangles]
    edge1, edge2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    flipped = edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0] < 0
    triangles[flipped] = triangles[flipped][:, [0, 2, 1]]
    return triangles.astype(np.int32), positions


def _view(picture: Picture, pixels: Affine, plane_from_picture: Affine, shape: tuple[int, int]) -> Picture:
    """A texture on a plane, seen through `pixels` (plane -> pixels, centres at +0.5)."""
    linear_part = pixels[:, :2] @ plane_from_picture[:, :2]
    shift = pixels[:, :2] @ plane_from_picture[:, 2] + pixels[:, 2] - 0.5
    matrix = np.concatenate([linear_part, shift[:, None]], axis=1)
    return cv2.warpAffine(picture, matrix, shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _blend(canvas: Picture, mask: Picture, colour: NDArray[np.float32]) -> None:
    """Lay `colour` (a picture or one colour) over the canvas where the mask is, in place."""
    part = _extent(mask)
    patch = canvas[part]
    patch += mask[part][..., None] * ((colour[part] if colour.ndim == 3 else colour) - patch)


def _darken(canvas: Picture, share: Picture, amount: float) -> None:
    """Multiply by 1 - amount * share, in place."""
    part = _extent(share)
    canvas[part] *= (1 - np.float32(amount) * share[part])[..., None]


def _extent(mask: Picture) -> tuple[slice, slice]:
    """Rows and columns that hold everything above 1/500 of a mask [H, W]."""
    x, y, width, height = cv2.boundingRect((mask > 0.002).astype(np.uint8))
    return slice(y, y + height), slice(x, x + width)


def _interpolate(
    values: NDArray[np.float32], corners: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values [V, C] at vertices -> [P, C] at points with corner indices [P, 3] and weights [P, 3]."""
    return (
        values[corners[:, 0]] * weights[:, :1]
        + values[corners[:, 1]] * weights[:, 1:2]
        + values[corners[:, 2]] * weights[:, 2:]
    )


def _wispy(mask: Picture, hair: Picture, unit: float) -> Picture:
    """A hair mask whose border frays along the strands."""
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.7, 0.008 * unit))
    level = hair[..., 1]
    strand = level / np.maximum(cv2.blur(level, (9, 9)), 1e-4) - 1
    return np.clip((soft - 0.5 + 0.25 * np.clip(strand, -1, 1)) * 3.0 + 0.5, 0, 1)


def _shifted_blur(mask: Picture, down: float, sigma: float) -> Picture:
    """The mask moved down by `down` pixels and blurred: a soft contact shadow."""
    rows = int(round(down))
    moved = np.zeros_like(mask)
    moved[rows:] = mask[: len(mask) - rows] if rows else mask
    small = cv2.resize(moved, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma / 4))
    return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
