"""Trainings of SGI that begin with published networks: what is taken, and a word on what is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segtalker.config import load_yaml, parse_config
from segtalker.errors import SegTalkerError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.weights.checkpoint import fill_weights, load_weights, weights_info
from segtalker.weights.importing import Imported, import_file
from tests.weights.convert import official, official_faces
from tests.weights.test_inversion import DIM, GENERATOR, draw, e4s_file, psp_file

GENERATOR_OF = (
    "{{size: {size}, style_dim: 12, channel_base: 128, channel_max: 8, num_mapping_layers: 0, "
    "mask_until_res: {masked}}}"
)
ENCODERS = {
    "e4s": "{kind: e4s, stem: 4, widths: [6, 8, 10, 10], norm: instance}",
    "psp_fpn": "{kind: psp_fpn, stem: 4, widths: [6, 8, 10, 10]}",
}


def training(folder: Path, encoder: str, size: int = 32, masked: int = 16) -> Path:
    """The configuration of a training whose networks have the widths of the files."""
    generator = GENERATOR_OF.format(size=size, masked=masked)
    path = folder / f"{encoder}_{size}.yaml"
    path.write_text(
        f"model: {{encoder: {ENCODERS[encoder]}, generator: {generator}, mlp_hidden: 7}}\n"
        f"discriminator: {{size: {size}, channel_base: 128, channel_max: 8}}\n"
    )
    return path


def started(done: Imported, path: Path) -> SGI:
    """The network with which a training begins that names the start."""
    net = SGI(parse_config(SGIConfig, load_yaml(path)["model"])).eval()
    fill_weights(net, done.path)
    return net


def names(done: Imported, what: str) -> set[str]:
    return {fate.name for fate in done.fates if fate.what == what}


def reasons(done: Imported, what: str = "skipped") -> Counter[str]:
    """First words of the names, with the reason."""
    return Counter(f"{fate.name.split('.')[0]}: {fate.why}" for fate in done.fates if fate.what == what)


def irse_file(path: Path) -> dict[str, Tensor]:
    """ArcFace's embedder as it is published, at the widths of the other files but for its last stage."""
    values = official_faces.drawn(official_faces.irse(4, (6, 8, 10, 12), side=2, embedding=5))
    torch.save(values, path)
    return values


