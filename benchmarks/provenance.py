"""Is the invisible mark found after what happens to videos, never where it is not, and not seen?

Every clip is marked, encoded as our own output (H.264, crf 18), and then treated: encoded again at crf 23
(`h264`), also at half size (`half`), after a crop of 10 % of both sides off the middle (`crop`), and after
both (`all`). A window is 4 s of video; people are synthetic, a real portrait, and scikit-
video's real clip of 176 x 144 px where that package is installed; a flat cartoon and pure noise are hard
cases.

detection_rate: share of treated windows that are found, whatever the clip and treatment. false_alarm_rate:
share of unmarked windows that are found. Each window (before and after the treatment `h264`) is searched for
many keys: the bound of the detector is over the toss of a key, for any fixed video, and the keys' tosses are
independent of one another, so that for each window the alarms of its keys are independent trials of exactly
the probability that is bounded; their share over all windows is the mean of these probabilities. It would not
be valid to count one key on overlapping or similar windows as independent. psnr_db, max_change: of the mark
alone, the worst clip. face: the same rates where only the face is marked. mark_ms: one thread's time for a
frame of 1280 x 720 px.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from benchmarks._provenance_clips import FPS, Clip, clips
from benchmarks._report import log, main, table
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig, write_segment
from segtalker.provenance.detect import Evidence, Finding, find_mark, find_marks
from segtalker.provenance.mark import draw_mark
from segtalker.types import Image

KEY, MESSAGE = "benchmark", 1234
TARGETS = {
    "detection_rate": ">= 0.95",
    "false_alarm_rate": "<= 0.0001",
    "psnr_db": ">= 42",
    "max_change": "<= 3",
    "mark_ms": "<= 10",
}


@dataclass
class Tally:
    """What is counted over all clips."""

    found: dict[str, list[bool]] = field(default_factory=dict)
    read: dict[str, list[bool]] = field(default_factory=dict)
    alarms: int = 0
    null_windows: int = 0
    least_chance: float = 1.0
    psnr_db: float = np.inf
    max_change: int = 0

    def note(self, treatment: str, finding: Finding) -> None:
        """One treated window."""
        self.found.setdefault(treatment, []).append(finding.is_marked)
        self.read.setdefault(treatment, []).append(finding.message == MESSAGE)


def run(quick: bool) -> dict[str, Any]:
    """All clips, both kinds of mark, and the unmarked windows."""
    whole, face = Tally(), Tally()
    rows = []
    for number, clip in enumerate(clips(quick, 100)):
        treatments = _treatments(number)
        rows.append(_score(clip, treatments, whole, face))
        _search_unmarked(clip, treatments["h264"], 10 if quick else 80, whole)
        log(f"{rows[-1]} null {whole.alarms}/{whole.null_windows}")
    table(rows)
    return {
        "detection_rate": _rate(whole.found),
        "false_alarm_rate": whole.alarms / whole.null_windows,
        "null_windows": whole.null_windows,
        "least_null_chance": whole.least_chance,
        "psnr_db": whole.psnr_db,
        "max_change": whole.max_change,
        "detection_by_treatment": {name: float(np.mean(hits)) for name, hits in whole.found.items()},
        "message_rate": _rate(whole.read),
        "face_detection_rate": _rate(face.found),
        "face_detection_by_treatment": {name: float(np.mean(hits)) for name, hits in face.found.items()},
        "windows": sum(map(len, whole.found.values())),
        "face_windows": sum(map(len, face.found.values())),
        "mark_ms": _mark_ms(),
        "clips": rows,
    }


def _score(clip: Clip, treatments: dict[str, Treatment], whole: Tally, face: Tally) -> dict[str, Any]:
    """One clip: chances by treatment, of the whole frame's and of the face's mark."""
    row: dict[str, Any] = {"clip": clip.name}
    marked = [draw_mark(image, KEY, MESSAGE) for image in clip.images]
    psnr, change = _visible(clip.images, marked)
    whole.psnr_db, whole.max_change = min(whole.psnr_db, psnr), max(whole.max_change, change)
    row["psnr_db"] = f"{psnr:.2f}"
    for where, tally, images in (("", whole, marked), ("face ", face, _marked_faces(clip))):
        if images is None:
            continue
        ours = _coded(images, 18)
        for name, treat in treatments.items():
            finding = find_mark(_evidence(treat(ours)), KEY)
            tally.note(name, finding)
            row[where + name] = f"{finding.chance:.0e}"
    return row


def _marked_faces(clip: Clip) -> list[Image] | None:
    if clip.faces is None:
        return None
    pairs = zip(clip.images, clip.faces, strict=True)
    return [draw_mark(image, KEY, MESSAGE, face) for image, face in pairs]


def _search_unmarked(clip: Clip, treat: Treatment, keys: int, tally: Tally) -> None:
    for images in (clip.images, treat(clip.images)):
        findings = find_marks(_evidence(images), [f"null {tally.null_windows + i}" for i in range(keys)])
        tally.null_windows += keys
        tally.alarms += sum(finding.is_marked for finding in findings)
        tally.least_chance = min([tally.least_chance, *(finding.chance for finding in findings)])


Treatment = Callable[[Sequence[Image]], list[Image]]


def _treatments(number: int) -> dict[str, Treatment]:
    """What is done to our own output; the crop lies elsewhere in every clip."""
    place = np.random.default_rng((number, 73)).uniform(size=2)

    def crop(images: Sequence[Image]) -> Iterator[Image]:
        for image in images:
            height, width = (int(0.9 * side) // 2 * 2 for side in image.shape[:2])
            y, x = (
                int(at * (side - kept))
                for at, side, kept in zip(place, image.shape[:2], (height, width), strict=True)
            )
            yield np.ascontiguousarray(image[y : y + height, x : x + width])

    def half(images: Sequence[Image] | Iterator[Image]) -> Iterator[Image]:
        for image in images:
            size = image.shape[1] // 4 * 2, image.shape[0] // 4 * 2
            yield np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    return {
        "h264": lambda images: _coded(images, 23),
        "half": lambda images: _coded(list(half(images)), 23),
        "crop": lambda images: _coded(list(crop(images)), 23),
        "all": lambda images: _coded(list(half(crop(images))), 23),
    }


def _coded(images: Sequence[Image], crf: int) -> list[Image]:
    """Frames after H.264, preset medium, as our own writer encodes them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp4"
        write_segment(images, path, Fraction(FPS), EncodeConfig(crf=crf, encoder_threads=1))
        return [frame.image for frame in read_frames(path)]


def _evidence(images: Sequence[Image]) -> Evidence:
    evidence = Evidence()
    for image in images:
        evidence.add(image)
    return evidence


def _visible(before: Sequence[Image], after: Sequence[Image]) -> tuple[float, int]:
    """PSNR (dB) over the clip, and the largest change of a value."""
    changes = [a.astype(np.int16) - b for a, b in zip(after, before, strict=True)]
    error = float(np.mean([np.square(change.astype(np.float32)).mean() for change in changes]))
    return float(10 * np.log10(255**2 / error)), max(int(abs(change).max()) for change in changes)


def _mark_ms() -> float:
    """Median time of a thread for one frame of 1280 x 720 px, pattern drawn before."""
    image = np.random.default_rng(74).integers(0, 256, (720, 1280, 3), np.uint8)
    draw_mark(image, KEY, MESSAGE)
    spent = []
    for _ in range(20):
        started = time.thread_time()
        draw_mark(image, KEY, MESSAGE)
        spent.append(time.thread_time() - started)
    return 1000 * float(np.median(spent))


def _rate(found: dict[str, list[bool]]) -> float:
    return float(np.mean([hit for hits in found.values() for hit in hits]))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main(__doc__, run, TARGETS)
