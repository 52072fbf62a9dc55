"""One clip of a video to training samples: what is seen and heard of one person, in pieces of some seconds.

Decoding, tracking, cutting and parsing are those of the dub (`tracking`, `extract`), so that a network meets
in use what it met in training. Frames stream: memory holds one piece, however long the clip is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.loudness import frame_energy
from segtalker.audio.mel import mel_steps
from segtalker.audio.source import SAMPLE_RATE
from segtalker.audio.speech import speech_tokens
from segtalker.data.manifest import ClipRow
from segtalker.data.shards import FPS, Packing, Sample
from segtalker.errors import DataError
from segtalker.extract import FaceReader, ParsedCrop, neighbours, style_frames
from segtalker.frames import FrameWindow
from segtalker.media.audio import Speech
from segtalker.source import FrameSource
from segtalker.storage import read_bytes
from segtalker.types import FaceTrack, Phone

_STEPS, _FRAMES = 16, 5
"""Mel steps that last as long as this many frames: pieces begin where both grids meet."""
_FRAME_SAMPLES = SAMPLE_RATE // FPS
_LOOKED_AT = 2000  # frames of a track among which those are chosen that show its colours


@dataclass(frozen=True)
class FieldsConfig:
    """What a sample holds beside maps, mel and speech tokens."""

    crops: bool = True
    """RGB crops; the renderer is trained on them."""
    raw: bool = True
    """Raw 19-label maps."""
    landmarks: bool = False
    """The face mesh in the unit crop."""
    jpeg: int = 95
    """Quality of stored crops, 1 to 100, without chroma subsampling; 0 stores them exactly."""
    compress: bool = True
    """Store maps compressed, without loss."""

    @property
    def packing(self) -> Packing:
        """How shards store the fields."""
        return Packing(self.jpeg, self.compress)

    def __post_init__(self) -> None:
        _ = self.packing  # refuses a quality that is none


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of one track that become one sample."""

    track: FaceTrack
    start: int
    """Grid frame of the clip; a multiple of five."""
    stop: int


class CutSpeech:
    """The speech of a time range as a `SampleSource`: what is said before and after is not heard."""

    def __init__(self, speech: Speech, start: Fraction, num_samples: int) -> None:
        """Samples from `start` seconds of the whole on; silence where the whole is shorter."""
        self._speech, self._first = speech, round(start * SAMPLE_RATE)
        self._length = num_samples

    @property
    def num_samples(self) -> int:
        """Samples of the range."""
        return self._length

    def samples(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [stop - start]; zero outside the range."""
        result = np.zeros(max(0, stop - start), np.float32)
        first, last = max(start, 0), min(stop, self._length)
        if first < last:
            result[first - start : last - start] = self._speech.samples(
                self._first + first, self._first + last
            )
        return result


def cut_pieces(tracks: Sequence[FaceTrack], longest: int, shortest: int) -> list[Piece]:
    """Pieces of at most `longest` frames; what is shorter than `shortest` is left out.

    The pieces of a track are about equally long, so that no short rest is lost at its end.
    """
    pieces = []
    for track in tracks:
        first = -(-track.start // _FRAMES) * _FRAMES
        length = track.stop - first
        count = max(1, -(-length // longest))
        size = -(-max(length, 1) // (count * _FRAMES)) * _FRAMES
        for start in range(first, track.stop, size):
            stop = min(start + size, track.stop)
            if stop - start >= shortest:
                pieces.append(Piece(track, start, stop))
    return pieces


def read_samples(
    source: FrameSource,
    speech: CutSpeech,
    pieces: Sequence[Piece],
    row: ClipRow,
    key: str,
    reader: FaceReader,
    fields: FieldsConfig,
    batch: int,
    provenance: Mapping[str, Any],
) -> Iterator[Sample]:
    """A sample for every piece, one after the other; `source` and `speech` are those of the clip `row`.

    batch: frames that are held at once while they are parsed.
    """
    window = FrameWindow(source)
    phones = read_phones(row.labels) if row.labels else ()
    colours: dict[int, Any] = {}
    for number, piece in enumerate(pieces):
        track = piece.track
        if track.track_id not in colours:
            some = np.arange(track.num_frames) % (1 + track.num_frames // _LOOKED_AT) == 0
            looks = style_frames(track, some, 8)
            frames = (next(iter(source.read(index, index + 1))) for index in looks)
            colours[track.track_id] = reader.fit(reader.cut(frames, track))
        arrays = _arrays_for(piece.stop - piece.start, reader.size, fields)
        for begin in range(piece.start, piece.stop, batch):
            indices = range(begin, min(begin + batch, piece.stop))
            held = window.get(neighbours(track, indices))
            parsed = list(reader.read(track, colours[track.track_id], held, indices).values())
            _store(arrays, begin - piece.start, parsed)
        yield Sample(
            key=f"{key}-{number:03d}",
            identity=row.identity,
            voice=row.voice or row.identity,
            engine=row.engine,
            split=row.split,
            phones=_phones_of(phones, row.start + Fraction(piece.start, FPS), piece.stop - piece.start),
            provenance={**provenance, "frames": [piece.start, piece.stop], "track": track.track_id},
            **_heard(speech, piece),
            **arrays,
        )


def read_phones(labels: str) -> tuple[Phone, ...]:
    """The phones in a file of labels, in seconds of the whole video."""
    try:
        rows = json.loads(read_bytes(labels))["phones"]
        return tuple(Phone(str(label), float(start), float(end)) for label, start, end in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{labels}: no labels with 'phones' [[label, start, end]] ({error!r}).") from error


def _heard(speech: CutSpeech, piece: Piece) -> dict[str, NDArray]:
    first, count = piece.start, piece.stop - piece.start
    step = first * _STEPS // _FRAMES
    return {
        "mel": mel_steps(speech, step, step + count * _STEPS // _FRAMES + 1),
        "tokens": speech_tokens(speech, first, first + count),
        "energy": frame_energy(
            speech.samples(first * _FRAME_SAMPLES, (first + count) * _FRAME_SAMPLES), count
        ),
    }


def _arrays_for(count: int, size: int, fields: FieldsConfig) -> dict[str, NDArray]:
    arrays: dict[str, NDArray] = {"maps": np.empty((count, size, size), np.uint8)}
    if fields.crops:
        arrays["crops"] = np.empty((count, size, size, 3), np.uint8)
    if fields.raw:
        arrays["raw"] = np.empty((count, size, size), np.uint8)
    if fields.landmarks:
        arrays["landmarks"] = np.empty((count, 468, 2), np.float16)
    return arrays


def _store(arrays: Mapping[str, NDArray], at: int, parsed: Sequence[ParsedCrop]) -> None:
    for i, item in enumerate(parsed, start=at):
        arrays["maps"][i] = item.parsed.region_map
        if "crops" in arrays:
            arrays["crops"][i] = item.crop.image
        if "raw" in arrays:
            arrays["raw"][i] = item.parsed.raw
        if "landmarks" in arrays:
            arrays["landmarks"][i] = item.crop.landmarks / len(item.crop.image)


def _phones_of(phones: Sequence[Phone], start: Fraction, frames: int) -> tuple[Phone, ...]:
    """The phones that are heard in a piece, on its own clock."""
    begin, length = float(start), frames / FPS
    moved = (Phone(p.label, max(p.start_s - begin, 0.0), min(p.end_s - begin, length)) for p in phones)
    return tuple(phone for phone in moved if phone.end_s > phone.start_s)
