"""Does every output last as it should, and do picture and sound stay together?

Rates {23.976, 25, 29.97, 59.94, varying} x speech {shorter, equal, longer} x sync modes. Each case makes a
source whose frames carry their number as a grey value, and speech with clicks at the exact times of some
output frames; an identity render through SegTalker's own reading, frame plan, segments, sound and mux
lights the frames on which a click begins. The finished mp4 is then measured with plain PyAV calls, not with
the code under test:

    max_duration_error_frames   |duration of the picture - the one that the mode defines|, in nominal frames
    max_av_offset_ms            |time of a lit frame - onset of its click|, over all clicks
    max_frame_time_error_ms     |time of a frame - its planned time|
    max_sound_padding_ms        |end of the decoded sound - end of the picture|; AAC fills its last block
    frames_in_place             share of output frames that show the planned source frame
"""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks._report import log, main, table
from segtalker.compositing.plan import Chunk, FramePlan, PlanConfig, SyncMode, make_plan
from segtalker.media.audio import decode_speech
from segtalker.media.read import frame_times, probe, read_sequence
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from segtalker.types import Image

RATES: dict[str, Fraction | None] = {
    "23.976": Fraction(24000, 1001),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "59.94": Fraction(60000, 1001),
    "VFR": None,
}
LENGTHS = {"shorter": 0.61, "equal": 1.0, "longer": 2.37}
SPEECH_RATE = 44100  # not a multiple of the 16 kHz that is analysed, and AAC keeps it
VFR_STEPS_MS = (33, 33, 40, 17, 50, 33, 34, 100)
NUM_GREYS = 43  # frame i has the grey value 20 + 5 (i mod 43)


@dataclass(frozen=True)
class Measured:
    """What one finished file holds."""

    duration_error_frames: float
    av_offset_ms: float
    frame_time_error_ms: float
    sound_padding_ms: float
    frames_in_place: float
    num_clicks: int


def run(quick: bool) -> dict[str, Any]:
    """Measure all cases; the worst of each figure counts."""
    source_s = 2.0 if quick else 12.0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for rate_name, rate in RATES.items():
            source = make_source(Path(folder) / f"{rate_name}.mp4", rate, source_s)
            for length_name, factor in LENGTHS.items():
                for mode in SyncMode:
                    measured = run_case(source, Fraction(factor).limit_denominator(100), mode, Path(folder))
                    rows.append(
                        {"fps": rate_name, "speech": length_name, "mode": mode.value, **vars(measured)}
                    )
    table(rows)
    log(f"{len(rows)} cases, source of {source_s:g} s, {sum(row['num_clicks'] for row in rows)} clicks")
    return {
        "max_duration_error_frames": max(row["duration_error_frames"] for row in rows),
        "max_av_offset_ms": max(row["av_offset_ms"] for row in rows),
        "max_frame_time_error_ms": max(row["frame_time_error_ms"] for row in rows),
        "max_sound_padding_ms": max(row["sound_padding_ms"] for row in rows),
        "frames_in_place": min(row["frames_in_place"] for row in rows),
        "num_cases": len(rows),
        "num_clicks": sum(row["num_clicks"] for row in rows),
    }


def run_case(source: Path, factor: Fraction, mode: SyncMode, folder: Path) -> Measured:
    """Dub `source` as identity with speech `factor` times as long, and measure the result."""
    info, times = probe(source), frame_times(source)
    source_end = 2 * times[-1] - times[-2]
    num_samples = round(source_end * factor * SPEECH_RATE)
    silent = write_speech(folder / "speech.wav", num_samples, [])
    speech = decode_speech(silent, folder / "speech.npy")
    cfg = PlanConfig(chunk_frames=20)  # several segments in every case
    plan = make_plan(times, info, [], speech.duration, mode, cfg)
    # the plan needs the length alone, so the clicks can now be put where frames begin
    lit = [i for i in range(3, len(plan) - 2, 17) if plan.time(i) < speech.duration - Fraction(1, 10)]
    write_speech(folder / "speech.wav", num_samples, [plan.time(i) for i in lit])
    segments = []
    for chunk in plan.chunks():
        segments.append(folder / f"segment_{chunk.index}.mp4")
        frames = identity(source, plan, chunk, set(lit))
        write_segment(frames, segments[-1], plan.frame_rate, EncodeConfig(preset="ultrafast"))
    encode_audio(folder / "speech.wav", folder / "audio.m4a", plan.duration)
    mux(segments, folder / "audio.m4a", folder / "out.mp4", plan.ticks, plan.time_base)
    lasting = {SyncMode.CUT_OFF: min(source_end, speech.duration), SyncMode.SILENCE: source_end}
    return measure(folder / "out.mp4", plan, lit, lasting.get(mode, speech.duration))


