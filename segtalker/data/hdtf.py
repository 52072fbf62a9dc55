"""HDTF, the high-resolution audio-visual dataset, from its own text files.

Zhang et al., "Flow-guided One-shot Talking Face Generation with a High-resolution Audio-visual Dataset", CVPR
2021; github.com/MRzzm/HDTF, folder HDTF_dataset. Five files each for the subsets RD, WDA and WRA say which
YouTube video holds which clips and where the face is. They are read with all their quirks: a byte order mark,
missing last newlines, trailing spaces, URLs with tails, clips without a box, a video without times, heights
of 0, one video under two names. The videos are not part of HDTF; whoever downloads them needs the right to.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import PurePosixPath

from segtalker.data.hdtf_text import box, lines, number, time_range, video_id
from segtalker.data.manifest import VIDEO_SUFFIXES, ClipRow, CropBox, SplitConfig, split_of, unique_rows
from segtalker.errors import DataError
from segtalker.storage import Uri, exists, join, list_files

SUBSETS = ("RD", "WDA", "WRA")
KNOWN_COUNTS: Mapping[str, float] = {
    "videos with a URL": 370,
    "videos with times": 369,
    "clips": 436,
    "clips with a box": 421,
    "hours": 17.07,
}
"""What the files of the published repository hold (state of October 2021)."""


@dataclass(frozen=True)
class HDTFClip:
    """One annotated clip of a video."""

    index: int
    start_s: int
    end_s: int
    box: tuple[int, int, int, int] | None = None
    """Left, width, top, height (the order of the file) in pixels of the video's `height`."""
    ratio: float | None = None
    """By how much the authors enlarged the detected face to the box."""


@dataclass(frozen=True)
class HDTFVideo:
    """One line of the lists of videos."""

    subset: str
    name: str
    url: str | None
    video_id: str | None
    """YouTube's id."""
    height: int
    """Of the rendition that the boxes were measured on; 0 where the list does not say."""
    clips: tuple[HDTFClip, ...]
    identity: str

    @property
    def file_stem(self) -> str:
        """The name under which the video is stored."""
        return f"{self.subset}_{self.name}"


@dataclass(frozen=True)
class HDTF:
    """What the text files say."""

    videos: tuple[HDTFVideo, ...]
    notes: tuple[str, ...] = field(default=())
    """What is odd about them, in sentences."""

    def counts(self) -> dict[str, float]:
        """The figures of `KNOWN_COUNTS`, counted."""
        clips = [clip for video in self.videos for clip in video.clips]
        return {
            "videos with a URL": sum(video.url is not None for video in self.videos),
            "videos with times": sum(bool(video.clips) for video in self.videos),
            "clips": len(clips),
            "clips with a box": sum(clip.box is not None for clip in clips),
            "hours": round(sum(clip.end_s - clip.start_s for clip in clips) / 3600, 2),
        }


def read_hdtf(folder: Uri) -> HDTF:
    """Parse the text files; `folder` is the repository or its `HDTF_dataset`.

    `DataError` names file and line of what cannot be understood.
    """
    if exists(join(folder, "HDTF_dataset", "RD_video_url.txt")):
        folder = join(folder, "HDTF_dataset")
    notes: list[str] = []
    videos = [video for subset in SUBSETS for video in _read_subset(folder, subset, notes)]
    notes += [note for video in videos for note in _oddities(video)]
    return HDTF(tuple(_with_identities(videos)), tuple(notes))


def count_table(hdtf: HDTF) -> str:
    """Found and known counts side by side; a difference is marked, not refused."""
    found = hdtf.counts()
    lines = [f"{'HDTF':<18}{'found':>8}{'known':>8}"]
    for name, known in KNOWN_COUNTS.items():
        mark = "" if found[name] == known else "  differs"
        lines.append(f"{name:<18}{found[name]:>8g}{known:>8g}{mark}")
    return "\n".join(lines)


def hdtf_rows(hdtf: HDTF, videos: Uri, split: SplitConfig | None = None) -> tuple[list[ClipRow], list[str]]:
    """Rows of the clips whose video is in the folder or bucket `videos`, and sentences on what is left out.

    A video may be called `RD_Radio1`, `Radio1`, by its YouTube id or `... [id]`. Clips that were cut already
    (`RD_Radio1_000`, `Radio1_0`) are taken whole, without the box, which they were cut by.
    """
    files = _video_files(videos)
    rows, notes, missing = [], [], []
    seen: dict[tuple[str, int, int], str] = {}
    for video in hdtf.videos:
        whole = next((files[stem] for stem in _stems(video) if stem in files), None)
        for clip in video.clips:
            key = f"{video.file_stem}_{clip.index:03d}"
            same = (video.video_id or key, clip.start_s, clip.end_s)
            if seen.setdefault(same, key) != key:
                notes.append(f"{key} is left out: the same seconds of the same video are {seen[same]}.")
                continue
            cut = next((files[stem] for stem in _clip_stems(video, clip) if stem in files), None)
            if whole is None and cut is None:
                missing.append(key)
                continue
            rows.append(_row(video, clip, key, whole, cut, split))
    if missing:
        notes.append(f"{len(missing)} clips have no video in {videos}, the first is {missing[0]}.")
    if not rows:
        raise DataError(
            f"{videos}: holds no video of HDTF. Files are found by names like RD_Radio1.mp4, Radio1.mp4 or "
            "the YouTube id; --download fetches them if you have the right to."
        )
    return unique_rows(rows), notes


