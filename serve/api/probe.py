"""Look at one uploaded file and print what it is, as `python -m serve.api.probe KIND FILE`.

Runs in a process of its own, because decoders meet bytes of strangers here: it bounds its own memory and
processor time and gives up writing before it opens the file. KIND is `video` (a film or a portrait),
`speech`, `tensors` (a file of numbers), `picture` or `map`; the last two are decoded wholly, and their pixels
follow the JSON line.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODED_PACKETS = 40
"""So many packets of a stream must hold a frame; some codecs give the first one late."""
_OPEN_FILES = 64
_FORMATS = frozenset(
    {"mov", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "mxf", "dv", "nut"}
    | {"ivf", "m4v", "h264", "hevc", "yuv4mpegpipe", "gif", "apng", "image2", "webp"}
    | {"wav", "w64", "aiff", "caf", "mp3", "flac", "aac", "amr", "au"}
)
"""What people film, record and draw with; the library also takes text for a terminal's film."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MAP_SIDE = 2048
_TENSOR_BYTES = 64 << 20


class Unusable(Exception):
    """The file is not what it should be; the message names it as `it`."""


@dataclass(frozen=True)
class Found:
    """What the file holds; zeros where a kind has no such thing."""

    kind: str
    width: int = 0
    height: int = 0
    duration_s: float = 0.0
    frames: int = 0
    is_image: bool = False
    channels: int = 0
    """Of the pixels that follow."""


