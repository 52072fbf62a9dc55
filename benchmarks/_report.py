"""What all benchmarks share: `--json`, `--quick`, tables on standard error, one JSON line last on stdout.

A benchmark is a function `run(quick) -> dict of figures` and one call:

    if __name__ == "__main__":
        main(__doc__, run, targets={"speedup_vs_loop": ">= 6"})
"""

from __future__ import annotations

import argparse
import contextlib
import json
import operator
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
}


def main(
    description: str | None,
    run: Callable[[bool], Mapping[str, Any]],
    targets: Mapping[str, str] | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Run a benchmark as a script.

    run: given `quick` (at most 5 minutes on 2 cores, the same keys), returns the figures by name: numbers,
    strings, lists or dictionaries of them. targets: figure -> "<= 20", ">= 0.88" or "== 0", shown beside the
    figure; the exit status does not depend on them. Anything that `run` prints goes to standard error.
    """
    parser = argparse.ArgumentParser(description=(description or "").strip().splitlines()[0])
    parser.add_argument(
        "--json", action="store_true", help="print the figures as one JSON line on standard output"
    )
    parser.add_argument("--quick", action="store_true", help="the same figures from less work")
    options = parser.parse_args(argv)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        figures = dict(run(options.quick))
    figures.setdefault("elapsed_s", round(time.perf_counter() - started, 1))
    figures.setdefault("machine", f"{platform.machine()}, {os.cpu_count()} CPU cores")
    figures.setdefault("quick", options.quick)
    log("")
    table([_summary_row(name, value, (targets or {}).get(name)) for name, value in figures.items()])
    if options.json:
        print(json.dumps(figures, default=_plain), flush=True)


def log(text: str) -> None:
    """Say something to the person who waits."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Print rows (column -> value) aligned under their column names, on standard error."""
    if not rows:
        return
    names = list(columns) if columns else list(rows[0])
    cells = [names, *([_text(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for number, line in enumerate(cells):
        log("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            log("  ".join("-" * width for width in widths))


def resident_bytes(peak: bool = False) -> int:
    """Memory of this process that is not swapped out, pages of mapped files included: now, or at most so far.

    Where the system tells no more than the peak, that is returned for both.
    """
    status = Path("/proc/self/status")
    if status.is_file():  # unlike getrusage, not the peak of the process that started this one
        field = "VmHWM:" if peak else "VmRSS:"
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _summary_row(name: str, value: Any, target: str | None) -> dict[str, Any]:
    row = {"figure": name, "value": value, "target": target or "", "": ""}
    if target and isinstance(_plain_number(value), (int, float)):
        sign, bound = target.split()
        row[""] = "met" if _COMPARE[sign](_plain_number(value), float(bound)) else "MISSED"
    return row


def _text(value: Any) -> str:
    number = _plain_number(value)
    if isinstance(number, float):
        return f"{number:.4g}"
    return "" if value is None else str(value)


def _plain_number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _plain(value: Any) -> Any:
    """JSON for numpy and torch numbers and arrays; text for the rest (paths, fractions)."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)
