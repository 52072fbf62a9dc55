"""Which place of the cache a published file takes, and which bytes may enter there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from segtalker.cli import main
from segtalker.config import load_yaml, parse_config
from segtalker.errors import WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.sgi import SGIConfig
from segtalker.models.speech_encoder import SpeechEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig
from segtalker.weights import registry, store
from segtalker.weights.checkpoint import network_shapes, weights_info
from segtalker.weights.convert import stylegan2
from segtalker.weights.convert.avhubert import audio_path
from segtalker.weights.convert.layouts import LAYOUTS
from segtalker.weights.importing import import_file
from segtalker.weights.lineage import licence_of
from segtalker.weights.partial import Place, generator_in_sgi, start_from
from segtalker.weights.registry import WeightsRow
from tests.weights.convert import official
from tests.weights.rows import list_rows, published
from tests.weights.test_parity import generator_file


def test_published_sizes_go_to_the_cache_and_others_want_a_name(tmp_path: Path, cache: Path, monkeypatch):
    generator_file("port", tmp_path / "net")
    with pytest.raises(WeightsError, match="'stylegan2_ffhq_32' is not in the list.*with -o"):
        import_file(tmp_path / "net")
    assert not cache.exists()
    row = registry.rows_of("stylegan2_ffhq_1024")[0]
    rows = (*registry.ROWS, replace(row, name="stylegan2_ffhq_32", filename="stylegan2_ffhq_32.safetensors"))
    monkeypatch.setattr(registry, "ROWS", rows)
    monkeypatch.setattr(store, "ROWS", rows)
    done = import_file(tmp_path / "net")
    assert (
        done.path
        == cache / "stylegan2" / "stylegan2_ffhq_32.safetensors"
        == store.locate("stylegan2_ffhq_32")
    )
    assert weights_info(done.path)["info"]["licence"] == row.terms


@pytest.fixture
def small_row(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WeightsRow]:
    """Puts the size that the tests write into the registry, published as the file whose bytes are given."""

    def listed(data: bytes | None = None, **known: object) -> WeightsRow:
        row = replace(
            registry.rows_of("stylegan2_ffhq_1024")[0],
            name="stylegan2_ffhq_32",
            filename="stylegan2_ffhq_32.safetensors",
            source=replace(published("net.pt", data=data), **known),
        )
        monkeypatch.setattr(registry, "ROWS", [r for r in registry.ROWS if r.name != row.name])
        list_rows(monkeypatch, row)
        return row

    return listed


def another_file(path: Path, source: Path) -> Path:
    """A network of the same keys and shapes, of other numbers."""
    values = torch.load(source, weights_only=True)
    values["g_ema"]["input.input"] += 1
    torch.save(values, path)
    return path


@pytest.mark.parametrize("known", [{}, {"size": None}, {"size": None, "sha256": None}])
def test_only_the_published_bytes_enter_the_cache(
    known: dict[str, None], tmp_path: Path, small_row: Callable[..., WeightsRow], capsys
):
    generator_file("port", tmp_path / "net")
    data = (tmp_path / "net").read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    row = small_row(data, git_blob=blob, **known)
    path = import_file(tmp_path / "net").path
    kept = path.read_bytes()
    another_file(tmp_path / "net.pth", tmp_path / "net")
    words = "net.pth: not the published bytes of stylegan2_ffhq_32 .net.pt.; keep it elsewhere with -o FILE"
    assert main(["weights", "import", str(tmp_path / "net.pth")]) == WeightsError.exit_code
    error = capsys.readouterr().err
    assert re.search(words, error) and error.count("\n") == 1
    assert path.read_bytes() == kept and store.examine(row).state == "ready"
    path.unlink()
    with pytest.raises(WeightsError, match=words):  # and no empty place is filled either
        import_file(tmp_path / "net.pth")
    assert not path.exists()
    elsewhere = import_file(tmp_path / "net.pth", out=tmp_path / "other.safetensors")
    assert weights_info(elsewhere.path)["info"]["published_as"] == row.name


def test_where_no_hash_is_known_a_network_is_not_replaced_by_that_of_another_file(
    tmp_path: Path, small_row: Callable[..., WeightsRow]
):
    row = small_row()
    generator_file("port", tmp_path / "net")
    path = import_file(tmp_path / "net").path
    kept = path.read_bytes()
    words = f"{path} holds stylegan2_ffhq_32 out of other bytes .net.; keep this one elsewhere with -o FILE"
    with pytest.raises(WeightsError, match=words):
        import_file(another_file(tmp_path / "net.pth", tmp_path / "net"))
    with pytest.raises(WeightsError, match=words):  # another copy out of the same file is another network
        import_file(tmp_path / "net", group="g")
    assert path.read_bytes() == kept
    import_file(tmp_path / "net")  # the same again does no harm
    path.write_bytes(kept[:-1])
    assert store.examine(row).state == "damaged"
    import_file(tmp_path / "net.pth")  # what is damaged is nobody's loss
    assert store.examine(row).state == "ready" and path.read_bytes() != kept


def test_every_published_size_has_its_row_with_a_licence():
    generators, discriminators = (
        [layout for layout in stylegan2.LAYOUTS if layout.network == kind]
        for kind in ("generator", "discriminator")
    )
    for size in (256, 512, 1024):
        assert all(
            layout.row(SynthesisConfig(size=size)) == f"stylegan2_ffhq_{size}" for layout in generators
        )
        assert all(
            layout.row(DiscriminatorConfig(size=size)) == f"stylegan2_ffhq_{size}_d"
            for layout in discriminators
        )
        assert "NVIDIA" in licence_of(f"stylegan2_ffhq_{size}") == licence_of(f"stylegan2_ffhq_{size}_d")
    (speech,) = (layout for layout in LAYOUTS if layout.network == "speech")
    for cfg, name in ((AVHubertConfig.base(), "avhubert_base"), (AVHubertConfig.large(), "avhubert_large")):
        assert speech.row(SpeechEncoderConfig(cfg)) == name
        assert "Meta Platforms, Inc. All Rights Reserved" in licence_of(name)


def test_the_paper_configurations_take_the_published_networks():
    """Names and shapes alone: nothing of that size is computed."""
    configs = Path(__file__).parents[2] / "configs" / "paper"
    sgi = parse_config(SGIConfig, load_yaml(configs / "sgi.yaml")["model"])
    critic = parse_config(DiscriminatorConfig, load_yaml(configs / "sgi.yaml")["discriminator"])
    published = {**network_shapes("generator", SynthesisConfig()), "latent_avg": (512,)}
    for state, source, place in (
        (network_shapes("sgi", sgi), published, generator_in_sgi),
        (network_shapes("discriminator", critic), network_shapes("discriminator", critic), Place),
    ):
        empty = ({n: torch.empty(s, device="meta") for n, s in shapes.items()} for shapes in (state, source))
        fates = start_from(*empty, place)[1]
        assert all(f.name.startswith("style.") for f in fates if f.what == "skipped")
        assert all(f.name.startswith(("encoder.", "mlps.")) for f in fates if f.what == "random")
    speech, _ = audio_path(official.avhubert(), {}, "base_vox_iter5.pt")
    assert parse_config(AVHubertConfig, load_yaml(configs / "tsg.yaml")["model"]["context"]) == speech.context
