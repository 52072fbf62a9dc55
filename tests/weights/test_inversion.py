"""E4S and pSp as they are published: recognised, imported, and run with the numbers of their equations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.style_encoder import StyleEncoder, StyleEncoderConfig
from segtalker.models.stylegan2 import Generator
from segtalker.weights.checkpoint import load_weights, network_shapes, read_weights, weights_info
from segtalker.weights.convert import inversion
from segtalker.weights.convert.layouts import recognise
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.importing import import_file
from segtalker.weights.pickles.tensors import InMemory
from tests.weights import inversion_reference, published, stylegan2_reference
from tests.weights.convert import official, official_inversion

SIZE, DIM = 32, 12
GENERATOR = {"size": SIZE, "base": 128, "most": 8, "dim": DIM, "mapping": 2}
ENCODER = {"stem": 4, "widths": (6, 8, 10, 10)}
NUM_LAYERS, NUM_MASKED, REGIONS = 8, 5, 12
"""5 of 8 layers act region by region: those up to 16 px, as 13 of 18 end at 256 px."""
CRITIC = {"size": SIZE, "base": 128, "most": 8}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def region_map(seed: int = 0) -> Tensor:
    """[64, 64]: patches of 9 of the 12 regions, so that three are absent."""
    return torch.from_numpy(inversion_reference.region_map(seed))


def e4s_file(path: Path, codes: int = NUM_MASKED) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Write a checkpoint as E4S's training does; returns the average, the network itself, the mean code."""
    checkpoint = published.e4s(GENERATOR, ENCODER, hidden=7, codes=codes)
    torch.save(checkpoint, path)
    raw = inversion_reference.below("module.", checkpoint["state_dict"])
    return checkpoint["state_dict_ema"], raw, checkpoint["latent_avg"][0]


def psp_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Write a checkpoint as pSp's training does; returns the encoder, the decoder, the mean code."""
    checkpoint = published.psp(GENERATOR, ENCODER, heads=NUM_LAYERS)
    torch.save(checkpoint, path)
    encoder, decoder = (
        inversion_reference.below(part, checkpoint["state_dict"]) for part in ("encoder.", "decoder.")
    )
    return encoder, decoder, checkpoint["latent_avg"][0]


@torch.no_grad()
@pytest.mark.parametrize(
    ("group", "num_masked"),
    [("state_dict_ema", NUM_MASKED), ("state_dict", NUM_MASKED), ("state_dict", NUM_LAYERS)],
)
def test_a_region_wise_inversion_encodes_and_paints_what_its_equations_say(
    group: str, num_masked: int, tmp_path: Path
):
    average, raw, mean = e4s_file(tmp_path / "iteration_300000.pt", num_masked)
    asked = None if group == "state_dict_ema" else group
    done = import_file(tmp_path / "iteration_300000.pt", out=tmp_path / "e4s.safetensors", group=asked)
    assert done.match.group == group and done.fates == () and done.left_out == ()
    assert done.others == (() if asked else ("discriminator",))
    net = load_weights(done.path, "sgi")
    assert isinstance(net, SGI) and net.cfg.generator.num_region_layers == num_masked

    w = stylegan2_reference.doubles(average if asked is None else raw)
    picture, source, target = draw(3, 512, 512), region_map(1), region_map(2)
    smaller = picture.double().numpy().reshape(3, 256, 2, 256, 2).mean(axis=(2, 4))  # bilinear, to half
    features = inversion_reference.scales(inversion_reference.below("encoder.", w), smaller)
    averages = inversion_reference.region_averages(features, source.numpy(), REGIONS)
    latent_avg = mean.double().numpy()[None].repeat(NUM_LAYERS, axis=0)
    codes = inversion_reference.style_codes(w, averages, latent_avg)
    found = net.encode(picture[None], source[None])
    assert (found[0] - torch.from_numpy(codes)).abs().max() < 1e-4 and np.ptp(codes[:, 0], axis=0).min() > 0.1
    assert np.array_equal(averages[9:], np.zeros_like(averages[9:])) and (averages[0] != 0).all()

    expected = inversion_reference.region_picture(
        inversion_reference.below("G.", w), codes, target.numpy(), SIZE, num_masked
    )
    error = (net(picture[None], source[None], target[None])[0] - torch.from_numpy(expected)).abs().max()
    assert error < 1e-4 and np.abs(expected).max() > 0.5


