"""Networks whose tensors come from a file: built without drawing numbers that the file replaces at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_DRAWS = {
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.trunc_normal_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
    nn.init.xavier_normal_,
    nn.init.xavier_uniform_,
}
"""How random numbers come into a tensor that is there."""


def blank(build: Callable[[], nn.Module], device: str | None = None) -> nn.Module:
    """The network that `build` makes, with arbitrary memory where it would draw random numbers.

    Pages that nobody writes to take no room, so that a large network costs its file's size once. device:
    where that memory is; on `meta` it has shapes alone. (The device `meta` for all of the network would do,
    but the constants that some layers compute there make torch import hundreds of modules.)
    """
    with _Blank(device):
        return build()


class _Blank(TorchFunctionMode):
    """While active, random numbers are left out."""

    def __init__(self, device: str | None) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        if func in (torch.randn, torch.empty):
            return torch.empty(
                *args, **(kwargs if self._device is None else {**kwargs, "device": self._device})
            )
        return func(*args, **kwargs)
