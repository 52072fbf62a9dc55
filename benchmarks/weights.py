"""Do published networks come in quickly, in little memory, and with the numbers of their equations?

For every row of the registry that holds a network: a file in the published layout with random numbers is
written, imported (`segtalker weights import`), loaded, and run beside a slow reference that was written from
the published equations and keys (`tests/weights`); each step in a process of its own. --quick takes smaller
networks of the same layouts where there are any, except for the two files of the 1024 px generator, which are
always of the published size. Files are in the page cache, as just after a download.

    max_error            largest difference of an output; outputs that random numbers make much larger or
                         smaller than learned ones (pictures, SyncNet's vectors) by their largest value
    rows_without_test    rows of the whole registry for which pytest collects no test of its own
    load_seconds_1024    the 1024 px generator, imported and loaded: median of 3, of the slower layout
    peak_memory_ratio    resident memory that this took on top, over the file's size: the worst of both
                         layouts and, in full, of the largest other file

Rows with a network have a test that does the same as this. The others are used as they are published, without
a network of ours, so that there are no equations to compare with: their tests bring the file in and run it
through our interface. For MediaPipe's these are the real files, which must see in a portrait what is in it
(skipped where they were not fetched); for InsightFace's pack, an archive of its names and a stand-in for the
package that runs it, which says nothing about the pack's numbers.

In the table, parameters and keys are of the published size; `range` is the least range of a reference's
output: where it is nothing, a small error says nothing.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tests
from benchmarks._report import log, main, table
from benchmarks._weights import Passage, Subject, apart, bring_in, compare, write
from segtalker.errors import SegTalkerError
from segtalker.weights.registry import ROWS
from tests.weights.cases import cases

TARGETS = {
    "max_error": "<= 1e-4",
    "rows_without_test": "== 0",
    "load_seconds_1024": "<= 5",
    "peak_memory_ratio": "<= 1.3",
}
GENERATOR = "stylegan2_ffhq_1024"
TESTS = (
    "test_cases.py::test_a_row_of_the_registry",
    "test_as_published.py::test_a_file_of_mediapipe",
    "test_as_published.py::test_a_pack_of_insightface",
)
"""In `tests/weights`; each has rows for parameters."""
_ROOT = Path(next(iter(tests.__path__))).parent
_REPEATS = 3
_MB = 1e6


def run(quick: bool) -> dict[str, Any]:
    """The table, one row a network, and its worst values."""
    networks = {row.name: row.network for row in ROWS if row.network is not None}
    subjects = [Subject(name, network, not quick) for name, network in networks.items()]
    layouts = [Subject(GENERATOR, "generator", True, port) for port in (False, True)]
    known = set(cases())
    rows = [measured(subject) for subject in subjects if subject.row in known]
    rows += [] if quick else [measured(layouts[1])]
    table(rows)
    untested = rows_without_test(row.name for row in ROWS)
    log(f"without a test: {', '.join(untested) or 'none'}")
    return {
        "max_error": max(row["max_error"] for row in rows),
        "max_error_of": max(rows, key=lambda row: row["max_error"])["network"],
        "rows": len(ROWS),
        "rows_without_test": len(untested),
        **generator_figures(layouts, [] if quick else rows),
        "used_as_published": ", ".join(row.name for row in ROWS if row.network is None),
    }


def measured(subject: Subject) -> dict[str, Any]:
    """The row of the table of one network."""
    log(f"{subject.title} ...")
    with tempfile.TemporaryDirectory() as folder:
        published, ours = Path(folder) / "published", Path(folder) / "ours.safetensors"
        size = apart(write, subject, published)
        passage = apart(bring_in, subject, published, ours)
        published.unlink()
        error, spread = apart(compare, subject, ours)
    case = subject.case()
    return {
        "network": subject.title,
        "parameters": case.parameters,
        "keys": len(case.shapes),
        "max_error": error,
        "range": spread,
        "file_mb": size / _MB,
        "import_s": passage.import_s,
        "load_s": passage.load_s,
        "peak_mb": passage.peak_bytes / _MB,
    }


def generator_figures(layouts: Sequence[Subject], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Time and memory of the 1024 px generator in each layout; memory of the largest other of `rows` too."""
    figures: dict[str, Any] = {"largest_other_file": "not run"}
    ratios: dict[str, float] = {}
    medians: list[list[float]] = []
    seconds: list[float] = []
    for subject in layouts:
        log(f"{subject.title}, {_REPEATS} times ...")
        size, passages = passed(subject)
        ratios[subject.title] = max(p.peak_bytes for p in passages) / size
        times = [(p.import_s, p.load_s) for p in passages]
        medians.append([statistics.median(part) for part in zip(*times, strict=True)])
        seconds += map(sum, times)
    if others := [row for row in rows if not row["network"].startswith(GENERATOR)]:
        largest = max(others, key=lambda row: row["file_mb"])
        figures["largest_other_file"] = largest["network"]
        ratios["largest other file"] = largest["peak_mb"] / largest["file_mb"]
    import_s, load_s = max(medians, key=sum)
    return {
        "load_seconds_1024": import_s + load_s,
        "load_seconds_1024_import": import_s,
        "load_seconds_1024_load": load_s,
        "load_seconds_1024_range": f"{min(seconds):.2f}..{max(seconds):.2f}",
        "peak_memory_ratio": max(ratios.values()),
        **{f"peak_memory_ratio of {title}": ratio for title, ratio in ratios.items()},
        **figures,
    }


def passed(subject: Subject) -> tuple[int, list[Passage]]:
    """Size of a published file in bytes, and what it cost to bring it in, several times."""
    with tempfile.TemporaryDirectory() as folder:
        published, ours = Path(folder) / "published", Path(folder) / "ours.safetensors"
        size = apart(write, subject, published)
        return size, [apart(bring_in, subject, published, ours) for _ in range(_REPEATS)]


def rows_without_test(rows: Iterable[str]) -> list[str]:
    """Those of `rows` that none of `TESTS`, as pytest collects them, has for a parameter."""
    where = [str(_ROOT / "tests" / "weights" / test) for test in TESTS]
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--collect-only", "-q", *where]
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fuzzers take longer to load than the tests
    found = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, env=bare)
    if found.returncode != 0:
        told = f"{found.stdout[-500:]}{found.stderr[-500:]}"
        raise SegTalkerError(f"{', '.join(TESTS)}: pytest cannot collect them: {told}")
    tested = set(re.findall(r"::\w+\[([^]]+)]", found.stdout))
    return [row for row in rows if row not in tested]


if __name__ == "__main__":
    main(__doc__, run, targets=TARGETS)
