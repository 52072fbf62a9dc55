"""`segtalker demo`: new speech for a real portrait and for a synthetic clip, with nothing but pip packages.

The portrait is scikit-image's `astronaut` (NASA, public domain); the clip comes from the synthetic corpus;
the speech comes from an offline neural synthesiser that no network of this project was trained on.
"""

from __future__ import annotations

import wave
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtalker.config import parse_config
from segtalker.errors import SegTalkerError
from segtalker.pipeline import DubConfig, SegTalker
from segtalker.report import report_path
from segtalker.synthetic.engines import Delivery
from segtalker.synthetic.speech import SAMPLE_RATE, speak
from segtalker.synthetic.voices import UNSEEN_VOICES

_LINES = {
    "portrait": "My name was borrowed from a picture. Now please open both ears and hear about papers.",
    "clip": "We both met Bob by the map on Monday. Pamela may bring more apples, maybe plums.",
}
_CLIP_SECONDS = 5.0
_CLIP_SEED = 11
_SETTINGS = {"adapt": {"steps": 60}, "save_maps": True}


def run_demo(out: Path, quiet: bool = False) -> str:
    """Make the inputs and both dubs in the folder `out`; returns what to look at."""
    out.mkdir(parents=True, exist_ok=True)
    videos = {"portrait": _portrait(out / "portrait.png"), "clip": _clip(out / "clip.mp4")}
    talker = SegTalker(parse_config(DubConfig, _SETTINGS))
    shown = []
    for number, (name, video) in enumerate(videos.items()):
        speech = _speech(out / f"{name}_speech.wav", _LINES[name], seed=number)
        output = out / f"{name}_dubbed.mp4"
        report = talker.dub(video, speech, output, quiet=quiet)
        shown += [report.summary(), f"report: {report_path(output)}", ""]
    return "\n".join(shown).rstrip()


def _portrait(path: Path) -> Path:
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise SegTalkerError(
            "the demo's portrait comes with scikit-image: pip install 'segtalker[demo]'."
        ) from error
    cv2.imwrite(str(path), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
    return path


def _clip(path: Path) -> Path:
    from segtalker.synthetic.corpus import demo_clip

    if not path.exists():
        demo_clip(path, _CLIP_SECONDS, _CLIP_SEED)
    return path


def _speech(path: Path, text: str, seed: int) -> Path:
    spoken = speak(UNSEEN_VOICES[0][0], [text], Delivery(seed=seed), np.random.default_rng(seed))
    write_wav(path, spoken.samples)
    return path


def write_wav(path: Path, samples: NDArray[np.float32], rate: int = SAMPLE_RATE) -> None:
    """Write mono samples [N] in [-1, 1] as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
