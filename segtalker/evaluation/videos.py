"""The files of a pair: fetched, opened, and looked at side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from segtalker.errors import MediaError
from segtalker.evaluation.faces import Crops, Look, Looker, Video, find_crops, open_video
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.tools import Tools
from segtalker.evaluation.window import Seen
from segtalker.metrics.mean import Mean
from segtalker.storage import exists, get_file, is_local, local_path
from segtalker.types import Frame

_ASPECT = 0.02
"""By how much the shapes of two pictures may differ, so that one crop fits both."""


@dataclass(frozen=True)
class PairVideos:
    """The videos of a pair; one that is absent is None, and so is a source that is the reference."""

    output: Video
    reference: Video | None
    source: Video | None
    sound: Path | None
    """What is heard: the speech, or the output's own sound."""
    labels: Path | None

    @property
    def frames(self) -> int:
        """Frames of the grid that output and reference have in common."""
        return min(video.length for video in (self.output, self.reference) if video is not None)


def open_pair(pair: Pair, protocol: EvalProtocol, work: Path) -> PairVideos:
    """Open what a pair names; `MediaError` says which of it is not there or cannot be read.

    work: a folder for copies of what lies in a bucket.
    """
    if not exists(pair.output):
        raise MediaError(f"no video: {pair.output} does not exist.")
    output = _here(pair.output, work, "output")
    try:
        made = open_video(output, protocol)
    except MediaError as error:
        raise MediaError(f"no video: {error}") from error
    paths: dict[str, Path] = {}
    for name in ("reference", "source", "speech", "labels"):
        place = getattr(pair, name)
        if place and not (name == "source" and place == pair.reference):
            if not exists(place):
                raise MediaError(f"{place}: the {name} does not exist. Correct its path in the pair.")
            paths[name] = _here(place, work, name)
    others = {name: open_video(paths[name], protocol) for name in ("reference", "source") if name in paths}
    sound = paths.get("speech") or (output if made.info.has_audio else None)
    return PairVideos(made, others.get("reference"), others.get("source"), sound, paths.get("labels"))


def check_lengths(videos: PairVideos, protocol: EvalProtocol) -> list[str]:
    """What a reader should know of lengths, rates and sizes; `MediaError` where these do not compare."""
    output, reference = videos.output, videos.reference
    notes = [
        f"{name}: {_rate(video)} fps, scored at {protocol.rate}"
        for name, video in (("output", output), ("reference", reference))
        if video is not None and (video.info.frame_rate != protocol.rate or video.info.is_vfr)
    ]
    if reference is None:
        return notes
    apart = float(output.seconds - reference.seconds)
    if abs(apart) > protocol.length_tolerance_s:
        raise MediaError(
            f"{output.info.path}: {float(output.seconds):.2f} s, but its reference "
            f"{reference.info.path} {float(reference.seconds):.2f} s: more than "
            f"{protocol.length_tolerance_s:g} s apart. Cut both to what they share, "
            "or raise length_tolerance_s."
        )
    if output.length != reference.length:
        notes.append(
            f"output {abs(apart):.2f} s {'longer' if apart > 0 else 'shorter'} than the reference: "
            f"scored over the first {videos.frames / protocol.rate:.2f} s"
        )
    if output.size != reference.size:
        if protocol.crop == "reference" and not _same_shape(output, reference):
            raise MediaError(
                f"{output.info.path}: a picture of {_size(output)}, but its reference's is "
                f"{_size(reference)}, whose crop does not fit. "
                "Set crop: own in the protocol, or hand in whole frames."
            )
        notes.append(f"output of {_size(output)}, reference of {_size(reference)}")
    return notes


@dataclass(frozen=True)
class PairLooker:
    """Looks at all videos of a pair at once."""

    output: Looker
    reference: Looker | None
    source: Looker | None
    before: Looker | None
    """Cuts what the method was given like the output, where that has its shape and the face stays put."""

    @classmethod
    def of(cls, videos: PairVideos, protocol: EvalProtocol, tools: Tools, work: Path) -> PairLooker:
        """Track the faces; `FaceNotFound` where output or reference, whose crop counts, shows none."""

        def looker(video: Video, crops: Crops, parses: bool) -> Looker:
            return Looker(video, crops, protocol, tools, parses)

        def tracked(video: Video, name: str) -> Crops:
            return find_crops(video, protocol, tools, work / name)

        output, reference, source = videos.output, videos.reference, videos.source
        wants = protocol.wants
        maps = wants("expert") or wants("miou") or wants("flicker") or tools.identity is not None
        true = None if reference is None else looker(
            reference, tracked(reference, "reference"), wants("miou") or tools.identity is not None
        )  # fmt: skip
        shared = true is not None and protocol.crop == "reference"
        crops = true.crops if true is not None and shared else tracked(output, "output")
        given = source or reference
        still = given is not None and protocol.crop == "reference" and _same_shape(output, given)
        return cls(
            Looker(output, crops, protocol, tools, maps, wants("sync") and tools.published.sync is not None),
            true,
            None if source is None else looker(source, tracked(source, "source"), False),
            looker(given, crops, False) if given is not None and still and wants("seam") else None,
        )

    def read(self, start: int, stop: int) -> Iterator[Seen]:
        """Frames `start`..`stop` of the grid; a source that is shorter shows nothing at its end."""
        streams = [_frames(looker, start, stop) for looker in (self.output, self.reference, self.source)]
        for index, (made, true, given) in enumerate(zip_longest(*streams), start=start):
            if made is None:
                return
            shown = given if self.source is not None else true
            look = self.output.look(made.image, index)
            yield Seen(
                look,
                self._true_look(look, true),
                None if self.source is None or given is None else self.source.look(given.image, index),
                None if self.before is None or shown is None else self.before.cut(shown.image, index),
            )

    def _true_look(self, made: Look, frame: Frame | None) -> Look | None:
        """At the reference; where that is the output itself, as in the row of true videos, once will do."""
        if self.reference is None or frame is None:
            return None
        same = self.reference.video.info.path == self.output.video.info.path
        return made if same else self.reference.look(frame.image, frame.index)

    def missing(self, frames: int) -> Mean:
        """Coverage of the reference's frames with a face from frame `frames` on, which the output lacks."""
        if self.reference is None:
            return Mean()
        lost = sum(self.reference.crops.shot(i) >= 0 for i in range(frames, self.reference.video.length))
        return Mean(0.0, lost)


def _frames(looker: Looker | None, start: int, stop: int) -> Iterator[Frame]:
    return iter(()) if looker is None else looker.video.source.read(start, min(stop, looker.video.length))


def _here(place: str, work: Path, name: str) -> Path:
    """The file on this machine's disk."""
    if is_local(place):
        return local_path(place)
    copy = work / f"{name}{PurePosixPath(place).suffix}"
    get_file(place, copy)
    return copy


def _same_shape(one: Video, other: Video) -> bool:
    (width, height), (other_width, other_height) = one.size, other.size
    return abs(width * other_height / (height * other_width) - 1) <= _ASPECT


def _size(video: Video) -> str:
    return f"{video.size[0]}x{video.size[1]}"


def _rate(video: Video) -> str:
    return f"{'about ' if video.info.is_vfr else ''}{float(video.info.frame_rate):.5g}"
