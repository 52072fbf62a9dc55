"""NumPy arrays and scalars inside a pickle: numbers only, never objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtalker.weights.pickles.telling import told
from segtalker.weights.pickles.tensors import MOST_DIMENSIONS, is_size

_NUMBERS = {"b1", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}


class NumpyType:
    """The type of an array's numbers, such as `f4`."""

    def __init__(self, name: str, *_: Any) -> None:
        if type(name) is not str or name not in _NUMBERS:
            raise TypeError(f"an array of {told(name)}, which are no numbers")
        self.dtype = np.dtype(name)

    def set_state(self, state: Any) -> None:
        """Byte order and padding: (version, order, ...)."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise TypeError("a number type of an unknown order")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


class NumpyArray:
    """An array that is still in its file; a `StoredTensor`."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self._values: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """(version, shape, type, whether in Fortran's order, bytes)."""
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, NumpyType) or type(shape) is not tuple:
            raise TypeError("an array that is not of numbers")
        values = np.frombuffer(raw, kind.dtype)
        if len(shape) > MOST_DIMENSIONS or not all(map(is_size, shape)):
            raise ValueError("an array of a shape that is none")
        if math.prod(shape) != values.size:
            raise ValueError(f"an array of shape {shape} with {values.size} numbers")
        self.shape = shape
        self._values = values.reshape(shape, order="F" if fortran else "C")

    def load(self) -> Tensor:
        """Its values."""
        if self._values is None:
            raise ValueError("an array without its numbers")
        return torch.from_numpy(np.array(self._values, self._values.dtype.newbyteorder("=")))


def numpy_scalar(kind: Any, raw: Any) -> Any:
    """One number of `kind` as Python's own."""
    if not isinstance(kind, NumpyType):
        raise TypeError("a number of no type")
    return np.frombuffer(raw, kind.dtype, count=1)[0].item()
