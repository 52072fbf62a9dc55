"""Everything of a person around the face mesh as layers of polygons that move with the head or the body.

Layers come in painting order; the marker `FACE` says where the face itself is painted. Maps and pictures are
made from the same layers, so that labels are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtalker.regions import Raw
from segtalker.synthetic.identity import Identity
from segtalker.synthetic.motion import Motion
from segtalker.synthetic.pose import FACE_WIDTH, project
from segtalker.synthetic.shape import smoothstep

Outline = NDArray[np.float64]
FACE = "face"
_SKULL = np.array([0.5, 0.455, 0.24])
_SKULL_HEIGHT = 0.335
FOREHEAD_ARC = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)
"""Mesh points along the upper outline of the face, from left to right."""
_EARS = {"left": Raw.LEFT_EAR, "right": Raw.RIGHT_EAR}
_ROUND = np.linspace(0, 2 * np.pi, 24, endpoint=False)


@dataclass(frozen=True)
class Layer:
    """One polygon."""

    name: str
    """What it is made of: `hair_back`, `neck`, `cloth`, `skull`, `ear_left`, ..., or `FACE`."""
    label: Raw
    points: Outline
    """[N, 2] in the picture, unit crops before alignment; empty for `FACE`."""


class Figure:
    """The layers of one person over the frames of one motion."""

    def __init__(self, identity: Identity, motion: Motion) -> None:
        """Poses all head-borne points at once."""
        self.identity = identity
        self._roll = motion.roll.astype(np.float64)
        self._shift = np.stack([motion.shift_x, motion.shift_y], 1).astype(np.float64) * FACE_WIDTH
        solid = _solid_outlines(identity)
        self._slices: dict[str, slice] = {}
        start = 0
        for name, outline in solid.items():
            self._slices[name] = slice(start, start + len(outline))
            start += len(outline)
        self._posed = project(np.concatenate(list(solid.values())), motion, identity.camera)
        self._half_width = 0.5 * (identity.mesh[356, 0] - identity.mesh[127, 0]) + 0.012

    def layers(self, frame: int, face: NDArray[np.float64]) -> list[Layer]:
        """Layers of one frame; `face` [468, 2] is its projected mesh."""
        person, hair = self.identity, self.identity.hair
        layers = []
        if hair.length > 0.62:
            layers.append(Layer("hair_back", Raw.HAIR, self._curtain(frame)))
        if hair.bun:
            layers.append(Layer("hair_back", Raw.HAIR, self._part(frame, "bun")))
        layers += [
            Layer("neck", Raw.NECK, self._neck(frame, face)),
            Layer("cloth", Raw.CLOTH, self._cloth(frame)),
        ]
        if person.clothes.stand:
            layers.append(Layer("collar", Raw.CLOTH, self._standing_collar(frame)))
        skull = self._skull_outline(frame)
        layers.append(Layer("skull", Raw.SKIN, skull) if hair.bald else Layer("hair", Raw.HAIR, skull))
        for side, label in _EARS.items():
            if person.ears:
                layers.append(Layer(f"ear_{side}", label, self._part(frame, f"ear_{side}")))
            if person.earring:
                layers.append(Layer("earring", Raw.EAR_RING, self._part(frame, f"earring_{side}")))
        layers.append(Layer("forehead", Raw.SKIN, self._part(frame, "forehead")))
        layers.append(Layer(FACE, Raw.SKIN, np.zeros((0, 2))))
        if hair.fringe != "none":
            layers.append(Layer("fringe", Raw.HAIR, self._fringe(frame)))
        if hair.length > 0.62:
            layers += [Layer("lock", Raw.HAIR, self._lock(frame, face, side)) for side in (-1, 1)]
        if person.glasses:
            layers += [Layer("glasses", Raw.EYE_GLASS, self._part(frame, f"lens_{side}")) for side in _EARS]
            layers.append(Layer("bridge", Raw.EYE_GLASS, self._part(frame, "bridge")))
        if person.hat:
            layers.append(Layer("hat", Raw.HAT, self._hat(frame)))
        return layers

    def _part(self, frame: int, name: str) -> Outline:
        return self._posed[frame, self._slices[name], :2]

    def forehead_rim(self, frame: int) -> NDArray[np.float64]:
        """Posed hairline [len(FOREHEAD_ARC), 3] above the points `FOREHEAD_ARC` of the mesh."""
        return self._posed[frame, self._slices["forehead"]][: len(FOREHEAD_ARC) - 1 : -1]

    def skull_frame(self, frame: int) -> tuple[Outline, float]:
        """Centre [2] of the skull in the picture and the magnification there."""
        x, y, z = self._posed[frame, self._slices["skull"]][0]
        return np.array([x, y]), self.identity.camera / (self.identity.camera + z)

    def _around_skull(self, frame: int, degrees: NDArray[np.float64], extra: NDArray[np.float64]) -> Outline:
        """Points around the skull, `extra` outside it; 0 degrees is right, 90 up."""
        angle = np.deg2rad(degrees)
        centre, scale = self.skull_frame(frame)
        offset = np.stack(
            [(self._half_width + extra) * np.cos(angle), -(_SKULL_HEIGHT + extra) * np.sin(angle)], axis=1
        )
        return centre + scale * offset @ self.turn(frame).T

    def turn(self, frame: int) -> NDArray[np.float64]:
        """Rotation [2, 2] of the head in the picture."""
        c, s = np.cos(self._roll[frame]), np.sin(self._roll[frame])
        return np.array([[c, -s], [s, c]])

    def _skull_outline(self, frame: int) -> Outline:
        hair, phases = self.identity.hair, self.identity.phases
        low = -30.0 if hair.length > 0.5 else -12.0
        degrees = np.linspace(low, 180.0 - low, 72)
        angle = np.deg2rad(degrees)
        top = smoothstep(np.sin(angle), 0.1, 0.8)
        lean = 1 + 0.25 * hair.part * np.cos(angle)
        bumps = hair.curl * np.sin(hair.curl_count * angle + 6.3 * phases[0])
        bumps += 0.5 * hair.curl * np.sin(2.7 * hair.curl_count * angle + 6.3 * phases[1])
        extra = hair.side_volume * (1 - top) + hair.volume * top * lean + bumps
        return self._around_skull(frame, degrees, extra)

    def _curtain(self, frame: int) -> Outline:
        hair = self.identity.hair
        upper = self._around_skull(frame, np.linspace(0, 180, 24), np.full(24, hair.side_volume))
        return np.concatenate(
            [upper, self._hanging(frame, -1, hair.spread), self._hanging(frame, 1, hair.spread)[::-1]]
        )

    def _hanging(self, frame: int, side: int, spread: float) -> Outline:
        """A wavy line from the side of the head down to the end of the hair, top first."""
        hair, phases = self.identity.hair, self.identity.phases
        start = self._around_skull(
            frame, np.array([0.0 if side > 0 else 180.0]), np.array([hair.side_volume])
        )[0]
        t = np.linspace(0.0, 1.0, 14)
        wave = (0.006 + hair.curl) * np.sin(t * hair.curl_count * 0.5 + 6.3 * phases[2 + (side > 0)])
        end_x = 0.5 + side * (self._half_width + hair.side_volume + spread)
        x = start[0] + (end_x - start[0]) * smoothstep(t, 0.0, 1.0) + wave
        return np.stack([x, start[1] + (hair.length - start[1]) * t], axis=1)

    def _lock(self, frame: int, face: NDArray[np.float64], side: int) -> Outline:
        """Hair that falls in front of the shoulder and perhaps over the edge of the cheek."""
        hair, phases = self.identity.hair, self.identity.phases
        outer = self._hanging(frame, side, hair.spread)
        top = self._around_skull(frame, np.array([40.0 if side > 0 else 140.0]), np.array([0.0]))
        edge = face[[356, 454, 361] if side > 0 else [127, 234, 132]]
        edge = edge - [side * (0.055 * phases[4] - 0.015), 0.0]
        low = np.array([[0.5 + side * (0.205 + 0.09 * phases[5]), hair.length]])
        return np.concatenate([top, edge, low, outer[::-1]])

    def _fringe(self, frame: int) -> Outline:
        upper = self._around_skull(frame, np.linspace(178, 2, 20), np.full(20, -0.004))
        return np.concatenate([self._part(frame, "fringe"), upper[::-1]])

    def _neck(self, frame: int, face: NDArray[np.float64]) -> Outline:
        half, jaw = self.identity.neck, face[[58, 288]]
        middle = 0.5 * (jaw[0] + jaw[1])
        low = np.array([[0.5 + half * 1.25, 1.5], [0.5 - half * 1.25, 1.5]])
        high = middle + np.array([[-half, -0.03], [half, -0.03]])
        waist = np.array([[0.5 + half, 1.0], [0.5 - half, 1.0]])
        return np.concatenate([high, waist[:1], low, waist[1:]])

    def _cloth(self, frame: int) -> Outline:
        clothes = self.identity.clothes
        x = np.linspace(-1.0, 1.0, 25)
        neckline = clothes.collar + clothes.opening * (1 - np.abs(x) ** 1.6)
        inner = np.stack([0.5 + clothes.half_width * x, neckline], axis=1)
        out = np.linspace(0.0, 1.0, 8)
        shoulder_x = clothes.half_width + 0.9 * out
        shoulder_y = clothes.collar + clothes.slope * (out + 0.6 * out**3)
        right = np.stack([0.5 + shoulder_x, shoulder_y], axis=1)
        left = right[::-1] * (-1, 1) + (1, 0)
        return np.concatenate([left, inner, right, [[1.6, 2.0], [-0.6, 2.0]]])

    def _standing_collar(self, frame: int) -> Outline:
        clothes = self.identity.clothes
        x = np.linspace(-1.0, 1.0, 13)
        low = clothes.collar + 0.03 + clothes.opening * (1 - np.abs(x) ** 1.6)
        points = np.stack([0.5 + (self.identity.neck + 0.03) * x, low], axis=1)
        return np.concatenate([points - [0.0, clothes.stand + 0.03], points[::-1]])

    def _hat(self, frame: int) -> Outline:
        top = self._around_skull(
            frame, np.linspace(172, 8, 24), np.full(24, 0.06 + 0.1 * self.identity.phases[6])
        )
        return np.concatenate([self._part(frame, "brim"), top[::-1]])


def _solid_outlines(person: Identity) -> dict[str, Outline]:
    """Head-borne outlines [N, 3] in the frame of the neutral mesh."""
    mesh, phases = person.mesh, person.phases
    parts = {"skull": _SKULL[None], "forehead": _forehead(person)}
    for side, cheek in (("left", 234), ("right", 454)):
        sign = -1.0 if side == "left" else 1.0
        size, centre = person.ears or 1.0, mesh[cheek] + np.array((sign * 0.012, -0.005, 0.025))
        bulge = 1 + 0.25 * np.sin(_ROUND)[:, None]
        flap = np.array([sign * 0.034, 0.0, 0.03]) * np.cos(_ROUND)[:, None] * bulge
        upright = np.array([sign * 0.012, -0.078, 0.02]) * np.sin(_ROUND)[:, None]
        parts[f"ear_{side}"] = centre + size * (flap + upright)
        ring = np.stack([np.cos(_ROUND), 1.4 * np.sin(_ROUND), 0 * _ROUND], axis=1) * person.earring
        parts[f"earring_{side}"] = (
            centre + np.array((sign * 0.012, 0.085 * size + person.earring, 0.0)) + ring
        )
    if person.hair.bun:
        round_3d = np.stack([np.cos(_ROUND), np.sin(_ROUND), 0 * _ROUND], axis=1)
        parts["bun"] = np.array([0.5, 0.09 - 0.3 * person.hair.bun, 0.3]) + round_3d * person.hair.bun
    if person.hair.fringe != "none":
        parts["fringe"] = _fringe_edge(person)
    if person.hat:
        x = np.linspace(-0.31, 0.31, 15)
        parts["brim"] = np.stack([0.5 + x, person.hat + 0.05 * (x / 0.3) ** 2, _front(x)], axis=1)
    if person.glasses:
        parts |= _glasses(person)
    parts["forehead"] = parts["forehead"] + (0.0, 0.003 * (phases[7] - 0.5), 0.0)
    return parts


def _front(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depth of the forehead at `x` from the middle."""
    return -0.045 + 0.28 * (x / 0.276) ** 2


