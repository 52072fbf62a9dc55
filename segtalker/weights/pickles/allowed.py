"""The globals that network files may name, each with a stand-in; every other name is refused.

Nothing here imports what a file names. Functions that rebuild tensors describe them (`tensors`), containers
become plain ones, classes of configurations and dictionaries that published files are known to drag along
(argparse, fairseq, omegaconf, sentencepiece) become `Inert`, and NVIDIA's persistent modules give their state
without the source code that they carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from segtalker.errors import WeightsError
from segtalker.weights.pickles.arrays import NumpyArray, NumpyType, numpy_scalar
from segtalker.weights.pickles.opcodes import Global, Inert, checked_key
from segtalker.weights.pickles.telling import told
from segtalker.weights.pickles.tensors import Storage, StorageView, rebuilt

FindGlobal = Callable[[str, str], Any]

INERT_PACKAGES = ("fairseq", "omegaconf", "sentencepiece")
"""Of configurations and dictionaries inside speech checkpoints."""
INERT_CLASSES = {
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("typing", "Any"),
    *(("builtins", name) for name in ("bool", "float", "int", "object", "str")),
}

_OTHERS = {
    "dnnlib.tflib.network": "a TensorFlow network. Use NVIDIA's file for PyTorch",
    "torch.nn.modules": "a whole network object. Ask its owner for the state dict",
}
"""Modules whose objects people have in good faith, and what to do about them."""

LONGEST_NAME = 500
"""Of a global; a file may name the same long one again and again."""

_STORAGES = {
    "Bool": torch.bool,
    "Byte": torch.uint8,
    "Char": torch.int8,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Float": torch.float32,
    "Double": torch.float64,
}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGES.values()}


@dataclass(frozen=True)
class StorageType(Global):
    """A class of storages, named by persistent ids; never called."""

    dtype: torch.dtype


@dataclass(frozen=True, eq=False)  # comparing what a file nests may take for ever
class Module:
    """What a file keeps of a network object: its class by name, and its attributes."""

    class_name: str
    state: dict[str, Any]


def allow_list(place: str, load_nested: Callable[[memoryview], Storage]) -> FindGlobal:
    """Finds the stand-in for a global by module and name; `WeightsError` names what is not on the list.

    place: the file, for errors. load_nested: reads a storage that was saved as a file inside the pickle.
    """
    known = {**_KNOWN, ("torch.storage", "_load_from_bytes"): load_nested}

    def find(module: str, name: str) -> Any:
        module = {"__builtin__": "builtins", "torch.cuda": "torch"}.get(module, module)
        full = f"{module}.{name}"
        shown = told(full)  # it may hold line feeds and what terminals obey
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if module == "torch" and name.endswith("Storage") and name.removesuffix("Storage") in _STORAGES:
            return StorageType(full, _not_called, _STORAGES[name.removesuffix("Storage")])
        if (build := known.get((module, name))) is not None:
            return Global(full, build)
        is_inert = (module, name) in INERT_CLASSES or module.partition(".")[0] in INERT_PACKAGES
        if is_inert and len(full) <= LONGEST_NAME:
            return Global(full, lambda *arguments, **_: Inert(full, *arguments))
        for start, what in _OTHERS.items():
            if module.startswith(start):
                raise WeightsError(f"{place}: refused, nothing was run: {shown}, {what}.")
        raise WeightsError(
            f"{place}: refused, nothing was run: it names {shown}, which no network file needs. "
            "Use a file from its publisher, or ask its owner for a safetensors file."
        )

    return find


def _not_called(*_: Any) -> Any:
    raise TypeError("a storage that is made inside the pickle")


def _dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    if isinstance(pairs, Global):  # what a defaultdict would fill in
        return {}
    items = pairs.items() if isinstance(pairs, dict) else pairs
    return {checked_key(key): value for key, value in items}


def _values(values: Any = ()) -> list[Any]:
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise TypeError(f"the items of a {type(values).__name__}")
    return list(values)


def _first(value: Any, *_: Any) -> Any:
    """A parameter is its tensor."""
    if not isinstance(value, StorageView):
        raise TypeError("a parameter without a tensor")
    return value


def _from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes of its own, which are left out."""
    if not isinstance(function, Global) or type(arguments) is not tuple:
        raise TypeError("a tensor from what is no function")
    return _first(function.build(*arguments))


def _encoded(text: str, encoding: str = "utf-8") -> bytes:
    """How protocol 2 writes bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8"):
        raise TypeError(f"text in {told(encoding)}")
    return text.encode(encoding)


def _persistent_module(meta: Any) -> Module:
    """NVIDIA's persistent object: `meta["module_src"]`, its source code, is never looked at."""
    if type(meta) is not dict or meta.get("type") != "class" or type(meta.get("state")) is not dict:
        raise TypeError("a persistent object without a state")
    if type(meta.get("class_name")) is not str:
        raise TypeError("a persistent object of a class without a name")
    return Module(meta["class_name"], meta["state"])


def _device(*parts: Any) -> str:
    """Such as `cuda:0`, of which nobody makes anything."""
    if not all(type(part) in (str, int) for part in parts):
        raise TypeError("a device that is neither text nor number")
    return ":".join(map(str, parts))


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encoded,
    ("builtins", "set"): lambda values=(): set(map(checked_key, _values(values))),
    ("builtins", "frozenset"): lambda values=(): frozenset(map(checked_key, _values(values))),
    ("builtins", "list"): _values,
    ("builtins", "tuple"): lambda values=(): tuple(_values(values)),
    ("builtins", "dict"): _dict,
    ("collections", "OrderedDict"): _dict,
    ("collections", "defaultdict"): _dict,
    ("collections", "Counter"): _dict,
    ("dnnlib.util", "EasyDict"): _dict,
    ("torch", "Size"): lambda values=(): tuple(_values(values)),
    ("torch", "Tensor"): _not_called,
    ("torch", "device"): _device,
    ("torch.nn.parameter", "Parameter"): _not_called,
    ("torch._utils", "_rebuild_tensor"): rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_module,
    ("numpy", "dtype"): NumpyType,
    ("numpy", "ndarray"): _not_called,
    **{(f"numpy.{core}.multiarray", "scalar"): numpy_scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): NumpyArray for core in ("core", "_core")},
}
