"""Weights say which published networks are behind them, from the import on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segtalker.cli import main
from segtalker.config import load_yaml, parse_config
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.weights import registry
from segtalker.weights.checkpoint import save_weights, weights_info
from segtalker.weights.importing import import_file, lineage_of
from segtalker.weights.lineage import Lineage, Origin, licence_of, lineage_in, published_as
from tests.weights.convert import official_faces
from tests.weights.test_inversion import psp_file
from tests.weights.test_parity import generator_file
from tests.weights.test_sgi_start import irse_file, training

CONFIG = Path(__file__).parents[2] / "configs" / "smoke" / "syncnet.yaml"
SMALL = parse_config(SyncNetConfig, load_yaml(CONFIG)["model"])


def rows(origins: tuple[Origin, ...]) -> list[str]:
    return [origin.row for origin in origins]


def in_file(path: Path) -> Lineage:
    return lineage_in(weights_info(path)["info"])


@pytest.fixture
def parser_file(tmp_path: Path) -> Path:
    """MaskGAN's U-Net as it is published: the smallest file with a row."""
    torch.save(official_faces.drawn(official_faces.maskgan_unet()), tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_an_imported_network_is_based_on_its_row_and_carries_the_terms(parser_file: Path, tmp_path: Path):
    ours = import_file(parser_file, out=tmp_path / "ours.safetensors").path
    (row,) = registry.rows_of("maskgan_unet")
    assert weights_info(ours)["info"]["based_on"] == [{"row": "maskgan_unet", "licence": row.terms}]
    assert weights_info(ours)["info"]["shaped_by"] == []
    assert "non-commercial" in row.terms


def test_a_published_file_and_its_import_have_one_lineage(parser_file: Path, tmp_path: Path):
    ours = import_file(parser_file, out=tmp_path / "ours.safetensors").path
    found = lineage_of(parser_file, "parsing_unet")
    assert found == lineage_of(ours, "parsing_unet") == published_as("maskgan_unet")


def test_a_start_is_based_on_all_that_it_was_made_of(tmp_path: Path):
    generator_file("port", tmp_path / "net")
    irse_file(tmp_path / "irse.pth")
    config = training(tmp_path, "psp_fpn")
    narrow, of_the_file = "channel_base: 128, channel_max: 8", "channel_base: 256, channel_max: 16"
    config.write_text(config.read_text().replace(narrow, of_the_file))
    first = import_file(tmp_path / "net", "sgi", tmp_path / "a.safetensors", config).path
    second = import_file(tmp_path / "irse.pth", "sgi", tmp_path / "b.safetensors", config, onto=first).path
    assert rows(in_file(first).based_on) == ["stylegan2_ffhq_32"]
    assert in_file(second) == in_file(first) | lineage_of(tmp_path / "irse.pth", "identity")
    assert len(in_file(second).based_on) == 2


def test_a_part_without_a_row_goes_under_the_row_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    psp_file(tmp_path / "net.pt")
    config = training(tmp_path, "psp_fpn")
    alone = import_file(tmp_path / "net.pt", "sgi", tmp_path / "a.safetensors", config).path
    assert rows(in_file(alone).based_on) == ["psp", "psp_decoder"]
    row = replace(registry.rows_of("psp_ffhq")[0], name="psp")
    monkeypatch.setattr(registry, "ROWS", (*registry.ROWS, row))
    known = import_file(tmp_path / "net.pt", "sgi", tmp_path / "b.safetensors", config).path
    assert in_file(known).based_on == (Origin("psp", row.terms),)


def test_our_own_weights_that_start_another_network_hand_their_lineage_on(tmp_path: Path):
    lineage = published_as("wav2lip_expert") | published_as("irse50").through_loss()
    ours = save_weights(SyncNet(SMALL), SMALL, tmp_path / "sync.safetensors", lineage.told())
    start = import_file(ours, "syncnet", tmp_path / "start.safetensors", CONFIG).path
    assert in_file(start) == lineage


def test_both_lists_join_without_doubles_and_a_loss_moves_all_to_the_second():
    first = Lineage((Origin("a", "x"),), (Origin("b", "y"),))
    assert first | first == first
    both = first | Lineage((Origin("c", "z"), Origin("a", "x")))
    assert rows(both.based_on) == ["a", "c"]
    assert both.through_loss() == Lineage((), (Origin("a", "x"), Origin("c", "z"), Origin("b", "y")))


def test_info_shows_the_licences_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lineage = published_as("e4s") | published_as("irse50").through_loss()
    for name, told in (("with", lineage.told()), ("without", {})):
        save_weights(SyncNet(SMALL), SMALL, tmp_path / name, {"steps": 3, **told})
    assert main(["weights", "info", str(tmp_path / "with")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        f"based on: e4s; licence: {licence_of('e4s')}",
        f"shaped by (losses): irse50; licence: {licence_of('irse50')}",
    ]
    assert "steps: 3" in lines
    assert main(["weights", "info", str(tmp_path / "without")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("based on: nothing")
