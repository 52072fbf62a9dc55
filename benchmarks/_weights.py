"""A published file on its way in: written, imported and loaded, compared; each in a process of its own.

The processes are forked from one that has imported everything and computed nothing, so that start-up is in
no figure and memory is that of the step alone.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from benchmarks._report import resident_bytes
from segtalker.weights.checkpoint import load_weights
from segtalker.weights.importing import import_file
from tests.weights.cases import Case, cases, largest_error
from tests.weights.cases.synthesis import port_generator

P = ParamSpec("P")
T = TypeVar("T")

_MODULE = "benchmarks._weights"


@dataclass(frozen=True)
class Subject:
    """A file to measure."""

    row: str
    """Of the registry."""
    network: str
    """A name of `checkpoint.NETWORKS`."""
    full: bool
    """Of the published size."""
    port: bool = False
    """StyleGAN2's generator in the layout of the PyTorch port instead of NVIDIA's."""

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"{self.row} (PyTorch port)" if self.port else self.row

    def case(self) -> Case:
        """How it is written and what its equations say."""
        return port_generator() if self.port else cases(self.full)[self.row]


@dataclass(frozen=True)
class Passage:
    """What it cost to bring a file in."""

    import_s: float
    """From the published file to ours: recognised, checked, hashed, written."""
    load_s: float
    """From ours to the network."""
    peak_bytes: int
    """Resident memory that both took on top, at most; pages of mapped files are counted."""


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `function` in a new process; what it raises is raised here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_MODULE])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args, **kwargs).result()


def write(subject: Subject, path: Path) -> int:
    """Write the published file; returns its size in bytes."""
    subject.case().write(path)
    return path.stat().st_size


def bring_in(subject: Subject, published: Path, ours: Path) -> Passage:
    """Import the published file to `ours` and load the network; it must be what it is taken for."""
    looks_like = subject.case().looks_like
    before, started = resident_bytes(), time.perf_counter()
    import_file(published, subject.network, ours, expected=looks_like)
    imported = time.perf_counter()
    net: nn.Module = load_weights(ours, subject.network)
    loaded = time.perf_counter()
    assert not net.training
    return Passage(imported - started, loaded - imported, resident_bytes(peak=True) - before)


@torch.no_grad()
def compare(subject: Subject, ours: Path) -> tuple[float, float]:
    """Largest error of the network in `ours`, and the least range of an output; see `largest_error`."""
    return largest_error(subject.case().outputs(load_weights(ours, subject.network)))
