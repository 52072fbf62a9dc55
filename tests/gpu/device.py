"""What tests of CUDA share: how far two results are apart, and a block in which nothing may wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

GPU = torch.device("cuda")


def apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference, as a part of the largest expected value."""
    found, expected = found.detach().float().cpu(), expected.detach().float().cpu()
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


@contextmanager
def no_waiting() -> Iterator[None]:
    """Any wait of the host for the device inside the block is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
