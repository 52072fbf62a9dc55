"""Rows of a registry for tests: small files under names that no published network has."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from segtalker.weights import registry, store
from segtalker.weights.registry import Published, WeightsRow, WheelMember

DATA = b"a small network"

PACK = WeightsRow(
    name="pack",
    title="a toy pack",
    group="toys",
    filename="models/pack",
    licence="research only",
    forbids="commercial use",
    consumer="a test",
    source=Published("pack.zip", "https://example.org"),
)


def small_row(**changes: Any) -> WeightsRow:
    """A row whose file holds `DATA` and is used as it is, out of a wheel if nothing else is said."""
    digest = hashlib.sha256(DATA).hexdigest()
    row = WeightsRow(
        name="small",
        title="a toy",
        group="toys",
        filename="small.tflite",
        licence="MIT",
        forbids="",
        consumer="a test",
        source=WheelMember("toy", "1.0", "toy/small.tflite", digest, len(DATA)),
    )
    return replace(row, **changes)


def published(filename: str, url: str = "", data: bytes | None = None) -> Published:
    """A published file at `url`, with what is known of it if `data` is given."""
    urls = (url,) if url else ()
    if data is None:
        return Published(filename, "https://example.org", urls)
    digest = hashlib.sha256(data).hexdigest()
    return Published(filename, "https://example.org", urls, digest, size=len(data))


def list_rows(patch: pytest.MonkeyPatch, *rows: WeightsRow) -> None:
    """Add rows to the registry for one test."""
    everything = (*registry.ROWS, *rows)
    patch.setattr(registry, "ROWS", everything)
    patch.setattr(store, "ROWS", everything)


def forget_hashes(patch: pytest.MonkeyPatch, *names: str) -> None:
    """For one test, rows of the registry of whose published files nobody knows size or hash."""
    nothing = {"sha256": None, "git_blob": None, "size": None}
    rows = tuple(
        replace(row, source=replace(row.source, **nothing))
        if row.name in names and isinstance(row.source, Published)
        else row
        for row in registry.ROWS
    )
    patch.setattr(registry, "ROWS", rows)
    patch.setattr(store, "ROWS", rows)
