"""The frame table of a video: what decodes, when it is shown, and where decoding may start.

The table is made by demuxing alone wherever packets tell the truth about frames; files without timestamps,
with time going backward, or of codecs that hide or repeat frames are decoded once instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from segtalker.errors import MediaError
from segtalker.media.container import open_media, reason, video_stream

DEFAULT_RATE = Fraction(25)
_ONE_PACKET_ONE_FRAME = {"h264", "hevc", "av1", "vp9", "mpeg2video", "mpeg4", "prores", "dnxhd"}
_ONE_PACKET_ONE_FRAME |= {"mjpeg", "ffv1", "ffvhuff", "huffyuv", "png", "qtrle", "rawvideo", "gif"}
_PICTURE_BRANDS = ("avif", "mif1", "heic", "heix")  # pictures in the container of mp4
_NOMINAL = [Fraction(n) for n in (5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)]
_NOMINAL += [Fraction(n * 1000, 1001) for n in (15, 24, 30, 48, 60, 120, 240)]
_OUTLASTED_S = Fraction(1, 2)
"""Sound often ends a little later than the pictures; by more than this the user is told."""


@dataclass(frozen=True)
class FrameTable:
    """Every frame of one video in presentation order."""

    ticks: NDArray[np.int64]
    """[N] strictly increasing display times from the first frame, in units of `tick`."""
    tick: Fraction
    """Seconds."""
    pts: NDArray[np.int64]
    """[N] the container's own timestamps, by which decoded frames are recognised; empty if they cannot be."""
    key_indices: NDArray[np.int64]
    """Frames at which decoding may start, ascending; only frame 0 if timestamps cannot be used."""
    key_dts: NDArray[np.int64]
    """Their decoding timestamps, to seek by."""
    start_s: Fraction
    """The container's time of the first frame."""
    frame_rate: Fraction
    is_vfr: bool
    is_image: bool
    has_audio: bool
    losses: tuple[str, ...]
    """What is missing from the file, in sentences."""

    def __len__(self) -> int:
        return len(self.ticks)

    def time(self, index: int) -> Fraction:
        """Seconds from the first frame to frame `index`."""
        return int(self.ticks[index]) * self.tick


def frame_table(path: Path | str) -> FrameTable:
    """The frame table of a file; kept for the next call while the file does not change."""
    path = Path(path)
    try:
        stat = path.stat()
    except OSError:
        open_media(path)  # says why
        raise
    return _frame_table(path.absolute(), stat.st_mtime_ns, stat.st_size)


@dataclass(frozen=True)
class _Packets:
    """Timestamps of the frames that packets announce, in decoding order."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    is_trimmed: NDArray[np.bool_]
    """Decoded for the sake of later frames but never shown (an edit list starts after them)."""
    num_read: int
    failure: str | None


@lru_cache(maxsize=16)
def _frame_table(path: Path, modified_ns: int, size: int) -> FrameTable:
    with open_media(path) as container:
        stream = video_stream(container, path)
        may_be_still = (
            container.format.name in ("gif", "apng", "webp")
            or container.metadata.get("major_brand", "") in _PICTURE_BRANDS
        )
        is_still = container.format.name == "image2" or container.format.name.endswith("_pipe")
        is_avi = container.format.name == "avi"
        has_audio = any(s.codec_context is not None for s in container.streams.audio)
        candidates = [stream.guessed_rate, stream.average_rate, stream.base_rate]
        base = Fraction(stream.time_base or Fraction(1, 90000))
        promised = int(stream.frames)
        announced_end = Fraction((container.start_time or 0) + (container.duration or 0), 1_000_000)
        packets = None if is_still else _demux(container, stream)
    is_timed = packets is not None and not is_avi
    if packets is not None:
        pts, keys, key_dts = _presentation_order(packets)
        failure = packets.failure
    else:
        raw, failure = _decode_times(path, candidates, base)
        pts, keys, key_dts = raw, np.zeros(1, np.int64), np.zeros(1, np.int64)
    if len(pts) == 0:
        raise MediaError(
            f"{path}: its video stream has no frame that can be decoded"
            f"{f' ({failure})' if failure else ''}. Export the video again."
        )
    ticks, tick, rate, is_vfr = _display_times(pts, base, candidates)
    losses = (
        [f"{path}: reading stopped after {len(pts)} frames ({failure}); the rest is lost."] if failure else []
    )
    if not failure and packets is not None and promised > packets.num_read:
        losses.append(
            f"{path}: cut short: {packets.num_read} of {promised} announced frames are in the file."
        )
    longest = int(np.diff(ticks).max(initial=0))  # so long may the last frame be shown
    end = int(pts[0]) * base + (int(ticks[-1]) + longest) * tick
    if not (losses or is_still or promised) and announced_end - end > _OUTLASTED_S:
        losses.append(
            f"{path}: its pictures end at {float(end):.2f} s of the {float(announced_end):.2f} s that it "
            "announces: it may be cut short or damaged there."
        )
    return FrameTable(
        ticks=ticks,
        tick=tick,
        pts=pts if is_timed else np.zeros(0, np.int64),
        key_indices=keys if is_timed else np.zeros(1, np.int64),
        key_dts=key_dts if is_timed else np.zeros(1, np.int64),
        start_s=int(pts[0]) * base,
        frame_rate=rate,
        is_vfr=is_vfr,
        is_image=len(pts) == 1 and (is_still or may_be_still),
        has_audio=has_audio,
        losses=tuple(losses),
    )


def _demux(container: InputContainer, stream: VideoStream) -> _Packets | None:
    """Packet times, or None where only decoding tells the frames."""
    codec = stream.codec_context
    if codec.name not in _ONE_PACKET_ONE_FRAME:
        return None
    if codec.name in ("h264", "hevc") and _is_interlaced(codec):
        return None  # a packet may be one field
    is_avi = container.format.name == "avi"  # it has decoding times only; they are evenly spread
    rows: list[tuple[int, int, bool, bool]] = []
    num_read = 0
    failure = None
    try:
        for packet in container.demux(stream):
            if packet.size == 0 and packet.dts is None:
                continue  # the end
            num_read += 1
            if not (rows or packet.is_keyframe):
                continue  # before the first frame that can be decoded
            dts = packet.dts if packet.dts is not None else packet.pts
            pts = dts if is_avi else packet.pts
            if pts is None or dts is None:
                return None
            if rows and dts < rows[-1][1]:
                return None  # time goes backward
            rows.append((pts, dts, bool(packet.is_keyframe), bool(packet.is_discard)))
    except av.FFmpegError as error:
        failure = reason(error)
    return _Packets(
        pts=np.array([row[0] for row in rows], np.int64),
        dts=np.array([row[1] for row in rows], np.int64),
        is_key=np.array([row[2] for row in rows], bool),
        is_trimmed=np.array([row[3] for row in rows], bool),
        num_read=num_read,
        failure=failure,
    )


def _is_interlaced(codec: av.VideoCodecContext) -> bool:
    return getattr(codec, "field_order", 0) not in (0, 1)  # unknown, progressive


def _presentation_order(
    packets: _Packets,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sorted pts, indices of keyframes among them, and the keyframes' dts.

    Frames shown before the first keyframe cannot be decoded and are left out. Index 0 is always reached from
    the beginning of the file, whose keyframe may be trimmed.
    """
    if len(packets.pts) == 0:
        return packets.pts, packets.pts, packets.pts
    shown = (packets.pts >= packets.pts[0]) & ~packets.is_trimmed
    pts = np.sort(packets.pts[shown])
    key = packets.is_key & shown
    indices = np.searchsorted(pts, packets.pts[key])
    later = np.flatnonzero(indices > 0)
    later = later[np.argsort(indices[later], kind="stable")]
    return pts, np.append(0, indices[later]), np.append(packets.dts[0], packets.dts[key][later])


