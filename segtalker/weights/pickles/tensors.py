"""Tensors inside a foreign file, described and checked, and read only when somebody wants their values."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from segtalker.weights.pickles.telling import told

MOST_DIMENSIONS = 64
"""Of a tensor, as in torch."""
_LARGEST = 1 << 62


def is_size(value: Any) -> bool:
    """Whether a value of a file is a number that a size may be."""
    return type(value) is int and 0 <= value < _LARGEST


class StoredTensor(Protocol):
    """A tensor that is still in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in every dimension."""

    def load(self) -> Tensor:
        """Its values; they may share memory with the file, so they are not to be written to."""


@dataclass(frozen=True)
class InMemory:
    """A tensor that is at hand already."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in every dimension."""
        return tuple(self.tensor.shape)

    def load(self) -> Tensor:
        """Its values."""
        return self.tensor


@dataclass
class Storage:
    """A run of numbers of one type; `data` are its bytes once it is known where they lie."""

    dtype: torch.dtype
    count: int
    data: memoryview | None = None

    def __post_init__(self) -> None:
        if not is_size(self.count):
            raise ValueError(f"a storage of {told(self.count)} numbers")

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return self.count * self.dtype.itemsize

    def load(self) -> Tensor:
        """All numbers [count]; shares the file's memory where they are aligned there."""
        if self.data is None or len(self.data) != self.nbytes:
            raise ValueError("a storage without its numbers")
        if not self.count:
            return torch.empty(0, dtype=self.dtype)
        raw = torch.frombuffer(self.data, dtype=torch.uint8)
        if raw.data_ptr() % self.dtype.itemsize:
            raw = raw.clone()
            _give_back(self.data)
        return raw.view(self.dtype)


def _give_back(data: memoryview) -> None:
    """Free the memory of what was copied out of a mapped file; it can be read from there again."""
    file = data.obj
    if not isinstance(file, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    begin = _address(data) - _address(memoryview(file))
    first, last = -(-begin // mmap.PAGESIZE), (begin + len(data)) // mmap.PAGESIZE  # pages of it alone
    if last > first:
        file.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)


def _address(data: memoryview) -> int:
    return torch.frombuffer(data, dtype=torch.uint8).data_ptr()


@dataclass(frozen=True)
class StorageView:
    """A tensor over a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what lies outside the storage, or would be larger than it once it is copied."""
        if type(self.storage) is not Storage:
            raise TypeError("a tensor without a storage")
        numbers = (self.offset, *self.shape, *self.stride)
        if len(self.shape) > MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {len(self.shape)} dimensions")
        if wrong := [number for number in numbers if not is_size(number)]:
            raise ValueError(f"a tensor with {told(wrong[0])} among its sizes, steps and offset")
        if len(self.shape) != len(self.stride):
            raise ValueError("a tensor with fewer strides than dimensions")
        count = math.prod(self.shape)
        last = sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
        if count and (self.offset + last >= self.storage.count or count > self.storage.count):
            raise ValueError(f"a tensor of shape {self.shape} in {self.storage.count} numbers")

    def load(self) -> Tensor:
        """Its values."""
        return self.storage.load().as_strided(self.shape, self.stride, self.offset)


def rebuilt(storage: Storage, offset: int, shape: Any, stride: Any, *_: Any) -> StorageView:
    """The tensor that a file describes so; whether it wants gradients or has hooks is of no interest."""
    return StorageView(storage, offset, tuple(shape), tuple(stride))
