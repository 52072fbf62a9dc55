"""Tests of this folder compare CUDA with the CPU; without a CUDA device they are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _needs_cuda() -> None:
    """Before the fixtures of modules, which take time."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture()
def exact_float32() -> Iterator[None]:
    """Products and convolutions in whole fp32: no TF32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
