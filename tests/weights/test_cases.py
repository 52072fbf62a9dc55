"""Every network of the registry: a file in its published layout, imported, gives its equations' numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segtalker.weights.checkpoint import load_weights
from segtalker.weights.importing import import_file
from segtalker.weights.registry import ROWS, rows_of
from tests.weights.cases import Case, cases, largest_error

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

CASES = cases()
SLOW = ("stylegan2_ffhq_1024", "stylegan2_ffhq_1024_d", "i3d_fvd", "lpips_vgg")
ALL = [pytest.param(row, marks=pytest.mark.slow) if row in SLOW else row for row in CASES]


def test_every_row_that_holds_a_network_has_its_case():
    assert set(CASES) == {row.name for row in ROWS if row.network is not None}


@torch.no_grad()
@pytest.mark.parametrize("row", ALL)
def test_a_row_of_the_registry(row: str, tmp_path: Path):
    """The benchmark `weights` counts the rows of this test: it writes, imports and runs each."""
    case: Case = CASES[row]
    (known,) = rows_of(row)
    assert known.network is not None
    case.write(tmp_path / known.source.filename)
    done = import_file(
        tmp_path / known.source.filename,
        known.network,
        tmp_path / "ours.safetensors",
        expected=case.looks_like,
    )
    error, spread = largest_error(case.outputs(load_weights(done.path, known.network)))
    assert error < 1e-4 and spread > 0.05


@torch.no_grad()
def test_a_network_that_is_off_by_a_thousandth_is_found_out(tmp_path: Path):
    CASES["irse50"].write(tmp_path / "net.pth")
    done = import_file(tmp_path / "net.pth", out=tmp_path / "ours.safetensors")
    net = load_weights(done.path, "identity")
    net.get_parameter("input_layer.0.weight").mul_(1.001)
    assert 1e-4 < largest_error(CASES["irse50"].outputs(net))[0] < 0.1


def test_an_output_that_is_no_number_is_infinitely_wrong():
    nan, ones, half = (torch.tensor([value, 1.0]) for value in (float("nan"), 1.0, 0.5))
    assert largest_error([(nan, half)]) == (float("inf"), 0.5)
    assert largest_error([(ones, half), (half, torch.tensor([0.5, -4.0]))]) == (5.0, 0.5)


@pytest.mark.parametrize(
    ("row", "keys", "parameters"),
    [
        ("bisenet", 191, 13_300_416),
        ("maskgan_unet", 136, 1_944_355),
        ("irse50", 397, 43_797_696),
        ("stylegan2_ffhq_1024", 182, 30_370_060),
        ("stylegan2_ffhq_1024_d", 82, 29_012_513),
        ("e4s", 344, 164_265_868),
        ("e4s_d", 64, 29_012_513),
        ("psp_ffhq", 621, 267_136_704),
        ("avhubert_base", 203, 91_039_488 + 128),
        ("avhubert_large", 395, 312_910_848 + 128),
        ("syncnet_v2", 102, 13_631_616),
        ("wav2lip_expert", 217, 16_435_072),
        ("lpips_alex", 16, 61_100_840),
        ("lpips_vgg", 32, 138_357_544),
        ("inception_fid", 566, 23_850_960),
        ("i3d_fvd", 344, 12_697_264),
    ],
)
def test_the_published_sizes_are_known_whatever_is_written(row: str, keys: int, parameters: int):
    assert (len(CASES[row].shapes), CASES[row].parameters) == (keys, parameters)
