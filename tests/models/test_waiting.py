"""No network reads a value of its tensors back while it runs: on a GPU the host would wait for the device."""

from __future__ import annotations

import contextlib

import pytest
import torch

from tests.gpu.networks import BUILDERS, make_case


@torch.no_grad()
@pytest.mark.parametrize("name", BUILDERS)
def test_a_network_runs_where_no_value_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the meta device have no values; whatever asks for one fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # meta has none
    case = make_case(name)
    expected = case.run(torch.device("cpu")).shape
    assert case.run(torch.device("meta")).shape == expected


def test_reading_a_value_where_there_is_none_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        torch.ones(3, device="meta").nonzero()
    with pytest.raises(RuntimeError):
        torch.ones(3, device="meta").sum().item()
