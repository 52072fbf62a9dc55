"""Decode any speech to 16 kHz mono on disk, on an exact clock.

Sample n of the result is n / 16000 s after the beginning of the file's picture, or of its sound where there
is no picture: a sound track that starts late is preceded by silence, what sounds before the first frame is
cut, and holes in the timestamps are silence. Encoder priming is removed by the decoder.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from numpy.typing import NDArray

from segtalker.errors import MediaError
from segtalker.media.container import MediaWarning, audio_stream, open_media, reason, video_stream
from segtalker.media.index import frame_table

SAMPLE_RATE = 16000
_NPY_HEADER_BYTES = 128
_TIMING_TOLERANCE_S = Fraction(1, 50)  # smaller jumps of audio timestamps are rounding, not holes
_LONGEST_HOLE_S = 3600  # a larger jump is a broken clock, not silence


@dataclass(frozen=True)
class Speech:
    """16 kHz mono speech in a memory-mapped .npy file of int16; only what is asked for is read."""

    path: Path
    num_samples: int

    @staticmethod
    def unheard(duration: Fraction) -> Speech:
        """A length of time for an analysis of pictures alone; it has no samples to listen to."""
        return Speech(Path("no speech"), max(1, int(duration * SAMPLE_RATE)))

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return Fraction(self.num_samples, SAMPLE_RATE)

    def samples(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples `start`..`stop` - 1 in [-1, 1]; zero before the beginning and after the end."""
        stop = self.num_samples if stop is None else stop
        result = np.zeros(max(0, stop - start), np.float32)
        first, last = max(0, start), min(stop, self.num_samples)
        if first < last:
            stored = np.load(self.path, mmap_mode="r")[first:last]
            result[first - start : last - start] = stored.astype(np.float32) / 32768.0
        return result

    def is_silent(self, threshold_db: float = -60.0) -> bool:
        """Whether no sample is louder than `threshold_db` relative to full scale."""
        limit = 10.0 ** (threshold_db / 20.0)
        block = 60 * SAMPLE_RATE
        return all(
            float(np.abs(self.samples(start, min(start + block, self.num_samples))).max(initial=0.0)) <= limit
            for start in range(0, self.num_samples, block)
        )


def decode_speech(path: Path | str, out: Path | str) -> Speech:
    """Decode the first sound stream of any file to `out` (.npy, int16, 16 kHz mono), streaming.

    Raises `MediaError` for a file without sound or with sound of zero length; pure silence is valid speech
    (`Speech.is_silent`). `out` appears only when it is complete.
    """
    out = Path(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    num_samples = 0
    try:
        with temporary.open("wb") as file:
            file.write(bytes(_NPY_HEADER_BYTES))
            for block in decode_audio(path, SAMPLE_RATE, 1):
                file.write(block.astype("<i2").tobytes())
                num_samples += len(block)
            file.seek(0)
            file.write(_npy_header(num_samples))
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return Speech(out, num_samples)


def open_speech(path: Path | str) -> Speech:
    """A file that `decode_speech` wrote before."""
    try:
        stored = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: not decoded speech ({error}). Decode the speech again.") from error
    return Speech(Path(path), len(stored))


def audio_layout(path: Path | str) -> tuple[int, int]:
    """Sample rate in Hz and number of channels of the first sound stream."""
    with open_media(path) as container:
        codec = audio_stream(container, path).codec_context
        return int(codec.sample_rate), int(codec.layout.nb_channels)


def decode_audio(path: Path | str, rate: int, channels: int) -> Iterator[NDArray[np.int16]]:
    """Blocks [n, channels] of int16 at `rate` Hz, 1 or 2 channels, from time 0 on (the clock above)."""
    given = 0  # samples handed out
    for clock, block in _clocked_blocks(path, rate, channels):
        hole = clock - given
        while hole > 0:
            silence = min(hole, 10 * rate)
            yield np.zeros((silence, channels), np.int16)
            given, hole = given + silence, hole - silence
        block = block[max(0, given - clock) :]
        if len(block):
            yield block
            given += len(block)
    if given == 0:
        raise MediaError(f"{path}: its audio stream holds no sound (zero length). Record or export it again.")


def _clocked_blocks(path: Path | str, rate: int, channels: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Resampled blocks with the position of their first sample, which may be negative or leave holes."""
    layout = "mono" if channels == 1 else "stereo"
    resampler: av.AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    clock = 0
    expected: Fraction | None = None  # the time at which the next frame continues the sound
    with open_media(path) as container:
        origin = _origin(container, path)
        for frame in _audio_frames(container, path):
            at = expected
            if frame.pts is not None and frame.time_base is not None:
                at = frame.pts * frame.time_base
                origin = at if origin is None or abs(at - origin) > _LONGEST_HOLE_S else origin
                if expected is not None and abs(at - expected) > _LONGEST_HOLE_S:
                    at = expected
            at = Fraction(0) if at is None else at
            is_jump = expected is None or abs(at - expected) > _TIMING_TOLERANCE_S
            if is_jump or kind != (frame.format.name, frame.layout.name, frame.sample_rate):
                if resampler is not None:
                    for block in _resample(resampler, None, channels):
                        yield clock, block
                        clock += len(block)
                resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
                kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                clock = round((at - (origin or 0)) * rate) if is_jump else clock
                expected = at
            assert resampler is not None and expected is not None
            expected += Fraction(frame.samples, frame.sample_rate)
            frame.pts = None  # the clock is ours; the resampler would stretch
            for block in _resample(resampler, frame, channels):
                yield clock, block
                clock += len(block)
        if resampler is not None:
            for block in _resample(resampler, None, channels):
                yield clock, block
                clock += len(block)


def _resample(
    resampler: av.AudioResampler, frame: AudioFrame | None, channels: int
) -> Iterator[NDArray[np.int16]]:
    for resampled in resampler.resample(frame):
        yield np.asarray(resampled.to_ndarray(), np.int16).reshape(-1, channels)


def _origin(container: InputContainer, path: Path | str) -> Fraction | None:
    """The container's time of the first picture, None where there is no picture."""
    try:
        video_stream(container, path)
        table = frame_table(path)
    except MediaError:
        return None
    return None if table.is_image else table.start_s


def _audio_frames(container: InputContainer, path: Path | str) -> Iterator[AudioFrame]:
    """Frames that decode; packets that do not leave a hole, a damaged end is reported."""
    stream = audio_stream(container, path)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            warnings.warn(f"{path}: its sound is cut short ({reason(error)}).", MediaWarning, stacklevel=2)
            packet = None
        try:
            yield from stream.codec_context.decode(packet)
        except EOFError:
            return
        except av.FFmpegError:
            pass
        if packet is None:
            return


def _npy_header(num_samples: int) -> bytes:
    """Header of a one-dimensional little-endian int16 .npy file (format 1.0), padded to a fixed length."""
    text = f"{{'descr': '<i2', 'fortran_order': False, 'shape': ({num_samples},), }}"
    length = _NPY_HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"
