"""`segtalker inspect`: what the system sees of videos, as a folder of pictures with a page around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import cv2

from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError, FaceNotFound, StorageError
from segtalker.evaluation.page import page
from segtalker.inspection.codes import Codes, region_map, same_region_elsewhere, speaker_maps
from segtalker.inspection.look import Amount, Seen, look
from segtalker.inspection.sheet import contact_sheet
from segtalker.local_stages import LocalStages
from segtalker.media.read import probe
from segtalker.progress import OnProgress, ProgressBar
from segtalker.stages import Stages
from segtalker.types import Image, VideoInfo
from segtalker.workspace import explain_os_errors, write_atomically

PAGE, REGIONS, SPEAKERS = "index.html", "regions.svg", "speakers.svg"
_EXPLAINED = (
    "Frames are spread evenly over the video; the frame shows the outline of its aligned crop. Style codes: "
    "a band a region in the order of the legend, a cell for each of the directions in which the codes of the "
    "video differ most, blue below and red above their mean; empty where the frame does not show the region. "
    "On the right what the generator paints from the map and the codes of that frame alone."
)
_MAPPED = (
    "Exact t-SNE (van der Maaten and Hinton, 2008) of the style codes of single frames, perplexity 30. It "
    "keeps neighbours together and says little of distances, so the sentences below are taken from the codes "
    "themselves."
)


def inspect(
    cfg: DubConfig,
    videos: Sequence[Path],
    out: Path,
    amount: Amount | None = None,
    stages: Stages | None = None,
    quiet: bool = False,
) -> str:
    """Write sheets and maps of codes of `videos` into the folder `out`; returns what to tell a person.

    Of several videos one without a usable face is named on the page; `FaceNotFound` where all are such.
    """
    infos = _check(videos, out)
    stages = stages or LocalStages(cfg)
    seen: list[Seen] = []
    failed: dict[str, str] = {}
    with ProgressBar(quiet) as bar, explain_os_errors(out):
        for name, info in infos.items():
            try:
                seen.append(look(cfg, info, name, stages, amount or Amount(), bar))
            except FaceNotFound as error:
                failed[name] = str(error)
                if len(failed) == len(infos):
                    raise
        return _write(out, seen, failed, bar)


def _check(videos: Sequence[Path], out: Path) -> dict[str, VideoInfo]:
    """Name -> what the file is, for every video once."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out}: is a file; give a folder for the pictures.")
    infos: dict[str, VideoInfo] = {}
    known = []
    for video in videos:
        if not video.is_file():
            raise ConfigError(f"{video}: there is no such video or picture.")
        if video.resolve() in known:
            raise ConfigError(f"{video}: is named twice; name every video once.")
        known.append(video.resolve())
        names = (video.stem, *(f"{video.stem}-{number}" for number in range(2, len(videos) + 1)))
        infos[next(name for name in names if name not in infos)] = probe(video)
    return infos


def _write(out: Path, seen: Sequence[Seen], failed: dict[str, str], tell: OnProgress) -> str:
    """All files; the page comes last, so a folder with a page is whole."""
    out.mkdir(parents=True, exist_ok=True)
    for video in seen:
        write_atomically(out / f"{video.name}.png", _png(contact_sheet(video)))
    codes = Codes.of(seen)
    drawn = {REGIONS: region_map(codes, tell), SPEAKERS: speaker_maps(codes, tell)}
    for name, picture in drawn.items():
        if picture is not None:
            write_atomically(out / name, picture)
    shown = [name for name, picture in drawn.items() if picture is not None]
    write_atomically(out / PAGE, page("What SegTalker sees", _parts(seen, failed, codes, shown)))
    return f"page: {out / PAGE} ({len(seen)} of {len(seen) + len(failed)} videos)"


def _parts(seen: Sequence[Seen], failed: dict[str, str], codes: Codes, maps: Sequence[str]) -> Iterator[str]:
    yield f"<p>{escape(_EXPLAINED)}</p>"
    for video in seen:
        yield f"<h2>{escape(video.name)}</h2><p>{escape(_about(video))}</p>"
        source = escape(f"{video.name}.png", quote=True)
        yield f'<div class="wide"><img src="{source}" alt="frames, maps, mattes and codes"></div>'
    for name, reason in failed.items():
        yield f"<h2>{escape(name)}</h2><p>{escape(reason)}</p>"
    yield f"<h2>Style codes</h2><p>{escape(_MAPPED)}</p><p>{escape(_nearest(codes))}</p>"
    for name in maps:
        yield f'<div class="wide"><img src="{name}" alt="t-SNE of style codes"></div>'
    if SPEAKERS not in maps:
        yield "<p>Give several videos for maps by speaker.</p>"


def _about(video: Seen) -> str:
    info = video.info
    counts = ", ".join(f"{count} {reason}" for reason, count in video.counts.items())
    moving = f"{info.num_frames} frames at {float(info.frame_rate):g} a second"
    length = "picture" if info.is_image else moving
    told = f"{info.width} x {info.height}, {length}; face tracks: {video.num_tracks}; in a dub: {counts}."
    return " ".join([told, *video.losses])


def _nearest(codes: Codes) -> str:
    share = same_region_elsewhere(codes)
    if share is None:
        return f"{len(codes.values)} codes of one frame."
    others = "of all other speakers" if len(set(codes.speakers.tolist())) > 1 else "of all other frames"
    return f"{len(codes.values)} codes; the nearest code {others} is of the same region for {share:.1%}."


def _png(image: Image) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
