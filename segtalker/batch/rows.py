"""The rows of a batch: which video is to say which speech, into which file, with which settings.

    {"id": "ann-de", "video": "ann.mp4", "speech": "ann.de.wav", "output": "ann.de.mp4", "speaker": "index:0",
     "options": {"sync_mode": "loop", "encode.crf": 20}}

`video` and `speech` are required. Inputs count from the manifest's folder, outputs from the batch's. An
output that is not named is `ID.mp4`; a row without an id takes its output's name. In CSV, options are one
text: `sync_mode=loop; encode.crf=20; edits=blink=0.2/s,lip=red@0.7`. Edits are short forms, a list of
edits, or a YAML recipe; what they name counts from the manifest's folder, or from the recipe's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from segtalker.data.manifest import clip_key
from segtalker.data.tables import read_table, refuse_unknown
from segtalker.editing.files import named_files
from segtalker.editing.plain import EditReader
from segtalker.errors import DataError, SegTalkerError
from segtalker.report import maps_path
from segtalker.storage import Uri, is_local, join, local_path

VIDEO_NAMES = (".mp4", ".m4v", ".mov")
_PHOTO = "photo:"
_EDITS = "edits"


@dataclass(frozen=True, kw_only=True)
class DubRow:
    """One dub; everything is text, and every place is absolute or an fsspec URI."""

    id: str
    """Unique in the batch: letters, digits, `.`, `_` and `-`."""
    video: str
    speech: str
    output: str
    speaker: str = ""
    """As `DubConfig.speaker`; empty for that of the batch."""
    options: tuple[str, ...] = ()
    """Settings `KEY=VALUE` of this row alone."""
    fault: str = ""
    """Why it cannot be dubbed, where that is known since its manifest was read."""

    @property
    def inputs(self) -> dict[str, str]:
        """Kind -> place of every file that the dub reads."""
        found = {"video": self.video, "speech": self.speech}
        found |= {"photo": self.photo} if self.photo else {}
        return found | {f"reference-{i}": place for i, place in enumerate(named_files(self.edits), start=1)}

    @property
    def edits(self) -> list[dict[str, Any]]:
        """The edits of this row alone, in plain values; their files are places."""
        prefix = f"{_EDITS}="
        found = [json.loads(item.removeprefix(prefix)) for item in self.options if item.startswith(prefix)]
        return found[-1] if found else []

    @property
    def photo(self) -> str:
        """Where the picture of the speaker is; empty where none is given."""
        return self.speaker.removeprefix(_PHOTO) if self.speaker.startswith(_PHOTO) else ""


COLUMNS = tuple(item.name for item in fields(DubRow) if item.name != "fault")


def read_rows(manifest: Uri, out: Uri) -> list[DubRow]:
    """The rows of a manifest, in its order; `DataError` says in one line what keeps the batch from starting.

    out: folder or bucket of the batch.
    """
    folder = str(manifest).rpartition("/")[0] or ("/" if str(manifest).startswith("/") else ".")
    rows: dict[str, tuple[int, DubRow]] = {}
    edits = EditReader(placed)
    for line, values in read_table(manifest, "Mend it and start the batch again."):
        where = f"{manifest}, line {line}"
        try:
            row = row_from_values(values, folder, out, edits)
        except ValueError as error:
            raise DataError(f"{where}: {error}. Mend the line and start the batch again.") from error
        if row.id in rows:
            raise DataError(f"{where}: id '{row.id}' is that of line {rows[row.id][0]}. Ids must differ.")
        rows[row.id] = line, row
    if not rows:
        raise DataError(f"{manifest}: no row in it. A row needs at least video and speech.")
    _refuse_shared_places(manifest, list(rows.values()))
    return [row for _, row in rows.values()]


def row_from_values(
    values: Mapping[str, Any], folder: Uri, out: Uri, reader: EditReader | None = None
) -> DubRow:
    """A row of a manifest that lies in `folder`, of a batch into `out`; `ValueError` says what is wrong.

    Edits that cannot be read are a fault of the row, not of the manifest.
    """
    refuse_unknown(values, COLUMNS)
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    told = {name: value for name, value in stripped.items() if value not in (None, "", {}, [])}
    for name in ("video", "speech"):
        if name not in told:
            raise ValueError(f"no '{name}'; a row needs video and speech")
    for name, value in told.items():
        if name != "options" and not isinstance(value, (str, int, float)):
            raise ValueError(f"'{name}' must be text, found {type(value).__name__}")
    text = {name: str(value) for name, value in told.items() if name != "options"}
    if "id" not in text and "output" not in text:
        raise ValueError("neither 'id' nor 'output'; one of them must name what is made")
    name = text.get("id") or clip_key(text["output"].rpartition("://")[2])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"id {name!r}: ids are of letters, digits, '.', '_' and '-'")
    output = text.get("output") or f"{name}.mp4"
    if PurePosixPath(output).suffix.lower() not in VIDEO_NAMES:
        raise ValueError(f"output {output!r}: videos are written as mp4; name it {name}.mp4")
    speaker = text.get("speaker", "")
    if speaker.startswith(_PHOTO):
        speaker = _PHOTO + placed(speaker.removeprefix(_PHOTO), folder)
    options, edits = _options(told.get("options", ()))
    fault = ""
    try:
        if edits is not None:
            found = (reader or EditReader(placed)).read(edits, folder)
            options = (*options, f"{_EDITS}={json.dumps(found)}")
    except SegTalkerError as error:
        fault = str(error)
    return DubRow(
        id=name,
        video=placed(text["video"], folder),
        speech=placed(text["speech"], folder),
        output=placed(output, out),
        speaker=speaker,
        options=options,
        fault=fault,
    )


def placed(name: str, folder: Uri) -> str:
    """A place that counts from `folder`, as an absolute path or a URI."""
    if not is_local(name):
        return name
    if name.startswith("/") or name.startswith("file://"):
        return str(local_path(name))
    place = join(folder, name)
    return str(local_path(place).absolute()) if is_local(place) else place


def refuse_paths_beside_buckets(rows: Sequence[DubRow], out: Uri) -> None:
    """`DataError` where a batch mixes local paths with buckets, which the nodes of a cluster may not see.

    Either all is on a file system that every node mounts, or all is in buckets.
    """
    places = [("--out", str(out))]
    for row in rows:
        places += [(f"{kind} of '{row.id}'", place) for kind, place in row.inputs.items()]
        places.append((f"output of '{row.id}'", row.output))
    local, remote = ([item for item in places if is_local(item[1]) is kind] for kind in (True, False))
    if local and remote:
        (what, path), (other, uri) = local[0], remote[0]
        raise DataError(
            f"the {what} is the local path {path}, but the {other} is {uri}: nodes that work on buckets may "
            "not see it. Put all into buckets, or, where every node mounts it, say --paths-shared."
        )


def _options(value: Any) -> tuple[tuple[str, ...], Any]:
    """Settings out of a mapping (nested or dotted), a list of KEY=VALUE, or a text of them; and the edits."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    if isinstance(value, Mapping):
        return tuple(_flat({**value, _EDITS: None})), value.get(_EDITS)
    if isinstance(value, str):
        value = re.split(r"[;\n]", value)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError("'options' must be settings such as sync_mode=loop; encode.crf=20")
    found = [item.strip() for item in value if item.strip()]
    for item in found:
        if "=" not in item:
            raise ValueError(f"option {item!r}: expected KEY=VALUE, as in sync_mode=loop")
    edits = [item.partition("=")[2] for item in found if item.partition("=")[0].strip() == _EDITS]
    others = tuple(item for item in found if item.partition("=")[0].strip() != _EDITS)
    return others, edits or None


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif value is not None:  # Parquet fills the columns of a struct that a row does not name
            found.append(f"{prefix}{name}={json.dumps(value)}")
    return found


def _refuse_shared_places(manifest: Uri, rows: Sequence[tuple[int, DubRow]]) -> None:
    """No two rows write one file, however it is spelled, and none writes what any of them reads."""
    inputs = {_real(place): line for line, row in rows for place in row.inputs.values()}
    owners: dict[str, tuple[str, int]] = {}
    for line, row in rows:
        folder, _, name = row.output.rpartition("/")
        output = f"{_real(folder)}/{name}"
        maps = f"{_real(folder)}/{maps_path(Path(name))}"
        written = {output: f"output {row.output}", maps: f"the maps beside output {row.output}"}
        for place, what in written.items():
            where, stem = f"{manifest}, line {line}: {what}", place.rpartition(".")[0]
            if place in inputs:
                raise DataError(
                    f"{where} would replace an input of line {inputs[place]}. Choose another name."
                )
            if stem in owners:  # reports differ by the stem alone
                other, its_line = owners[stem]
                raise DataError(f"{where}: the same file as {other} of line {its_line}. Outputs must differ.")
            owners[stem] = what, line


def _real(place: str) -> str:
    """One name for all spellings of a local path; a bucket knows no other spellings."""
    return os.path.realpath(place or "/") if is_local(place) else place
