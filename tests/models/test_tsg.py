from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.tsg import (
    TSG,
    TSGConfig,
    interpolate_context,
    merge_talking_map,
    occlude_lower_half,
)

SMALL_CONTEXT = AVHubertConfig(dim=32, ffn_dim=32, layers=1, heads=2, pos_kernel=16, pos_groups=4)


def small(**changes: object) -> TSGConfig:
    values = {
        "size": 64,
        "encoder_channels": (8, 8, 16, 16, 16),
        "encoder_residuals": (0, 1, 0, 0, 0),
        "decoder_channels": (16, 16, 16, 8, 8),
        "decoder_residuals": (0, 1, 0, 0, 1),
        "mel_channels": (4, 8, 8, 8, 16),
        "mel_residuals": (1, 0, 0, 0),
        "speech_dim": 16,
        "context": SMALL_CONTEXT,
    }
    return TSGConfig(**{**values, **changes})  # type: ignore[arg-type]


def small_paper() -> TSGConfig:
    cfg = TSGConfig.paper(96, norm="group")
    narrow = tuple(max(width // 16, 4) for width in cfg.encoder_channels)
    return dataclasses.replace(
        cfg,
        encoder_channels=narrow,
        decoder_channels=tuple(max(width // 16, 4) for width in cfg.decoder_channels),
        head_channels=8,
        mel_channels=(4, 4, 8, 8, 16),
        speech_dim=16,
        context=SMALL_CONTEXT,
    )


def inputs(cfg: TSGConfig, count: int = 2, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def onehot() -> torch.Tensor:
        coarse = torch.randint(0, 12, (count, 1, 8, 8), generator=generator).float()
        ids = F.interpolate(coarse, size=(cfg.size, cfg.size)).long()[:, 0]
        return F.one_hot(ids, 12).permute(0, 3, 1, 2).float()

    mel = torch.randn(count, 1, 80, 16, generator=generator)
    return [onehot(), onehot(), mel, torch.randn(count, cfg.context.dim, generator=generator)]


def live(cfg: TSGConfig, seed: int = 0) -> TSG:
    """A network in which nothing is zero, so that every path shows."""
    torch.manual_seed(seed)
    network = TSG(cfg).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "modulation" in name:
                parameter.normal_(0, 0.2)
    return network


def num_parameters(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("size", "millions"), [(512, 59.2), (256, 45.0), (128, 39.0), (96, 33.5)], ids=lambda v: str(v)
)
def test_paper_sizes_have_the_parameters_of_the_table(size: int, millions: float) -> None:
    with torch.device("meta"):
        network = TSG(TSGConfig.paper(size))
    assert round(num_parameters(network.mask_encoder, network.decoder) / 1e6, 1) == millions
    assert num_parameters(network.mel_encoder) == 2_812_672
    assert num_parameters(network.fuse) == (512 + 768 + 1) * 512


@pytest.mark.parametrize("size", [128, 64])
def test_the_mini_network_stays_small_and_draws_the_whole_map(size: int) -> None:
    cfg = TSGConfig.mini(size)
    network = live(cfg)
    assert num_parameters(network) <= 8_000_000
    pose, reference, mel, _ = inputs(cfg)
    context = network.context(torch.randn(2, 75, 104))[:, 30]
    assert network(pose, reference, mel, context).shape == (2, 12, size, size)


def test_the_paper_network_draws_the_whole_map() -> None:
    cfg = small_paper()
    network = live(cfg)
    logits = network(*inputs(cfg))
    assert logits.shape == (2, 12, 96, 96)


@pytest.mark.parametrize("cfg", [small(), small_paper()], ids=["mini", "paper"])
def test_the_lower_half_of_the_pose_source_cannot_leak(cfg: TSGConfig) -> None:
    network = live(cfg)
    pose, reference, mel, context = inputs(cfg)
    other = pose.clone()
    other[:, :, cfg.size // 2 :] = pose[:, :, cfg.size // 2 :].roll(1, dims=1)
    assert not torch.equal(pose, other)
    torch.testing.assert_close(
        network(pose, reference, mel, context), network(other, reference, mel, context), rtol=0, atol=0
    )


@pytest.mark.parametrize("cfg", [small(), small_paper()], ids=["mini", "paper"])
@pytest.mark.parametrize("index", [0, 1, 2, 3], ids=["pose", "reference", "mel", "context"])
def test_every_input_moves_the_lower_half(cfg: TSGConfig, index: int) -> None:
    network = live(cfg)
    first, second = inputs(cfg, seed=0), inputs(cfg, seed=1)
    changed = list(first)
    changed[index] = second[index]
    lower = slice(cfg.size // 2, None)
    difference = (network(*first) - network(*changed))[:, :, lower].abs().max()
    assert difference > 1e-4


def test_the_mini_copies_the_upper_half_of_the_pose() -> None:
    cfg = small()
    pose, reference, mel, context = inputs(cfg)
    logits = live(cfg)(pose, reference, mel, context)
    half = cfg.size // 2
    assert torch.equal(logits[:, :, :half].argmax(1), pose[:, :, :half].argmax(1))
    assert logits[:, :, :half].softmax(1).amax(1).min() > 0.999


def test_a_sample_does_not_depend_on_its_batch() -> None:
    cfg = small()
    network = live(cfg).train()
    batch = inputs(cfg, count=4)
    alone = network(*[value[2:3] for value in batch])
    torch.testing.assert_close(network(*batch)[2:3], alone, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    cfg = small()
    network = live(cfg).train()
    pose, reference, mel, _ = inputs(cfg)
    context = network.context(torch.randn(2, 75, 104))[:, 10]
    network(pose, reference, mel, context).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A key bias shifts all scores of a query alike, so its exact gradient is zero.
    assert [name for name in silent if "k_proj.bias" not in name] == []


def test_context_between_two_tokens_is_interpolated() -> None:
    features = torch.arange(2 * 75 * 3, dtype=torch.float32).view(2, 75, 3)
    chunk, token = torch.tensor([0, 1]), torch.tensor([[4, 5], [7, 7]])
    result = interpolate_context(features, chunk, token, torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(result[0], 0.75 * features[0, 4] + 0.25 * features[0, 5])
    torch.testing.assert_close(result[1], features[1, 7])


def test_occlusion_is_the_zero_vector_and_not_a_class() -> None:
    onehot = torch.ones(2, 12, 8, 8)
    occluded = occlude_lower_half(onehot)
    assert occluded[..., 4:, :].sum() == 0 and (occluded[..., :4, :] == 1).all() and onehot.min() == 1


def test_the_talking_map_keeps_the_upper_half_of_the_pose() -> None:
    pose_map = torch.randint(0, 12, (3, 8, 8), dtype=torch.uint8)
    logits = torch.randn(3, 12, 8, 8)
    merged = merge_talking_map(logits, pose_map)
    assert merged.dtype == torch.uint8
    assert torch.equal(merged[:, :4], pose_map[:, :4])
    assert torch.equal(merged[:, 4:].long(), logits.argmax(1)[:, 4:])


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="stages"):
        small(size=96)
    with pytest.raises(ValueError, match="no paper TSG"):
        TSGConfig.paper(100)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cfg", [TSGConfig.mini(), small_paper()], ids=["mini", "paper"])
def test_cuda_draws_what_the_cpu_draws(cfg: TSGConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network, values = live(cfg), inputs(cfg)
    tokens = torch.randn(2, 75, 104)
    with torch.no_grad():
        expected, context = network(*values), network.context(tokens)
        network.cuda()
        torch.testing.assert_close(
            network(*[value.cuda() for value in values]).cpu(), expected, rtol=1e-3, atol=1e-3
        )
        torch.testing.assert_close(network.context(tokens.cuda()).cpu(), context, rtol=1e-3, atol=1e-3)


def test_without_context_the_mel_window_alone_speaks() -> None:
    cfg = small(context=None)
    network = live(cfg)
    pose, reference, mel, _ = inputs(small())
    context = network.context(torch.randn(2, 75, 104), torch.zeros(2, 75, dtype=torch.bool))
    assert context.shape == (2, 75, 0) and network.context_encoder is None
    assert num_parameters(network.fuse) == (cfg.mel_channels[-1] + 1) * cfg.speech_dim
    logits = network(pose, reference, mel, context[:, 10])
    assert logits.shape == (2, 12, cfg.size, cfg.size)
    assert not torch.allclose(logits, network(pose, reference, mel + 1, context[:, 10]))
