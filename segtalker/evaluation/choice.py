"""Which clips of a prepared folder are dubbed, and whose speech they are to say."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence

from segtalker.data.manifest import ClipRow, read_manifest
from segtalker.data.outcome import outcome_from_values
from segtalker.data.prepare_run import MANIFEST_NAME, OUTCOMES_NAME
from segtalker.errors import DataError
from segtalker.evaluation.clips import Clip
from segtalker.storage import Uri, join, read_if_exists


def choose_rows(data: Uri, split: str, most: int = 0, seed: int = 0) -> list[ClipRow]:
    """Clips of a split that preparation found usable, at most `most` (0: all), people taking turns.

    data: an OUT of `segtalker prepare`. split: one, or several with commas between them; `DataError` of one
    that has no such clip. Which people, and which clips of each, come first is drawn by `seed`.
    """
    uri = join(data, MANIFEST_NAME)
    rows = read_manifest(uri)
    usable = _usable(data)
    wanted = [name.strip() for name in split.split(",")]
    found = [row for row in rows if row.split in wanted and (usable is None or row.clip in usable)]
    if missing := [name for name in wanted if name not in {row.split for row in found}]:
        there = ", ".join(sorted({row.split for row in rows})) or "none"
        raise DataError(
            f"{uri}: no usable clip of the split '{missing[0]}' (there are {there}). Name others by --split."
        )
    people: dict[str, list[ClipRow]] = defaultdict(list)
    for row in found:
        people[row.identity].append(row)
    draw = random.Random(seed)
    turns = [
        (turn, place, row)
        for place, identity in enumerate(draw.sample(sorted(people), len(people)))
        for turn, row in enumerate(draw.sample(people[identity], len(people[identity])))
    ]
    turns.sort(key=lambda item: item[:2])
    return sorted((row for _, _, row in turns[: most or None]), key=lambda row: row.clip)


def other_speech(clips: Sequence[Clip], seed: int = 0) -> dict[str, str]:
    """Clip -> clip of another person whose speech it is to say, drawn by `seed`.

    Everybody's speech is used once where no person has more than half of the clips; otherwise some is used
    again. `DataError` of one person alone.
    """
    people: dict[str, list[str]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: clip.id):
        people[clip.identity].append(clip.id)
    if len(people) < 2:
        raise DataError(
            "cross-driven dubs need clips of at least two people; there is one. Take more clips, or "
            "'segtalker evaluate self'."
        )
    draw = random.Random(seed)
    groups = [draw.sample(ids, len(ids)) for ids in draw.sample(list(people.values()), len(people))]
    order = [id_ for group in groups for id_ in group]
    identity = {clip.id: clip.identity for clip in clips}
    shift = max(map(len, groups))  # people stand side by side: nobody meets his own speech if none is half
    chosen = {id_: order[(place + shift) % len(order)] for place, id_ in enumerate(order)}
    for place, id_ in enumerate(order):
        if identity[chosen[id_]] == identity[id_]:
            others = [other for other in order if identity[other] != identity[id_]]
            chosen[id_] = others[place % len(others)]
    return chosen


def _usable(data: Uri) -> set[str] | None:
    """Clips that were prepared; None where nobody noted it."""
    noted = read_if_exists(join(data, OUTCOMES_NAME))
    if noted is None:
        return None
    outcomes = [outcome_from_values(json.loads(line)) for line in noted.decode().splitlines() if line.strip()]
    return {outcome.clip for outcome in outcomes if outcome.status == "done"}
