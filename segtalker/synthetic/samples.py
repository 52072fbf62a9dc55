"""One planned clip to one training sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.loudness import frame_energy
from segtalker.audio.mel import mel_spectrogram
from segtalker.audio.source import ArraySource
from segtalker.audio.speech import num_tokens, speech_tokens
from segtalker.data.shards import FPS, MOUTH, Sample
from segtalker.regions import merge_raw
from segtalker.synthetic.clip import draw_raw_map, perform
from segtalker.synthetic.engines import AlignmentFailed, SynthesiserMissing
from segtalker.synthetic.identity import random_identity
from segtalker.synthetic.motion import make_motion, random_style
from segtalker.synthetic.plan import ClipPlan, SynthConfig
from segtalker.synthetic.render import Renderer
from segtalker.synthetic.speech import Utterance, make_utterance

_ATTEMPTS = 4


def make_sample(cfg: SynthConfig, clip: ClipPlan, provenance: Mapping[str, Any]) -> Sample:
    """Speak, perform and draw one clip.

    With the preset `faces` only some frames are kept; `provenance["frames"]` holds their numbers on the 25
    fps grid of the clip.
    """
    speech = say(cfg, clip)
    times = np.arange(int(speech.duration_s * FPS)) / FPS
    style = random_style(np.random.default_rng((clip.seed, 3)))
    labels = {**speech_fields(speech), **clip_fields(clip)}
    if cfg.preset == "voices":
        motion = make_motion(speech.phones, times, clip.seed, style)
        return Sample(
            mouth=np.stack([getattr(motion, name) for name in MOUTH], axis=1),
            energy=frame_energy(speech.samples, len(times)),
            **labels,
            provenance={**provenance, "text": speech.text},
        )
    performance = perform(random_identity(clip.identity), speech.phones, times, clip.seed, style, cfg.noise)
    frames = list(range(len(performance)))
    pictures: dict[str, Any] = {}
    if cfg.preset == "faces":
        frames = varied_frames(performance.opening, cfg.frames_per_identity)
        provenance = {**provenance, "frames": frames}
        renderer = Renderer(performance, cfg.size)
        pictures["crops"] = np.stack([renderer.crop(i, cfg.size) for i in frames])
        pictures["landmarks"] = performance.landmarks[frames]
    raws = np.stack([draw_raw_map(performance, i, cfg.size) for i in frames])
    if cfg.preset == "faces":
        pictures["raw"] = raws
    return Sample(
        maps=merge_raw(raws),
        opening=performance.opening[frames],
        energy=frame_energy(speech.samples, len(performance))[frames],
        **pictures,
        **labels,
        provenance={**provenance, "text": speech.text},
    )


def varied_frames(opening: NDArray[np.float32], count: int) -> list[int]:
    """Numbers of `count` frames, one of each equal piece of a clip: its most closed or most open, in turn."""
    pieces = np.array_split(np.arange(len(opening)), min(count, len(opening)))
    picks = [
        piece[opening[piece].argmax() if i % 3 else opening[piece].argmin()] for i, piece in enumerate(pieces)
    ]
    return [int(pick) for pick in picks]


def say(cfg: SynthConfig, clip: ClipPlan) -> Utterance:
    """The clip's utterance; where an aligner fails on one, another text is taken."""
    tract = cfg.vocal_tract if clip.split in ("train", "val") else (1.0, 1.0)
    for attempt in range(_ATTEMPTS):
        try:
            return make_utterance(clip.voice, clip.seed + attempt, cfg.speech, tract)
        except AlignmentFailed:
            continue
    raise SynthesiserMissing(f"{clip.key}: {_ATTEMPTS} utterances of {clip.voice.key} could not be aligned.")


def speech_fields(speech: Utterance) -> dict[str, Any]:
    """The fields of a sample that come from the speech alone."""
    return {
        "mel": mel_spectrogram(speech.samples),
        "tokens": speech_tokens(ArraySource(speech.samples), 0, num_tokens(len(speech.samples))),
        "phones": speech.phones,
        "voice": speech.voice,
        "engine": speech.engine,
    }


def clip_fields(clip: ClipPlan) -> dict[str, Any]:
    """The fields of a sample that come from the plan alone."""
    return {"key": clip.key, "identity": f"synthetic-{clip.identity}", "split": clip.split}
