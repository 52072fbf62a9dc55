"""The clips of a prepared folder as files: each cut from its source video, with its sound and its labels.

A clip is cut on the grid of preparation, 25 frames a second, and encoded once at high quality: this file is
the true video for scoring, and what every method is given.
"""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.data.manifest import ClipRow, row_to_values
from segtalker.data.shards import FPS
from segtalker.errors import DataError
from segtalker.media.audio import audio_layout, decode_audio
from segtalker.media.read import probe
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from segtalker.source import GridSource
from segtalker.storage import (
    content_sample,
    get_file,
    is_local,
    local_path,
    read_if_exists,
    write_bytes,
)
from segtalker.types import Image

CLIP_VERSION = 1
"""Changes whenever the same row would be cut otherwise."""
ENCODE = EncodeConfig(crf=10, encoder_threads=1)


@dataclass(frozen=True)
class Clip:
    """A clip that was cut; paths are absolute."""

    id: str
    identity: str
    video: str
    speech: str
    """Its own sound, a .wav."""
    labels: str
    """Empty where nothing is known."""
    seconds: float


def cut_clip(row: ClipRow, folder: Path, seconds: float = 0.0) -> Clip:
    """Cut one clip into `folder`, unless it is there: ID.mp4, ID.wav and perhaps ID.json.

    seconds: only the first so many (0: all). `SegTalkerError` where the video cannot be read or is silent.
    """
    note = folder / f"{row.clip}.clip.json"
    key = _key(row, seconds)
    kept = read_if_exists(note)
    if kept is not None and (values := json.loads(kept)).pop("key") == key:
        clip = Clip(**values)
        if clip.video == str((folder / f"{row.clip}.mp4").absolute()) and Path(clip.video).is_file():
            return clip  # neither the folder was moved nor the video removed
    folder.mkdir(parents=True, exist_ok=True)
    with _here(row.source, folder) as source:
        clip = _cut(row, source, folder, seconds)
    write_bytes(note, json.dumps({"key": key, **vars(clip)}).encode())
    return clip


def _cut(row: ClipRow, source: Path, folder: Path, seconds: float) -> Clip:
    end = _end(row, seconds)
    frames = GridSource(probe(source), Fraction(FPS), row.start, end)
    count = frames.info.num_frames
    if not count:
        raise DataError(f"{row.source}: nothing of the clip '{row.clip}' is in it. Prepare the folder again.")
    video, speech = folder / f"{row.clip}.mp4", folder / f"{row.clip}.wav"
    _write_sound(source, speech, row.start, Fraction(count, FPS))
    _write_video(frames, speech, video, row)
    labels = _write_labels(row, folder, count)
    return Clip(row.clip, row.identity, str(video.absolute()), str(speech.absolute()), labels, count / FPS)


def _end(row: ClipRow, seconds: float) -> Fraction | None:
    if not seconds:
        return row.end
    cut = row.start + Fraction(round(seconds * FPS), FPS)
    return cut if row.end is None else min(row.end, cut)


def _key(row: ClipRow, seconds: float) -> str:
    values = {name: value for name, value in row_to_values(row).items() if name not in ("source", "labels")}
    content = [content_sample(place) if place else "" for place in (row.source, row.labels)]
    text = json.dumps([CLIP_VERSION, values, seconds, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _here(source: str, folder: Path) -> Iterator[Path]:
    """The video on this machine's disk: a copy, much larger than its clip, goes again."""
    if is_local(source):
        yield local_path(source)
        return
    with TemporaryDirectory(prefix=".source-", dir=folder) as name:
        copy = Path(name) / f"source{PurePosixPath(source).suffix}"
        get_file(source, copy)
        yield copy


def _write_sound(source: Path, out: Path, start: Fraction, duration: Fraction) -> None:
    """Cut the sound at its own rate; silence where it ends before the picture."""
    rate, channels = audio_layout(source)
    first, left = round(start * rate), round(duration * rate)
    channels, part = min(channels, 2), out.with_name(f".{out.name}.part")
    with wave.open(str(part), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        for block in _range(decode_audio(source, rate, channels), first, left):
            file.writeframes(block.astype("<i2").tobytes())
            left -= len(block)
        file.writeframes(bytes(2 * channels * left))
    part.replace(out)


def _range(blocks: Iterator[NDArray[np.int16]], first: int, count: int) -> Iterator[NDArray[np.int16]]:
    """Samples `first`..`first + count` of a stream of blocks, as far as there are any."""
    position = 0
    for block in blocks:
        cut = block[max(0, first - position) : max(0, first + count - position)]
        position += len(block)
        if len(cut):
            yield cut
        if position >= first + count:
            return


def _write_video(frames: GridSource, speech: Path, out: Path, row: ClipRow) -> None:
    count = frames.info.num_frames
    segment, sound = out.with_suffix(".segment.mp4"), out.with_suffix(".m4a")
    try:
        write_segment(_pictures(frames, row), segment, Fraction(FPS), ENCODE)
        encode_audio(speech, sound, Fraction(count, FPS), ENCODE)
        mux([segment], sound, out, np.arange(count + 1, dtype=np.int64), Fraction(1, FPS))
    finally:
        segment.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)


def _pictures(frames: GridSource, row: ClipRow) -> Iterator[Image]:
    """All frames, cut to the person's box where the manifest has one, as HDTF's videos are."""
    for frame in frames.read():
        if row.crop is None:
            yield frame.image
            continue
        height, width = frame.image.shape[:2]
        left, top, right, bottom = (round(side) for side in row.crop.scaled(height))
        yield frame.image[top : min(bottom, height), left : min(right, width)]


def _write_labels(row: ClipRow, folder: Path, count: int) -> str:
    """Labels whose times count from the beginning of the clip; returns where they are."""
    if not row.labels:
        return ""
    data = read_if_exists(row.labels)
    if data is None:
        raise DataError(
            f"{row.labels}: the labels of clip '{row.clip}' are not there. Prepare the folder again."
        )
    told: dict[str, Any] = json.loads(data)
    start, end = float(row.start), float(row.start) + count / FPS
    kept = {
        "phones": [
            [label, max(0.0, first - start), min(last, end) - start]
            for label, first, last in told.get("phones", [])
            if last > start and first < end
        ]
    }
    if "opening" in told and "fps" in told:
        first = round(start * told["fps"])
        kept |= {
            "fps": told["fps"],
            "opening": told["opening"][first : first + round(count / FPS * told["fps"])],
        }
    path = folder / f"{row.clip}.json"
    write_bytes(path, json.dumps(kept).encode())
    return str(path.absolute())