def _row(
    video: HDTFVideo, clip: HDTFClip, key: str, whole: str | None, cut: str | None, split: SplitConfig | None
) -> ClipRow:
    return ClipRow(
        clip=key,
        source=whole or cut or "",
        start=Fraction(clip.start_s if whole else 0),
        end=Fraction(clip.end_s) if whole else None,
        crop=_crop(video, clip) if whole else None,
        identity=video.identity,
        split=split_of(video.identity, split),
        dataset="hdtf",
    )


def _crop(video: HDTFVideo, clip: HDTFClip) -> CropBox | None:
    """The clip's box as far as it lies in the frame: its middle says later who is meant."""
    if clip.box is None or clip.box[2] >= video.height:
        return None
    left, width, top, height = clip.box
    rows = min(height, video.height - top)
    return CropBox(left=left, top=top, width=width, height=rows, frame_height=video.height)


def _video_files(videos: Uri) -> dict[str, str]:
    """Stem -> URI of every video of the folder; `Title [id]` also stands under its id."""
    files: dict[str, str] = {}
    for name in list_files(videos):
        path = PurePosixPath(name)
        if path.suffix.lower() not in VIDEO_SUFFIXES or any(part.startswith(".") for part in path.parts):
            continue
        files.setdefault(path.stem, join(videos, name))
        if found := re.search(r"\[([\w-]{11})\]$", path.stem):
            files.setdefault(found.group(1), join(videos, name))
    return files


def _stems(video: HDTFVideo) -> list[str]:
    return [video.file_stem, video.name, *([video.video_id] if video.video_id else [])]


def _clip_stems(video: HDTFVideo, clip: HDTFClip) -> list[str]:
    numbered = [f"{name}_{clip.index}" for name in (video.file_stem, video.name)]
    return [f"{video.file_stem}_{clip.index:03d}", *numbered]


def _read_subset(folder: Uri, subset: str, notes: list[str]) -> Iterator[HDTFVideo]:
    urls = {name: rest[0] for name, rest, _ in lines(folder, subset, "video_url", 1)}
    heights = {
        name: number(where, rest[0], int) for name, rest, where in lines(folder, subset, "resolution", 1)
    }
    times = {
        name: [time_range(where, text) for text in rest]
        for name, rest, where in lines(folder, subset, "annotion_time")
    }
    boxes = {name: box(where, rest) for name, rest, where in lines(folder, subset, "crop_wh", 4)}
    ratios = {
        name: number(where, rest[0], float) for name, rest, where in lines(folder, subset, "crop_ratio", 1)
    }
    known = {f"{name}_{i}" for name, ranges in times.items() for i in range(len(ranges))}
    notes += [f"{subset}: the box of {key} belongs to no clip." for key in sorted(set(boxes) - known)]
    for name in [*urls, *sorted(set(times) - set(urls))]:
        url = urls.get(name)
        name_on_youtube = video_id(url) if url else None
        clips = tuple(
            HDTFClip(i, start, end, boxes.get(f"{name}_{i}"), ratios.get(f"{name}_{i}"))
            for i, (start, end) in enumerate(times.get(name, []))
        )
        plain = f"https://www.youtube.com/watch?v={name_on_youtube}" if name_on_youtube else url
        yield HDTFVideo(subset, name, plain, name_on_youtube, heights.get(name, 0), clips, "")


def _oddities(video: HDTFVideo) -> Iterator[str]:
    name, clips, height = video.file_stem, video.clips, video.height
    if video.url is None:
        yield f"{name} has times but no URL."
    if not clips:
        yield f"{name} has a URL but no times."
    if clips and height <= 0:
        yield f"{name}: the height of its rendition is not known; its boxes are not used."
    if any(a.start_s < b.end_s and b.start_s < a.end_s for i, a in enumerate(clips) for b in clips[:i]):
        yield f"{name}: its clips overlap."
    for clip in clips:
        if clip.box is not None and 0 < height < clip.box[2] + clip.box[3]:
            yield f"{name}: the box of clip {clip.index} is cut off below the last of {height} rows."


def _with_identities(videos: list[HDTFVideo]) -> Iterator[HDTFVideo]:
    """Name the person of every video.

    In WDA and WRA names are of people, with a digit for each further video; every RD video counts as a
    person of its own. Names that share a video are one person. Decided by the lists, not by what is on disk.
    """
    people = [v.name if v.subset == "RD" else v.name.rstrip("0123456789") for v in videos]
    together: dict[str, set[str]] = defaultdict(set)
    for video, person in zip(videos, people, strict=True):
        if video.video_id:
            together[video.video_id].add(person)
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        return name if leader.get(name, name) == name else lead(leader[name])

    for names in together.values():
        leaders = sorted({lead(name) for name in names})
        leader |= dict.fromkeys(leaders[1:], leaders[0])
    for video, person in zip(videos, people, strict=True):
        yield replace(video, identity=f"hdtf-{lead(person)}")
