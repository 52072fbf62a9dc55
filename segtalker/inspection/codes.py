"""Style codes as maps: by region and by speaker, as Fig. 5 of SegTalker (arXiv 2409.03605).

t-SNE shows neighbours, not distances; so beside each map stands a figure of the codes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segtalker.inspection.look import Seen, spread
from segtalker.inspection.tsne import squared_distances, tsne
from segtalker.progress import OnProgress, Progress
from segtalker.regions import REGION_COLOURS, REGION_NAMES, Region
from segtalker.svg import COLOURS, box, dot, svg, text

_MOST = 900
"""Codes of one map; its cost grows with their square."""
_LEAST = 5  # codes of a map of one region
_LARGE, _SMALL, _ROOM, _LINE, _LEGEND = 560, 250, 26, 20, 150
_ACROSS = 3
_RIM, _FRAME = "#30343c", "#d0d0d0"
_APART = 60.0  # pixels between two names of one region


@dataclass(frozen=True)
class Codes:
    """Style codes of several videos in one list."""

    values: NDArray[np.float32]
    """[N, L * D]"""
    regions: NDArray[np.int64]
    """[N]"""
    speakers: NDArray[np.int64]
    """[N] position in `names`."""
    times: tuple[Fraction, ...]
    names: tuple[str, ...]
    """Of the videos."""

    @staticmethod
    def of(videos: Sequence[Seen], most: int = _MOST) -> Codes:
        """Those of all regions that frames show; frames are left out evenly where there are too many."""
        whole = sum(int(video.shown.sum()) for video in videos)
        share = min(1.0, most / max(whole, 1))
        values, regions, speakers, times = [], [], [], []
        for speaker, video in enumerate(videos):
            count = len(video.codes)
            for frame in spread(np.arange(count), max(1, int(share * count))):
                for region in np.flatnonzero(video.shown[frame]):
                    values.append(video.codes[frame, region].ravel())
                    regions.append(int(region))
                    speakers.append(speaker)
                    times.append(video.times[frame])
        names = tuple(video.name for video in videos)
        return Codes(np.stack(values), np.array(regions), np.array(speakers), tuple(times), names)

    def taken(self, chosen: NDArray[np.bool_]) -> Codes:
        """Some of them."""
        kept = np.flatnonzero(chosen)
        times = tuple(self.times[i] for i in kept)
        return Codes(self.values[kept], self.regions[kept], self.speakers[kept], times, self.names)

    def told(self, i: int) -> str:
        """What one code is of."""
        region = REGION_NAMES[self.regions[i]]
        return f"{self.names[self.speakers[i]]}, {region}, {float(self.times[i]):.2f} s"


def region_map(codes: Codes, tell: OnProgress) -> str:
    """SVG: all codes, coloured by region, each region named where most of it lies (Fig. 5 a)."""
    places = _placed(codes, "regions", tell)
    xy = _fitted(places, _LARGE, _LARGE)
    colours = [f"#{bytes(colour).hex()}" for colour in REGION_COLOURS.tolist()]
    parts = [text(8, 20, "Style codes by region", size=14, weight="bold")]
    parts += [
        dot(x, y, colours[codes.regions[i]], codes.told(i), 4, _RIM) for i, (x, y) in enumerate(xy.tolist())
    ]
    parts += [text(x, y - 10, name, anchor="middle", weight="bold") for name, x, y in _named(codes, xy)]
    parts += _legend(_LARGE + 12, [(colours[r], REGION_NAMES[r]) for r in np.unique(codes.regions)])
    return svg(_LARGE + _LEGEND, _LARGE, parts, "Style codes by region")


def speaker_maps(codes: Codes, tell: OnProgress) -> str | None:
    """SVG: a map for each region, coloured by speaker (Fig. 5 b); None where there is one speaker only."""
    panels = [(region, part) for region in Region if (part := _shared(codes, region)) is not None]
    if not panels:
        return None
    wide, tall = _SMALL + 12, _SMALL + _ROOM + 6
    across = min(_ACROSS, len(panels))
    names = codes.names
    colours = [COLOURS[speaker % len(COLOURS)] for speaker in range(len(names))]
    parts = [text(8, 20, "Style codes of one region, by speaker", size=14, weight="bold")]
    for place, (region, part) in enumerate(panels):
        left, top = 4 + place % across * wide, _ROOM + place // across * tall
        parts.append(box(left, top + 2, _SMALL + 4, tall - 8, _FRAME))
        parts.append(text(left + 6, top + 18, region.name.lower(), weight="bold"))
        placed = _placed(part, f"speakers by {region.name.lower()}", tell)
        for i, (x, y) in enumerate(_fitted(placed, _SMALL, _SMALL).tolist()):
            parts.append(dot(left + x, top + y + 14, colours[part.speakers[i]], part.told(i), 3.5, _RIM))
    parts += _legend(across * wide + 8, list(zip(colours, names, strict=True)))
    rows = -(-len(panels) // across)
    width = across * wide + _LEGEND + 6 * max(len(name) for name in names)
    return svg(width, _ROOM + rows * tall, parts, "Style codes by speaker")


def same_region_elsewhere(codes: Codes) -> float | None:
    """Share of codes whose nearest neighbour among all other speakers is of the same region.

    Of one speaker: among all other frames. None where there is only one frame.
    """
    moments = np.array([f"{s} {t}" for s, t in zip(codes.speakers, codes.times, strict=True)])
    kinds = codes.speakers if len(np.unique(codes.speakers)) > 1 else moments
    if len(np.unique(kinds)) < 2:
        return None
    distances = squared_distances(codes.values)
    distances[kinds[:, None] == kinds[None]] = np.inf
    return float((codes.regions[distances.argmin(axis=1)] == codes.regions).mean())


def _shared(codes: Codes, region: Region) -> Codes | None:
    """The codes of a region; None where they are few, or all of one speaker."""
    part = codes.taken(codes.regions == region)
    enough = len(part.values) >= _LEAST and len(np.unique(part.speakers)) > 1
    return part if enough else None


def _named(codes: Codes, places: NDArray[np.float64]) -> Iterator[tuple[str, float, float]]:
    """Names of regions where each speaker has them; one name for speakers who have them together."""
    for region in np.unique(codes.regions):
        written: list[NDArray[np.float64]] = []
        for speaker in np.unique(codes.speakers):
            group = places[(codes.regions == region) & (codes.speakers == speaker)]
            if not len(group):
                continue
            middle = np.median(group, axis=0)
            if all(np.linalg.norm(middle - other) > _APART for other in written):
                written.append(middle)
                yield REGION_NAMES[region], float(middle[0]), float(middle[1])


def _placed(codes: Codes, what: str, tell: OnProgress) -> NDArray[np.float64]:
    def on_step(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            tell(Progress(f"mapping codes, {what}", done, total, "step"))

    return tsne(codes.values, tell=on_step)


def _fitted(places: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Places in pixels of a panel, equal scales across and down."""
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.array((width, height)) - 2 * _ROOM
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    return (places - (low + high) / 2) * min(scale, 1e6) + np.array((width, height)) / 2


def _legend(left: float, entries: Sequence[tuple[str, str]]) -> list[str]:
    parts = []
    for place, (colour, name) in enumerate(entries):
        y = _ROOM + 10 + place * _LINE
        parts += [dot(left + 6, y, colour, name, 5, _RIM), text(left + 18, y + 4, name)]
    return parts
