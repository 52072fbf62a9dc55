"""Inputs of the benchmarks that run whole dubs: a moving portrait, speech-like sound, random networks."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from segtalker.config import load_yaml, parse_config
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.faces.detect import load_backend
from segtalker.media.write import EncodeConfig, write_segment
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.tsg import TSG, TSGConfig
from segtalker.portrait import PortraitConfig, open_portrait
from segtalker.weights.checkpoint import save_weights

SMOKE_SIZE = 256
"""Longer side of the smallest frames."""
_PERIOD = 250  # frames after which the clip repeats: made once, then joined by packet copy


def portrait_clip(path: Path, seconds: int, max_side: int) -> Path:
    """A video of scikit-image's astronaut who blinks and moves, 25 fps."""
    from skimage.data import astronaut

    from segtalker.media.write import mux

    still = path.with_suffix(".png")
    cv2.imwrite(str(still), astronaut()[..., ::-1])
    cfg = PortraitConfig(max_side=max_side)
    source = open_portrait(still, load_backend(), "largest", Fraction(_PERIOD, 25), cfg, seed=0)
    part = path.with_suffix(".part.mp4")
    images = (frame.image for frame in source.read())
    write_segment(images, part, Fraction(25), EncodeConfig(preset="veryfast"))
    count = max(1, seconds * 25 // _PERIOD)
    ticks = np.arange(count * _PERIOD + 1, dtype=np.int64)
    mux([part] * count, None, path, ticks, Fraction(1, 25))
    return path


def tone(path: Path, seconds: float, rate: int = 16000) -> Path:
    """Four syllables a second of tone and noise, in blocks, so that hours need no memory."""
    rng = np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        for second in range(int(np.ceil(seconds))):
            time = second + np.arange(min(rate, round((seconds - second) * rate))) / rate
            loud = np.maximum(np.sin(4 * np.pi * time), 0.0)
            samples = 0.3 * loud * (np.sin(280 * np.pi * time) + 0.3 * rng.standard_normal(len(time)))
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def smoke_config(folder: Path) -> DubConfig:
    """A dub with random networks of the smoke configurations (32 px)."""
    torch.manual_seed(0)
    smoke = Path(__file__).parents[1] / "configs" / "smoke"
    tsg = parse_config(TSGConfig, load_yaml(smoke / "tsg.yaml")["model"])
    sgi = parse_config(SGIConfig, load_yaml(smoke / "sgi.yaml")["model"])
    paths = [
        save_weights(TSG(tsg), tsg, folder / "tsg.safetensors"),
        save_weights(SGI(sgi), sgi, folder / "sgi.safetensors"),
    ]
    return DubConfig(tsg=NetworkConfig(weights=str(paths[0])), sgi=NetworkConfig(weights=str(paths[1])))
