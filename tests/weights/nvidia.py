"""Pickles as NVIDIA's StyleGAN2 code writes them: modules by a function that carries their source code."""

from __future__ import annotations

import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import Parameter

SOURCE = "raise SystemExit('the source code inside a network file was run')"


class Persistent:
    """One module, with parameters and buffers by name and modules inside it."""

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name
        self.state: dict[str, Any] = {
            "training": False,
            "_parameters": OrderedDict(),
            "_buffers": OrderedDict(),
            "_modules": OrderedDict(),
            "_forward_hooks": OrderedDict(),
            "_non_persistent_buffers_set": set(),
            "_init_kwargs": EasyDict(z_dim=512),
            "weight_gain": 1 / np.sqrt(12),
        }

    def __reduce__(self) -> Any:
        import torch_utils.persistence as persistence  # type: ignore[import-not-found]

        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name}
        return persistence._reconstruct_persistent_obj, ({**meta, "state": self.state},)


class EasyDict(dict):
    """The dictionary class of that code."""


def persistent(class_name: str, tensors: Mapping[str, Tensor], buffers: tuple[str, ...]) -> Persistent:
    """A tree of modules with `tensors` by dotted name; names that end in one of `buffers` are buffers."""
    root = Persistent(class_name)
    for name, value in tensors.items():
        *parents, leaf = name.split(".")
        module = root
        for parent in parents:
            module = module.state["_modules"].setdefault(parent, Persistent(parent))
        if leaf in buffers:
            module.state["_buffers"][leaf] = value
        else:
            module.state["_parameters"][leaf] = Parameter(value)
    return root


def write_pickle(path: Path, value: Any, protocol: int = 4) -> Path:
    """Pickle a value with the module names of NVIDIA's code."""
    with _named_modules():
        path.write_bytes(pickle.dumps(value, protocol))
    return path


@contextmanager
def _named_modules() -> Iterator[None]:
    """Modules of these names while something is written; reading must do without."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")

    def _reconstruct_persistent_obj(meta: Any) -> Any: ...

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    util.EasyDict = EasyDict  # type: ignore[attr-defined]
    package, dnnlib = types.ModuleType("torch_utils"), types.ModuleType("dnnlib")
    package.persistence, dnnlib.util = persistence, util  # type: ignore[attr-defined]
    names = {"torch_utils": package, "torch_utils.persistence": persistence, "dnnlib": dnnlib}
    names["dnnlib.util"] = util
    EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
