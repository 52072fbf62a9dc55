"""Network files of other projects, opened without running anything: groups of named tensors and settings.

A published checkpoint is a dictionary of dictionaries: the network, its average, optimizers, options. Each
dictionary with tensors becomes a group (`g_ema`, `model`, "" for the outermost), so that a table of keys can
look for its network in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.weights.pickles.allowed import Module
from segtalker.weights.pickles.arrays import NumpyArray
from segtalker.weights.pickles.files import read_archive, read_pickle
from segtalker.weights.pickles.tensors import StorageView, StoredTensor

Group = dict[str, StoredTensor]

_DEPTH = 3
"""Dictionaries in dictionaries that are looked into."""
_MODULE_DEPTH = 64
_WRAPPER = "module."
"""What data parallelism puts before every key."""
_NOT_NETWORKS = {
    b"<": "a web page, not a network: the download asked for a confirmation. Fetch it with a browser",
    b"version https://git-lfs": "a pointer of Git LFS, not the network itself. Run 'git lfs pull' there",
}


@dataclass(frozen=True)
class ForeignFile:
    """A file and what is inside."""

    path: Path
    groups: dict[str, Group]
    settings: dict[str, Any] = field(default_factory=dict)
    """The plain values of the outermost dictionary (its `cfg`, `args`, ...)."""


@dataclass(frozen=True)
class SafeTensor:
    """A tensor in a safetensors file."""

    path: Path
    name: str
    shape: tuple[int, ...]

    def load(self) -> Tensor:
        """Its values."""
        with safe_open(str(self.path), framework="pt") as file:
            return file.get_tensor(self.name)


def open_foreign(path: Path | str) -> ForeignFile:
    """Open a file of any known kind, whatever its name; `WeightsError` says what it is instead."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.")
    with path.open("rb") as file:
        start = file.read(32)
    if not start:
        raise WeightsError(f"{path}: an empty file. Fetch it again.")
    for sign, what in _NOT_NETWORKS.items():
        if start.lstrip().startswith(sign):
            raise WeightsError(f"{path}: {what}.")
    if start.startswith(b"PK\x03\x04"):
        return _from_tree(path, read_archive(path))
    if start.startswith(b"\x80"):
        return _from_tree(path, read_pickle(path))
    if start[8:9] == b"{":
        return ForeignFile(path, {"": _unwrapped(_safetensors(path))})
    raise WeightsError(f"{path}: neither safetensors nor a network saved by PyTorch.")


def _safetensors(path: Path) -> Group:
    """Every tensor of a safetensors file; the library checks the header against the file's size."""
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: damaged safetensors ({error}). Fetch it again.") from error
    return {name: SafeTensor(path, name, shape) for name, shape in shapes.items()}


def _from_tree(path: Path, tree: Any) -> ForeignFile:
    if isinstance(tree, Module):
        tree = {"": tree}
    if not isinstance(tree, dict):
        raise WeightsError(f"{path}: holds a {type(tree).__name__}, not the tensors of a network.")
    groups: dict[str, Group] = {}
    _collect(tree, "", _DEPTH, groups, set())
    if not groups:
        raise WeightsError(f"{path}: holds no tensors.")
    settings = {name: value for name, value in tree.items() if isinstance(name, str) and name not in groups}
    return ForeignFile(path, groups, settings)


def _collect(node: Any, name: str, depth: int, groups: dict[str, Group], seen: set[int]) -> None:
    """Add `node` and what is inside it to `groups`; each object once, or a file could branch for ever."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Module):
        tensors = dict(_module_tensors(node, "", _MODULE_DEPTH, seen))
    elif isinstance(node, dict):
        tensors = {key: value for key, value in node.items() if isinstance(key, str) and _is_tensor(value)}
    else:
        return
    if tensors:
        groups[name] = _unwrapped(tensors)
    if isinstance(node, dict) and depth:
        for key, value in node.items():
            if isinstance(key, str):
                _collect(value, f"{name}.{key}" if name else key, depth - 1, groups, seen)


def _module_tensors(
    module: Module, prefix: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, StoredTensor]]:
    """Parameters and buffers of a module and of those inside it, by their dotted names."""
    for kind in ("_parameters", "_buffers"):
        for name, value in _mapping(module.state.get(kind)).items():
            if _is_tensor(value):
                yield f"{prefix}{name}", value
    for name, child in _mapping(module.state.get("_modules")).items():
        if isinstance(child, Module) and depth and id(child) not in seen:
            seen.add(id(child))
            yield from _module_tensors(child, f"{prefix}{name}.", depth - 1, seen)


def _unwrapped(tensors: Group) -> Group:
    if all(name.startswith(_WRAPPER) for name in tensors):
        return {name.removeprefix(_WRAPPER): value for name, value in tensors.items()}
    return tensors


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (StorageView, NumpyArray))


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
