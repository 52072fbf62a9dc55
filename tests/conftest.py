"""Tiny media files for all tests, made with PyAV.

Frame i of a tiny video is plain with the value `frame_value(i)` in all channels, so that a test can tell from
the pixels which frame it was given. Tiny speech is silence with short 1 kHz clicks at known times.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.s3 import faulty_s3, s3_server, store  # noqa: F401 - fixtures of all tests

CLICK_S = 0.02


def pytest_collection(session: pytest.Session) -> None:
    """Thousands of tests are found one by one: nothing of that is garbage yet."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was collected and imported stays to the end, so no collection need walk through it again.

    Readers of videos collect garbage after every pass (`segtalker.source`), which took half of their tests.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def frame_value(index: int) -> int:
    """Grey value of frame `index` of a tiny video; neighbours differ by 5 and repeat after 43."""
    return 20 + 5 * (index % 43)


def read_value(image: np.ndarray) -> int:
    """The index modulo 43 of the tiny-video frame that a decoded image shows."""
    return round((float(image.mean()) - 20) / 5)


def write_tiny_video(
    path: Path,
    num_frames: int = 30,
    rate: Fraction = Fraction(25),
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    keyframe_interval: int = 10,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    aspect: Fraction | None = None,
    clicks_s: Sequence[float] | None = None,
    audio_start_s: float = 0.0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    images: Callable[[int], np.ndarray] | None = None,
) -> Path:
    """Write a tiny video; with `clicks_s`, also 48 kHz stereo AAC that starts at `audio_start_s`.

    pts: presentation times in `time_base` for a variable rate.
    """
    import av

    width, height = size
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = keyframe_interval
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if time_base is not None:
            stream.codec_context.time_base = time_base
        sound: Any = None
        if clicks_s is not None:
            sound = container.add_stream("aac", rate=48000, layout="stereo")
        for index in range(num_frames):
            image = images(index) if images else np.full((height, width, 3), frame_value(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[index], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            duration = float(num_frames / rate) - audio_start_s
            wave = click_track(48000, duration, [click - audio_start_s for click in clicks_s or ()])
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(audio_start_s * 48000)
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def click_track(rate: int, duration_s: float, clicks_s: Sequence[float]) -> np.ndarray:
    """int16 [N] silence with a 20 ms burst of 1 kHz at each time."""
    wave = np.zeros(round(duration_s * rate), np.int16)
    burst = np.round(26000 * np.sin(2 * np.pi * 1000 * np.arange(round(CLICK_S * rate)) / rate)).astype(
        np.int16
    )
    for click in clicks_s:
        start = round(click * rate)
        wave[start : start + len(burst)] = burst[: max(0, len(wave) - start)]
    return wave


def write_wav(path: Path, wave: np.ndarray, rate: int) -> Path:
    """Write int16 [N] or [N, channels] samples as a .wav file."""
    import wave as wave_module

    with wave_module.open(str(path), "wb") as file:
        file.setnchannels(1 if wave.ndim == 1 else wave.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(wave).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_shard_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test reads from a bucket stays on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path_factory.mktemp("shard-cache")))
        yield


@pytest.fixture
def tiny_video(tmp_path: Path) -> Path:
    """30 frames of 64 x 48 px at 25 per second, with a click at 0.4 s."""
    return write_tiny_video(tmp_path / "tiny.mp4", clicks_s=[0.4])


@pytest.fixture
def tiny_speech(tmp_path: Path) -> Path:
    """1.2 s of 16 kHz mono with clicks at 0.2 s and 0.8 s."""
    return write_wav(tmp_path / "tiny.wav", click_track(16000, 1.2, [0.2, 0.8]), 16000)
