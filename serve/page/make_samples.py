"""Makes the two samples of the page, `python -m serve.page.make_samples`: nobody's face, nobody's voice.

Both people come from the synthetic corpus and both voices from an offline synthesiser, so that the samples
carry no licence but the project's own. Wants `pip install -e '.[synth]'`; takes half a minute.
"""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from segtalker.data.sample import FPS
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig, encode_audio, write_segment
from segtalker.synthetic.engines import Delivery
from segtalker.synthetic.speech import speak
from segtalker.synthetic.video import demo_clip, write_wav
from segtalker.synthetic.voices import UNSEEN_VOICES

FOLDER = Path(__file__).parent / "samples"
_CLIP_SEED, _PORTRAIT_SEED = 11, 4
_CLIP_S = 4.0
_PORTRAIT_SIZE = (480, 480)
_LINES = {
    "clip": "We both met Bob by the map on Monday. Maybe more plums.",
    "portrait": "Every picture has a voice. This one was made up by a machine.",
}
_ENCODING = EncodeConfig(crf=22, preset="slow", audio_kbps_per_channel=48)


def make_samples() -> None:
    """Write `serve/page/samples.json` and all that it names into `serve/page/samples/`."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        _write_clip(FOLDER / "clip.mp4", demo_clip(Path(scratch) / "clip.mp4", _CLIP_S, _CLIP_SEED))
        still = demo_clip(Path(scratch) / "portrait.mp4", 0.2, _PORTRAIT_SEED, _PORTRAIT_SIZE)
        _write_picture(FOLDER / "portrait.jpg", still, quality=90)
        for number, (name, line) in enumerate(_LINES.items()):
            _write_speech(FOLDER / f"{name}_speech.m4a", line, number)
    _write_picture(FOLDER / "clip.jpg", FOLDER / "clip.mp4", quality=80, side=192)
    listed = [
        _row("clip", "clip.mp4", "clip.jpg", "A talking person", f"Video of {_CLIP_S:g} s with other speech"),
        _row("portrait", "portrait.jpg", "portrait.jpg", "A portrait", "One picture that comes to life"),
    ]
    (FOLDER.parent / "samples.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def _row(name: str, video: str, picture: str, title: str, about: str) -> dict[str, str]:
    speech = f"{name}_speech.m4a"
    return {"title": title, "about": about, "video": video, "speech": speech, "picture": picture}


def _write_clip(path: Path, original: Path) -> None:
    """The same frames as H.264 without sound, at a size that suits a repository."""
    write_segment((frame.image for frame in read_frames(original)), path, Fraction(FPS), _ENCODING)


def _write_picture(path: Path, video: Path, quality: int, side: int | None = None) -> None:
    image = next(iter(read_frames(video, 0, 1, side))).image
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def _write_speech(path: Path, line: str, seed: int) -> None:
    spoken = speak(UNSEEN_VOICES[0][0], [line], Delivery(seed=seed), np.random.default_rng(seed))
    with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        write_wav(Path(wav.name), spoken.samples)
        encode_audio(wav.name, path, Fraction(spoken.duration_s), _ENCODING)


if __name__ == "__main__":
    make_samples()
