"""Networks on CUDA: equal to the CPU in fp32, near it in half precision, and no waiting for the device."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from tests.gpu.device import GPU, apart, no_waiting
from tests.gpu.networks import BUILDERS, Case, make_case

pytestmark = pytest.mark.gpu
FP16 = 0.01
"""How far fp16 may take an output from that of fp32, as a part of the largest value; bf16 see `Case`."""


@pytest.fixture(params=BUILDERS)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(request.param)


@torch.no_grad()
def test_cuda_equals_the_cpu(case: Case, exact_float32: None) -> None:
    expected = case.run(torch.device("cpu"))
    assert apart(case.run(GPU), expected) < 1e-3


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_stays_within_the_stated_part_of_the_range(case: Case, dtype: torch.dtype) -> None:
    expected = case.run(torch.device("cpu"))
    with torch.autocast("cuda", dtype=dtype):
        found = case.run(GPU)
    assert apart(found, expected) < (case.bf16 if dtype == torch.bfloat16 else FP16)


@torch.no_grad()
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])
def test_the_host_runs_ahead_of_the_device(case: Case, half: bool) -> None:
    """Between the upload of its inputs and the download of its output no network waits."""
    precision = torch.autocast("cuda", dtype=torch.bfloat16) if half else nullcontext()
    with precision:
        case.run(GPU)  # choose kernels, fill caches
        inputs = [value.to(GPU) for value in case.inputs]
        with no_waiting():
            case.call(case.net, *inputs)
