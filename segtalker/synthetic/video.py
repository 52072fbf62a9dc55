"""Synthetic people as ordinary videos: full frames with sound, and labels beside them."""

from __future__ import annotations

import json
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.data.shards import FPS
from segtalker.faces.align import apply_affine
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from segtalker.synthetic.acoustics import AcousticsConfig
from segtalker.synthetic.clip import EXACT, Performance, perform
from segtalker.synthetic.identity import Identity, random_identity
from segtalker.synthetic.motion import Style, random_style
from segtalker.synthetic.plan import SPLITS, ClipPlan, SynthConfig
from segtalker.synthetic.render import Renderer
from segtalker.synthetic.samples import say
from segtalker.synthetic.speech import SAMPLE_RATE, SpeechConfig, Utterance, trim
from segtalker.synthetic.voices import UNSEEN_VOICES
from segtalker.types import Affine, Image

_FRAME_SIZES = ((360, 360), (480, 360), (640, 360), (640, 480))
_DEMO_SIZE = (360, 360)
_DEMO_IDENTITY = 945


def demo_clip(path: Path | str, seconds: float, seed: int, size: tuple[int, int] = _DEMO_SIZE) -> Path:
    """A talking head of `seconds` at 25 fps, `size` (width, height), as MP4 with sound; pip packages suffice.

    Speech is hibari's. Labels stand beside it in `<name>.json` (`write_clip`).
    """
    path = Path(path)
    clean = AcousticsConfig(room=0.0, noise=0.0, band=0.0, clip=0.0, level_db=(-22.0, -22.0))
    spoken = SpeechConfig(
        min_s=seconds, max_s=seconds, max_pause_s=0.4, loudness_scramble=0.0, acoustics=clean
    )
    clip = ClipPlan(path.stem, SPLITS[-1], UNSEEN_VOICES[0][0], _DEMO_IDENTITY + seed, seed)
    speech = trim(say(SynthConfig(preset="clips", speech=spoken), clip), seconds)
    style = replace(random_style(np.random.default_rng((seed, 3))), strength=1.0, yaw=0.04, head_motion=0.9)
    write_clip(path, speech, random_identity(clip.identity), style, seed, size)
    return path


def write_planned_clip(cfg: SynthConfig, clip: ClipPlan, folder: Path) -> Path:
    """One clip of the preset `clips`: `<key>.mp4` and `<key>.json` in `folder`."""
    rng = np.random.default_rng((clip.seed, 10))
    size = _FRAME_SIZES[rng.integers(len(_FRAME_SIZES))]
    path = folder / f"{clip.key}.mp4"
    style = random_style(np.random.default_rng((clip.seed, 3)))
    write_clip(path, say(cfg, clip), random_identity(clip.identity), style, clip.seed, size)
    return path


def write_clip(
    path: Path, speech: Utterance, identity: Identity, style: Style, seed: int, size: tuple[int, int]
) -> None:
    """Write `path` (MP4, H.264 and AAC) and `path` with `.json`: what is true about every frame.

    The JSON holds `fps`, `text`, `voice`, `phones` [[label, start, end]], `opening` [T] (lip gap, unit crop),
    `landmarks` [T, 468, 2] (frame pixels) and `crop_from_frame` [T, 2, 3] (to the unit crop).
    """
    frames = int(speech.duration_s * FPS + 1e-6)
    performance = perform(identity, speech.phones, np.arange(frames) / FPS, seed, style, EXACT)
    view = _camera(size, np.random.default_rng((seed, 11)))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sound, segment = Path(folder) / "speech.wav", Path(folder) / "video.mp4"
        write_wav(sound, speech.samples)
        cfg = EncodeConfig(preset="veryfast")
        write_segment(_frames(performance, view, size), segment, Fraction(FPS), cfg)
        encode_audio(sound, Path(folder) / "speech.m4a", Fraction(frames, FPS), cfg)
        mux([segment], Path(folder) / "speech.m4a", path, np.arange(frames + 1), Fraction(1, FPS))
    labels = _labels(speech, performance, view)
    path.with_suffix(".json").write_text(json.dumps(labels), encoding="utf-8")


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """Write samples [N] in [-1, 1] as a mono 16 kHz WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _frames(performance: Performance, view: Affine, size: tuple[int, int]) -> Iterator[Image]:
    scale = float(np.sqrt(np.linalg.det(view[:, :2])))
    renderer = Renderer(performance, resolution=round(scale))
    for frame in range(len(performance)):
        yield renderer.picture(frame, view, *size)


def _camera(size: tuple[int, int], rng: np.random.Generator) -> Affine:
    """Picture plane -> frame pixels: the unit crop takes 55 to 75 % of the height, near the middle."""
    width, height = size
    scale = height * rng.uniform(0.55, 0.75)
    left = 0.5 * (width - scale) + rng.uniform(-0.08, 0.08) * (width - scale)
    top = rng.uniform(0.3, 0.5) * (height - scale)
    return np.array([[scale, 0.0, left], [0.0, scale, top]])


def _labels(speech: Utterance, performance: Performance, view: Affine) -> dict[str, object]:
    landmarks = apply_affine(view, performance.posed[..., :2])
    scale = view[0, 0]
    unit_from_frame = np.array([[1 / scale, 0, -view[0, 2] / scale], [0, 1 / scale, -view[1, 2] / scale]])
    linear = performance.crop[:, :, :2] @ unit_from_frame[:, :2]
    shift = performance.crop[:, :, :2] @ unit_from_frame[:, 2] + performance.crop[:, :, 2]
    return {
        "fps": FPS,
        "text": speech.text,
        "voice": speech.voice,
        "phones": [[p.label, round(p.start_s, 4), round(p.end_s, 4)] for p in speech.phones],
        "opening": np.round(performance.opening, 5).tolist(),
        "landmarks": np.round(landmarks, 2).tolist(),
        "crop_from_frame": np.concatenate([linear, shift[:, :, None]], axis=2).tolist(),
    }
