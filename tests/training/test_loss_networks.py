"""Which frozen networks SGI's losses look through: those in the cache, given ones, none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.losses.parsing import parsing_loss
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.lpips import LPIPS, LPIPSConfig
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.training.loop import LocalContext
from segtalker.training.sgi_losses import LossNetworksConfig, SGILossConfig, SGILosses
from segtalker.weights import store
from segtalker.weights.checkpoint import save_weights
from tests.weights.convert import official_faces

PAPER = SGILossConfig(lpips_sizes=(64,))
UNET = ParsingUNetConfig(widths=(2, 3, 4, 5, 6), num_classes=7, input_size=32)
UNET_VALUES = official_faces.drawn(official_faces.maskgan_unet(UNET.widths, UNET.num_classes))
OFF = LossNetworksConfig(lpips_trunk=None, arcface=None, parsing_unet=None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def imported() -> None:
    """Small networks where the imported ones belong."""
    torch.manual_seed(0)
    embedder = ArcFace(ArcFaceConfig(32, 8, (8, 8, 8, 8), (1, 1, 1, 1), embedding_dim=8))
    parser = ParsingUNet(UNET)
    parser.load_state_dict(UNET_VALUES)
    nets = {"lpips_alex": LPIPS(LPIPSConfig()), "irse50": embedder, "maskgan_unet": parser}
    for row, net in nets.items():
        place = store.place_of(row)
        assert place is not None
        save_weights(net, net.cfg, place)


def terms(losses: SGILosses, size: int = 64) -> dict[str, Tensor]:
    pred, target = torch.rand(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return losses(pred, target, torch.zeros(1, size, size, dtype=torch.uint8))


def test_without_files_the_terms_are_off_and_named_with_what_they_lack():
    losses = SGILosses(PAPER, LossNetworksConfig())
    assert set(terms(losses)) == {"loss", "l2"}
    assert [note.partition(" (")[0] for note in losses.notes] == [
        "loss term lpips is off: lpips_alex is not in the cache",
        "loss term id is off: irse50 is not in the cache",
        "loss term parsing is off: maskgan_unet is not in the cache",
    ]


def test_imported_files_switch_the_terms_on_by_themselves(imported: None):
    losses = SGILosses(PAPER, LossNetworksConfig())
    found = terms(losses)
    assert set(found) == {"loss", "l2", "lpips", "id", "parsing"}
    expected = found["l2"] + 0.8 * found["lpips"] + 0.1 * found["id"] + 0.1 * found["parsing"]
    torch.testing.assert_close(found["loss"], expected)
    assert all(float(found[name]) > 0 for name in ("lpips", "id", "parsing"))
    assert [note.split(":")[0] for note in losses.notes] == [
        f"loss term {name} is on" for name in ("lpips", "id", "parsing")
    ]
    assert losses.notes[1].endswith(f"irse50 is in the cache, {store.cached('irse50')}.")


def test_null_switches_a_term_off_and_a_weight_of_nought_needs_no_word(imported: None):
    losses = SGILosses(PAPER, OFF)
    assert set(terms(losses)) == {"loss", "l2"} and len(losses.notes) == 3
    assert all("no weights of its network are given" in note for note in losses.notes)
    silent = SGILossConfig(lpips_weight=0, id_weight=0, parsing_weight=0)
    assert SGILosses(silent, LossNetworksConfig()).notes == []


def test_a_published_file_serves_as_it_is_and_one_of_ours_too(tmp_path: Path):
    torch.save(UNET_VALUES, tmp_path / "model.pth")
    net = ParsingUNet(UNET)
    net.load_state_dict(UNET_VALUES)
    ours = save_weights(net, ParsingUNetConfig(UNET.widths, UNET.num_classes), tmp_path / "a", half=False)
    found = []
    for path in (tmp_path / "model.pth", ours):
        losses = SGILosses(PAPER, LossNetworksConfig(parsing_unet=str(path)))
        assert not any("parsing" in note for note in losses.notes)
        found.append(terms(losses)["parsing"])
    assert float(found[0]) > 0 and torch.equal(*found)


def test_the_parser_sees_pictures_of_the_size_that_it_was_trained_on(imported: None):
    losses = SGILosses(PAPER, LossNetworksConfig(lpips_trunk=None, arcface=None))
    pred, target = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    halved = [
        picture.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean(dim=(3, 5)) for picture in (pred, target)
    ]
    assert halved[0].shape == (1, 3, 32, 32)
    levels = [losses.unet.features(picture) for picture in halved]
    torch.testing.assert_close(terms(losses)["parsing"], parsing_loss(*levels))


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("arcface", None, "no such weights"),
        ("arcface", {"conv.weight": torch.zeros(1)}, "no network that is known by its keys"),
        ("lpips_trunk", {"features.2.weight": torch.zeros(1)}, "Nearest: VGG16 of torchvision, for LPIPS"),
    ],
)
def test_a_file_that_is_not_there_or_another_network_ends_the_run_in_one_line(
    key: str, content: dict[str, Tensor] | None, words: str, tmp_path: Path
):
    if content is not None:
        torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=words) as caught:
        SGILosses(PAPER, LossNetworksConfig(**{key: str(tmp_path / "net.pth")}))
    assert "net.pth" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_another_network_says_what_it_is(tmp_path: Path):
    torch.save(UNET_VALUES, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="holds no 'identity'; it can be imported as: parsing_unet"):
        SGILosses(PAPER, LossNetworksConfig(arcface=str(tmp_path / "net.pth")))


def test_a_trunk_that_the_configuration_does_not_name_is_refused(tmp_path: Path):
    net = LPIPS(LPIPSConfig("alex"))
    path = save_weights(net, net.cfg, tmp_path / "lpips.safetensors")
    with pytest.raises(WeightsError, match="is LPIPS on 'alex', networks.lpips_net says 'vgg'"):
        SGILosses(PAPER, LossNetworksConfig(lpips_net="vgg", lpips_trunk=str(path)))


def test_all_machines_or_none_have_a_network(imported: None, tmp_path: Path):
    class Half(LocalContext):
        def average(self, metrics: dict[str, float]) -> dict[str, float]:
            other = {"lpips": 1.0, "id": 0.0, "parsing": 0.0}
            return {name: (value + other[name]) / 2 for name, value in metrics.items()}

    with pytest.raises(
        WeightsError, match="only some machines have the network of the loss terms id, parsing in"
    ):
        SGILosses(PAPER, LossNetworksConfig()).agree(Half(tmp_path, "cpu"))
    SGILosses(PAPER, LossNetworksConfig(arcface=None, parsing_unet=None)).agree(Half(tmp_path, "cpu"))


def test_the_networks_that_are_on_are_told_with_the_hash_of_their_origin(imported: None, tmp_path: Path):
    place = store.place_of("maskgan_unet")
    assert place is not None
    net = ParsingUNet(UNET)
    save_weights(net, UNET, place, {"sha256": "ab12"})
    own = save_weights(net, UNET, tmp_path / "own.safetensors", {"sha256": "cd34"})
    networks = LossNetworksConfig(lpips_trunk=None, parsing_mini=str(own))
    losses = SGILosses(SGILossConfig(lpips_sizes=(64,), parsing_mini_weight=1.0), networks)
    assert losses.files == {
        "networks.arcface": "",
        "networks.parsing_unet": "ab12",
        "networks.parsing_mini": "",
    }
    assert SGILosses(PAPER, OFF).files == {}