def _decode_times(
    path: Path, rates: Sequence[Fraction | None], base: Fraction
) -> tuple[NDArray[np.int64], str | None]:
    """Times of all frames that decode, in decoding order, made monotonic with the usual step."""
    rate = next((rate for rate in rates if rate), DEFAULT_RATE)
    step = max(1, round(1 / (rate * base)))
    times: list[int] = []
    offset = 0
    failures: list[str] = []
    for frame in decode_all(path, failures.append):
        if frame.pts is None:
            times.append(times[-1] + step if times else 0)
            continue
        if times and frame.pts + offset <= times[-1]:
            offset = times[-1] + step - frame.pts
        times.append(frame.pts + offset)
    return np.array(times, np.int64), failures[0] if failures and not times else None


def decode_all(path: Path | str, on_failure: Callable[[str], None]) -> Iterator[VideoFrame]:
    """Every frame that decodes, from the first; packets that do not are told to `on_failure` and skipped."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_type = "AUTO"
        yield from decode_packets(container, stream, on_failure)


def decode_packets(
    container: InputContainer,
    stream: VideoStream,
    on_failure: Callable[[str], None],
    skip_to_key: bool = False,
) -> Iterator[VideoFrame]:
    """Decode from where the container stands; with `skip_to_key`, from the next keyframe on."""
    packets = container.demux(stream)
    packet = None
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            on_failure(reason(error))
            packet = None
        is_end = packet is None or (packet.size == 0 and packet.dts is None)
        if not is_end and packet is not None:
            if packet.size == 0 or (skip_to_key and not packet.is_keyframe):
                continue
            skip_to_key = False
        try:
            yield from stream.codec_context.decode(None if is_end else packet)
        except EOFError:
            return
        except av.FFmpegError as error:
            on_failure(reason(error))
        if is_end:
            return


def _display_times(
    pts: NDArray[np.int64], base: Fraction, rates: Sequence[Fraction | None]
) -> tuple[NDArray[np.int64], Fraction, Fraction, bool]:
    """Ticks from the first frame, the tick, the frame rate, and whether the rate varies.

    A constant rate that the container rounds to its own clock (Matroska: 1 ms) is made exact again. Equal
    times are moved one tick later.
    """
    count = len(pts)
    relative = pts - pts[0]
    if count == 1:
        rate = next((Fraction(rate) for rate in rates if rate), DEFAULT_RATE)
        return relative, base, rate, False
    mean = Fraction(count - 1, max(1, int(relative[-1]))) / base
    declared = [_nominal(Fraction(rate)) for rate in rates if rate]
    near = sorted(_NOMINAL, key=lambda nominal: abs(nominal - mean))[:2]
    for rate in [*declared, *near, mean.limit_denominator(100_000)]:
        period = float(1 / (rate * base))
        if np.abs(relative - np.arange(count) * period).max() <= min(1.0, 0.25 * period) + 1e-9 * count:
            return (
                np.arange(count, dtype=np.int64) * rate.denominator,
                Fraction(1, rate.numerator),
                rate,
                False,
            )
    # max over j <= i of relative[j] + (i - j): the smallest strictly increasing times not before theirs
    steps = np.arange(count)
    ticks = np.maximum.accumulate(relative - steps) + steps
    return ticks, base, mean.limit_denominator(100_000), True


def _nominal(rate: Fraction) -> Fraction:
    """The standard rate that `rate` approximates (19001/634 -> 30000/1001), or `rate` itself."""
    nearest = min(_NOMINAL, key=lambda nominal: abs(nominal - rate))
    return nearest if abs(nearest / rate - 1) < Fraction(2, 10_000) else rate
