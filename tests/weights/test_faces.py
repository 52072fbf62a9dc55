"""Published networks that look at faces: a file in their layout, imported, gives what their equations say."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.bisenet import BiSeNet
from segtalker.models.frozen.lpips import LPIPS
from segtalker.models.frozen.maskgan_unet import ParsingUNet
from segtalker.parsing.bisenet import BiSeNetParser
from segtalker.parsing.parse import ParserConfig, load_parser
from segtalker.weights import store
from segtalker.weights.checkpoint import load_weights, weights_info
from segtalker.weights.importing import import_file, load_network
from tests.weights import faces_reference
from tests.weights.convert import official_faces
from tests.weights.convert.official_faces import COUNTER, drawn
from tests.weights.rows import forget_hashes

TINY_IRSE = {"stem": 8, "widths": (8, 16, 24, 32), "units": (1, 2, 2, 1), "side": 2, "embedding": 12}
HEADS = {"alex": official_faces.alexnet, "vgg": official_faces.vgg16}


@pytest.fixture(autouse=True)
def any_bytes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry to which files of random numbers are as good as the published ones."""
    forget_hashes(monkeypatch, "bisenet", "irse50", "maskgan_unet", "lpips_alex", "lpips_vgg")


def pictures(count: int, *size: int) -> Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def assert_same(found: Tensor, expected: Tensor) -> None:
    """To 1e-4, of outputs that are about one, as learned ones are."""
    assert found.shape == expected.shape and expected.std() > 1e-2 and expected.abs().max() < 20
    assert (found - expected).abs().max() < 1e-4


