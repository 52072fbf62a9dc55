"""Frozen networks in their published layouts."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Literal

import pytest
import torch
from torch import nn

from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.lpips import LPIPS, LPIPSConfig
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.weights.importing import load_network


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_arcface_has_the_published_layout() -> None:
    with torch.device("meta"):
        net = ArcFace(ArcFaceConfig())
    state = net.state_dict()
    assert (count(net), len(state)) == (43_797_696, 397)
    assert {n for n in state if "shortcut_layer.0.weight" in n} == {
        f"body.{index}.shortcut_layer.0.weight" for index in (3, 7, 21)
    }
    assert tuple(state["output_layer.3.weight"].shape) == (512, 25088)
    assert tuple(state["body.0.res_layer.5.fc1.weight"].shape) == (4, 64, 1, 1)


@torch.no_grad()
def test_arcface_gives_unit_vectors_at_any_picture_size() -> None:
    net = ArcFace(ArcFaceConfig.mini()).eval()
    for size in (48, 64, 128):
        embedding = net(torch.randn(2, 3, size, size))
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))
    assert len(net.features(torch.randn(1, 3, 64, 64))) == 5


def test_parsing_unet_has_the_published_layout() -> None:
    with torch.device("meta"):
        net = ParsingUNet(ParsingUNetConfig())
    assert count(net) == 1_944_355
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert shapes["conv1.conv1.0.weight"] == (16, 3, 3, 3)
    assert shapes["center.conv2.1.running_mean"] == (256,)
    assert shapes["up_concat4.up.weight"] == (256, 128, 2, 2)
    assert shapes["up_concat1.conv.conv1.0.weight"] == (16, 32, 3, 3)
    assert shapes["final.weight"] == (19, 16, 1, 1)


@torch.no_grad()
def test_parsing_unet_labels_every_pixel() -> None:
    net = ParsingUNet(ParsingUNetConfig.mini()).eval()
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 12, 64, 64)
    assert [level.shape[-1] for level in net.features(torch.randn(1, 3, 64, 64))] == [64, 32, 16, 8, 4]


@pytest.fixture()
def lpips_package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The original package, with random trunks of our own where it would ask torchvision for trained ones."""
    models = ModuleType("torchvision.models")
    models.alexnet = lambda **_: SimpleNamespace(  # type: ignore[attr-defined]
        features=nn.Sequential(*LPIPS(LPIPSConfig("alex")).features, nn.MaxPool2d(3, 2))
    )
    models.vgg16 = lambda **_: SimpleNamespace(  # type: ignore[attr-defined]
        features=nn.Sequential(*LPIPS(LPIPSConfig("vgg")).features, nn.MaxPool2d(2, 2))
    )
    torchvision = ModuleType("torchvision")
    torchvision.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return pytest.importorskip("lpips")


@pytest.mark.parametrize(("name", "trunk_size"), [("alex", 2_469_696), ("vgg", 14_714_688)])
@torch.no_grad()
def test_lpips_equals_the_original_package(
    name: Literal["alex", "vgg"], trunk_size: int, lpips_package: ModuleType, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    oracle = lpips_package.LPIPS(net=name, verbose=False).eval()
    trunk = {}
    for index in range(1, 6):
        for layer, part in getattr(oracle.net, f"slice{index}").named_children():
            for kind, tensor in part.named_parameters():
                trunk[f"features.{layer}.{kind}"] = tensor
    assert sum(tensor.numel() for tensor in trunk.values()) == trunk_size  # torchvision's
    torch.save({**trunk, "classifier.1.weight": torch.zeros(1)}, tmp_path / "trunk.pth")
    one, other = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    expected = oracle(one, other).flatten()
    assert float(expected.min()) > 1e-4
    net = load_network(tmp_path / "trunk.pth", "lpips")
    assert isinstance(net, LPIPS) and net.cfg.net == name
    torch.testing.assert_close(net(one, other), expected)
