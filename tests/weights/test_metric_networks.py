"""The networks behind metrics: published files come in by their keys and give their equations' numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.frozen import i3d, inception, lip_expert, syncnet_v2
from segtalker.models.syncnet import SyncNet
from segtalker.weights.checkpoint import load_weights, network_shapes, weights_info
from segtalker.weights.convert import frechet, sync_experts
from segtalker.weights.convert.layouts import LAYOUTS
from segtalker.weights.importing import import_file
from segtalker.weights.pickles.tensors import InMemory
from segtalker.weights.store import place_of
from tests.weights import metrics_reference as reference
from tests.weights import published
from tests.weights.convert import official_metrics as official
from tests.weights.convert.official import Shapes

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

ROWS: dict[str, tuple[str, Callable[..., Shapes], Callable, int, int]] = {
    "syncnet_v2": ("syncnet_v2", official.syncnet_v2, sync_experts.syncnet_v2, 102, 13_631_616),
    "wav2lip_expert": ("lip_expert", official.lip_expert, sync_experts.lip_expert, 217, 16_435_072),
    "inception_fid": ("inception", official.inception, frechet.inception, 566, 23_850_960),
    "i3d_fvd": ("i3d", official.i3d, frechet.i3d, 344, 12_697_264),
}
"""Row of the registry: network, published shapes, plan, entries of the published file, its parameters."""


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def error(found: Tensor, expected: Tensor) -> float:
    assert expected.std() > 1e-3, "the reference says the same to everything: the test would prove nothing"
    return float((found - expected).abs().max())


@pytest.mark.parametrize("row", ROWS)
def test_the_full_size_has_the_published_entries_and_parameters(row: str):
    network, shapes_of, plan, entries, parameters = ROWS[row]
    shapes = shapes_of()
    buffers = ("running_mean", "running_var", official.COUNTER)
    counted = sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(buffers))
    assert (len(shapes), counted) == (entries, parameters)
    cfg, table = plan(shapes, "net.pt")
    assert next(layout for layout in LAYOUTS if layout.network == network).row(cfg) == row
    assert place_of(row) is not None
    assert table.differences(shapes) == ([], [])
    assert {entry.official: entry.official_shape for entry in table.entries} == {
        name: shape
        for name, shape in shapes.items()
        if not name.endswith(official.COUNTER) and not name.startswith("fc.")
    }
    ours = {n: s for n, s in network_shapes(network, cfg).items() if not n.endswith(official.COUNTER)}
    assert {entry.ours: entry.our_shape for entry in table.entries} == ours


@pytest.mark.parametrize("row", ROWS)
def test_keys_lead_there_and_back_and_others_are_refused_by_name(row: str):
    _, shapes_of, plan, *_ = ROWS[row]
    shapes = shapes_of(thin=8)
    _, table = plan(shapes, "net.pt")
    values = official.drawn(shapes)
    back = table.to_official(table.to_ours({n: InMemory(v) for n, v in values.items()}, "net.pt"))
    assert {n for n in values if n not in back} == {n for n in values if table.why_dropped(n)}
    assert all(torch.equal(back[name], values[name]) for name in back)
    old = {n: s for n, s in shapes.items() if not n.endswith(official.COUNTER)}  # before PyTorch 0.4.1
    assert table.differences(old) == ([], [])
    lost = list(old)[7]
    assert table.differences([n for n in old if n != lost] + ["more.weight"]) == ([lost], ["more.weight"])


@torch.no_grad()
def test_syncnet_v2_embeds_as_its_equations_say(tmp_path: Path):
    values = official.drawn(official.syncnet_v2(thin=32))
    torch.save(values, tmp_path / "syncnet_v2.model")
    done = import_file(tmp_path / "syncnet_v2.model", out=tmp_path / "ours.safetensors")
    assert (done.network, done.row) == ("syncnet_v2", "syncnet")
    net = load_weights(done.path, "syncnet_v2")
    assert isinstance(net, syncnet_v2.SyncNetV2)
    frames, mfcc = 255 * uniform(7, 224, 224, 3), 10 * uniform(2, 1, 13, 20)
    windows = syncnet_v2.face_windows(frames, [0, 2])
    faces, speech = reference.syncnet_v2(reference.doubles(values), windows.double(), mfcc.double())
    scale = float(faces.abs().max())
    assert error(net.embed_faces(windows) / scale, faces / scale) < 1e-4
    assert error(net.embed_speech(mfcc), speech) < 1e-4
    distances = (faces - speech).square().sum(dim=1).sqrt()
    assert error(net(windows, mfcc) / scale, distances / scale) < 1e-4


@torch.no_grad()
def test_the_lip_expert_compares_as_its_equations_say(tmp_path: Path):
    values = official.drawn(official.lip_expert(thin=8))
    state = {f"module.{name}": value for name, value in values.items()}
    checkpoint = {"state_dict": state, "optimizer": {"state": {}}, "global_step": 1, "global_epoch": 2}
    torch.save(checkpoint, tmp_path / "lipsync_expert.pth")
    done = import_file(tmp_path / "lipsync_expert.pth", out=tmp_path / "ours.safetensors")
    assert (done.network, done.row, done.match.group) == ("lip_expert", "lip_expert", "state_dict")
    net = load_weights(done.path, "lip_expert")
    assert isinstance(net, SyncNet)
    frames, mel = 255 * uniform(8, 96, 96, 3), 8 * uniform(4, 1, 80, 16) - 4
    windows = lip_expert.face_windows(frames, [0, 1, 2, 3])
    expected = reference.lip_expert(reference.doubles(values), windows.double(), mel.double())
    assert error(net.probability(net.embed_masks(windows), net.embed_mel(mel)), expected) < 1e-4


@torch.no_grad()
def test_inception_sees_what_its_equations_say(tmp_path: Path):
    values = official.drawn(official.inception(thin=16))
    torch.save(values, tmp_path / "inception.pth")
    done = import_file(tmp_path / "inception.pth", out=tmp_path / "ours.safetensors")
    assert (done.network, done.row) == ("inception", "inception") and len(done.left_out) == 94 + 2
    net = load_weights(done.path, "inception")
    assert isinstance(net, inception.Inception)
    pictures = 2 * uniform(4, 3, 107, 107) - 1  # any size passes; this one ends in 2 x 2
    expected = reference.inception(reference.doubles(values), pictures.double())
    assert error(net(pictures), expected) < 1e-4


def test_torchvisions_own_inception_is_refused(tmp_path: Path):
    torch.save(official.drawn(official.inception(thin=16, classes=1000)), tmp_path / "inception.pth")
    with pytest.raises(WeightsError, match="an Inception v3 for 1000 classes, FID's has 1008"):
        import_file(tmp_path / "inception.pth", out=tmp_path / "ours.safetensors")


@torch.no_grad()
def test_i3d_comes_out_of_its_program_and_sees_what_its_equations_say(tmp_path: Path):
    values = official.drawn(official.i3d(thin=8, classes=5))
    torch.jit.save(published.scripted(values), str(tmp_path / "i3d_torchscript.pt"))
    done = import_file(tmp_path / "i3d_torchscript.pt", out=tmp_path / "ours.safetensors")
    assert (done.network, done.row) == ("i3d", "i3d")
    net = load_weights(done.path, "i3d")
    assert isinstance(net, i3d.I3D)
    videos = 2 * uniform(1, 3, 16, 224, 224) - 1
    expected = reference.i3d(reference.doubles(values), videos.double())
    assert error(net(videos), expected) < 1e-4
    assert weights_info(done.path)["info"]["layout"] == "I3D for FVD"
