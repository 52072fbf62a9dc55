"""What `segtalker weights list`, `info` and `verify` print."""

from __future__ import annotations

from collections.abc import Sequence

from segtalker.weights.registry import Published, WeightsRow
from segtalker.weights.store import WeightsStatus, cache_dir, examine, status


def table() -> str:
    """Every network, one line each, under a line that names the cache; nothing is read but sizes."""
    lines = [
        f"cache: {cache_dir()}",
        f"{'name':28} {'group':11} {'published':>10}  {'state':8} {'to get it':10} what it is",
    ]
    for item in status():
        row = item.row
        lines.append(
            f"{row.name:28} {row.group:11} {_size(row):>10}  {item.state:8} {_way(row):10} {row.title}"
        )
    lines += [
        "",
        "fetch: segtalker weights fetch NAME. fetch*: its terms restrict use and want --accept-licence.",
        "by hand: get it with a browser, then segtalker weights import FILE.",
        "segtalker weights info NAME says whose each is and under which terms.",
    ]
    return "\n".join(lines)


def describe_row(row: WeightsRow) -> list[str]:
    """All that the registry knows of one network, line by line."""
    found, source = examine(row), row.source
    lines = [
        f"{row.name}: {row.title}",
        f"licence:   {row.licence}",
        f"forbids:   {row.forbids or 'nothing beyond that licence'}",
        f"published: {source.filename}, {_size(row).strip() or 'size not known'}, {source.page}",
    ]
    lines += [f"url:       {url}" for url in source.urls] if isinstance(source, Published) else []
    digits = row.sha256
    if digits and len(digits) < 64:
        digits += " (its beginning; so few digits guard against damage only, not against another file)"
    blob = f"git blob {source.git_blob}" if isinstance(source, Published) and source.git_blob else None
    lines += [
        f"hash:      {digits or blob or 'not published; recorded when it is installed'}",
        f"kept as:   {f'safetensors, network {row.network!r}' if row.network else 'published'}",
        f"read by:   {row.consumer}",
        f"here:      {found.state}, {found.path}" + (f" ({found.why})" if found.why else ""),
    ]
    return lines


def verification(found: Sequence[WeightsStatus]) -> list[str]:
    """What became of every file that is in the cache."""
    lines = []
    for item in found:
        note = f": {item.why}" if item.why else ""
        if item.state == "unrecorded":
            note = ": put there by hand, so there is no hash to compare; import or fetch it again to have one"
        if item.state != "missing":
            lines.append(f"{item.state:10} {item.path}{note}")
    return lines or [f"nothing is in {cache_dir()}"]


def _size(row: WeightsRow) -> str:
    return f"{row.size / 1e6:.1f} MB" if row.size is not None else ""


def _way(row: WeightsRow) -> str:
    if row.by_hand:
        return "by hand"
    return "fetch*" if row.forbids else "fetch"
