"""TorchScript archives: the tensors of a scripted network, without its program.

`torch.jit.save` keeps the attributes of a network's objects in a pickle (`data.pkl`) and their classes as a
program (`code/`) with its constants (`constants.pkl`). Only the pickle is read. It names classes that exist
nowhere but in the program (`__torch__...`), which become plain modules here, and helpers for typed lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segtalker.weights.pickles.allowed import LONGEST_NAME, FindGlobal, Module
from segtalker.weights.pickles.opcodes import Global

PROGRAM = "constants.pkl"
"""The record that tells a program's archive from a state dict's; it is never opened."""
_CLASSES = "__torch__"


@dataclass(frozen=True, eq=False)
class ScriptModule(Module):
    """An object of a class of the program."""

    def set_state(self, state: Any) -> None:
        """Its attributes, in which tensors and the objects inside it stand side by side."""
        attributes = state if type(state) is dict else {}  # some classes pack theirs; nobody unpacks them
        children = {name: value for name, value in attributes.items() if isinstance(value, Module)}
        own = {name: value for name, value in attributes.items() if name not in children}
        self.state.update({"_modules": children, "_parameters": own})


def script_allow_list(find: FindGlobal) -> FindGlobal:
    """`find` with what the pickle of a TorchScript archive may name on top."""

    def find_in_script(module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if module.partition(".")[0] == _CLASSES and len(full) <= LONGEST_NAME:
            return Global(full, lambda: ScriptModule(full, {}))
        if (build := _HELPERS.get(full)) is not None:
            return Global(full, build)
        return find(module, name)

    return find_in_script


def _list(values: Any) -> list[Any]:
    if type(values) is not list:
        raise TypeError(f"a list of a {type(values).__name__}")
    return values


def _untagged(value: Any, kind: Any) -> Any:
    """The value of an attribute that is saved with its type."""
    if type(kind) is not str:
        raise TypeError("a type that is no text")
    return value


_HELPERS: dict[str, Callable[..., Any]] = {
    **{f"torch.jit._pickle.build_{kind}list": _list for kind in ("int", "bool", "double", "tensor")},
    "torch.jit._pickle.restore_type_tag": _untagged,
}
