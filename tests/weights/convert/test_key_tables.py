"""The tables of keys name every tensor of the published networks, and lead there and back unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert import avhubert, stylegan2
from segtalker.weights.convert.table import Dropped, KeyTable
from segtalker.weights.pickles.tensors import InMemory
from tests.weights.convert import official
from tests.weights.convert.official import Shapes

Plan = Callable[[Mapping[str, tuple[int, ...]], str], tuple[Any, KeyTable]]
STYLEGAN2: dict[str, tuple[Callable[..., Shapes], Plan, str]] = {
    "port generator": (official.port_generator, stylegan2.rosinality_generator, "generator"),
    "port discriminator": (official.port_discriminator, stylegan2.rosinality_discriminator, "discriminator"),
    "nvidia generator": (official.nvidia_generator, stylegan2.nvidia_generator, "generator"),
    "nvidia discriminator": (official.nvidia_discriminator, stylegan2.nvidia_discriminator, "discriminator"),
}
TINY = {"size": 32, "base": 256, "most": 16}
"""Widths 16, 16, 16, 8."""


def tiny(kind: str) -> tuple[dict[str, Tensor], Any, KeyTable]:
    """Random published tensors of a small network, our configuration of it, and the table."""
    shapes_of, plan, network = STYLEGAN2[kind]
    extra = {"dim": 12, "mapping": 3} if network == "generator" else {}
    values = official.drawn(shapes_of(**TINY, **extra))
    return values, *plan({name: tuple(value.shape) for name, value in values.items()}, "net.pt")


def stored(values: Mapping[str, Tensor]) -> dict[str, InMemory]:
    return {name: InMemory(value) for name, value in values.items()}


@pytest.mark.parametrize("kind", STYLEGAN2)
@pytest.mark.parametrize(("size", "base"), [(256, 32768), (256, 16384), (512, 32768), (1024, 32768)])
def test_a_published_size_is_read_from_its_shapes_and_every_key_has_its_place(
    kind: str, size: int, base: int
):
    shapes_of, plan, network = STYLEGAN2[kind]
    shapes = shapes_of(size=size, base=base)
    cfg, table = plan(shapes, "net.pt")
    assert (cfg.size, cfg.channel_base, cfg.channel_max) == (size, base, 512)
    assert table.differences(shapes) == ([], [])
    assert {entry.official: entry.official_shape for entry in table.entries} == {
        name: shape for name, shape in shapes.items() if not name.endswith(("kernel", "resample_filter"))
    }
    ours = network_shapes(network, cfg)
    renamed = {entry.ours: entry.our_shape for entry in table.entries if entry.ours != "latent_avg"}
    assert renamed == ours and len(table.entries) == len({entry.ours for entry in table.entries})


@pytest.mark.parametrize(
    ("shapes", "parameters"),
    [
        (official.port_generator(1024), 30_370_060),
        (official.nvidia_generator(1024), 30_370_060),
        (official.port_discriminator(1024), 29_012_513),
        (official.nvidia_discriminator(1024), 29_012_513),
        (official.avhubert(), 91_039_488 + 128),  # one gain a place of the position kernel on top
        (official.avhubert(1024, 4096, 24), 312_910_848 + 128),
    ],
)
def test_the_written_shapes_have_the_published_number_of_parameters(shapes: Shapes, parameters: int):
    """Guards the tables of this test, not the code."""
    buffers = ("kernel", "resample_filter", "noise_const", "w_avg")
    counted = {n: s for n, s in shapes.items() if not n.endswith(buffers) and not n.startswith("noises.")}
    assert sum(math.prod(shape) for shape in counted.values()) == parameters


@pytest.mark.parametrize("kind", STYLEGAN2)
def test_there_and_back_is_exact_and_the_filters_come_back_too(kind: str):
    values, _, table = tiny(kind)
    ours = table.to_ours(stored(values), "net.pt")
    back = table.to_official(ours)
    assert back.keys() == values.keys()
    assert all(
        torch.equal(back[name], value) and back[name].shape == value.shape for name, value in values.items()
    )
    again = table.to_ours(stored(back), "net.pt")
    assert again.keys() == ours.keys() and all(torch.equal(again[name], ours[name]) for name in ours)


def test_both_layouts_of_a_generator_give_the_same_network():
    """Values by NVIDIA's names, written by hand under the port's names."""
    values, cfg, table = tiny("nvidia generator")
    ours = table.to_ours(stored(values), "net.pkl")
    for theirs, mine in (
        ("mapping.fc2.bias", "style.3.bias"),
        ("mapping.w_avg", "latent_avg"),
        ("synthesis.b4.const", "input.input"),
        ("synthesis.b4.conv1.noise_const", "noises.noise_0"),
        ("synthesis.b4.torgb.affine.weight", "to_rgb1.conv.modulation.weight"),
        ("synthesis.b8.conv0.weight", "convs.0.conv.weight"),
        ("synthesis.b16.conv0.noise_const", "noises.noise_3"),
        ("synthesis.b16.conv1.noise_const", "noises.noise_4"),
        ("synthesis.b32.conv1.noise_strength", "convs.5.noise.weight"),
        ("synthesis.b32.conv1.bias", "convs.5.activate.bias"),
        ("synthesis.b32.torgb.bias", "to_rgbs.2.bias"),
    ):
        assert torch.equal(ours[mine].flatten(), values[theirs].flatten()), theirs
    assert cfg == tiny("port generator")[1]


def test_blocks_of_nvidias_discriminator_are_numbered_from_the_picture_inwards():
    values, _, table = tiny("nvidia discriminator")
    ours = table.to_ours(stored(values), "net.pkl")
    for theirs, mine in (
        ("b32.fromrgb.weight", "convs.0.0.weight"),
        ("b32.conv0.bias", "convs.1.conv1.1.bias"),
        ("b16.conv1.weight", "convs.2.conv2.1.weight"),
        ("b8.skip.weight", "convs.3.skip.1.weight"),
        ("b4.out.bias", "final_linear.1.bias"),
    ):
        assert torch.equal(ours[mine], values[theirs]), theirs


def refusal(table: KeyTable, values: Mapping[str, Tensor]) -> str:
    with pytest.raises(WeightsError) as caught:
        table.to_ours(stored(values), "net.pt")
    assert str(caught.value).startswith("net.pt: ") and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", STYLEGAN2)
def test_missing_unknown_misshapen_and_damaged_tensors_are_refused_by_name(kind: str):
    values, _, table = tiny(kind)
    name = table.entries[-1].official
    without = {key: value for key, value in values.items() if key != name}
    assert f"lacks '{name}'" in refusal(table, without)
    text = refusal(table, {**values, **{f"more.{i}": torch.zeros(1) for i in range(5)}})
    assert "lacks none, does not know 'more.0', 'more.1', 'more.2' and 2 more" in text
    assert f"'{name}' is [7]" in refusal(table, {**values, name: torch.zeros(7)})
    assert f"'{name}' holds NaN" in refusal(table, {**values, name: values[name] * float("nan")})


@pytest.mark.parametrize("kind", STYLEGAN2)
def test_another_filter_is_refused_and_an_absent_one_is_not(kind: str):
    values, _, table = tiny(kind)
    kernel = next(name for name in values if name.endswith(("kernel", "resample_filter")))
    assert f"'{kernel}' is not the filter" in refusal(
        table, {**values, kernel: values[kernel].flip(0) + 0.01}
    )
    table.to_ours(stored({name: value for name, value in values.items() if name != kernel}), "net.pt")


def test_half_precision_becomes_full():
    values, _, table = tiny("port generator")
    ours = table.to_ours(stored({name: value.half() for name, value in values.items()}), "net.pt")
    assert {value.dtype for value in ours.values()} == {torch.float32}


def test_widths_that_do_not_halve_are_refused():
    with pytest.raises(WeightsError, match="do not halve as StyleGAN2's do"):
        stylegan2.channel_rule({4: 16, 8: 16, 16: 12, 32: 8}, "net.pt")
    assert stylegan2.channel_rule({4: 16, 8: 16}, "net.pt") == (128, 16)


@pytest.mark.parametrize(("dim", "ffn", "layers", "heads"), [(768, 3072, 12, 12), (1024, 4096, 24, 16)])
def test_both_sizes_of_avhubert_are_read_from_their_shapes(dim: int, ffn: int, layers: int, heads: int):
    shapes = official.avhubert(dim, ffn, layers)
    cfg, table = avhubert.audio_path(shapes, {}, "net.pt")
    found = cfg.context
    assert (found.dim, found.ffn_dim, found.layers, found.heads) == (dim, ffn, layers, heads)
    assert (found.input_dim, found.pos_kernel, found.pos_groups) == (104, 128, 16)
    assert table.differences({**shapes, **official.avhubert_beside(dim)}) == ([], [])
    assert {entry.official: entry.official_shape for entry in table.entries} == shapes
    assert {entry.ours for entry in table.entries} == {
        name for name in network_shapes("speech", cfg) if name.startswith("context.")
    }


def test_avhubert_comes_back_exactly_and_names_what_it_drops():
    values = official.drawn(official.avhubert(16, 20, 2, 10, 6, 4))
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    _, table = avhubert.audio_path(shapes, {"cfg": {"model": {"encoder_attention_heads": 4}}}, "net.pt")
    beside = official.drawn(official.avhubert_beside())
    back = table.to_official(table.to_ours(stored({**values, **beside}), "net.pt"))
    assert back.keys() == values.keys() and all(torch.equal(back[name], values[name]) for name in values)
    assert table.why_dropped("feature_extractor_video.proj.bias") == "the video half"
    assert all(table.why_dropped(name) for name in beside)
    assert "does not know 'feature_extractor_text.proj'" in refusal(
        table, {**values, "feature_extractor_text.proj": torch.zeros(1)}
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"cfg": {"model": {"encoder_attention_heads": 2}}},
        {"cfg": {"model": {"w2v_args": {"model": {"encoder_attention_heads": 2}}}}},
    ],
)
def test_the_number_of_heads_is_an_option_of_the_file(settings: dict[str, Any]):
    cfg, _ = avhubert.audio_path(official.avhubert(16, 20, 1, 10, 6, 4), settings, "net.pt")
    assert cfg.context.heads == 2


def test_a_transformer_that_normalises_late_or_has_impossible_heads_is_refused():
    shapes = official.avhubert(16, 20, 1, 10, 6, 4)
    late = {"encoder_attention_heads": 2, "layer_norm_first": False}
    with pytest.raises(WeightsError, match="normalises after its layers"):
        avhubert.audio_path(shapes, {"cfg": {"model": late}}, "net.pt")
    for heads in (0, 3, "two", None):
        with pytest.raises(WeightsError, match="no network of AV-HuBERT's shape"):
            avhubert.audio_path(shapes, {"cfg": {"model": {"encoder_attention_heads": heads}}}, "net.pt")


def test_weight_norm_of_newer_files_and_of_multiplied_ones_is_the_same_weight():
    values = official.drawn(official.avhubert(16, 20, 1, 10, 6, 4))
    layer = "encoder.pos_conv.0"
    g, v = values.pop(f"{layer}.weight_g"), values.pop(f"{layer}.weight_v")
    weight = g * v / v.square().sum(dim=(0, 1), keepdim=True).sqrt()
    newer = {f"{layer}.parametrizations.weight.original0": g, f"{layer}.parametrizations.weight.original1": v}
    found = avhubert.without_prefix(stored({**values, **newer}))
    assert torch.equal(found[f"{layer}.weight_g"].load(), g) and torch.equal(
        found[f"{layer}.weight_v"].load(), v
    )
    found = avhubert.without_prefix(stored({**values, f"{layer}.weight": weight}))
    g, v = found[f"{layer}.weight_g"].load(), found[f"{layer}.weight_v"].load()
    again = g * v / v.square().sum(dim=(0, 1), keepdim=True).sqrt()
    torch.testing.assert_close(again, weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("prefix", avhubert.PREFIXES)
def test_prefixes_are_taken_off_and_what_stands_beside_is_left_out(prefix: str):
    values = official.drawn(official.avhubert(16, 20, 1, 10, 6, 4))
    whole = {f"{prefix}{name}": value for name, value in values.items()}
    whole |= {"decoder.embed_tokens.weight": torch.zeros(2)} if prefix else {}
    assert avhubert.without_prefix(stored(whole)).keys() == values.keys()


def test_a_pattern_drops_whole_keys_only():
    table = KeyTable((), {}, (Dropped("mask_emb", "of pretraining"),))
    assert table.differences(["mask_emb", "mask_embedding"]) == ([], ["mask_embedding"])
