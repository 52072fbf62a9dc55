"""Whom to dub: `largest`, `index:1`, `point:320,180`, `photo:me.jpg` or `track:3`.

A person has one track a shot, and more where the face was lost for a while. The choice is made shot by
shot, so that the same rule holds after a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import ConfigError, FaceNotFound
from segtalker.types import FaceTrack

Rule = Literal["largest", "index", "point", "photo", "track"]
Likeness = Callable[[FaceTrack], float]
"""How alike a track is to the photo, at most 1, and at least 0 for a plausible match."""

_FORMS = "largest, index:N (0 is the leftmost), point:X,Y (pixels), photo:FILE or track:ID"


@dataclass(frozen=True)
class SpeakerSpec:
    """A parsed choice."""

    rule: Rule
    number: int = 0
    """Of `index` (0 is the leftmost face) and `track`."""
    point: tuple[float, float] = (0.0, 0.0)
    """Frame pixels."""
    photo: Path | None = None

    def scaled(self, scale: float) -> SpeakerSpec:
        """The same choice in frames that are `scale` times as large."""
        return replace(self, point=(self.point[0] * scale, self.point[1] * scale))


def parse_speaker(text: str) -> SpeakerSpec:
    """Read the form of the command line; `ConfigError` names the forms."""
    rule, _, value = text.strip().partition(":")
    try:
        if rule == "largest" and not value:
            return SpeakerSpec("largest")
        if rule == "index" and int(value) >= 0:
            return SpeakerSpec("index", number=int(value))
        if rule == "track" and int(value) >= 0:
            return SpeakerSpec("track", number=int(value))
        if rule == "point":
            x, y = (float(part) for part in value.split(","))
            return SpeakerSpec("point", point=(x, y))
        if rule == "photo" and value:
            return SpeakerSpec("photo", photo=Path(value))
    except ValueError:
        pass
    raise ConfigError(f"speaker {text!r}: expected {_FORMS}.")


def choose_speaker(
    tracks: Sequence[FaceTrack],
    spec: SpeakerSpec | str = "largest",
    likeness: Likeness | None = None,
    where: Path | str = "the video",
) -> list[FaceTrack]:
    """The speaker's tracks, in time order, never two at once; `FaceNotFound` if there is none.

    likeness: needed by `photo` only; see `segtalker.faces.likeness`. where: the file, for errors.
    """
    spec = parse_speaker(spec) if isinstance(spec, str) else spec
    if not tracks:
        raise FaceNotFound(f"{where}: no face was found; lower faces.min_score or faces.min_face.")
    if spec.rule == "track":
        chosen = [track for track in tracks if track.track_id == spec.number]
    else:
        candidates = _like_the_photo(tracks, likeness) if spec.rule == "photo" else list(tracks)
        chosen = [track for group in together(candidates) for track in _choose_in_group(group, spec)]
    if not chosen:
        raise FaceNotFound(f"{where}: no face fits speaker {_describe(spec)}; there are: {_list(tracks)}.")
    return sorted(chosen, key=lambda track: track.start)


def together(tracks: Sequence[FaceTrack]) -> list[list[FaceTrack]]:
    """Groups of tracks that overlap in time, directly or through others: at most one shot each.

    Within a group the given order stays.
    """
    group_of: dict[int, int] = {}
    number, stop = -1, -1
    for track in sorted(tracks, key=lambda t: t.start):
        number += track.start >= stop
        stop = max(stop, track.stop)
        group_of[track.track_id] = number
    return [[t for t in tracks if group_of[t.track_id] == k] for k in range(number + 1)]


def _like_the_photo(tracks: Sequence[FaceTrack], likeness: Likeness | None) -> list[FaceTrack]:
    """Tracks that may show the person of the photo, the most alike first: not far behind the best of all."""
    if likeness is None:
        raise ConfigError("speaker photo: needs the frames of the video and a face backend.")
    alike = {track.track_id: likeness(track) for track in tracks}
    floor = max(0.0, max(alike.values()) - 0.25)
    return sorted((t for t in tracks if alike[t.track_id] >= floor), key=lambda t: -alike[t.track_id])


def _choose_in_group(group: list[FaceTrack], spec: SpeakerSpec) -> list[FaceTrack]:
    """The best track, then further ones that fit and do not overlap with those taken."""
    taken: list[FaceTrack] = []
    for track in _ranked(group, spec):
        apart = all(track.start >= other.stop or track.stop <= other.start for other in taken)
        if apart and (not taken or _width(track) > 0.5 * _width(taken[0])):
            taken.append(track)
    return taken


def _ranked(group: list[FaceTrack], spec: SpeakerSpec) -> list[FaceTrack]:
    if spec.rule == "largest":
        return sorted(group, key=lambda t: -(_width(t) ** 2) * float((t.scores > 0).sum()))
    if spec.rule == "index":
        from_left = sorted(group, key=lambda t: float(np.median(_centres(t)[:, 0])))
        return from_left[spec.number : spec.number + 1]
    if spec.rule == "point":
        near = {t.track_id: _distance_to(t, spec.point) for t in group}
        return sorted((t for t in group if near[t.track_id] <= 0.75), key=lambda t: near[t.track_id])
    return group  # photo: sorted already


def _width(track: FaceTrack) -> float:
    return float(np.median(track.bboxes[:, 2] - track.bboxes[:, 0]))


def _centres(track: FaceTrack) -> NDArray[np.floating]:
    return (track.bboxes[:, :2] + track.bboxes[:, 2:]) / 2


def _distance_to(track: FaceTrack, point: tuple[float, float]) -> float:
    """Least distance of the point to the face's centre over the track, in face sizes."""
    size = np.maximum((track.bboxes[:, 2:] - track.bboxes[:, :2]).max(axis=1), 1e-6)
    return float((np.linalg.norm(_centres(track) - np.array(point), axis=1) / size).min())


def _describe(spec: SpeakerSpec) -> str:
    if spec.rule in ("index", "track"):
        return f"{spec.rule}:{spec.number}"
    if spec.rule == "point":
        return f"point:{spec.point[0]:g},{spec.point[1]:g}"
    return f"photo:{spec.photo}" if spec.rule == "photo" else spec.rule


def _list(tracks: Sequence[FaceTrack]) -> str:
    shown = [
        f"track {t.track_id} (frames {t.start}..{t.stop - 1}, at "
        f"{_centres(t)[:, 0].mean():.0f},{_centres(t)[:, 1].mean():.0f}, {_width(t):.0f} px wide)"
        for t in tracks[:6]
    ]
    more = f" and {len(tracks) - 6} more" if len(tracks) > 6 else ""
    return "; ".join(shown) + more
