"""Lists of rows in a file, `.jsonl`, `.csv` or `.parquet`, on a disk or in a bucket: manifests of all kinds.

What the columns mean is the caller's business; here they are names and plain values.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from segtalker.errors import DataError
from segtalker.storage import Uri, read_bytes, write_bytes

SUFFIXES = (".jsonl", ".csv", ".parquet")


def read_table(uri: Uri, remedy: str = "Mend the file.") -> list[tuple[int, dict[str, Any]]]:
    """(line, values) of every row; lines count from 1 as an editor shows them, rows of Parquet from 1.

    `DataError` names the file, the line where that is known, and the `remedy`.
    """
    suffix, data = _suffix(uri), read_bytes(uri)
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(enumerate(pq.read_table(io.BytesIO(data)).to_pylist(), start=1))
        text = data.decode("utf-8-sig")
        return _read_csv(text) if suffix == ".csv" else _read_json_lines(text)
    except (ValueError, csv.Error) as error:  # pyarrow's own errors are ValueErrors as well
        why = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{uri}: not a manifest ({why}). {remedy}") from error


def write_table(rows: Iterable[Mapping[str, str]], columns: Sequence[str], uri: Uri) -> None:
    """Store rows of text, whole or not at all; a JSON line leaves out what is empty."""
    suffix = _suffix(uri)
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        schema = pa.schema([(name, pa.string()) for name in columns])
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), buffer)
        write_bytes(uri, buffer.getvalue())
        return
    text = io.StringIO()
    if suffix == ".csv":
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
    else:
        for row in rows:
            text.write(json.dumps({k: v for k, v in row.items() if v}, ensure_ascii=False) + "\n")
    write_bytes(uri, text.getvalue().encode())


def refuse_unknown(found: Iterable[object], known: Sequence[str]) -> None:
    """`ValueError` for the first column that is not `known`, with the one that was perhaps meant."""
    for name in sorted(map(str, set(found) - set(known))):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
        raise ValueError(f"unknown column '{name}'; {hint}")


def _read_csv(text: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = reader.fieldnames or []
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"line 1: column '{name}' is there twice")
    rows = []
    for values in reader:
        if None in values:
            raise ValueError(f"line {reader.line_num}: more values than columns")
        rows.append((reader.line_num, values))
    return rows


def _read_json_lines(text: str) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):  # texts may hold other line separators
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from error
        if not isinstance(values, dict):
            raise ValueError(f"line {number}: expected an object with columns, as in {{...}}")
        rows.append((number, values))
    return rows


def _suffix(uri: Uri) -> str:
    suffix = PurePosixPath(str(uri)).suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{uri}: manifests are .jsonl, .csv or .parquet. Give it one of these names.")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise DataError(f"{uri}: Parquet needs pyarrow: pip install pyarrow, or use .jsonl.") from error
    return suffix
