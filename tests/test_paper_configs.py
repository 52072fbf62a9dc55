"""configs/paper says what arXiv 2409.03605, Sec. 3.2, 3.3 and 4.1 say, in the terms of this code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segtalker.cli import build_parser
from segtalker.config import load_config
from segtalker.data.augment import NO_AUGMENT
from segtalker.data.prepare import PrepareConfig
from segtalker.data.sampler import IndexedSampler
from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.frozen.arcface import ArcFaceConfig
from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.models.tsg import TSG, TSGConfig
from segtalker.training.run import load_train_config
from segtalker.training.state import OptimConfig, learning_rate_factor
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.partial import (
    discriminator_of_size,
    encoder_in_sgi,
    generator_in_sgi,
    sgi_in_sgi,
    start_from,
    start_from_all,
)

CONFIGS = Path(__file__).parents[1] / "configs"


def paper(network: str, name: str = "") -> Any:
    return load_train_config(network, CONFIGS / "paper" / f"{name or network}.yaml")


def improved(network: str, name: str = "") -> Any:
    return load_train_config(network, CONFIGS / "improved" / f"{name or network}.yaml")


def is_plain_adam(cfg: OptimConfig, betas: tuple[float, float]) -> bool:
    """Adam at 1e-4 from the first step to the last, with nothing around it."""
    flat = {learning_rate_factor(step, cfg, 1000) for step in range(1000)} == {1.0}
    return flat and (cfg.kind, cfg.lr, cfg.betas, cfg.weight_decay, cfg.grad_clip) == (
        "adam",
        1e-4,
        betas,
        0,
        0,
    )


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_expert_sees_eight_times_five_frames_under_adam():
    cfg = paper("syncnet")
    assert (cfg.model, cfg.model.window) == (SyncNetConfig.paper(), 5)
    assert cfg.data.clips == 8 and is_plain_adam(cfg.optimizer, (0.9, 0.999))
    assert (cfg.loss.nce_weight, cfg.loss.shape_weight, cfg.loss.phone_weight) == (0, 0, 0)
    assert cfg.data.augment == NO_AUGMENT and cfg.clips.identities == (0, 1)
    with torch.device("meta"):
        colour = SyncNet(SyncNetConfig.paper(96, frame_channels=3))
        net = SyncNet(cfg.model)
    assert parameters(net) == parameters(colour) + 32 * 49 * (60 - 15) == 16_505_632  # wider first layer


def test_the_generator_draws_twenty_frames_first_without_and_then_with_the_expert():
    cfg = paper("tsg")
    assert cfg.model == TSGConfig.paper(512)
    assert cfg.data.items * cfg.data.frames == 20 and is_plain_adam(cfg.optimizer, (0.5, 0.999))
    assert (cfg.sync_from, cfg.run.max_steps - cfg.sync_from) == (50_000, 50_000)
    assert (
        cfg.syncnet is not None
        and cfg.loss.sync_weight > 0
        and cfg.data.frames == paper("syncnet").model.window
    )
    assert (cfg.loss.area_power, cfg.loss.upper_half_weight, cfg.loss.mouth_weight) == (1, 1, 1)
    assert cfg.data.augment == NO_AUGMENT and cfg.data.silence_share == 0
    with torch.device("meta"):
        net = TSG(cfg.model)
    assert (
        parameters(net.context_encoder) == 91_039_488 + 128
    )  # AV-HuBERT base, audio path, with its weight norm
    assert parameters(net.mask_encoder) + parameters(net.decoder) == 59_198_876


def test_the_generator_with_avhubert_is_the_same_but_for_its_ear():
    cfg = paper("tsg", "tsg_avhubert")
    assert cfg == replace(paper("tsg"), speech="cache:avhubert_base") and not cfg.tune_speech
    assert cfg.model.context == AVHubertConfig.base()


def test_the_renderer_takes_four_pairs_a_worker_on_four_workers():
    cfg = paper("sgi")
    sampler = IndexedSampler(1000, cfg.data.items, seed=1)
    assert [len(sampler.batch(0, rank, 4)) for rank in range(4)] == [4, 4, 4, 4]
    assert is_plain_adam(cfg.optimizer, (0.9, 0.999)) and is_plain_adam(cfg.d_optimizer, (0.9, 0.999))
    assert cfg.run.max_steps == 400_000 and cfg.data.max_gap == 15
    loss = cfg.loss
    weights = loss.l2_weight, loss.lpips_weight, loss.id_weight, loss.parsing_weight, loss.adv_weight
    assert weights == (1, 0.8, 0.1, 0.1, 0.01)
    ours = loss.pyramid_weight, loss.gradient_weight, loss.perceptual_mini_weight, loss.id_mini_weight
    assert not any(ours) and loss.detail_weight == loss.background_weight == 1


def test_the_renderer_has_the_published_size():
    cfg = paper("sgi")
    with torch.device("meta"):
        net, published, critic = SGI(cfg.model), SGI(SGIConfig.paper()), Discriminator(cfg.discriminator)
    assert cfg.model.generator.num_layers == 18 and cfg.model.size == 1024
    assert parameters(published.generator) == 30_370_060
    mapping = parameters(net) - parameters(published) + 8 * (512 * 512 + 512)
    assert mapping == 0  # only the mapping network, which it never runs, is missing
    assert parameters(critic) == 29_012_513


def test_nothing_that_begins_at_random_is_frozen():
    for path in (CONFIGS / "improved" / "sgi.yaml", *(CONFIGS / "paper").glob("sgi*.yaml")):
        cfg = load_train_config("sgi", path)
        assert not cfg.freeze_unmasked or cfg.start_from is not None
        with torch.device("meta"):
            net = SGI(cfg.model)
        assert not hasattr(
            net.generator, "style"
        )  # it would have no gradient, which data parallelism forbids


STARTED = ("sgi_e4s", "sgi_e4s_512", "sgi_512")


@pytest.mark.parametrize("name", STARTED)
def test_a_renderer_that_starts_from_published_networks_learns_as_the_paper_s(name: str):
    cfg, plain = paper("sgi", name), paper("sgi")
    changed = {"model", "discriminator", "start_from", "discriminator_from", "freeze_unmasked"}
    sizes = tuple(size for size in plain.loss.lpips_sizes if size <= cfg.model.size)
    same = {**vars(plain), "loss": replace(plain.loss, lpips_sizes=sizes)}
    assert {key: value for key, value in vars(cfg).items() if key not in changed} == {
        key: value for key, value in same.items() if key not in changed
    }
    assert cfg.model.generator.num_region_layers == 13  # regions up to 256 px
    assert cfg.model.generator.num_layers == (18 if name == "sgi_e4s" else 16)


@pytest.mark.parametrize("name", STARTED)
def test_the_commands_of_a_start_make_the_files_that_its_training_reads(name: str):
    text = (CONFIGS / "paper" / f"{name}.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"^#   segtalker (weights import .+)$", text, re.MULTILINE)
    asked = [build_parser().parse_args(command.split()) for command in commands]
    made = {options.network: str(options.out) for options in asked}  # the last one of each
    cfg = paper("sgi", name)
    assert made == {"sgi": cfg.start_from, "discriminator": cfg.discriminator_from}
    assert {str(options.training) for options in asked} == {f"configs/paper/{name}.yaml"}
    assert all(options.onto is None or options.onto == asked[0].out for options in asked)


@pytest.mark.parametrize(
    ("name", "sources", "random"),
    [
        ("sgi_e4s", ["sgi"], ()),
        ("sgi_e4s_512", ["sgi"], ()),
        ("sgi_512", ["generator", "identity"], ("encoder.latlayer", "mlps.")),
        ("sgi", ["generator", "style_encoder"], ("mlps.",)),
    ],
)
def test_published_networks_fill_the_renderer_that_starts_from_them(
    name: str, sources: list[str], random: tuple[str, ...]
):
    """Names and shapes alone: nothing of that size is computed."""
    new = paper("sgi", name).model
    size = 512 if name == "sgi_512" else 1024
    published = {
        "sgi": (SGIConfig.e4s(), sgi_in_sgi(SGIConfig.e4s(), new)),
        "generator": (SynthesisConfig(size=size), generator_in_sgi),
        "identity": (ArcFaceConfig(), encoder_in_sgi(ArcFaceConfig(), new.encoder)),
        "style_encoder": (StyleEncoderConfig(), encoder_in_sgi(StyleEncoderConfig(), new.encoder)),
    }
    parts = [(on_meta(network, published[network][0]), published[network][1]) for network in sources]
    if "generator" in sources:
        parts[0][0]["latent_avg"] = torch.empty(512, device="meta")
    fates = start_from_all(on_meta("sgi", new), parts)[1]
    assert all(fate.name.startswith(random) for fate in fates if fate.what == "random")
    cut = ("output_layer.", "style.", "generator.style.")
    cut += ("generator.convs.14.", "generator.convs.15.", "generator.to_rgbs.7.")
    cut += ("generator.noises.noise_15", "generator.noises.noise_16")
    assert all(fate.name.startswith(cut) for fate in fates if fate.what == "skipped")
    assert {"generator.convs.13.conv.weight", "latent_avg"} <= {f.name for f in fates if f.what == "taken"}


def test_the_inversion_s_discriminator_begins_at_random_where_it_reads_512_px_alone():
    old, new = paper("sgi", "sgi_e4s").discriminator, paper("sgi", "sgi_e4s_512").discriminator
    assert old == DiscriminatorConfig()
    fates = start_from(
        on_meta("discriminator", new), on_meta("discriminator", old), discriminator_of_size(old, new)
    )[1]
    assert {f.name for f in fates if f.what == "random"} == {"convs.0.0.weight", "convs.0.1.bias"}


def on_meta(network: str, cfg: Any) -> dict[str, torch.Tensor]:
    """The tensors of a network without their numbers."""
    shapes = network_shapes(network, cfg).items()
    return {name: torch.empty(shape, device="meta") for name, shape in shapes}


@pytest.mark.parametrize("folder", ["paper", "improved"])
def test_every_parameter_of_a_small_copy_of_the_renderer_has_a_gradient(folder: str):
    """Four workers would wait for one that has none."""
    cfg = load_train_config("sgi", CONFIGS / folder / "sgi.yaml").model
    encoder = replace(cfg.encoder, input_size=32, stem=8, widths=(8, 8, 8, 16), units=(1, 1, 1, 1))
    sizes = {"size": 32, "style_dim": 16, "channel_base": 512, "channel_max": 16, "mask_until_res": 16}
    net = SGI(replace(cfg, encoder=encoder, generator=replace(cfg.generator, **sizes), mlp_hidden=16))
    maps = torch.arange(2 * 32 * 32).reshape(2, 32, 32) % 12
    net(torch.rand(2, 3, 32, 32), maps, maps, "random").square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_clips_are_cut_as_in_the_paper_or_cleaned():
    as_published = load_config(PrepareConfig, CONFIGS / "paper" / "prepare.yaml")
    clean = load_config(PrepareConfig, CONFIGS / "improved" / "prepare.yaml")
    assert (as_published.size, as_published.parsing.backend) == (paper("tsg").model.size, "bisenet")
    assert as_published.syncnet is None and clean.syncnet is not None
    assert clean.quality.max_offset == 1 < as_published.quality.max_offset


def test_the_improved_expert_meets_hundreds_of_windows_and_spares_people_for_evaluation():
    cfg, judge = improved("syncnet"), improved("syncnet", "sync_expert")
    assert cfg.data.clips * cfg.data.windows >= 20 * paper("syncnet").data.clips
    assert cfg.clips.identities[1] <= judge.clips.identities[0]
    assert (
        cfg.clips.folder
        == judge.clips.folder
        == improved("tsg").clips.folder
        != paper("syncnet").clips.folder
    )
    assert (cfg.model.size, cfg.model.window, cfg.run.seed) != (
        judge.model.size,
        judge.model.window,
        judge.run.seed,
    )
    assert all(
        other != mine for other, mine in ((judge.model.window, cfg.model.window), (judge.name, cfg.name))
    )
    with torch.device("meta"):
        assert parameters(SyncNet(cfg.model)) > parameters(SyncNet(judge.model))


@pytest.mark.parametrize(("network", "workers"), [("syncnet", 8), ("tsg", 8), ("sgi", 4)])
def test_improved_batches_are_shared_evenly(network: str, workers: int):
    cfg = improved(network)
    items = cfg.data.clips if network == "syncnet" else cfg.data.items
    assert len(IndexedSampler(1000, items, seed=1).batch(0, workers - 1, workers)) == items // workers


def test_the_improved_generator_draws_at_its_size():
    """The combination of widths and options is nobody's preset: shapes alone, nothing is computed."""
    cfg = improved("tsg").model
    with torch.device("meta"):
        net = TSG(cfg)
        maps = torch.zeros(1, 12, 512, 512)
        logits = net(maps, maps, torch.zeros(1, 1, 80, 16), torch.zeros(1, cfg.context.dim))
    assert logits.shape == (1, 12, 512, 512)
