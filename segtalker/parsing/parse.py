"""Region maps of aligned faces: the parser interface, and the parser that works offline.

`LandmarkParser` draws the inner face from the mesh, which is what speech moves, and finds hair, forehead,
ears, neck and cloth by place and colour inside the person's silhouette. It does not find glasses, earrings,
hats or things in front of the face: glasses stay skin, a hat becomes hair, jewellery what lies under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segtalker.faces.mesh import OVAL
from segtalker.parsing.clean import HALO, clean_maps
from segtalker.parsing.colours import WORK_SIZE, ColourModel, fit_colours, lab_picture, small_matte
from segtalker.parsing.draw import draw_face, fill_polygon
from segtalker.parsing.layout import CLOTH, HAIR, SKIN, Layout, layout, log_prior
from segtalker.regions import Raw, merge_raw
from segtalker.types import Image, ParsedFace, Points
from segtalker.weights.store import cached

__all__ = ["HALO", "LandmarkParser", "Parser", "ParserConfig", "clean_maps", "load_parser"]


@dataclass(frozen=True)
class ParserConfig:
    """Which parser."""

    backend: Literal["auto", "landmark", "bisenet"] = "landmark"
    """`bisenet` needs its weights in the cache (`segtalker weights list`); `auto` takes it where they are
    there, so on a cluster name one. The shipped networks have learned on maps of `landmark`."""


class Parser(Protocol):
    """Turns an aligned crop into a map."""

    def fit(
        self, crops: Sequence[Image], landmarks: Sequence[Points], mattes: Sequence[NDArray[np.float32]]
    ) -> ColourModel | None:
        """What the parser wants to know of a track, from some of its frames; None if nothing."""
        ...

    def parse(
        self,
        crop: Image,
        landmarks: Points,
        matte: NDArray[np.float32] | None = None,
        colours: ColourModel | None = None,
    ) -> ParsedFace:
        """Parse a crop [S, S, 3]; landmarks [468, 2] crop pixels; matte [S, S] person against background.

        A pure function: the same crop and the same `colours` give the same map, whatever came before.
        """
        ...


def load_parser(config: ParserConfig | None = None) -> Parser:
    """The parser that the configuration asks for."""
    backend = "landmark" if config is None else config.backend
    if backend == "bisenet" or (backend == "auto" and cached("bisenet") is not None):
        from segtalker.parsing.bisenet import BiSeNetParser

        return BiSeNetParser.from_cache()
    return LandmarkParser()


class LandmarkParser:
    """The offline parser."""

    def fit(
        self, crops: Sequence[Image], landmarks: Sequence[Points], mattes: Sequence[NDArray[np.float32]]
    ) -> ColourModel:
        """The colours of one person; eight frames spread over a track are plenty."""
        return fit_colours(crops, landmarks, mattes)

    def parse(
        self,
        crop: Image,
        landmarks: Points,
        matte: NDArray[np.float32] | None = None,
        colours: ColourModel | None = None,
    ) -> ParsedFace:
        """See `Parser.parse`. Without a matte everything is taken for the person."""
        size = crop.shape[0]
        if matte is None:
            matte = np.ones((size, size), np.float32)
        if colours is None:
            colours = self.fit([crop], [landmarks], [matte])
        raw = _surroundings(crop, landmarks, matte, colours)
        draw_face_under_hair(raw, landmarks)
        return ParsedFace(raw=raw, region_map=merge_raw(raw), matte=matte.astype(np.float32))


def draw_face_under_hair(raw: NDArray[np.uint8], landmarks: Points) -> None:
    """`draw_face`, but hair that lies on the forehead or at the temples stays in front of skin and brows."""
    hair = raw == Raw.HAIR
    draw_face(raw, landmarks)
    raw[hair & np.isin(raw, (Raw.SKIN, Raw.LEFT_BROW, Raw.RIGHT_BROW))] = Raw.HAIR


def _surroundings(
    crop: Image, landmarks: Points, matte: NDArray[np.float32], colours: ColourModel
) -> NDArray[np.uint8]:
    """Everything but the inner face, [S, S]: decided by scores at the working size, cut at the full size."""
    import cv2

    size = crop.shape[0]
    face = layout(landmarks / size, WORK_SIZE)
    scores = colours.log_density(lab_picture(crop))
    scores = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.2) for plane in scores]) + log_prior(face)
    if HAIR not in colours.mixtures:
        scores[HAIR] -= 4.0
    scores = _without_islands(scores, face, small_matte(matte) > 0.5)
    large = np.stack([cv2.resize(plane, (size, size), interpolation=cv2.INTER_LINEAR) for plane in scores])
    classes = large.argmax(axis=0)
    raw = np.array([Raw.SKIN, Raw.HAIR, Raw.CLOTH], np.uint8)[classes]
    _name_skin(raw, landmarks)
    raw[~_person(matte, landmarks)] = Raw.BACKGROUND
    return raw


def _person(matte: NDArray[np.float32], landmarks: Points) -> NDArray[np.bool_]:
    """The silhouette [S, S]: what of the matte hangs together with the face, with its small holes closed."""
    import cv2

    person = (matte >= 0.5).astype(np.uint8)
    fill_polygon(person, landmarks[list(OVAL)], 1)
    _, parts = cv2.connectedComponents(person, connectivity=4)
    inside = np.zeros_like(person)
    fill_polygon(inside, landmarks[list(OVAL)], 1)
    joined = np.isin(parts, np.unique(parts[inside.astype(bool)])).astype(np.uint8) & person
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - joined, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < 0.02 * person.size
    at_border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small[at_border] = False
    return (joined == 1) | (small[holes] & (joined == 0))


def _name_skin(raw: NDArray[np.uint8], landmarks: Points) -> None:
    """Skin outside the oval is an ear beside the face and neck below the mouth, in place."""
    face = layout(landmarks / raw.shape[0], raw.shape[0])
    outside = (raw == Raw.SKIN) & ~face.inside
    raw[outside & (face.y > face.mouth_y)] = Raw.NECK
    beside = outside & (face.y > face.brow_y) & (face.y <= face.mouth_y)
    raw[beside & (face.x < face.centre_x)] = Raw.LEFT_EAR
    raw[beside & (face.x >= face.centre_x)] = Raw.RIGHT_EAR


def _without_islands(
    scores: NDArray[np.float32], face: Layout, person: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Skin that does not touch the face is no skin, and neither hair nor cloth comes in crumbs."""
    classes = scores.argmax(axis=0)
    for label, anchor in ((HAIR, None), (SKIN, face.inside), (CLOTH, None)):
        scores[label][_islands((classes == label) & person, anchor)] -= 40.0
        classes = scores.argmax(axis=0)
    return scores


def _islands(mask: NDArray[np.bool_], anchor: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Parts of `mask` that do not touch `anchor`, or, without one, are smaller than 0.8 % of the picture."""
    import cv2

    joined = mask if anchor is None else mask | anchor
    count, parts, stats, _ = cv2.connectedComponentsWithStats(joined.astype(np.uint8), connectivity=4)
    if anchor is None:
        keep = stats[:, cv2.CC_STAT_AREA] >= 0.008 * mask.size
    else:
        keep = np.isin(np.arange(count), parts[anchor])
    keep[0] = True
    return mask & ~keep[parts]
