"""Stream the frames of any video or picture, by exact index.

What comes out is always upright RGB with square pixels: the display rotation (display matrix, EXIF) is
applied; a sample aspect ratio further than 2 % from 1 is resampled by enlarging the shorter direction;
transparent pixels lie on black; 10-bit is reduced to 8; an untagged picture is taken as BT.709 above standard
definition, else as BT.601. Interlaced frames are not split, high dynamic range is not tone-mapped.

The frame table (`frame_times`) is the law: a frame that is announced but cannot be decoded is replaced by the
one before it, so that its neighbours never shift, and the loss is reported.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from segtalker.errors import MediaError
from segtalker.media.container import MediaWarning, open_media, video_stream
from segtalker.media.index import FrameTable, decode_packets, frame_table
from segtalker.types import Frame, Image, VideoInfo

OnLoss = Callable[[str], None]
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
_SQUARE_TOLERANCE = Fraction(2, 100)
_MAX_RUN_GAP = 48  # frames that are cheaper to decode than to seek over
_REVERSE_BLOCK = 16  # frames held at once when reading backward


def probe(path: Path | str) -> VideoInfo:
    """Size, rate and number of frames of a video or picture.

    Demuxes the whole file once (common codecs are not decoded); sizes are those of the frames that
    `read_frames` yields. Raises `MediaError` where there is nothing to read.
    """
    table = frame_table(path)
    first = next(read_frames(path, 0, 1, on_loss=_ignore), None)
    if first is None:
        raise MediaError(f"{path}: no frame can be decoded. Export the video again.")
    height, width = first.image.shape[:2]
    return VideoInfo(
        path=Path(path),
        width=width,
        height=height,
        frame_rate=table.frame_rate,
        num_frames=len(table),
        is_vfr=table.is_vfr,
        has_audio=table.has_audio,
        is_image=table.is_image,
    )


def frame_times(path: Path | str) -> list[Fraction]:
    """Seconds at which each frame is shown, strictly increasing, the first at 0."""
    table = frame_table(path)
    return [int(tick) * table.tick for tick in table.ticks]


def losses(path: Path | str) -> tuple[str, ...]:
    """Sentences on what the file announces but does not hold (cut short, damaged); usually empty."""
    return frame_table(path).losses


def read_frames(
    path: Path | str,
    start: int = 0,
    stop: int | None = None,
    max_side: int | None = None,
    on_loss: OnLoss | None = None,
) -> Iterator[Frame]:
    """Frames `start`..`stop` - 1 in presentation order, decoded as they are asked for.

    max_side: frames whose longer side exceeds it are reduced to it, the aspect ratio kept. on_loss: told in a
    sentence about frames that do not decode; by default a `MediaWarning`.
    """
    table = frame_table(path)
    stop = len(table) if stop is None else min(stop, len(table))
    if start < 0:
        raise ValueError(f"start = {start} is negative")
    if start >= stop:
        return
    if table.is_image:
        yield Frame(0, Fraction(0), _read_still(Path(path), table, max_side))
        return
    lost: list[int] = []
    held: tuple[VideoFrame, Fraction] | None = None
    wanted = start
    for index, frame, aspect in _decode_from(Path(path), table, start):
        if held is None and index > start:
            held = frame, aspect  # nothing before it decodes
        while held is not None and wanted < min(index, stop):
            lost.append(wanted)
            yield Frame(wanted, table.time(wanted), to_rgb(*held, max_side))
            wanted += 1
        held = frame, aspect
        if index == wanted < stop:
            yield Frame(wanted, table.time(wanted), to_rgb(*held, max_side))
            wanted += 1
        if wanted == stop:
            break
    if held is None:
        raise MediaError(
            f"{path}: no frame decodes at {float(table.time(start)):.2f} s. Export the video again."
        )
    while wanted < stop:
        lost.append(wanted)
        yield Frame(wanted, table.time(wanted), to_rgb(*held, max_side))
        wanted += 1
    if lost:
        (on_loss or _warn)(
            f"{path}: {len(lost)} of {stop - start} frames do not decode, the first at "
            f"{float(table.time(lost[0])):.2f} s; the nearest frame before stands in for each."
        )


def read_sequence(
    path: Path | str, indices: Sequence[int], max_side: int | None = None, on_loss: OnLoss | None = None
) -> Iterator[Frame]:
    """The frames of a list of indices, in its order: forward, backward, repeated, with gaps.

    Holds at most a few frames: repeats are decoded once, backward runs are decoded in small blocks.
    """
    position = 0
    while position < len(indices):
        run = _run_length(indices, position)
        wanted = indices[position : position + run]
        position += run
        low, high = min(wanted), max(wanted)
        frames = read_frames(path, low, high + 1, max_side, on_loss)
        if wanted[-1] < wanted[0]:
            block = {frame.index: frame for frame in frames}
            yield from (block[index] for index in wanted)
            continue
        frame = next(frames, None)
        for index in wanted:
            while frame is not None and frame.index < index:
                frame = next(frames, None)
            if frame is None:
                raise IndexError(f"{path}: frame {index} is out of range")
            yield frame


def to_rgb(frame: VideoFrame, aspect: Fraction = Fraction(1), max_side: int | None = None) -> Image:
    """Upright RGB [H, W, 3] uint8 of a decoded frame whose pixels are `aspect` times as wide as high."""
    width, height = _square_size(frame.width, frame.height, aspect)
    if max_side is not None and max(width, height) > max_side:
        scale = Fraction(max_side, max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    has_alpha = (
        any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
    )
    is_reduced = width < frame.width or height < frame.height
    untagged = Colorspace.ITU709 if max(frame.width, frame.height * 16 / 9) >= 1280 else Colorspace.ITU601
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgba" if has_alpha else "rgb24",
        src_colorspace=untagged if frame.colorspace == _UNTAGGED else None,
        dst_color_range=ColorRange.JPEG,
        interpolation=(Interpolation.AREA if is_reduced else Interpolation.BILINEAR) | _EXACT,
    )
    image = np.asarray(converted.to_ndarray(), dtype=np.uint8)
    if has_alpha:
        alpha = image[..., 3:].astype(np.uint16)
        image = ((image[..., :3] * alpha + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(_upright(image, frame))


def _read_still(path: Path, table: FrameTable, max_side: int | None) -> Image:
    _, frame, aspect = next(_decode_from(path, table, 0))
    try:
        return to_rgb(frame, aspect, max_side)
    except ValueError:  # PyAV 18 cannot list side data that contains EXIF; OpenCV applies its orientation
        image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
    height, width = image.shape[:2]
    if max_side is not None and max(height, width) > max_side:
        scale = max_side / max(height, width)
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image, np.uint8)


def _decode_from(path: Path, table: FrameTable, start: int) -> Iterator[tuple[int, VideoFrame, Fraction]]:
    """Decoded frames with their indices and pixel aspect, the first not after `start` if that is possible."""
    nearest = int(np.searchsorted(table.key_indices, start, side="right")) - 1
    for key in sorted({max(0, nearest - back) for back in range(3)} | {0}, reverse=True):
        with open_media(path) as container:
            stream = video_stream(container, path)
            stream.codec_context.thread_type = "AUTO"
            aspect = Fraction(stream.sample_aspect_ratio or 1)
            if key > 0:
                container.seek(int(table.key_dts[key]), stream=stream, backward=True)
            decoded = decode_packets(container, stream, _ignore, skip_to_key=len(table.pts) > 0)
            numbered = _number(decoded, table)
            first = next(numbered, None)
            if first is None or (first[0] > start and key > 0):
                continue  # the file's seek table is off: start earlier
            yield *first, aspect
            for index, frame in numbered:
                yield index, frame, aspect
            return


def _number(frames: Iterator[VideoFrame], table: FrameTable) -> Iterator[tuple[int, VideoFrame]]:
    """Give decoded frames their index, by timestamp where the table has them, else by counting."""
    if len(table.pts) == 0:
        yield from enumerate(frames)
        return
    previous = -1
    for frame in frames:
        if frame.pts is None:
            continue
        index = max(int(np.searchsorted(table.pts, frame.pts)), previous + 1)
        if index < len(table) and table.pts[index] == frame.pts:
            previous = index
            yield index, frame


def _square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    if aspect <= 0 or abs(aspect - 1) <= _SQUARE_TOLERANCE:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def _upright(image: Image, frame: VideoFrame) -> Image:
    """Apply the display matrix x' = a x + c y, y' = b x + d y; quarter turns and mirrors only."""
    side_data: Any = frame.side_data
    matrix = side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        image = image.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        image = image[:, ::-1]
    return image[::-1] if d < 0 else image


def _run_length(indices: Sequence[int], position: int) -> int:
    """How many indices from `position` on one pass over the file can serve."""
    end = position + 1
    while end < len(indices) and 0 <= indices[end] - indices[end - 1] <= _MAX_RUN_GAP:
        end += 1
    if end > position + 1:
        return end - position
    while (
        end < len(indices) and end - position < _REVERSE_BLOCK and 0 <= indices[end - 1] - indices[end] <= 1
    ):
        end += 1
    return end - position


def _warn(message: str) -> None:
    warnings.warn(message, MediaWarning, stacklevel=3)


def _ignore(message: str) -> None:
    del message
