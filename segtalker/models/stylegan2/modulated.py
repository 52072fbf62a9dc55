"""Modulated convolution with one style a sample or one style a region, at about the same price.

Supplement of arXiv 2409.03605, eq. (1)-(2): F_l = sum_j (F_{l-1} * Demod(Mod(W, s_j))) o (M == j). Literally
that is one convolution a region. Every output pixel p belongs to one region r(p), so

    out(p) = d_r(p) * sum_k W_k x(p + k) s_r(p)

and one plain convolution of x(q) s_r(q) already gives it wherever all inputs of p lie in p's region.
Elsewhere only the taps that cross a border are wrong, by W_k x(q) (s_r(p) - s_r(q)): these few (p, q) pairs
are gathered, multiplied by their tap's matrix and added. Up-sampling layers are the same
with the four phases of the transposed convolution folded with its blur: 4 phases x 3x3 taps. 1x1 layers
never cross.

Shape legend: N batch, R regions (1 or num_regions), I input and O output channels, T taps, P pairs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtalker.models.stylegan2.layers import BLUR_TAPS, Blur, EqualLinear
from segtalker.models.stylegan2.routing import Crossings, LayerRouting


class ModulatedConv2d(nn.Module):
    """StyleGAN2's weight-modulated convolution; `weight` [1, O, I, k, k], `modulation` style -> I scales."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel: int,
        style_dim: int,
        up: bool = False,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        if up and kernel != 3:
            raise ValueError("ModulatedConv2d: up-sampling needs a 3x3 kernel.")
        self.weight = nn.Parameter(torch.randn(1, num_out, num_in, kernel, kernel))
        self.modulation = EqualLinear(style_dim, num_in, bias_init=1.0)
        self.scale = 1.0 / math.sqrt(num_in * kernel * kernel)
        self.up = up
        self.demodulate = demodulate
        if up:
            self.blur = Blur(pad=(1, 1), gain=4.0)
            self.register_buffer("phase_taps", _phase_taps(), persistent=False)
        self._tap_cache: tuple[object, Tensor] | None = None

    def forward(self, x: Tensor, codes: Tensor, routing: LayerRouting | None = None) -> Tensor:
        """`x` [N, I, H, W], `codes` [N, R, D] to [N, O, H', W'].

        Without `routing` R must be 1 and the sample has one style; with it every pixel has its region's.
        """
        styles, demods = self.styles(codes)
        if self.weight.shape[-1] == 1:
            return self._mix_channels(x, styles, demods, routing)
        if routing is None:
            out = self.convolve(x * _everywhere(styles, x.dtype))
            return out if demods is None else _scaled(out, _everywhere(demods, out.dtype))
        out = self.convolve(_scaled(_spread(styles.to(x.dtype), routing.input_styles), x))
        if routing.crossings is not None:
            out = self._correct(out, x, styles, routing.crossings)
        return out if demods is None else _scaled(out, _spread(demods.to(out.dtype), routing.output_styles))

    def styles(self, codes: Tensor) -> tuple[Tensor, Tensor | None]:
        """Input scales [N, R, I] and demodulation factors [N, R, O] (None where not demodulated) of codes."""
        styles = self.modulation(codes)
        if not self.demodulate:
            return styles, None
        energy = (self.weight[0] * self.scale).square().sum(dim=(2, 3))
        return styles, torch.rsqrt(styles.square() @ energy.t() + 1e-8)

    def convolve(self, x: Tensor) -> Tensor:
        """The plain convolution with the unmodulated kernel; transposed and blurred when up-sampling."""
        weight = self.weight[0] * self.scale
        if self.up:
            return self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def _mix_channels(
        self, x: Tensor, styles: Tensor, demods: Tensor | None, routing: LayerRouting | None
    ) -> Tensor:
        """A 1x1 kernel: all regions' matrices in one GEMM, then each pixel keeps its own region's result."""
        count, regions = styles.shape[:2]
        matrices = (self.weight[0, :, :, 0, 0] * self.scale) * styles[:, :, None]  # [N, R, O, I]
        if demods is not None:
            matrices = matrices * demods[..., None]
        num_out = matrices.shape[2]
        rows = _rows(x).view(count, -1, x.shape[1])
        out = rows @ matrices.flatten(1, 2).transpose(1, 2).to(x.dtype)  # [N, H * W, R * O]
        if routing is not None:
            own = routing.output_styles.view(count, -1, 1, 1) % regions
            out = out.view(count, -1, regions, num_out).gather(2, own.expand(-1, -1, 1, num_out))
        return out.reshape(count, *x.shape[2:], num_out).permute(0, 3, 1, 2)

    def _correct(self, out: Tensor, x: Tensor, styles: Tensor, crossings: Crossings) -> Tensor:
        """Add W_k x(q) (s_own - s_other) to `out` for every crossing pair."""
        changes = (styles[:, :, None] - styles[:, None]).reshape(-1, styles.shape[-1]).to(x.dtype)
        pairs = F.embedding(crossings.source, _rows(x)) * F.embedding(crossings.change, changes)
        values = _tap_products(pairs, self._tap_matrices().to(x.dtype), crossings.counts)
        rows = _rows(out).index_add_(0, crossings.target, values.to(out.dtype))
        count, channels, height, width = out.shape
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _tap_matrices(self) -> Tensor:
        """[T, I, O], one matrix a tap: 9 of the kernel, or 36 (phase y, x, ky, kx) when up-sampling."""
        if torch.is_grad_enabled() or self.training:
            return self._compose_taps()
        key = (self.weight.data_ptr(), self.weight._version, self.weight.device, self.weight.dtype)
        if self._tap_cache is None or self._tap_cache[0] != key:
            self._tap_cache = (key, self._compose_taps())
        return self._tap_cache[1]

    def _compose_taps(self) -> Tensor:
        weight = (self.weight[0] * self.scale).permute(2, 3, 1, 0)  # [k, k, I, O]
        num_in, num_out = weight.shape[2:]
        weight = weight.reshape(-1, num_in * num_out)
        if self.up:
            weight = self.phase_taps.to(weight.dtype) @ weight  # type: ignore[operator]
        return weight.view(-1, num_in, num_out)


