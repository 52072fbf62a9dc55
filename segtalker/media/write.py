"""Write H.264 segments, encode the speech once, and join both into one mp4.

A segment is a closed run of frames encoded by its own encoder instance with a fixed number of threads: its
bytes depend on its frames alone, so that a video split over any machines decodes to the same frames. There
are no B-frames; decoding order is display order and no edit list is needed for the picture. Timestamps are
given at the join, where packets are copied.

Colour: RGB is converted to BT.709 limited range, 4:2:0, and tagged so. 4:2:0 holds even sizes only; an odd
side is extended by repeating its last row or column, since cropping would lose a part of the picture and
4:4:4 does not play everywhere.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from segtalker.errors import MediaError
from segtalker.media.audio import audio_layout, decode_audio
from segtalker.media.container import open_media, reason
from segtalker.types import Image

_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_BT709 = 1
_BITEXACT = {"fflags": "+bitexact"}  # no encoder names or dates: the same input gives the same bytes
_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]


@dataclass(frozen=True)
class EncodeConfig:
    """Quality of the output."""

    crf: int = 18
    """x264 constant rate factor, 0 (lossless) .. 51; 18 is visually transparent."""
    preset: Preset = "medium"
    """x264's balance of speed and size."""
    keyframe_interval: int = 50
    """Most frames between keyframes; every segment starts with one."""
    encoder_threads: int = 4
    """Part of the result: x264 output depends on it, so it does not follow the machine."""
    audio_kbps_per_channel: int = 80

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf = {self.crf} is outside 0..51")
        if self.encoder_threads < 1 or self.keyframe_interval < 1:
            raise ValueError("encoder_threads and keyframe_interval must be at least 1")
        if self.audio_kbps_per_channel < 8:
            raise ValueError(f"audio_kbps_per_channel = {self.audio_kbps_per_channel} is below 8")


def write_segment(
    frames: Iterable[Image], path: Path | str, frame_rate: Fraction, cfg: EncodeConfig | None = None
) -> int:
    """Encode RGB frames [H, W, 3], all of one size, to one closed-GOP segment; returns their number.

    frame_rate: nominal, for rate control alone; `mux` gives the real times. The file appears when complete.
    """
    cfg = cfg or EncodeConfig()
    rate = frame_rate.limit_denominator(100_000)
    count = 0
    size: tuple[int, ...] | None = None
    with _writing(Path(path), {}) as output:
        for image in frames:
            if size is None:
                size = image.shape
                stream = _video_stream(output, size, rate, cfg)
            if image.shape != size:
                raise ValueError(f"{path}: a frame of shape {image.shape} in a segment of shape {size}")
            frame = to_yuv(image)
            frame.pts, frame.time_base = count, 1 / rate
            output.mux(stream.encode(frame))
            count += 1
        if count == 0:
            raise ValueError(f"{path}: a segment needs at least one frame")
        output.mux(stream.encode(None))
    return count


def encode_audio(
    speech: Path | str, out: Path | str, duration: Fraction, cfg: EncodeConfig | None = None
) -> None:
    """Encode the original speech to AAC in an .m4a file, cut or padded with silence to `duration` seconds.

    Keeps the rate (the next one of AAC, at most 48 kHz) and the channels (at most 2).
    """
    cfg = cfg or EncodeConfig()
    source_rate, source_channels = audio_layout(speech)
    rate = next((known for known in _AAC_RATES if known >= source_rate), _AAC_RATES[-1])
    channels = min(2, source_channels)
    layout = "mono" if channels == 1 else "stereo"
    with _writing(Path(out), {}) as output:
        stream = output.add_stream("aac", rate=rate, layout=layout)
        # AAC holds at most 6144 bits a channel and block of 1024 samples
        stream.codec_context.bit_rate = channels * min(cfg.audio_kbps_per_channel * 1000, 6 * rate)
        position = 0
        for block in _exactly(decode_audio(speech, rate, channels), round(duration * rate), channels):
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), position
            output.mux(stream.encode(frame))
            position += len(block)
        output.mux(stream.encode(None))


def mux(
    segments: Sequence[Path],
    audio: Path | None,
    out: Path | str,
    ticks: NDArray[np.int64],
    time_base: Fraction,
) -> None:
    """Join segments and sound into an mp4 by copying packets; nothing is encoded again.

    segments: files of `write_segment` in order, with N frames together, written with one `EncodeConfig`.
    audio: a file of `encode_audio`, or None. ticks: [N + 1] display times of the frames and the end of the
    last, in units of `time_base` seconds. `out` is replaced at the end in one step; on failure an existing
    file stays as it was.
    """
    with ExitStack() as inputs, _writing(Path(out), {"movflags": "+faststart"}) as output:
        first = inputs.enter_context(open_media(segments[0])).streams.video[0]
        video = output.add_stream_from_template(first)
        video.time_base = time_base  # the muxer refines it; packets keep `time_base` and are converted
        runs = timed_packets(segments, first.codec_context.extradata, ticks, time_base)
        sources = [_of_stream(video, itertools.chain.from_iterable(runs))]
        if audio is not None:
            sound = inputs.enter_context(open_media(audio))
            copied = output.add_stream_from_template(sound.streams.audio[0])
            sources.append(_of_stream(copied, sound_packets(sound)))
        for packet in heapq.merge(*sources, key=decoding_time):
            output.mux_one(packet)


