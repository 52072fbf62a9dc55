"""What an evaluation has to score: the pairs of every method, and the two rows that stand in every table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from segtalker.data.tables import SUFFIXES, read_table
from segtalker.errors import DataError
from segtalker.evaluation.columns import COPY, REAL, REFERENCE_ROWS
from segtalker.evaluation.pairs import Pair, check_pairs, folder_pairs, pair_from_values
from segtalker.storage import exists, join


@dataclass(frozen=True)
class Task:
    """One video of one method."""

    method: str
    pair: Pair


@dataclass(frozen=True)
class Truth:
    """Folders with what the outputs of folders are measured against; files match by name without suffix."""

    references: str = ""
    sources: str = ""
    speech: str = ""
    labels: str = ""


def plan_tasks(places: Mapping[str, str], truth: Truth | None = None) -> list[Task]:
    """Every video to score, methods in the order given, after the rows "real" and "copy the input".

    places: method -> folder of its videos, or manifest of pairs. `DataError` says in one line what is wrong,
    before anything is scored.
    """
    if not places:
        raise DataError("no method to score. Name one, as in --method ours=FOLDER.")
    if taken := sorted(set(places) & set(REFERENCE_ROWS)):
        raise DataError(f"a method cannot be called '{taken[0]}': that row always stands in the table.")
    if truth and truth != Truth() and all(place.lower().endswith(SUFFIXES) for place in places.values()):
        raise DataError(
            "--references, --sources, --speech and --labels go with folders of videos; a manifest of pairs "
            "names its own. Put them into its columns."
        )
    methods = {name: _pairs(place, truth or Truth()) for name, place in places.items()}
    tasks = [Task(name, pair) for name, pairs in methods.items() for pair in pairs]
    return with_reference_rows(tasks)


def with_reference_rows(tasks: Sequence[Task]) -> list[Task]:
    """The rows "real" and "copy the input" of every id, then the tasks of the methods."""
    by_id = _agreed(tasks)
    return [*(task for id_ in sorted(by_id) for task in reference_tasks(by_id[id_])), *tasks]


def outputs_of(place: str, ids: Sequence[str]) -> dict[str, str]:
    """Id -> video of another method, also where it made none; `place`: as of `plan_tasks`.

    `DataError` where it has a video of none of the ids.
    """
    made = {pair.id: pair.output for pair in _pairs(place, Truth())}
    if not made.keys() & set(ids):
        raise DataError(
            f"{place}: no video of any row of this task, such as {ids[0]}.mp4. Run the method on the task's "
            "rows.jsonl, and name its videos by their ids."
        )
    folder = place.rpartition("/")[0] if place.lower().endswith(SUFFIXES) else place
    return {id_: made.get(id_, join(folder, f"{id_}.mp4")) for id_ in ids}


def reference_tasks(pair: Pair) -> Iterator[Task]:
    """The rows "real" and "copy the input" of a pair.

    Real is the reference, saying what it says; without a reference, the source with its own sound. The input
    is the source, by the speech of the output. Without either there is nothing to score: a failure.
    """
    source = pair.source or pair.reference
    true = replace(pair, output=pair.reference or source, source=source)
    yield Task(REAL, true if pair.reference else replace(true, speech="", labels=""))
    own_sound = source == pair.reference  # then both rows are the same video, and scored once
    said = pair.speech or ("" if own_sound else pair.reference or pair.output)
    yield Task(COPY, replace(pair, output=source, source=source, speech=said))


def _pairs(place: str, truth: Truth) -> list[Pair]:
    """The pairs of a folder or manifest, each with its own id and its own output."""
    if place.lower().endswith(SUFFIXES):
        pairs = _read_pairs(place)
    else:
        if not exists(place):
            raise DataError(
                f"{place}: there is no such folder. Name a folder of videos or a manifest of pairs."
            )
        pairs = folder_pairs(place, truth.references, truth.sources, truth.speech, truth.labels)
    check_pairs(pairs, place)
    owners: dict[str, str] = {}
    for pair in pairs:
        if pair.output in owners:
            raise DataError(
                f"{place}: rows '{owners[pair.output]}' and '{pair.id}' have the same output, {pair.output}. "
                "Give every row its own."
            )
        owners[pair.output] = pair.id
    return pairs


def _read_pairs(uri: str) -> list[Pair]:
    pairs = []
    for line, values in read_table(uri):
        try:
            pairs.append(pair_from_values(values, uri.rpartition("/")[0]))
        except ValueError as error:
            why = str(error) if str(error).endswith("?") else f"{error}."
            raise DataError(f"{uri}, line {line}: not a pair: {why} Mend the line.") from error
    return pairs


def _agreed(tasks: Sequence[Task]) -> dict[str, Pair]:
    """The pair of the first method that has an id; methods must agree on what it is measured against."""
    first: dict[str, Task] = {}
    for task in tasks:
        known = first.setdefault(task.pair.id, task)
        for name in ("reference", "source", "speech", "labels", "shown"):
            one, other = getattr(known.pair, name), getattr(task.pair, name)
            if one != other:
                raise DataError(
                    f"id '{task.pair.id}': its {name} is '{one}' for method '{known.method}' and '{other}' "
                    f"for '{task.method}'. Methods of one evaluation are measured against the same files."
                )
    return {id_: task.pair for id_, task in first.items()}
