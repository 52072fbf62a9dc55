"""The verb `segtalker verify`: is a file marked or signed as synthetic, and what does that mean?"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segtalker.provenance.verify import Verdict

_PUBLIC = (
    "the key of this mark is public: it tells honest viewers, but anybody could have drawn it, "
    "and whoever wants it gone can disturb it."
)
_NOTHING = (
    "nothing found. That does not make the file real: other programs leave no such mark, and marks and "
    "manifests can be removed."
)
_BROKEN = (
    "no mark, and a manifest that does not fit the file: it was changed or damaged after it was signed, and "
    "what it says is not to be trusted."
)
_STATES = {
    "trusted": "signed by {signer}, whom this machine trusts; unchanged since",
    "valid": "unchanged since it was signed by '{signer}', whom no trust list of this machine names: the "
    "name is only claimed",
    "invalid": "NOT valid: the file or the manifest was changed ({problems})",
    "unsigned": "a plain, unsigned note: anybody can write or change it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the key, and how the answer is printed."""
    from segtalker.provenance.config import PUBLIC_KEY

    parser.add_argument("file", type=Path, help="video or picture")
    parser.add_argument("--key", default=PUBLIC_KEY, help="key of the mark (default: the public one)")
    parser.add_argument(
        "--model", help="say whether the mark names this model, as in provenance.model of the dub"
    )
    parser.add_argument(
        "--windows", type=_positive, default=8, metavar="N", help="windows of 4 s that are read at most (8)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the exit code is 0 whatever that is, and that of the error for bad input."""
    from segtalker.provenance.config import message_of
    from segtalker.provenance.verify import verify

    verdict = verify(arguments.file, arguments.key, arguments.windows)
    expected = message_of(arguments.model) if arguments.model else None
    print(json.dumps(_as_json(verdict, expected)) if arguments.json else _as_text(verdict, expected))
    return 0


def _as_json(verdict: Verdict, expected: int | None) -> dict[str, object]:
    return {
        "file": verdict.path,
        "is_synthetic": verdict.is_synthetic,
        "mark": {
            "windows": len(verdict.windows),
            "marked": verdict.num_marked,
            "message": verdict.message,
            "names_model": None if expected is None else verdict.message == expected,
            "readings": [asdict(window) for window in verdict.windows],
        },
        "manifest": asdict(verdict.statement),
        "meaning": _meaning(verdict),
    }


def _as_text(verdict: Verdict, expected: int | None) -> str:
    best = min(window.finding.chance for window in verdict.windows)
    mark = (
        f"found in {verdict.num_marked} of {len(verdict.windows)} windows"
        if verdict.num_marked
        else "not found"
    )
    if verdict.num_marked:
        mark += f" (chance in an unmarked file below {max(best, 1e-99):.0e})"
        mark += ", message " + ("not legible" if verdict.message is None else f"{verdict.message:04x}")
        if expected is not None:
            mark += ", as expected" if verdict.message == expected else f", NOT the expected {expected:04x}"
    lines = [f"file:     {verdict.path}", f"mark:     {mark}", f"manifest: {_said(verdict)}"]
    origin = verdict.statement.origin
    if origin:
        edits = origin.get("edits")
        done = "; ".join(map(str, edits)) if isinstance(edits, list | tuple) else str(edits)
        told = f"SegTalker {origin.get('version')}, model {origin.get('model')}, edits: {done or 'none'}"
        lines.append(f"says:     {_printable(told)}")
    return "\n".join([*lines, f"verdict:  {_meaning(verdict)}"])


def _said(verdict: Verdict) -> str:
    statement = verdict.statement
    if statement.kind == "none":
        return "none"
    if statement.kind == "unread":
        return "not read: c2pa-python is missing (pip install 'segtalker[c2pa]')"
    told = _STATES[statement.state].format(signer=statement.signer, problems=", ".join(statement.problems))
    return _printable(told) + ("" if statement.is_generated else "; it does not call the file AI-generated")


def _meaning(verdict: Verdict) -> str:
    if not verdict.is_synthetic:
        return _BROKEN if verdict.statement.state == "invalid" else _NOTHING
    if not verdict.num_marked:
        return "the file itself says that it is AI-generated; its pixels carry no mark that this key finds."
    told = "AI-generated: the pixels carry the mark of SegTalker's key"
    if 0 < verdict.num_marked < len(verdict.windows):
        told += " in parts of the file"
    return f"{told}. Mind: {_PUBLIC}" if verdict.is_public_key else f"{told}, by whoever knows it."


def _printable(text: str) -> str:
    """What a stranger's file says, without anything that steers a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