def identity(source: Path, plan: FramePlan, chunk: Chunk, lit: set[int]) -> Iterator[Image]:
    """The source frames of a chunk, the right half white on lit frames."""
    for index, frame in enumerate(read_sequence(source, plan.sources(chunk)), start=chunk.start):
        image = frame.image.copy()
        image[:, image.shape[1] // 2 :] = 255 if index in lit else 0
        yield image


def measure(path: Path, plan: FramePlan, lit: list[int], lasting: Fraction) -> Measured:
    """Decode a finished file with plain PyAV calls and compare it with what was asked."""
    times, greys, lights = [], [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        duration = stream.duration * stream.time_base
        for frame in container.decode(stream):
            image = frame.to_ndarray(format="gray")
            half = image.shape[1] // 2
            times.append(frame.time or 0.0)
            greys.append(float(frame.to_ndarray(format="rgb24")[:, : half - 4].mean()))
            lights.append(float(image[:, half + 4 :].mean()) > 128)
    sound, sound_start = decode_sound(path)
    if len(times) != len(plan):
        raise AssertionError(f"{len(times)} frames were decoded, {len(plan)} were planned")
    flashes = np.array(times)[np.flatnonzero(lights)]
    clicks = onsets(sound) / SPEECH_RATE + sound_start
    if len(flashes) != len(lit) or len(clicks) != len(lit):
        raise AssertionError(f"{len(lit)} clicks: {len(flashes)} flashes and {len(clicks)} onsets were found")
    shown = np.round((np.array(greys) - 20) / 5).astype(int)
    planned = np.array([float(plan.time(i)) for i in range(len(plan))])
    sound_end = sound_start + len(sound) / SPEECH_RATE
    return Measured(
        duration_error_frames=float(abs(duration - lasting) * plan.frame_rate),
        av_offset_ms=float(1e3 * np.abs(flashes - clicks).max(initial=0.0)),
        frame_time_error_ms=float(1e3 * np.abs(np.array(times) - planned).max()),
        sound_padding_ms=1e3 * abs(sound_end - float(duration)),
        frames_in_place=float((shown == plan.source % NUM_GREYS).mean()),
        num_clicks=len(lit),
    )


def decode_sound(path: Path) -> tuple[NDArray[np.float32], float]:
    """First channel of the sound in [-1, 1], and the time of its first sample in the container's clock."""
    parts: list[NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            if not parts:
                start = frame.time or 0.0
            parts.append(np.asarray(frame.to_ndarray()[0], np.float32))
    return np.concatenate(parts), start


def onsets(sound: NDArray[np.float32]) -> NDArray[np.int64]:
    """Samples at which clicks begin: the first crossing of a quarter of their height after 100 ms of rest."""
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    if len(loud) == 0:
        return loud
    return loud[np.append(0, np.flatnonzero(np.diff(loud) > SPEECH_RATE // 10) + 1)]


def write_speech(path: Path, num_samples: int, clicks: list[Fraction]) -> Path:
    """Stereo .wav of silence with 10 ms bursts of 2 kHz."""
    sound = np.zeros((num_samples, 2), np.int16)
    length = SPEECH_RATE // 100
    burst = (26000 * np.sin(2 * np.pi * 2000 * np.arange(length) / SPEECH_RATE)).astype(np.int16)
    for click in clicks:
        first = round(click * SPEECH_RATE)
        sound[first : first + length] = burst[: num_samples - first, None]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(sound.astype("<i2").tobytes())
    return path


def make_source(path: Path, rate: Fraction | None, seconds: float) -> Path:
    """A video of constant or varying (None) rate whose frames carry their number as a grey value."""
    time_base = Fraction(1, 1000) if rate is None else 1 / rate
    at = 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate or 25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 48
        stream.codec_context.time_base = time_base
        index = 0
        while at * time_base < seconds:
            image = np.full((48, 64, 3), 20 + 5 * (index % NUM_GREYS), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = at, time_base
            container.mux(stream.encode(frame))
            step = VFR_STEPS_MS[index % len(VFR_STEPS_MS)] if rate is None else 1
            at, index = at + step, index + 1
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main(__doc__, run, targets={"max_duration_error_frames": "<= 1", "max_av_offset_ms": "<= 20"})
