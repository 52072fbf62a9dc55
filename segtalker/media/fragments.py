"""Fragmented MP4 while the segments of a film appear: bytes to play before the film is complete.

The film begins with `ftyp` and `moov`, which hold no frames; then a `moof` with its `mdat` follows for every
group of pictures, with the sound of the same seconds (ISO/IEC 14496-12, 8.8). Times are those of
`media.write.mux`: the picture starts where its first tick says, without an edit list, and the encoder's delay
of the sound is cut by an edit list of one entry, as players and browsers know it.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from segtalker.media.container import open_media
from segtalker.media.write import decoding_time, sound_packets, timed_packets

_MOVIE_TIMESCALE = 1000  # of `mvhd`, `mehd` and edit lists
_KEYFRAME, _DELTA = 0x0200_0000, 0x0101_0000  # sample_depends_on, sample_is_non_sync_sample
_BASE_IS_MOOF = 0x02_0000
_SAMPLES = 0x000701  # trun holds: data offset; duration, size and flags of each sample


def stream_fragments(
    segments: Iterable[Path], audio: Path | None, ticks: NDArray[np.int64], time_base: Fraction
) -> Iterator[bytes]:
    """The film that `mux` would write, as pieces of fragmented MP4.

    segments: files of `write_segment` in order; the next one is asked for when all that can be shown up to it
    has been handed out, so that it may still be in the making. audio, ticks and time_base: as in `mux`; the
    sound is complete from the start. Holds one segment at a time. The first piece is the head, each other one
    a whole fragment. Raises `MediaError` for segments of other settings, `ValueError` for a wrong number of
    frames.
    """
    waiting = iter(segments)
    first = next(waiting, None)
    if first is None:
        raise ValueError("a film needs at least one segment")
    with ExitStack() as inputs:
        picture = inputs.enter_context(open_media(first)).streams.video[0]
        sound = None if audio is None else inputs.enter_context(open_media(audio))
        heard = _Queue(iter(()) if sound is None else sound_packets(sound))
        delay = max(Fraction(0), -heard.next_time)
        templates: list[Stream] = [picture] if sound is None else [picture, sound.streams.audio[0]]
        head, timescales = _head(templates, time_base, Fraction(int(ticks[-1])) * time_base, delay)
        yield head

        tracks = [_Track(number, scale) for number, scale in enumerate(timescales, start=1)]
        runs = timed_packets(
            itertools.chain([first], waiting), picture.codec_context.extradata, ticks, time_base
        )
        numbers = itertools.count(1)
        for group in itertools.chain.from_iterable(map(_groups, runs)):
            samples = [tracks[0].samples(group, Fraction(0))]
            if sound is not None:
                samples.append(tracks[1].samples(heard.before(_end(group[-1])), delay))
            yield _fragment(next(numbers), samples)
        rest = heard.before(None)
        if rest:
            yield _fragment(next(numbers), [tracks[1].samples(rest, delay)])


class _Queue:
    """Packets of the sound, taken by time."""

    def __init__(self, packets: Iterator[Packet]) -> None:
        self._packets = packets
        self._next = next(packets, None)

    @property
    def next_time(self) -> Fraction:
        """Seconds; negative where the encoder's delay has yet to be cut."""
        return Fraction(0) if self._next is None else decoding_time(self._next)

    def before(self, end: Fraction | None) -> list[Packet]:
        """All packets that start before `end` seconds, or all that are left."""
        taken = []
        while self._next is not None and (end is None or self.next_time < end):
            taken.append(self._next)
            self._next = next(self._packets, None)
        return taken


@dataclass(frozen=True)
class _Samples:
    """What one track adds to one fragment."""

    track: int
    start: int
    """Media time of the first sample."""
    table: bytes
    """Rows of duration, size and flags."""
    data: list[bytes]


