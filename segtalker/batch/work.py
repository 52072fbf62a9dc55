"""How the work on a long video travels: one file for its analysis, one for the segments of each range.

They lie in `OUT/.work/ID-KEY`, each whole or absent, until the output stands. An interrupted batch finds them
again, whichever node made them.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from segtalker.batch.plan import ChunkRange
from segtalker.errors import DataError
from segtalker.storage import Uri, get_file, join, list_names, put_file, remove

WORK = ".work"
ANALYSIS = "analysis.tar.gz"
SEGMENTS = "segments"


def work_place(out: Uri, row: str, key: str) -> str:
    """Folder of a long video's work, below the batch's."""
    return join(out, WORK, f"{row}-{key}")


def put_analysis(folder: Path, place: str) -> None:
    """Keep a work folder, all but its segments, in `place`."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = [path for path in files if path.relative_to(folder).parts[0] != SEGMENTS]
    _put(kept, folder, join(place, ANALYSIS), "w:gz")


def unpack_analysis(packed: Path, folder: Path, place: str) -> None:
    """Fill a work folder out of a local copy of the analysis that lies in `place`."""
    _unpack(packed, folder, join(place, ANALYSIS))


def put_range(segments: Iterable[Path], folder: Path, part: ChunkRange, place: str) -> None:
    """Keep the segments of a range, which lie in the work folder `folder`, and the panels beside them."""
    beside = [path for segment in segments for path in segment.parent.glob(f"{segment.stem}.*")]
    _put(sorted(beside), folder, join(place, part.name), "w")


def get_range(part: ChunkRange, place: str, folder: Path) -> None:
    """Bring the segments of a range into the work folder `folder`."""
    packed = folder / part.name
    get_file(join(place, part.name), packed)
    _unpack(packed, folder, join(place, part.name))
    packed.unlink()


def finished_ranges(ranges: Sequence[ChunkRange], place: str) -> tuple[ChunkRange, ...]:
    """Those of `ranges` whose segments are in `place`."""
    names = set(list_names(place))
    return tuple(part for part in ranges if part.name in names)


def sweep_work(out: Uri, made: Collection[str]) -> None:
    """Delete what is left of the rows whose outputs are `made`; that of others waits for a later batch."""
    root = join(out, WORK)
    names = list_names(root)
    done = [name for name in names if name.rpartition("-")[0] in made]
    for place in [root] if len(done) == len(names) else [join(root, name) for name in done]:
        remove(place)


def _put(files: Sequence[Path], root: Path, uri: str, mode: str) -> None:
    """Pack files under their names below `root` and copy the pack to `uri`, whole or not at all."""
    packed = root / f".{uri.rpartition('/')[2]}"
    options = {"compresslevel": 1} if mode == "w:gz" else {}  # landmarks hardly shrink further
    try:
        with tarfile.open(packed, mode, **options) as pack:  # type: ignore[call-overload]
            for file in files:
                pack.add(file, str(file.relative_to(root)))
        put_file(packed, uri)
    finally:
        packed.unlink(missing_ok=True)


def _unpack(packed: Path, folder: Path, uri: str) -> None:
    """uri: where the pack is from. A damaged one is deleted there, so that it is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(packed) as pack:
            pack.extractall(folder, filter="data")
            while pack.fileobj is not None and pack.fileobj.read(1 << 20):
                pass  # to the checksum at the end: a damaged name reads as the end of the list
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        remove(uri)
        raise DataError(f"{uri}: was damaged ({error}) and is deleted. Run the batch again.") from error