@torch.no_grad()
def test_bisenet_in_torchs_older_format_parses_as_its_equations_say(tmp_path: Path):
    # At a gain of 2 its sums grow to logits of a hundred, of which 1e-4 is the rounding of single precision.
    values = drawn(official_faces.bisenet(), 1, gain=1)
    torch.save(values, tmp_path / "79999_iter.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "79999_iter.pth")
    done = import_file(tmp_path / "79999_iter.pth")
    assert (done.row, done.path) == ("bisenet", store.cached("bisenet"))
    assert "non-commercial" in weights_info(done.path)["info"]["licence"]
    assert len(done.left_out) == 31 and done.left_out[0].endswith(
        "counts training batches; no network reads it"
    )

    net = load_weights(done.path, "bisenet")
    assert isinstance(net, BiSeNet)
    image = pictures(2, 72, 104)  # no multiple of 32: 9, 5 and 3 rows
    expected = faces_reference.bisenet(faces_reference.doubles(values), image.double())
    for found, wanted in zip(net(image), expected, strict=True):
        assert_same(found, wanted)
    for backend in ("bisenet", "auto"):
        parser = load_parser(ParserConfig(backend=backend))
        assert isinstance(parser, BiSeNetParser)


@pytest.mark.slow
@torch.no_grad()
def test_irse50_of_an_old_file_in_data_parallel_recognises_as_its_equations_say(tmp_path: Path):
    values = drawn(official_faces.irse(), 2, gain=0.3)
    old = {f"module.{name}": value for name, value in values.items() if not name.endswith(COUNTER)}
    torch.save(old, tmp_path / "model_ir_se50.pth")
    done = import_file(tmp_path / "model_ir_se50.pth")
    assert (done.row, done.path) == ("irse50", store.cached("irse50")) and done.left_out == ()
    net = load_weights(done.path, "identity")
    assert isinstance(net, ArcFace) and net.cfg == ArcFaceConfig()
    image = pictures(1, 112, 112)
    expected = faces_reference.irse(faces_reference.doubles(values), image.double())
    for found, wanted in zip(net.features(image), expected, strict=True):
        assert_same(found, wanted)


@torch.no_grad()
@pytest.mark.parametrize("counters", [True, False])
def test_an_embedder_of_another_size_is_read_from_its_shapes(counters: bool, tmp_path: Path):
    values = drawn(official_faces.irse(**TINY_IRSE), 3, gain=0.5)
    kept = {name: value for name, value in values.items() if counters or not name.endswith(COUNTER)}
    torch.save(kept, tmp_path / "net.pth")
    done = import_file(tmp_path / "net.pth", out=tmp_path / "net.safetensors")
    assert done.row == "irse" and bool(done.left_out) == counters
    net = load_weights(done.path, "identity")
    assert isinstance(net, ArcFace)
    assert net.cfg == ArcFaceConfig(32, 8, (8, 16, 24, 32), (1, 2, 2, 1), embedding_dim=12)
    image = pictures(3, 32, 32)
    expected = faces_reference.irse(faces_reference.doubles(values), image.double(), (1, 2, 2, 1))
    for found, wanted in zip(net.features(image), expected, strict=True):
        assert_same(found, wanted)


@torch.no_grad()
def test_the_parsing_u_net_sees_what_its_equations_say_imported_or_not(tmp_path: Path):
    values = drawn(official_faces.maskgan_unet(), 4)
    torch.save(values, tmp_path / "model.pth")
    done = import_file(tmp_path / "model.pth")
    assert (done.row, done.path) == ("maskgan_unet", store.cached("maskgan_unet"))
    net, direct = (
        load_weights(done.path, "parsing_unet"),
        load_network(tmp_path / "model.pth", "parsing_unet"),
    )
    assert isinstance(net, ParsingUNet) and isinstance(direct, ParsingUNet) and not direct.training
    assert all(torch.equal(value, direct.state_dict()[name]) for name, value in net.state_dict().items())
    image = pictures(2, 64, 48)
    logits, features = faces_reference.maskgan_unet(faces_reference.doubles(values), image.double())
    assert_same(net(image), logits)
    for found, wanted in zip(net.features(image), features, strict=True):
        assert_same(found, wanted)


@torch.no_grad()
@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_lpips_measures_as_its_equations_say(name: Literal["alex", "vgg"], tmp_path: Path):
    package = importlib.util.find_spec("lpips")
    assert package is not None and package.origin is not None, "`make test` installs lpips"
    shapes = HEADS[name]()
    trunk = drawn({key: shape for key, shape in shapes.items() if key.startswith("features.")}, 5)
    classifier = {key: torch.zeros(1) for key in shapes if key.startswith("classifier.")}  # really 0.5 GB
    torch.save({**trunk, **classifier}, tmp_path / "trunk.pth")
    done = import_file(tmp_path / "trunk.pth")
    assert (done.row, done.path) == (f"lpips_{name}", store.cached(f"lpips_{name}"))
    assert len(done.left_out) == 6
    net = load_weights(done.path, "lpips")
    assert isinstance(net, LPIPS) and net.cfg.net == name
    heads = torch.load(
        Path(package.origin).parent / "weights" / "v0.1" / f"{name}.pth",
        map_location="cpu",
        weights_only=True,
    )
    one, noise = pictures(4, 48, 48).split(2)
    other = one + torch.tensor([0.1, 1.0])[:, None, None, None] * (noise - one)  # one is near, one far
    expected = faces_reference.lpips(
        *map(faces_reference.doubles, (trunk, heads)), one.double(), other.double()
    )
    assert_same(net(one, other), expected)
    assert net(one, one).abs().max() == 0


def test_lpips_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    values = drawn({key: shape for key, shape in official_faces.alexnet().items() if "features" in key})
    torch.save(values, tmp_path / "trunk.pth")
    with pytest.raises(WeightsError, match=r"pip install 'segtalker\[metrics\]'"):
        import_file(tmp_path / "trunk.pth")


@pytest.mark.parametrize(
    "places",
    [
        (0, 3, 6, 8, 11, 13, 16, 18),  # VGG11
        (0, 2, 5, 7, 10, 12, 15, 17, 20, 22),  # VGG13
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),  # VGG19
    ],
)
def test_relatives_of_the_trunks_are_no_trunks(places: tuple[int, ...], tmp_path: Path):
    torch.save({f"features.{place}.weight": torch.zeros(1) for place in places}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="no network that is known by its keys. Nearest: .* for LPIPS"):
        import_file(tmp_path / "net.pth")
