"""Edits without speech: a video keeps its sound and its mouth, a picture stays a picture."""

from __future__ import annotations

import tempfile
import wave
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2

from segtalker.analysis import analyse
from segtalker.audio.source import SAMPLE_RATE
from segtalker.compositing.plan import STILL_RATE, Chunk, SyncMode
from segtalker.dub_config import DubConfig
from segtalker.editing.recipe import at_full
from segtalker.editing.references import check_references
from segtalker.errors import ConfigError, StorageError
from segtalker.extract import FaceReader
from segtalker.local_stages import LocalStages
from segtalker.media.audio import Speech
from segtalker.media.read import probe
from segtalker.pipeline import SegTalker
from segtalker.progress import StageClock, ignore_progress
from segtalker.render import Painters, Renderer
from segtalker.source import VideoSource
from segtalker.stages import Stages
from segtalker.types import Affine, Image, RegionMap, VideoInfo
from segtalker.workspace import Workspace, explain_os_errors, write_atomically

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Retouched:
    """An edited picture, and the face in it that was edited."""

    image: Image
    region_map: RegionMap
    """[S, S] of the crop, with the edits."""
    crop_from_frame: Affine
    """[2, 3] picture pixels -> pixels of the crop."""


def edit(
    cfg: DubConfig, source: Path, output: Path, stages: Stages | None = None, quiet: bool = False
) -> str:
    """Apply `cfg.edits` to a picture or video without speech; returns what to tell a person.

    A picture (.png, .jpg) shows every edit at its full, without blinks. A video keeps its own sound.
    """
    if not cfg.edits:
        raise ConfigError("nothing to do: name edits, as in --edit lip=red@0.7 or --edit recipe.yaml.")
    info = probe(source)
    stages = stages or LocalStages(cfg)
    if not info.is_image:
        with tempfile.TemporaryDirectory() as folder:
            sound = own_sound(info, Path(folder))
            return SegTalker(without_speech(cfg), stages).dub(source, sound, output, quiet=quiet).summary()
    if output.suffix.lower() not in PICTURES:
        raise StorageError(f"{output}: a picture stays a picture; give a name such as {output.stem}.png.")
    if output.exists() and output.samefile(source):
        raise StorageError(f"{output}: is the picture that is edited; choose another output name.")
    picture = edit_picture(cfg, info, stages).image
    _, encoded = cv2.imencode(output.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with explain_os_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, encoded.tobytes())
    return f"picture: {output}"


def without_speech(cfg: DubConfig) -> DubConfig:
    """The settings of a dub that leaves the mouth as it is and lasts as long as its video."""
    return replace(cfg, render=replace(cfg.render, mouth="keep"), sync_mode=SyncMode.SILENCE)


def own_sound(info: VideoInfo, folder: Path) -> Path:
    """A file with the sound of a video: itself, or silence of its length, made in `folder`."""
    return info.path if info.has_audio else _silence(folder / "silence.wav", info.duration)


def edit_picture(cfg: DubConfig, info: VideoInfo, stages: Stages) -> Retouched:
    """A still at its own size with `cfg.edits` at their full, without blinks."""
    cfg = without_speech(replace(cfg, edits=at_full(cfg.edits)))
    check_references(cfg.edits)
    clock, source, networks = StageClock(), VideoSource(info), stages.networks
    moment = Speech.unheard(1 / STILL_RATE)  # one frame long
    reader = FaceReader(stages.parser, networks.painter.size, clock)
    with tempfile.TemporaryDirectory() as folder:
        work = Workspace(Path(folder), stays=True)
        analysis = analyse(
            source, moment, cfg, stages.backend, reader, networks, work, clock, ignore_progress
        )
        renderer = Renderer(
            source=source,
            analysis=analysis,
            speech=moment,
            reader=reader,
            talker=networks.talker,
            painters=Painters(networks.painter, analysis.people),
            cfg=cfg.render,
            paste=cfg.paste,
            clock=clock,
            save_panels=True,
        )
        frame = next(renderer.frames(Chunk(0, 0, 1)))
    assert frame.face is not None  # without a face that can be edited the analysis has raised
    return Retouched(frame.image, frame.face.region_map, frame.face.crop_from_frame)


def _silence(path: Path, duration: Fraction) -> Path:
    """A sound file of nothing."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(bytes(2 * max(1, int(duration * SAMPLE_RATE))))
    return path