@dataclass(frozen=True)
class _Track:
    number: int
    timescale: int

    def samples(self, packets: list[Packet], delay: Fraction) -> _Samples:
        """delay: seconds by which the track's own clock is ahead of the film's."""
        rows = []
        for packet in packets:
            duration = self._units(_end(packet)) - self._units(decoding_time(packet))
            flags = _KEYFRAME if packet.is_keyframe else _DELTA
            rows.append(struct.pack(">III", duration, packet.size, flags))
        start = self._units(decoding_time(packets[0]) + delay) if packets else 0
        return _Samples(self.number, start, b"".join(rows), [bytes(packet) for packet in packets])

    def _units(self, time: Fraction) -> int:
        return round(time * self.timescale)


def _groups(packets: list[Packet]) -> Iterator[list[Packet]]:
    """The packets of a segment, cut before each keyframe."""
    starts = [index for index, packet in enumerate(packets) if index == 0 or packet.is_keyframe]
    for start, stop in itertools.pairwise([*starts, len(packets)]):
        yield packets[start:stop]


def _end(packet: Packet) -> Fraction:
    """Seconds on the film's clock."""
    assert packet.duration is not None
    return decoding_time(packet) + packet.duration * packet.time_base


def _fragment(number: int, tracks: list[_Samples]) -> bytes:
    """`moof` and `mdat`, the samples of each track in one run."""
    tracks = [track for track in tracks if track.data]
    offsets = [0] * len(tracks)
    for _ in range(2):  # the sizes do not depend on the offsets: the second round has them right
        moof = _box(
            b"moof", _full_box(b"mfhd", 0, 0, struct.pack(">I", number)), *map(_traf, tracks, offsets)
        )
        sizes = [sum(map(len, track.data)) for track in tracks]
        offsets = [len(moof) + 8 + before for before in itertools.accumulate([0, *sizes[:-1]])]
    return moof + _box(b"mdat", *itertools.chain.from_iterable(track.data for track in tracks))


def _traf(track: _Samples, offset: int) -> bytes:
    """offset: of the track's first sample, in bytes from the start of the `moof`."""
    return _box(
        b"traf",
        _full_box(b"tfhd", 0, _BASE_IS_MOOF, struct.pack(">I", track.track)),
        _full_box(b"tfdt", 1, 0, struct.pack(">Q", track.start)),
        _full_box(b"trun", 0, _SAMPLES, struct.pack(">Ii", len(track.data), offset), track.table),
    )


def _head(
    templates: list[Stream], time_base: Fraction, duration: Fraction, delay: Fraction
) -> tuple[bytes, list[int]]:
    """`ftyp` and `moov` of a film of copied streams, and the time units in a second of each track.

    time_base: of the picture, which the muxer refines. duration: seconds of the whole film. delay: seconds to
    be cut from the beginning of the second track.
    """
    file = io.BytesIO()
    options = {"movflags": "+empty_moov+default_base_moof", "fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", options=options) as output:
        streams = [output.add_stream_from_template(template) for template in templates]
        streams[0].time_base = time_base
        output.start_encoding()
        timescales = [int(1 / stream.time_base) for stream in streams if stream.time_base]
    boxes = dict(_boxes(file.getvalue()))
    tracks = itertools.count()
    children = []
    for kind, body in _boxes(boxes[b"moov"]):
        if kind == b"trak" and next(tracks) == 1 and delay:
            body = _starting_later(body, round(delay * timescales[1]))
        elif kind == b"mvex":
            length = struct.pack(">Q", round(duration * _MOVIE_TIMESCALE))
            body = _full_box(b"mehd", 1, 0, length) + body
        children.append(_box(kind, body))
    return _box(b"ftyp", boxes[b"ftyp"]) + _box(b"moov", *children), timescales


def _starting_later(trak: bytes, media_time: int) -> bytes:
    """A track whose first `media_time` units are decoded but not heard."""
    once = struct.pack(">IQqhh", 1, 0, media_time, 1, 0)  # a duration of 0: to the end of all fragments
    edits = _box(b"edts", _full_box(b"elst", 1, 0, once))
    parts = [
        _box(kind, body) + (edits if kind == b"tkhd" else b"")
        for kind, body in _boxes(trak)
        if kind != b"edts"
    ]
    return b"".join(parts)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes that stand one after the other."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)
