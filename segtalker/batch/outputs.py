"""Finished outputs: a report beside the video says what it is made of, so that a later run knows it again.

The report is put first and the video last. A video without its report is somebody else's; a report whose
video is absent or of another size was put by a run that broke off, and the row is dubbed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segtalker.batch.outcome import Outcome
from segtalker.batch.rows import DubRow
from segtalker.errors import DataError
from segtalker.report import DubReport, maps_path, report_path
from segtalker.storage import Uri, exists, fingerprint, join, put_file, read_if_exists, write_bytes


@dataclass(frozen=True)
class MadeOf:
    """What an output is made of, as its report says."""

    settings: str
    """Names settings, weights and version."""
    inputs: Mapping[str, Mapping[str, str]]
    """Kind -> `uri`, `stamp` (which changes with the file, and costs nothing to ask for) and `sha256`."""


def read_report(output: Uri) -> dict[str, Any] | None:
    """The report beside an output, None where there is none that can be read."""
    data = read_if_exists(beside(output, report_path))
    try:
        told = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def is_whole(told: Mapping[str, Any], output: Uri) -> bool:
    """Whether the files that a report speaks of are there, as long as they were."""
    files = told.get("files") or {output_name(output): None}  # a dub by hand puts its report last
    for name, size in files.items():
        place = join(_folder(output), name)
        if not exists(place) or size not in (None, fingerprint(place, with_hash=False)["bytes"]):
            return False
    return True


def is_unchanged(told: Mapping[str, Any], settings: str, row: DubRow, stamps: Mapping[str, str]) -> bool:
    """Whether a report is of these settings and inputs, as far as can be told without reading the inputs."""
    made = told.get("made_of") or {}
    now = {kind: [uri, stamps[kind]] for kind, uri in row.inputs.items()}
    then = {kind: [item["uri"], item["stamp"]] for kind, item in made.get("inputs", {}).items()}
    return made.get("settings") == settings and now == then


def refuse_foreign(row: DubRow, key: str, told: Mapping[str, Any] | None) -> None:
    """`DataError` where an output stands that is not of this key. told: the report beside it."""
    if (told is None or told.get("key") != key) and exists(row.output):
        raise DataError(
            f"{row.output}: exists, and was not made of these inputs and settings. Choose another name, "
            "delete it, or say --overwrite."
        )


def put_output(local: Path, report: DubReport, made_of: MadeOf, row: DubRow) -> Outcome:
    """Give a finished video its place, with its report; `local` is the file, with its maps beside it."""
    files = {output_name(row.output): local}
    if report.maps:
        files[output_name(beside(row.output, maps_path))] = maps_path(local)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    told: dict[str, Any] = asdict(report)
    told.update(
        video=row.video,
        speech=row.speech,
        output=row.output,
        maps=beside(row.output, maps_path) if report.maps else None,
        config=_as_given(report.config, row),
        made_of=asdict(made_of),
        files=sizes,
        sha256=fingerprint(local)["sha256"],
    )
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    write_bytes(beside(row.output, report_path), text.encode())
    for name in reversed(files):
        put_file(files[name], join(_folder(row.output), name))
    return outcome_of(told, row, "done")


def _as_given(config: Mapping[str, Any], row: DubRow) -> dict[str, Any]:
    """Settings with the places that a row names, in place of those of fetched files."""
    given = {"speaker": row.speaker or config["speaker"], "edits": row.edits or config["edits"]}
    return {**config, **given}


def outcome_of(told: Mapping[str, Any], row: DubRow, state: Any) -> Outcome:
    """The outcome that a report tells of."""
    made = told.get("made_of") or {"inputs": {}}
    hashes = {kind: item["sha256"] for kind, item in made["inputs"].items()}
    if "sha256" in told:
        hashes["output"] = told["sha256"]
    return Outcome(
        id=row.id,
        state=state,
        output=row.output,
        key=told["key"],
        num_frames=told["num_frames"],
        duration_s=told["duration_s"],
        frames=told["frames"],
        timings_s=told["timings_s"],
        hashes=hashes,
        warnings=tuple(told["warnings"]),
    )


def beside(output: Uri, name: Any) -> str:
    """The place beside an output that `name` (of `segtalker.report`) gives to its file name."""
    return join(_folder(output), str(name(Path(output_name(output)))))


def output_name(output: Uri) -> str:
    """The file name of an output."""
    return str(output).rpartition("/")[2]


def _folder(output: Uri) -> str:
    return str(output).rpartition("/")[0] or "/"
