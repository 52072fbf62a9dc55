"""The first pass: who is where, who speaks, and what is done to every frame.

The result is small, stands on disk and is read back by a resumed run or by another worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segtalker.compositing.plan import FramePlan, make_plan
from segtalker.editing.fitted import read_fitted
from segtalker.editing.plan import EditPlan, copy_backgrounds
from segtalker.editing.recipe import check_duration
from segtalker.editing.references import read_references
from segtalker.errors import FaceNotFound
from segtalker.extract import FaceReader
from segtalker.faces.detect import FaceBackend
from segtalker.faces.likeness import speaker_likeness
from segtalker.faces.speaker import choose_speaker
from segtalker.media.audio import Speech
from segtalker.person import Person, load_person, save_person, study_person
from segtalker.portrait import PortraitSource
from segtalker.progress import OnProgress, Progress, StageClock
from segtalker.source import FrameSource
from segtalker.stages import Networks
from segtalker.tracking import find_tracks, load_tracks, save_tracks
from segtalker.training.adapt import AdaptConfig, Adapted
from segtalker.types import FaceTrack, Image, VideoInfo
from segtalker.workspace import Workspace, write_atomically

if TYPE_CHECKING:
    from segtalker.dub_config import DubConfig

_PLAN, _LOSSES, _EDITS = "plan.json", "losses.json", "edits.npz"
_VIDEO = "{video}"


@dataclass(frozen=True)
class Analysis:
    """Everything that the render pass needs beside the source and the speech."""

    info: VideoInfo
    tracks: Mapping[int, FaceTrack]
    plan: FramePlan
    people: Mapping[int, Person]
    """Track id -> person, for tracks that are dubbed."""
    losses: tuple[str, ...] = ()
    """What could not be read of the source, in sentences."""
    edits: EditPlan = field(default_factory=EditPlan)


def analyse(
    source: FrameSource,
    voice: Speech,
    cfg: DubConfig,
    backend: FaceBackend,
    reader: FaceReader,
    networks: Networks,
    work: Workspace,
    clock: StageClock,
    tell: OnProgress,
) -> Analysis:
    """The whole first pass; what an earlier run left in `work` is not done again.

    Raises `FaceNotFound` where no frame at all could be dubbed.
    """
    times = source.times()

    def make(tracks: Sequence[FaceTrack], speakers: Sequence[FaceTrack]) -> FramePlan:
        ids = {track.track_id for track in speakers}
        return make_plan(times, source.info, tracks, voice.duration, cfg.sync_mode, cfg.plan, ids)

    def image_at(index: int) -> Image:
        return next(iter(source.read(index, index + 1))).image

    everything = make([], [])
    check_duration(cfg.edits, float(everything.duration))
    lent = read_fitted(cfg.edits, networks.hashes.get("sgi", ""))  # random networks have no hash
    lent |= read_references(cfg.edits, backend, reader, networks.painter.encode)
    edits = EditPlan(cfg.edits, lent, copy_backgrounds(cfg.edits, work.folder))
    for copy in edits.files.values():
        work.keep(copy)
    stop = int(everything.source.max()) + 1  # what the output never shows is not looked at
    looked = work.path("tracks")
    with clock("faces"):
        if isinstance(source, PortraitSource):
            tracks = speakers = save_tracks([source.track()], looked)
        else:
            likeness = speaker_likeness(cfg.speaker, backend, image_at)  # first: the photo may be a bad one
            tracks = find_tracks(
                source,
                backend,
                cfg.track,
                looked,
                stop,
                cfg.analysis.max_side,
                lambda done: tell(Progress("finding faces", done, stop)),
                clock,
            )
            speakers = choose_speaker(tracks, cfg.speaker, likeness, source.info.path)
    work.keep(looked)
    plan = make(tracks, speakers)
    people = _study_people(source, tracks, plan, cfg, reader, networks, work, clock, tell)
    if not people:
        raise FaceNotFound(_why_nobody(source, plan))
    by_id = {track.track_id: track for track in tracks}
    return Analysis(source.info, by_id, plan, people, tuple(source.losses), edits)


def save_analysis(analysis: Analysis, work: Workspace) -> None:
    """Keep what `analyse` has not stored yet; the plan comes last, so an analysis with a plan is whole."""
    if not work.path(_EDITS).is_file():
        write_atomically(work.path(_EDITS), analysis.edits.to_bytes())
    work.keep(work.path(_EDITS))
    here = str(analysis.info.path)
    losses = [text.replace(here, _VIDEO) for text in analysis.losses]  # it lies elsewhere for other readers
    for name, text in ((_LOSSES, json.dumps(losses)), (_PLAN, analysis.plan.to_json())):
        if not work.path(name).is_file():
            write_atomically(work.path(name), text)
        work.keep(work.path(name))


def load_analysis(work: Workspace, info: VideoInfo) -> Analysis | None:
    """The analysis that stands in `work`, None where it is not whole. info: of the source."""
    if not work.path(_PLAN).is_file():
        return None
    plan = FramePlan.from_json(work.path(_PLAN).read_text(encoding="utf-8"))
    people = {track: work.path("people", f"{track}.npz") for track in _dubbed_tracks(plan)}
    try:
        tracks = load_tracks(work.path("tracks"))
        known = {track: load_person(path) for track, path in people.items()}
        edits = EditPlan.load(work.path(_EDITS))
        losses = json.loads(work.path(_LOSSES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    told = tuple(text.replace(_VIDEO, str(info.path)) for text in losses)
    return Analysis(info, {track.track_id: track for track in tracks}, plan, known, told, edits)


def _study_people(
    source: FrameSource,
    tracks: Sequence[FaceTrack],
    plan: FramePlan,
    cfg: DubConfig,
    reader: FaceReader,
    networks: Networks,
    work: Workspace,
    clock: StageClock,
    tell: OnProgress,
) -> dict[int, Person]:
    """The person of every track that the plan dubs, each kept in `work`."""
    people = {}
    dubbed = _dubbed_tracks(plan)
    for done, track_id in enumerate(dubbed):
        tell(Progress("studying people", done, len(dubbed), "track"))
        path = work.path("people", f"{track_id}.npz")
        if not path.is_file():
            usable = dubbed_frames(tracks[track_id], plan)
            fit = None
            if cfg.adapt is not None and usable.sum() >= cfg.analysis.adapt_seconds * source.info.frame_rate:
                fit = partial(_adapt, networks, cfg.adapt, work, track_id, tell)
            person = study_person(
                source,
                tracks[track_id],
                usable,
                reader,
                networks.painter,
                cfg.analysis,
                cfg.paste,
                clock,
                fit,
            )
            save_person(person, path)
            if person.adapted is not None:
                work.keep(person.adapted)
            work.keep(path)
        people[track_id] = load_person(path)
    tell(Progress("studying people", len(dubbed), len(dubbed), "track"))
    return people


def _dubbed_tracks(plan: FramePlan) -> list[int]:
    return sorted(set(plan.track_ids.tolist()) - {-1})


def dubbed_frames(track: FaceTrack, plan: FramePlan) -> NDArray[np.bool_]:
    """[T] whether the plan dubs a frame of the track anywhere in the output."""
    usable = np.zeros(track.num_frames, bool)
    usable[plan.source[plan.track_ids == track.track_id] - track.start] = True
    return usable


def _adapt(
    networks: Networks,
    cfg: AdaptConfig,
    work: Workspace,
    track_id: int,
    tell: OnProgress,
    images: NDArray[np.uint8],
    raws: NDArray[np.uint8],
) -> tuple[Adapted, Path]:
    """Fit the renderer to one track, or find the fit of an earlier dub of the same frames in the cache."""

    def on_step(done: int, total: int, loss: float) -> None:
        tell(Progress(f"adapting to track {track_id}", done, total, "step"))

    adapted = networks.painter.fit(images, raws, cfg, on_step)
    path = work.path("people", f"{track_id}.adapted.safetensors")
    adapted.save(path)
    return adapted, path


def _why_nobody(source: FrameSource, plan: FramePlan) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in plan.counts().items())
    return (
        f"{source.info.path}: not one frame can be dubbed ({counts}). Lower plan.min_face_px, raise "
        "plan.max_yaw_deg or choose another speaker."
    )