def _forehead(person: Identity) -> Outline:
    """Skin between mesh and hairline: the upper oval, lifted by the recession (more at the corners)."""
    arc = person.mesh[list(FOREHEAD_ARC)]
    x = arc[:, 0] - 0.5
    height = smoothstep(arc[:, 1], 0.46, 0.33)
    peak = 0.6 + 0.7 * (1 - np.exp(-((x / 0.09) ** 2)))
    lift = (0.08 if person.hair.bald else person.hair.recession) * height * peak
    hairline = arc - np.stack([0 * x, lift, -0.5 * lift], axis=1)
    return np.concatenate([arc + np.array((0, 0.02, 0)), hairline[::-1]])


def _fringe_edge(person: Identity) -> Outline:
    hair, x = person.hair, np.linspace(-0.27, 0.27, 41)
    t = x / 0.27
    match hair.fringe:
        case "straight":
            y = hair.fringe_low + 0.012 * t**2
        case "side":
            y = 0.29 + (hair.fringe_low - 0.27) * smoothstep(t * np.sign(hair.part or 1.0), 0.95, -0.75)
        case "curtain":
            y = 0.28 + (hair.fringe_low - 0.24) * smoothstep(np.abs(t - 0.4 * hair.part), 0.02, 0.9)
        case _:
            y = hair.fringe_low - 0.02 + 0.0 * t
    strands = np.sin(19 * t + 6.3 * person.phases[8]) + np.sin(31 * t + 6.3 * person.phases[9])
    y = y + (0.012 if hair.fringe == "messy" else 0.003) * strands
    y = y + 0.07 * smoothstep(np.abs(t), 0.75, 1.0)
    return np.stack([0.5 + x, y, _front(x)], axis=1)


def _glasses(person: Identity) -> dict[str, Outline]:
    glasses = person.glasses
    if glasses is None:
        return {}
    parts = {}
    for side, corners in (("left", [33, 133]), ("right", [362, 263])):
        centre = person.mesh[corners].mean(0) + np.array((0.0, glasses.drop, 0.0))
        power = 2.0 / glasses.roundness
        c, s = np.cos(_ROUND), np.sin(_ROUND)
        x = glasses.width * np.sign(c) * np.abs(c) ** power
        y = glasses.height * np.sign(s) * np.abs(s) ** power
        bend = -0.055 + 0.6 * np.abs(centre[0] + x - 0.5) ** 2 * 4
        parts[f"lens_{side}"] = np.stack([centre[0] + x, centre[1] + y, bend], axis=1)
    x = np.array([-0.035, 0.035, 0.035, -0.035])
    rim = np.array([-1, -1, 1, 1]) * glasses.rim * 0.7
    height = 0.47 + glasses.drop - 0.3 * glasses.height
    parts["bridge"] = np.stack([0.5 + x, height + rim, np.full(4, -0.09)], axis=1)
    return parts
