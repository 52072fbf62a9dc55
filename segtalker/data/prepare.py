"""One manifest row to one folder of prepared samples: the same on a laptop and on any worker of a cluster.

`prepare_clip` is a pure function of the row, the configuration and the content of the video. What it makes
stands under a name that says all three, complete or not at all, and is not made again; what goes wrong is an
outcome, never an exception, so that one bad clip stops no other.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.source import SAMPLE_RATE
from segtalker.config import config_hash
from segtalker.data.clip_samples import CutSpeech, FieldsConfig, cut_pieces, read_samples
from segtalker.data.manifest import ClipRow, row_to_values
from segtalker.data.outcome import Outcome, find_outcome, keep_skipped, publish, scratch_folder
from segtalker.data.quality import NotUsable, QualityConfig, check_faces, check_sound, check_sync
from segtalker.data.shards import FPS, ShardWriter
from segtalker.errors import FaceNotFound, SegTalkerError
from segtalker.extract import FaceReader, LocalCropParser
from segtalker.faces.detect import FaceBackend, FacesConfig, load_backend
from segtalker.faces.speaker import SpeakerSpec, choose_speaker
from segtalker.faces.track import TrackConfig
from segtalker.media.audio import decode_speech
from segtalker.media.read import probe
from segtalker.metrics.sync import SyncCurve, no_curve, sync_curve
from segtalker.models.syncnet import SyncNet
from segtalker.parsing.parse import Parser, ParserConfig, load_parser
from segtalker.progress import StageClock
from segtalker.regions import NUM_REGIONS
from segtalker.source import GridSource
from segtalker.storage import Uri, content_sample, get_file, is_local, join
from segtalker.tracking import find_tracks
from segtalker.types import FaceTrack, VideoInfo
from segtalker.weights.checkpoint import load_weights, weights_path
from segtalker.weights.uses import AUTO, CACHE, WeightsUse
from segtalker.workspace import explain_os_errors

PREPARE_VERSION = 2
"""Changes whenever the same row and configuration would give another result."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How clips are prepared."""

    size: int = 128
    """Side of crops and maps, pixels."""
    piece_s: float = 20.0
    """Longest sample, seconds; a worker's memory grows with it, not with the clip."""
    fields: FieldsConfig = field(default_factory=FieldsConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    faces: FacesConfig = field(default_factory=FacesConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    parsing: ParserConfig = field(default_factory=ParserConfig)
    max_side: int = 960
    """Frames are shrunk to this many pixels before faces are looked for."""
    batch: int = 16
    """Frames held at once."""
    syncnet: str | None = "mini"
    """Lip-sync expert that estimates offsets: `mini` is shipped, else a path; null estimates none."""

    def __post_init__(self) -> None:
        if self.size < 16 or self.batch < 1 or self.max_side < 64:
            raise ValueError("size is at least 16, batch at least 1, max_side at least 64")
        if self.piece_s < self.quality.min_s:
            raise ValueError("piece_s is at least quality.min_s, or nothing would be long enough")

    def weights(self) -> tuple[WeightsUse, ...]:
        """The parser, the detector and the expert, where they are not those that every machine has."""
        place = {"bisenet": f"{CACHE}bisenet", "insightface": f"{CACHE}buffalo_l", "auto": AUTO}
        expert = None if self.syncnet == "mini" else self.syncnet
        return (
            WeightsUse("parsing.backend", place.get(self.parsing.backend), "bisenet", "tool", "bisenet"),
            WeightsUse("faces.backend", place.get(self.faces.backend), "", "tool", "buffalo_l"),
            WeightsUse("syncnet", expert, "syncnet", "tool"),
        )


@dataclass(frozen=True)
class Tools:
    """What a worker loads once."""

    backend: FaceBackend
    parser: Parser
    syncnet: SyncNet | None


def load_tools(cfg: PrepareConfig) -> Tools:
    """The networks that the configuration asks for."""
    syncnet = None
    if cfg.syncnet is not None:
        syncnet = cast(SyncNet, load_weights(weights_path(cfg.syncnet, "syncnet"), "syncnet"))
    return Tools(load_backend(cfg.faces), load_parser(cfg.parsing), syncnet)


def prepare_clip(row: ClipRow, cfg: PrepareConfig, tools: Tools, out: Uri) -> Outcome:
    """Prepare one clip into `out`/KEY, a folder of shards, unless it is there; says what came of it.

    Safe to run again and by several workers at once. A clip that is skipped stays so until row,
    configuration or video change; one that failed is tried again.
    """
    known = Outcome(row.clip, "", "failed", "", row.dataset, row.identity, row.split, row.source)
    try:
        known = replace(known, key=clip_output_key(row, cfg))
        earlier = find_outcome(known.key, out)
        if earlier is not None:
            return earlier
        with scratch_folder(out, known.key) as work, explain_os_errors(Path(str(out))):
            done = _prepare(row, cfg, tools, work, known)
            publish(work / "samples", join(out, known.key), done)
        return done
    except (NotUsable, FaceNotFound) as reason:
        return keep_skipped(replace(known, status="skipped", reason=str(reason)), out)
    except Exception as error:  # whatever it is, the other clips go on and the outcome says it
        why = str(error) if isinstance(error, SegTalkerError) else f"{type(error).__name__}: {error}"
        return replace(known, status="failed", reason=" ".join(why.split()))


def clip_output_key(row: ClipRow, cfg: PrepareConfig) -> str:
    """The name of what is made of a clip: its key, and a digest of row, configuration and video content."""
    told = {name: value for name, value in row_to_values(row).items() if name not in ("source", "labels")}
    parts = [json.dumps(told, sort_keys=True), config_hash(cfg), content_sample(row.source)]
    parts.append(content_sample(row.labels) if row.labels else "")
    text = "\n".join([str(PREPARE_VERSION), *parts])
    return f"{row.clip}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _prepare(row: ClipRow, cfg: PrepareConfig, tools: Tools, work: Path, known: Outcome) -> Outcome:
    """Write the samples of a clip to `work`/samples."""
    path = _local_copy(row.source, work)
    info = probe(path)
    if info.is_image:
        raise NotUsable("a still picture")
    source = GridSource(info, Fraction(FPS), row.start, row.end)
    frames = source.info.num_frames
    if frames < cfg.quality.min_s * FPS:
        raise NotUsable(f"too short: {frames / FPS:.2f} s of it are in the video")
    whole = decode_speech(path, work / "speech.npy")
    speech = CutSpeech(whole, row.start, frames * SAMPLE_RATE // FPS)
    sounding = check_sound(speech, frames, cfg.quality)
    own, face_px = _choose(row, source, info, cfg, tools, work)
    longest = int(cfg.piece_s * FPS)
    pieces = cut_pieces(own, longest, int(cfg.quality.min_s * FPS))
    if not pieces:
        raise NotUsable("face lost: no stretch is long enough")
    reader = FaceReader(LocalCropParser(tools.backend, tools.parser), cfg.size, StageClock())
    provenance = {**row_to_values(row), "prepared": PREPARE_VERSION, "config": config_hash(cfg)}
    areas, count, curve = np.zeros(NUM_REGIONS, np.int64), 0, no_curve()
    with ShardWriter(work / "samples", packing=cfg.fields.packing) as writer:
        for sample in read_samples(
            source, speech, pieces, row, known.key, reader, cfg.fields, cfg.batch, provenance
        ):
            writer.add(sample)
            assert sample.maps is not None
            areas += np.bincount(sample.maps.ravel(), minlength=NUM_REGIONS)
            count += len(sample.maps)
            curve += _curve(tools.syncnet, sample.maps, sample.mel)
    offset, confidence = check_sync(curve, cfg.quality)
    return replace(
        known,
        status="done",
        samples=len(pieces),
        frames=count,
        areas=tuple(int(area) for area in areas),
        face_px=round(face_px, 1),
        sounding=round(sounding, 4),
        offset=offset,
        confidence=confidence,
    )


def _choose(
    row: ClipRow, source: GridSource, info: VideoInfo, cfg: PrepareConfig, tools: Tools, work: Path
) -> tuple[list[FaceTrack], float]:
    """The tracks of the clip's person and the median width of the face."""
    frames = source.info.num_frames
    tracks = find_tracks(
        source, tools.backend, cfg.track, work / "tracks", frames, cfg.max_side, lambda done: None
    )
    box = None if row.crop is None else row.crop.scaled(info.height)
    spec = SpeakerSpec("largest")
    if box is not None:
        spec = SpeakerSpec("point", point=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    own = choose_speaker(tracks, spec, where=row.source)
    ids = {track.track_id for track in own}
    others = [track for track in tracks if track.track_id not in ids]
    return check_faces(own, others, frames, box, cfg.quality)


def _curve(net: SyncNet | None, maps: NDArray[np.uint8], mel: NDArray[np.floating]) -> SyncCurve:
    return no_curve() if net is None else sync_curve(net, maps, mel)


def _local_copy(source: str, work: Path) -> Path:
    """The video as a file of this machine; PyAV reads no buckets."""
    if is_local(source):
        return Path(source.removeprefix("file://"))
    target = work / f"source{Path(source).suffix}"
    get_file(source, target)
    return target