def timed_packets(
    segments: Iterable[Path], extradata: bytes | None, ticks: NDArray[np.int64], time_base: Fraction
) -> Iterator[list[Packet]]:
    """The packets of each segment in turn, with the times of `mux`; a segment is opened when it is its turn.

    extradata: the codec's parameters, which all segments must share (`MediaError`). ticks, time_base: as in
    `mux`; `ValueError` where the segments hold more or fewer frames.
    """
    index = 0
    for segment in segments:
        packets = []
        with open_media(segment) as source:
            if source.streams.video[0].codec_context.extradata != extradata:
                raise MediaError(
                    f"{segment}: encoded with other settings than the segments before. Render again."
                )
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is None:
                    continue
                if index + 1 >= len(ticks):
                    raise ValueError(f"{segment}: more frames than the {len(ticks) - 1} of the plan")
                packet.time_base = time_base
                packet.pts = packet.dts = int(ticks[index])
                packet.duration = int(ticks[index + 1] - ticks[index])
                packets.append(packet)
                index += 1
        yield packets
    if index + 1 != len(ticks):
        raise ValueError(f"{segment}: {index} frames in all segments, {len(ticks) - 1} in the plan")


def sound_packets(source: InputContainer) -> Iterator[Packet]:
    """The packets of a file of `encode_audio`."""
    return (packet for packet in source.demux(source.streams.audio[0]) if packet.dts is not None)


def decoding_time(packet: Packet) -> Fraction:
    """Seconds on the film's clock."""
    assert packet.dts is not None
    return packet.dts * packet.time_base


def to_yuv(image: Image) -> VideoFrame:
    """RGB [H, W, 3] to a BT.709 limited-range 4:2:0 frame; odd sides are extended by one."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=_EXACT,
    )
    frame.color_primaries = frame.color_trc = _BT709
    return frame


def _video_stream(output: OutputContainer, shape: tuple[int, ...], rate: Fraction, cfg: EncodeConfig) -> Any:
    options = {
        "preset": cfg.preset,
        "crf": str(cfg.crf),
        "bf": "0",
        "x264-params": "open-gop=0" + _without_avx512(),
    }
    # typed Any: the stubs lack the colour tags of the codec context
    stream: Any = output.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height = shape[1] + shape[1] % 2, shape[0] + shape[0] % 2
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.gop_size = cfg.keyframe_interval
    codec.thread_count = cfg.encoder_threads
    codec.thread_type = "FRAME"
    codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
    codec.color_range = int(ColorRange.MPEG)
    return stream


@functools.cache
def _without_avx512(cpu_info: Path = Path("/proc/cpuinfo")) -> str:
    """Option of x264 that keeps it from AVX-512 where the processor has it, and "" elsewhere.

    With AVX-512 the macroblock tree of libx264 (in PyAV 18.1) reads memory that nobody has written: now and
    then the same frames give other bytes, so that a job run twice or on two machines differs.
    """
    try:
        flags = next(line for line in cpu_info.open(encoding="utf-8") if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return ""  # not Linux, or not x86
    return ":asm=avx2" if "avx512f" in flags and "avx2" in flags else ""


def _of_stream(stream: Any, packets: Iterable[Packet]) -> Iterator[Packet]:
    """Packets on their way into another stream."""
    for packet in packets:
        packet.stream = stream
        yield packet


def _exactly(blocks: Iterable[NDArray[np.int16]], total: int, channels: int) -> Iterator[NDArray[np.int16]]:
    """The first `total` samples of a stream, silence after its end."""
    left = total
    for block in blocks:
        if left == 0:
            return
        yield block[:left]
        left -= len(block[:left])
    while left:
        silence = min(left, 1 << 16)
        yield np.zeros((silence, channels), np.int16)
        left -= silence


@contextmanager
def _writing(path: Path, options: dict[str, str]) -> Iterator[OutputContainer]:
    """An mp4 under a temporary name in the same folder, renamed to `path` when it is complete."""
    temporary = _temporary(path)
    try:
        with av.open(
            f"file:{temporary.absolute()}", "w", format="mp4", options={**_BITEXACT, **options}
        ) as out:
            yield out
        os.replace(temporary, path)
    except (av.FFmpegError, OSError) as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")


def _cannot_write(path: Path, error: BaseException) -> MediaError:
    return MediaError(
        f"{path}: cannot write it ({reason(error)}). Free space, or choose a folder that you may write to."
    )