def main() -> int:
    """Exit status 0 with a JSON line {"found": ...} or {"unusable": sentence}."""
    parser = argparse.ArgumentParser(prog="python -m serve.api.probe", description=__doc__)
    parser.add_argument("kind", choices=sorted(_KINDS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--memory-mb", type=int, default=2048)
    parser.add_argument("--cpu-s", type=int, default=30)
    parser.add_argument("--side-px", type=int, default=4096)
    arguments = parser.parse_args()
    give_up_rights(arguments.memory_mb, arguments.cpu_s)
    pixels = None
    try:
        found, pixels = _KINDS[arguments.kind](arguments.file, arguments.side_px)
        answer: dict[str, Any] = {"found": asdict(found)}
    except (Unusable, MemoryError) as error:
        answer = {"unusable": str(error) or "it needs more memory than a file of this kind may"}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    if pixels is not None:
        sys.stdout.buffer.write(pixels.tobytes())
    sys.stdout.buffer.flush()
    return 0


def give_up_rights(memory_mb: int, cpu_s: int) -> None:
    """Hard limits of this process: address space, processor time, no file written, few opened, no core."""
    for what, limit in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        lowered = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (lowered, lowered))


def look_at_video(path: Path, side_px: int) -> tuple[Found, None]:
    """A film, or a still portrait."""
    return _first_frame(path, side_px)[0], None


def look_at_picture(path: Path, side_px: int) -> tuple[Found, NDArray[np.uint8]]:
    """Upright RGB pixels of a still picture."""
    found, image = _first_frame(path, side_px)
    if not found.is_image:
        raise Unusable("it is a film, not a picture; send one frame as PNG or JPEG")
    return replace(found, kind="picture", channels=3), image


def look_at_speech(path: Path, side_px: int) -> tuple[Found, None]:
    """Decode the beginning of the first sound stream, then read the times of its packets."""
    from segtalker.media.container import audio_stream, open_media

    with _told(path), open_media(path) as container:
        _check_format(container)
        frame, extent = _scan(container, audio_stream(container, path), Fraction(1, 50))
        if frame is None:
            raise Unusable("no sound of it can be decoded; record or export it again")
        return Found("speech", duration_s=float(extent.duration), frames=extent.packets), None


def look_at_map(path: Path, side_px: int) -> tuple[Found, NDArray[np.uint8]]:
    """The labels of a grey 8-bit PNG."""
    data = path.read_bytes()
    if not data.startswith(_PNG) or len(data) < 33:
        raise Unusable("it is not a PNG; send the region map as grey 8-bit PNG")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (depth, colour) != (8, 0):
        raise Unusable("it is a PNG, but not grey with 8 bits a pixel; save it as such")
    _check_sides(width, height, min(side_px, _MAP_SIDE))
    import cv2
    import numpy as np

    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise Unusable("the PNG is damaged; save it again")
    return Found("map", width, height, frames=1, is_image=True, channels=1), np.asarray(labels, np.uint8)


def look_at_tensors(path: Path, side_px: int) -> tuple[Found, None]:
    """Named arrays, such as a fitted direction; their format holds no code."""
    from safetensors import SafetensorError, safe_open

    if path.stat().st_size > _TENSOR_BYTES:
        raise Unusable(f"it has more than {_TENSOR_BYTES >> 20} MB of numbers; a direction has few")
    try:
        with safe_open(str(path), "numpy") as file:
            return Found("tensors", frames=len(file.keys())), None
    except (SafetensorError, OSError) as error:
        raise Unusable("it is no .safetensors file; send it as it was written") from error


_KINDS: dict[str, Callable[[Path, int], tuple[Found, Any]]] = {
    "video": look_at_video,
    "speech": look_at_speech,
    "picture": look_at_picture,
    "map": look_at_map,
    "tensors": look_at_tensors,
}


def _first_frame(path: Path, side_px: int) -> tuple[Found, NDArray[np.uint8]]:
    """Decode the first frame, then read the times of all packets without decoding them."""
    from segtalker.media.container import open_media, video_stream
    from segtalker.media.read import read_frames, to_rgb

    with _told(path), open_media(path) as container:
        _check_format(container)
        stream = video_stream(container, path)
        codec = stream.codec_context
        codec.thread_count = 1  # threads take address space, and one frame needs none
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        _check_sides(codec.width, codec.height, side_px, aspect)
        frame, extent = _scan(container, stream, 1 / Fraction(stream.guessed_rate or 25))
        if frame is None:
            raise Unusable("no frame of it can be decoded; export it again")
        _check_sides(frame.width, frame.height, side_px, aspect)
        is_still = container.format.name == "image2" or container.format.name.endswith("_pipe")
        is_image = is_still or extent.packets == 1
        image = next(read_frames(path, 0, 1)).image if is_still else to_rgb(frame, aspect)
        height, width = image.shape[:2]
        duration = 0.0 if is_image else float(extent.duration)
        return Found("video", width, height, duration, extent.packets, is_image), image


@dataclass
class _Extent:
    """The times that the packets of a stream cover."""

    packets: int = 0
    first: Fraction | None = None
    last: Fraction = Fraction(0)
    end: Fraction = Fraction(0)
    before: Fraction = Fraction(0)
    """Seconds of what came before the clock jumped back, and of packets without a time."""

    def add(self, packet: Any, usual: Fraction) -> None:
        """Count a packet; `usual` is how long one lasts that does not say."""
        base = packet.time_base or Fraction(1)
        lasts = packet.duration * base if packet.duration else usual
        self.packets += 1
        if packet.dts is None and packet.pts is None:
            self.before += lasts
            return
        decoded = (packet.dts if packet.dts is not None else packet.pts) * base
        shown = (packet.pts if packet.pts is not None else packet.dts) * base
        if self.first is None or decoded < self.last:
            self.before = self.duration
            self.first, self.end = shown, shown
        self.first, self.last = min(self.first, shown), decoded
        self.end = max(self.end, shown + lasts)

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.before + (self.end - self.first if self.first is not None else 0)


def _scan(container: Any, stream: Any, usual: Fraction) -> tuple[Any, _Extent]:
    """The first frame that decodes, and the extent of the stream; a damaged end is where it ends."""
    import av

    extent, frame, packets = _Extent(), None, container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        is_end = packet is None or (packet.size == 0 and packet.dts is None)
        if not is_end:
            extent.add(packet, usual)
        if frame is None and (is_end or extent.packets <= _DECODED_PACKETS):
            try:
                frame = next(iter(stream.codec_context.decode(None if is_end else packet)), None)
            except (av.FFmpegError, EOFError):
                frame = None
        if is_end:
            return frame, extent


def _check_format(container: Any) -> None:
    names = set(container.format.name.split(","))
    if not (names & _FORMATS or container.format.name.endswith("_pipe")):
        raise Unusable(f"files of the kind {container.format.name} are not taken; send MP4, WebM, WAV or PNG")


def _check_sides(width: int, height: int, side_px: int, aspect: Fraction = Fraction(1)) -> None:
    """Sides as they are shown: of pixels `aspect` times as wide as high, the shorter side is stretched."""
    width, height = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    if max(width, height) > side_px:
        raise Unusable(f"it is {width} x {height} pixels large; the longest side may have {side_px}")


class _told:
    """Turns the library's sentences, which begin with the path, into ones about `it`."""

    def __init__(self, path: Path) -> None:
        self._start = f"{path}: "

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        from segtalker.errors import SegTalkerError

        if isinstance(error, SegTalkerError):
            text = str(error)
            told = text.removeprefix(self._start) if text.startswith(self._start) else "it cannot be read"
            raise Unusable(told) from error


if __name__ == "__main__":
    sys.exit(main())