def _rows(x: Tensor) -> Tensor:
    """[N, C, H, W] as [N * H * W, C]; free for channels-last tensors."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _tap_products(pairs: Tensor, taps: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Rows [P, I], sorted by tap, times their tap's matrix of [T, I, O]: [P, O]."""
    if len(set(counts)) == 1:
        return torch.bmm(pairs.view(len(taps), counts[0], -1), taps).flatten(0, 1)
    return torch.cat([rows @ tap for rows, tap in zip(pairs.split(counts), taps.unbind(0), strict=True)])


def _scaled(fresh: Tensor, factor: Tensor) -> Tensor:
    """The product, in place where no gradient needs `fresh`: new large pictures cost page faults."""
    return fresh * factor if torch.is_grad_enabled() else fresh.mul_(factor)


def _everywhere(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values [N, 1, C] as [N, C, 1, 1]."""
    return values[:, 0, :, None, None].to(dtype)


def _spread(values: Tensor, styles: Tensor) -> Tensor:
    """Values [N, R, C] and style rows [N, H, W] to a channels-last picture [N, C, H, W] of them."""
    return F.embedding(styles, values.reshape(-1, values.shape[-1])).permute(0, 3, 1, 2)


def _phase_taps() -> Tensor:
    """[36, 9]: kernel entries (m, n) -> tap (phase a, b, ky, kx) of "transposed convolution, then blur".

    One axis: z(u) = sum_q W(u - 2q) x(q) and y(P) = sum_t b(t) z(P - 1 + t). With P = 2i + a and q = i + k,
    k in -1..1, the tap is sum_m b(m - a + 1 + 2k) W(m).
    """
    blur = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS) * 2.0
    axis = torch.zeros(2, 3, 3)
    for a in range(2):
        for k in (-1, 0, 1):
            for m in range(3):
                t = m - a + 1 + 2 * k
                if 0 <= t < 4:
                    axis[a, k + 1, m] = blur[t]
    return torch.einsum("akm,bln->abklmn", axis, axis).reshape(36, 9)