@torch.no_grad()
def test_a_region_wise_inversion_goes_on_as_it_is(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    whole = load_weights(import_file(tmp_path / "net.pt", out=tmp_path / "e4s.safetensors").path)
    config = training(tmp_path, "e4s")
    done = import_file(tmp_path / "net.pt", "sgi", tmp_path / "start.safetensors", config)
    assert names(done, "random") == names(done, "kept") == set()
    assert reasons(done) == {"generator: the mapping network, which SGI never runs": 4}
    net, picture, maps = started(done, config), draw(1, 3, 256, 256), torch.arange(4096).view(1, 64, 64) % 12
    assert torch.equal(net(picture, maps, maps), whole(picture, maps, maps))


def test_a_larger_inversion_gives_a_smaller_one_all_but_its_last_resolutions(tmp_path: Path):
    """As 18 codes at 1024 px into 16 at 512 px."""
    average, _, mean = e4s_file(tmp_path / "net.pt", codes=3)
    config = training(tmp_path, "e4s", size=16, masked=8)
    done = import_file(tmp_path / "net.pt", "sgi", tmp_path / "start.safetensors", config)
    assert names(done, "random") == set()
    skipped = names(done, "skipped")
    last = ("convs.4.", "convs.5.", "to_rgbs.2.")
    noises = {"generator.noises.noise_5", "generator.noises.noise_6"}
    inner = {f"generator.{name.removeprefix('G.')}" for name in average if name.startswith("G.")}
    cut = {n for n in inner if n.removeprefix("generator.").startswith(last) and "kernel" not in n} | noises
    assert skipped == cut | {n for n in inner if n.startswith("generator.style.")}
    net = started(done, config)
    assert torch.equal(net.latent_avg, mean.repeat(6, 1))
    assert torch.equal(net.generator.convs[3].conv.weight, average["G.convs.3.conv.weight"])
    assert torch.equal(net.mlps.state_dict()["11.mlp.2.bias"], average["MLPs.11.mlp.2.bias"])


def test_mlps_that_give_more_codes_begin_anew_and_say_both_shapes(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    done = import_file(
        tmp_path / "net.pt", "sgi", tmp_path / "a.safetensors", training(tmp_path, "e4s", masked=0)
    )
    assert names(done, "random") == {f"mlps.{r}.mlp.2.{k}" for r in range(12) for k in ("weight", "bias")}
    why = {fate.name: fate.why for fate in done.fates if fate.what == "skipped"}
    assert why["mlps.0.mlp.2.weight"] == f"is [{5 * DIM}, 7], 'mlps.0.mlp.2.weight' is [{8 * DIM}, 7]"


def test_an_inversion_gives_a_pyramid_its_generator_alone(tmp_path: Path):
    average, _, _ = e4s_file(tmp_path / "net.pt")
    config = training(tmp_path, "psp_fpn")
    done = import_file(tmp_path / "net.pt", "sgi", tmp_path / "start.safetensors", config)
    assert all(name.startswith(("encoder.", "mlps.")) for name in names(done, "random"))
    found = reasons(done)
    assert found["encoder: of another encoder than the new network's"] == sum(
        "encoder." in n for n in average
    )
    assert found["mlps: reads the features of another encoder than the new network's"] == 48
    assert torch.equal(started(done, config).generator.input.input, average["G.input.input"])


def test_psp_gives_a_pyramid_everything_but_the_mlps(tmp_path: Path):
    encoder, decoder, mean = psp_file(tmp_path / "psp_ffhq_encode.pt")
    config = training(tmp_path, "psp_fpn")
    done = import_file(tmp_path / "psp_ffhq_encode.pt", "sgi", tmp_path / "start.safetensors", config)
    net, state = started(done, config), started(done, config).state_dict()
    assert names(done, "random") == {name for name in state if name.startswith("mlps.")}
    assert torch.equal(state["encoder.latlayer1.weight"], encoder["latlayer1.weight"])
    assert torch.equal(
        state["encoder.body.21.res_layer.4.running_var"], encoder["body.21.res_layer.4.running_var"]
    )
    assert torch.equal(state["generator.convs.5.conv.weight"], decoder["convs.5.conv.weight"])
    assert torch.equal(net.latent_avg, mean.repeat(8, 1))
    heads = sum(name.startswith("styles.") for name in encoder)
    assert (
        reasons(done)["styles: one code for the whole picture; SGI averages the features region by region"]
        == heads
    )
    assert weights_info(done.path)["info"]["published_as"] == "psp"


def test_ir_se50_comes_onto_a_generator_tensor_by_tensor(tmp_path: Path):
    average = official.drawn(official.port_generator(**GENERATOR), 1)
    torch.save({"g_ema": average, "latent_avg": torch.ones(DIM)}, tmp_path / "stylegan2.pt")
    body, config = irse_file(tmp_path / "model_ir_se50.pth"), training(tmp_path, "psp_fpn")
    config.write_text(config.read_text().replace("[6, 8, 10, 10]", "[6, 8, 10, 12]"))
    first = import_file(tmp_path / "stylegan2.pt", "sgi", tmp_path / "a.safetensors", config)
    assert all(name.startswith(("encoder.", "mlps.")) for name in names(first, "random"))
    done = import_file(
        tmp_path / "model_ir_se50.pth", "sgi", tmp_path / "b.safetensors", config, onto=first.path
    )
    counters = {name for name in body if name.endswith("num_batches_tracked")}
    head = {name for name in body if name.startswith("output_layer.")}
    assert names(done, "taken") == {f"encoder.{name}" for name in set(body) - counters - head}
    assert names(done, "skipped") == counters | head
    assert reasons(done)["output_layer: names a person, which the new network does not"] == len(
        head - counters
    )
    assert {name.split(".")[0] for name in names(done, "kept") if "num_batches" not in name} == {
        "generator",
        "latent_avg",
    }
    assert {".".join(name.split(".")[:2]) for name in names(done, "random")} == {
        "encoder.latlayer1",
        "encoder.latlayer2",
        *(f"mlps.{region}" for region in range(12)),
    }
    state, info = started(done, config).state_dict(), weights_info(done.path)["info"]
    assert torch.equal(state["generator.input.input"], average["input.input"])
    assert torch.equal(state["encoder.body.23.res_layer.3.weight"], body["body.23.res_layer.3.weight"])
    assert (info["source"], info["onto"]["source"]) == ("model_ir_se50.pth", "stylegan2.pt")
    assert set(info["random"]) == names(done, "random") < set(info["onto"]["random"])


def test_ir_se50_fits_no_encoder_under_instance_norm(tmp_path: Path):
    irse_file(tmp_path / "net.pth")
    with pytest.raises(SegTalkerError, match="nothing in it fits .* under batch norm, .* has instance norm"):
        import_file(tmp_path / "net.pth", "sgi", tmp_path / "out.safetensors", training(tmp_path, "e4s"))
    assert not (tmp_path / "out.safetensors").exists()


def test_what_is_in_the_cache_starts_a_training_without_the_published_file(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    config = training(tmp_path, "e4s", size=16, masked=16)
    direct = import_file(tmp_path / "net.pt", "sgi", tmp_path / "a.safetensors", config)
    ours = import_file(tmp_path / "net.pt", out=tmp_path / "e4s.safetensors")
    by_ours = import_file(ours.path, "sgi", tmp_path / "b.safetensors", config)
    assert {str(fate) for fate in by_ours.fates} == {str(fate) for fate in direct.fates}
    first, second = started(direct, config).state_dict(), started(by_ours, config).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert weights_info(by_ours.path)["info"]["published_as"] == "e4s_32"


def test_the_inversion_s_discriminator_starts_one_of_half_the_size(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    config = training(tmp_path, "e4s", size=16, masked=8)
    done = import_file(tmp_path / "net.pt", "discriminator", tmp_path / "d.safetensors", config)
    assert (done.row, done.cfg) == ("e4s_32_d", DiscriminatorConfig(16, 128, 8))
    assert names(done, "random") == {"convs.0.0.weight", "convs.0.1.bias"}


def test_a_start_goes_onto_one_of_its_own_training_only(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    other = import_file(tmp_path / "net.pt", "sgi", tmp_path / "a.safetensors", training(tmp_path, "e4s"))
    config = training(tmp_path, "psp_fpn")
    with pytest.raises(SegTalkerError, match="a.safetensors: an SGI of another configuration"):
        import_file(tmp_path / "net.pt", "sgi", tmp_path / "b.safetensors", config, onto=other.path)
    with pytest.raises(SegTalkerError, match="--onto is of use with --as sgi"):
        import_file(tmp_path / "net.pt", "discriminator", tmp_path / "b", config, onto=other.path)
