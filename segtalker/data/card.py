"""The card of a prepared dataset: `card.md` says what is in it, `card.png` shows a few of its people.

Both are functions of the outcomes and of the shards alone, so the same content gives the same bytes. A clip
whose shards cannot be shown is left out of the picture, which stops no run.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

import cv2
import numpy as np

from segtalker.data.outcome import Outcome, merge_areas
from segtalker.data.shards import FPS, ShardReader
from segtalker.errors import SegTalkerError
from segtalker.regions import REGION_NAMES, colourize
from segtalker.storage import Uri, is_local, join, remove, write_bytes
from segtalker.types import Image

CARD_NAME = "card.md"
PICTURE_NAME = "card.png"
_SHOWN_PEOPLE = 12
_FETCHED_PEOPLE = 6
"""Of a bucket: every one of them costs the transfer of a shard."""
_COLUMNS = 3
_SIDE = 160  # of a crop or a map in the picture, pixels
_LABEL = 18  # height of the line under them
_LISTED_FAILURES = 10
_BAR = 40  # characters of the longest bar


def write_card(out: Uri, outcomes: Sequence[Outcome]) -> None:
    """Write the card of what one preparation made of its clips into the folder or bucket `out`."""
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    cells = list(_cells(out, shown_clips(done, _SHOWN_PEOPLE if is_local(out) else _FETCHED_PEOPLE)))
    if cells:
        encoded = cv2.imencode(".png", contact_sheet(cells)[:, :, ::-1])[1]
        write_bytes(join(out, PICTURE_NAME), encoded.tobytes())
    else:
        remove(join(out, PICTURE_NAME))
    write_bytes(join(out, CARD_NAME), card_text(outcomes, len(cells)).encode())


def card_text(outcomes: Sequence[Outcome], shown: int) -> str:
    """The card as Markdown; `shown` people are in the picture beside it."""
    done = [outcome for outcome in outcomes if outcome.status == "done"]
    parts = [
        "# Prepared clips",
        "`prepare.yaml` holds the settings, `manifest.jsonl` the clips that were asked for, `outcomes.jsonl` "
        "what came of each.",
        f"![{shown} people: crop and region map]({PICTURE_NAME})" if shown else "There is no picture.",
        "The people and voices are those of the source videos: pass this card on only where you may pass "
        "those on.",
        "## Who is in it\n\n" + _split_table(done),
        "## What came of the clips\n\n" + _outcome_table(outcomes),
    ]
    if done:
        parts += [
            "## Regions\n\n" + _region_table(done),
            "## Quality\n\nOver the clips that are done.\n\n" + _quality_table(done),
            "## Sound against picture\n\n" + _offset_table(done),
        ]
    return "\n\n".join(parts) + "\n"


def shown_clips(done: Iterable[Outcome], most: int) -> list[Outcome]:
    """One clip each of at most `most` people, the shortest of each, in an order that follows no name."""
    by_person: dict[str, Outcome] = {}
    for outcome in sorted(done, key=lambda o: (o.frames, o.clip)):
        by_person.setdefault(outcome.identity, outcome)
    mixed = sorted(by_person, key=lambda identity: hashlib.sha256(identity.encode()).digest())
    return sorted((by_person[name] for name in mixed[:most]), key=lambda o: (o.split, o.identity))


def contact_sheet(cells: Sequence[Image]) -> Image:
    """Cells of one size in rows of three, the last row filled up with the colour of nothing."""
    missing = -len(cells) % min(_COLUMNS, len(cells))
    filled = [*cells, *[np.zeros_like(cells[0])] * missing]
    columns = min(_COLUMNS, len(cells))
    return np.vstack([np.hstack(filled[i : i + columns]) for i in range(0, len(filled), columns)])


def _cells(out: Uri, clips: Sequence[Outcome]) -> Iterator[Image]:
    """Crop | map over a line of text for each clip that can be shown."""
    for outcome in clips:
        try:
            yield _cell(ShardReader(join(out, outcome.key)), f"{outcome.identity} ({outcome.split})")
        except SegTalkerError:  # what is wrong with it, the training will say
            continue


def _cell(reader: ShardReader, label: str) -> Image:
    """The middle frame of the first sample; without crops the map alone."""
    row = reader.rows[0]
    at = (row.num_frames // 2,)
    panels = [reader.take(0, "crops", at)[0]] if "crops" in row.fields else []
    panels.append(colourize(reader.take(0, "maps", at)[0]))
    sized = [_fit(panel) for panel in panels]
    line = np.zeros((_LABEL, _SIDE * len(sized), 3), np.uint8)
    cv2.putText(line, label, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (220, 220, 220), 1, cv2.LINE_AA)
    return np.vstack([np.hstack(sized), line])


def _fit(panel: Image) -> Image:
    smaller = panel.shape[0] > _SIDE
    method = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(panel, (_SIDE, _SIDE), interpolation=method), np.uint8)


def _split_table(done: Sequence[Outcome]) -> str:
    rows = []
    splits = sorted({outcome.split for outcome in done})
    for name in [*splits, "all"]:
        those = [o for o in done if name in (o.split, "all")]
        people = len({o.identity for o in those})
        rows.append((name, len(those), people, sum(o.samples for o in those), f"{_hours(those):.2f}"))
    table = _table(("split", "clips", "people", "samples", "hours"), rows)
    by_person: dict[str, float] = defaultdict(float)
    for outcome in done:
        by_person[outcome.identity] += outcome.frames / FPS / 60
    if not by_person:
        return table
    minutes = sorted(by_person.values())
    spread = f"{minutes[0]:.1f} (least), {median(minutes):.1f} (median), {minutes[-1]:.1f} (most)"
    longest = sorted(by_person, key=lambda name: (-by_person[name], name))[:5]
    named = ", ".join(f"{_plain(name)} {by_person[name]:.1f}" for name in longest)
    return f"{table}\n\nMinutes a person: {spread}. Most: {named}."


def _outcome_table(outcomes: Sequence[Outcome]) -> str:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        kind = outcome.reason.split(":")[0] if outcome.status == "skipped" else ""
        counts[f"{outcome.status}: {kind}" if kind else outcome.status] += 1
    order = {"done": 0, "skipped": 1, "failed": 2}
    names = sorted(counts, key=lambda name: (order[name.split(":")[0]], -counts[name], name))
    table = _table(("outcome", "clips"), [(_plain(name), counts[name]) for name in names])
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    lines = [f"- {_plain(o.clip)}: {_plain(o.reason)}" for o in failed[:_LISTED_FAILURES]]
    if len(failed) > _LISTED_FAILURES:
        lines.append(f"- {len(failed) - _LISTED_FAILURES} more failed")
    return "\n\n".join([table, *(["\n".join(lines)] if lines else [])])


def _region_table(done: Sequence[Outcome]) -> str:
    areas = merge_areas(done)
    clips = np.sum([np.array(outcome.areas) > 0 for outcome in done], axis=0)
    rows = [
        (name, f"{area / areas.sum():.3%}", int(count))
        for name, area, count in zip(REGION_NAMES, areas, clips, strict=True)
    ]
    return _table(("region", "share of pixels", "clips that show it"), rows)


def _quality_table(done: Sequence[Outcome]) -> str:
    measures: dict[str, tuple[Callable[[Outcome], float], str]] = {
        "seconds": (lambda o: o.frames / FPS, ".1f"),
        "width of the face, px": (lambda o: o.face_px, ".0f"),
        "share of frames that sound": (lambda o: o.sounding, ".2f"),
    }
    rows = []
    for name, (value, form) in measures.items():
        spread = np.percentile([value(outcome) for outcome in done], (0, 5, 50, 95, 100))
        rows.append((name, *(format(float(figure), form) for figure in spread)))
    return _table(("", "least", "5 %", "median", "95 %", "most"), rows)


def _offset_table(done: Sequence[Outcome]) -> str:
    """How often the lip-sync expert found the speech so many frames late."""
    looked = [o for o in done if o.offset is not None]
    if not looked:
        return "No offset was estimated: the clips are too short, or no lip-sync expert was asked."
    counts = Counter(o.offset for o in looked if o.offset is not None)
    most = max(counts.values())
    rows = [
        (f"{frames:+d}" if frames else "0", counts[frames], "#" * round(_BAR * counts[frames] / most))
        for frames in range(min(counts), max(counts) + 1)
    ]
    sure = median(o.confidence for o in looked)
    said = (
        f"Frames of 40 ms by which the speech is late, as the lip-sync expert estimates it for {len(looked)} "
        f"of {len(done)} clips (median confidence {sure:.2f})."
    )
    return f"{said}\n\n{_table(('late', 'clips', ''), rows)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(value) for value in line) + " |" for line in lines)


def _hours(outcomes: Iterable[Outcome]) -> float:
    return sum(outcome.frames for outcome in outcomes) / FPS / 3600


def _plain(text: str) -> str:
    """Text that changes no table."""
    return text.replace("|", "/").replace("\n", " ")
