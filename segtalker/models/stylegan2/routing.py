"""Which convolution taps cross a region border: the index sets of the region-wise convolution.

They depend on the region map alone, so they are found once per map and resolution, on the host, and shared by
all layers of that resolution. A host map costs no device synchronisation; a map that already lives on a GPU
is copied to the host once, which waits for the device.

Shape legend: N batch, R regions, H W size of a layer's output, T taps, P crossings of all taps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PAD_UP_TO = 8192
"""Pairs, padding included, up to which a CPU too takes one batched product for all taps of a layer."""

_Map = NDArray[np.int32]


@dataclass(frozen=True)
class Crossings:
    """Pairs (output pixel, input pixel) of two different regions, sorted by the tap that joins them.

    All are int64 [P]. Pixels count rows of a channels-last tensor [N * H * W, C].
    """

    source: Tensor
    """Input pixel that the tap reads."""
    target: Tensor
    """Output pixel that the tap feeds."""
    change: Tensor
    """Row of [N * R * R, C]: (the output pixel's region, which counts; the input pixel's, which was used)."""
    counts: tuple[int, ...]
    """Pairs of each tap, T numbers. All are equal off the CPU and at low resolutions: short taps are padded
    with pairs whose two regions are equal, which add exactly zero, so that one batched product serves all."""


@dataclass(frozen=True)
class LayerRouting:
    """What one layer needs."""

    input_styles: Tensor
    """int64 [N, H, W] row of [N * R, C] for each input pixel."""
    output_styles: Tensor
    """int64 [N, H', W'] row of [N * R, C] for each output pixel."""
    crossings: Crossings | None
    """None where no tap crosses a border."""


class RegionRouting:
    """Routing of all layers for a batch of region maps; built lazily, one entry a resolution and kind."""

    def __init__(
        self, region_map: Tensor, num_regions: int, device: torch.device | str | None = None
    ) -> None:
        """`region_map` integer [N, S, S], values 0..num_regions-1; `device` is where the indices go."""
        if region_map.dim() != 3:
            raise ValueError(
                f"RegionRouting: expected a region map [N, S, S], found {tuple(region_map.shape)}."
            )
        self.device = torch.device(device) if device is not None else region_map.device
        self.num_regions = num_regions
        self._regions = region_map.detach().cpu().numpy().astype(np.int32)
        if self._regions.size and not 0 <= self._regions.min() <= self._regions.max() < num_regions:
            raise ValueError(f"RegionRouting: region numbers must lie in 0..{num_regions - 1}.")
        self._layers: dict[tuple[str, int], LayerRouting] = {}

    def pixel(self, size: int) -> LayerRouting:
        """Routing of a 1x1 convolution at `size`: nothing ever crosses."""
        if ("pixel", size) not in self._layers:
            styles = self._to_device(self._style_rows(self.at(size)))
            self._layers["pixel", size] = LayerRouting(styles, styles, None)
        return self._layers["pixel", size]

    def same(self, size: int) -> LayerRouting:
        """Routing of a 3x3 convolution at `size`; tap 3 * ky + kx."""
        if ("same", size) not in self._layers:
            regions, styles = self.at(size), self.pixel(size).output_styles
            taps = [
                _tap_pairs(regions, regions, ky - 1, kx - 1, 1, 0, 0) for ky in range(3) for kx in range(3)
            ]
            self._layers["same", size] = LayerRouting(styles, styles, self._crossings(taps))
        return self._layers["same", size]

    def up(self, size: int) -> LayerRouting:
        """Routing of an up-sampling layer to `size`; tap (phase_y, phase_x, ky, kx) in C order, 36 taps."""
        if ("up", size) not in self._layers:
            fine = self.at(size)
            coarse = _majority_of_four(fine)
            taps = [
                _tap_pairs(fine, coarse, ky - 1, kx - 1, 2, a, b)
                for a in range(2)
                for b in range(2)
                for ky in range(3)
                for kx in range(3)
            ]
            self._layers["up", size] = LayerRouting(
                self._to_device(self._style_rows(coarse)),
                self.pixel(size).output_styles,
                self._crossings(taps),
            )
        return self._layers["up", size]

    def at(self, size: int) -> _Map:
        """Region maps [N, size, size] by nearest neighbour (`Down(M)` of eq. (1))."""
        height, width = self._regions.shape[1:]
        rows = np.arange(size) * height // size
        columns = np.arange(size) * width // size
        return self._regions[:, rows[:, None], columns[None, :]]

    def _style_rows(self, regions: _Map) -> NDArray[np.int64]:
        first = np.arange(len(regions), dtype=np.int64) * self.num_regions
        return regions + first[:, None, None]

    def _crossings(self, taps: list[_Pairs]) -> Crossings | None:
        counts = [len(tap.source) for tap in taps]
        if max(counts) == 0:
            return None
        pad = self.device.type != "cpu" or max(counts) * len(taps) <= PAD_UP_TO
        padded = [max(counts)] * len(taps) if pad else counts
        table = np.zeros((3, sum(padded)), dtype=np.int64)
        first = 0
        for tap, count, space in zip(taps, counts, padded, strict=True):
            own = tap.sample * self.num_regions + tap.own_region
            table[0, first : first + count] = tap.source
            table[1, first : first + count] = tap.target
            table[2, first : first + count] = own * self.num_regions + tap.other_region
            first += space
        source, target, change = self._to_device(table).unbind(0)
        return Crossings(source, target, change, tuple(padded))

    def _to_device(self, array: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class _Pairs:
    """Crossings of one tap: int arrays [count]."""

    sample: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    own_region: _Map
    other_region: _Map


def _tap_pairs(fine: _Map, coarse: _Map, dy: int, dx: int, factor: int, a: int, b: int) -> _Pairs:
    """Pairs of output pixel (factor*i + a, factor*j + b) and input pixel (i + dy, j + dx) of two regions."""
    height, width = coarse.shape[1:]
    top, bottom = max(0, -dy), height - max(0, dy)
    left, right = max(0, -dx), width - max(0, dx)
    own = fine[:, a::factor, b::factor][:, top:bottom, left:right]
    other = coarse[:, top + dy : bottom + dy, left + dx : right + dx]
    sample, row, column = np.nonzero(own != other)
    out_row, out_column = factor * (row + top) + a, factor * (column + left) + b
    fine_height, fine_width = fine.shape[1:]
    return _Pairs(
        sample=sample,
        source=(sample * height + row + top + dy) * width + column + left + dx,
        target=(sample * fine_height + out_row) * fine_width + out_column,
        own_region=own[sample, row, column],
        other_region=other[sample, row, column],
    )


def _majority_of_four(fine: _Map) -> _Map:
    """Coarse map [N, H/2, W/2]: the commonest of four children. Any choice is exact, this crosses least."""
    a, b = fine[:, ::2, ::2], fine[:, ::2, 1::2]
    c, d = fine[:, 1::2, ::2], fine[:, 1::2, 1::2]
    a_twice = (a == b) | (a == c) | (a == d)
    b_twice = (b == c) | (b == d)
    return np.where(a_twice, a, np.where(b_twice, b, np.where(c == d, c, a)))