@torch.no_grad()
def test_the_inversion_s_discriminator_is_its_own_and_judges_as_its_equations_say(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    done = import_file(tmp_path / "net.pt", "discriminator", tmp_path / "d.safetensors")
    assert (done.match.group, done.row) == ("D_state_dict", "e4s_32_d")
    assert done.match.title.startswith("Discriminator of the region-wise inversion")
    net = load_weights(done.path, "discriminator")
    assert isinstance(net, Discriminator)
    w = stylegan2_reference.doubles(official.drawn(official.port_discriminator(**CRITIC), 3))
    pictures = draw(4, 3, SIZE, SIZE)
    expected = torch.from_numpy(stylegan2_reference.judge(w, pictures.double().numpy(), SIZE))
    assert (net(pictures)[:, 0] - expected).abs().max() < 1e-4 and expected.std() > 1e-3


@torch.no_grad()
def test_the_pyramid_of_psp_has_the_features_of_its_equations(tmp_path: Path):
    encoder, _, _ = psp_file(tmp_path / "psp_ffhq_encode.pt")
    done = import_file(tmp_path / "psp_ffhq_encode.pt", out=tmp_path / "psp.safetensors")
    assert done.network == "style_encoder" and done.others == ("generator", "sgi")
    heads = [name for name in done.left_out if "one code for the whole picture" in name]
    assert len(heads) == sum(name.startswith("styles.") for name in encoder)
    net = load_weights(done.path, "style_encoder")
    assert isinstance(net, StyleEncoder)
    w = stylegan2_reference.doubles(encoder)
    picture, regions = draw(3, 256, 256), region_map()
    features = inversion_reference.pyramid(w, picture.double().numpy())
    for found, expected in zip(net.feature_maps(picture[None]), features, strict=True):
        assert (found - expected).abs().max() < 1e-4 and expected.std() > 0.1
    onehot = torch.nn.functional.one_hot(regions, REGIONS).permute(2, 0, 1)[None]
    averages = inversion_reference.region_averages(features, regions.numpy(), REGIONS)
    assert (net(picture[None], onehot)[0] - torch.from_numpy(averages)).abs().max() < 1e-4


@torch.no_grad()
def test_the_decoder_of_psp_is_a_plain_generator(tmp_path: Path):
    _, decoder, mean = psp_file(tmp_path / "net.pt")
    done = import_file(tmp_path / "net.pt", "generator", tmp_path / "g.safetensors")
    net = load_weights(done.path, "generator")
    assert isinstance(net, Generator)
    codes = draw(NUM_LAYERS, DIM)
    expected = stylegan2_reference.generate(
        stylegan2_reference.doubles(decoder), codes.double().numpy(), SIZE, "port"
    )
    assert (net(codes[None, None])[0] - torch.from_numpy(expected)).abs().max() < 1e-4
    assert torch.equal(read_weights(done.path, "generator")[1]["latent_avg"], mean.repeat(NUM_LAYERS, 1))
    with pytest.raises(WeightsError, match="'psp_decoder' is not in the list"):
        import_file(tmp_path / "net.pt", "generator")


def test_the_published_inversion_has_its_344_tensors_and_every_one_a_place():
    shapes = official_inversion.e4s()
    assert len(shapes) == 344 and parameters(shapes) == 164_265_868
    assert parameters(part("encoder.", shapes)) == 85_051_008
    assert parameters(part("MLPs.", shapes)) == 48_844_800
    cfg, table = inversion.e4s({**shapes, "latent_avg": (18, 512)}, {}, "iteration_300000.pt")
    assert cfg == SGIConfig.e4s() and table.differences([*shapes, "latent_avg"]) == ([], [])
    kernels = {name: shape for name, shape in shapes.items() if name.endswith("kernel")}
    assert {name: tuple(value.shape) for name, value in table.constants.items()} == kernels
    assert {entry.official: entry.official_shape for entry in table.entries} == {
        name: shape for name, shape in {**shapes, "latent_avg": (18, 512)}.items() if name not in kernels
    }
    assert {entry.ours: entry.our_shape for entry in table.entries} == network_shapes("sgi", cfg)
    assert inversion.LAYOUTS[0].row(cfg) == "e4s"
    assert inversion.LAYOUTS[1].row(DiscriminatorConfig()) == "e4s_d"


def test_the_published_psp_has_a_place_or_a_reason_for_every_tensor():
    shapes = official_inversion.psp_encoder()
    heads = {name for name in shapes if name.startswith("styles.")}
    assert (
        len(shapes) == 621 and len(shapes) - len(heads) - 4 == 385
    )  # IR-SE50 without its head, two laterals
    cfg, table = inversion.psp_encoder(shapes, {}, "psp_ffhq_encode.pt")
    assert cfg == StyleEncoderConfig() and table.differences(shapes) == ([], [])
    ours = network_shapes("style_encoder", cfg)
    counters = {name for name in ours if name.endswith("num_batches_tracked")}
    assert {entry.ours for entry in table.entries} == set(ours) - counters
    assert {name for name in shapes if table.why_dropped(name)} == counters | heads
    assert inversion.LAYOUTS[2].row(cfg) == "psp_ffhq"


@pytest.mark.parametrize(("codes", "masked_until"), [(8, 0), (3, 8), (5, 16)])
def test_the_number_of_codes_says_how_far_regions_reach(codes: int, masked_until: int):
    shapes = official_inversion.e4s(**GENERATOR, **ENCODER, codes=codes)
    cfg, _ = inversion.e4s(shapes, {}, "net.pt")
    assert (cfg.generator.mask_until_res, cfg.generator.num_region_layers) == (masked_until, codes)


@pytest.mark.parametrize("codes", [1, 4, 6, 7])
def test_codes_that_end_within_a_resolution_are_refused(codes: int):
    shapes = official_inversion.e4s(**GENERATOR, **ENCODER, codes=codes)
    with pytest.raises(WeightsError, match=f"net.pt: {codes} codes a region for 8 layers"):
        inversion.e4s(shapes, {}, "net.pt")


def test_an_encoder_of_another_depth_is_refused():
    shapes = official_inversion.e4s(**GENERATOR, **ENCODER)
    shallow = {name: shape for name, shape in shapes.items() if not name.startswith("encoder.body.23.")}
    with pytest.raises(WeightsError, match=r"net.pt: an encoder of 23 units, expected 24"):
        inversion.e4s(shallow, {}, "net.pt")


def test_sizes_that_no_memory_holds_are_refused_in_one_line(tmp_path: Path):
    """A tensor without numbers may claim any size."""
    shapes = official_inversion.e4s(**GENERATOR, **ENCODER, codes=NUM_MASKED)
    shapes["G.conv1.conv.modulation.weight"] = (0, 1 << 50)
    group = {name: InMemory(torch.empty(shape, device="meta")) for name, shape in shapes.items()}
    (match,) = recognise(ForeignFile(tmp_path / "net.pt", {"state_dict": dict(group)}))
    with pytest.raises(
        WeightsError, match=r"net.pt: a Region-wise inversion .* of impossible shapes"
    ) as caught:
        match.plan()
    assert "\n" not in str(caught.value)


def test_a_file_without_its_mean_code_is_refused(tmp_path: Path):
    average, _, _ = e4s_file(tmp_path / "net.pt")
    torch.save({"state_dict_ema": average}, tmp_path / "net.pt")
    with pytest.raises(WeightsError, match="lacks 'latent_avg'"):
        import_file(tmp_path / "net.pt", out=tmp_path / "out.safetensors")


def test_the_file_says_which_copy_it_is(tmp_path: Path):
    e4s_file(tmp_path / "net.pt")
    done = import_file(tmp_path / "net.pt", out=tmp_path / "a.safetensors")
    told = weights_info(done.path)["info"]
    assert (told["group"], told["published_as"], told["random"]) == ("state_dict_ema", "e4s_32", [])
    with pytest.raises(WeightsError, match="has no group 'g_ema'; groups with tensors: .*'state_dict_ema'"):
        import_file(tmp_path / "net.pt", group="g_ema")


def part(prefix: str, shapes: official.Shapes) -> official.Shapes:
    return {name: shape for name, shape in shapes.items() if name.startswith(prefix)}


def parameters(shapes: official.Shapes) -> int:
    buffers = ("kernel", "running_mean", "running_var", "num_batches_tracked")
    counted = {n: s for n, s in shapes.items() if not n.endswith(buffers) and "noises." not in n}
    return sum(math.prod(shape) for shape in counted.values())
