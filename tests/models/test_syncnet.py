from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segtalker.models.syncnet import SyncNet, SyncNetConfig

TINY = {
    "size": 32,
    "channels": (8, 8, 8),
    "residuals": (0, 1, 0),
    "stem_kernel": 5,
    "stem_stride": 2,
    "mel_channels": (4, 4, 8, 8, 8),
    "mel_residuals": (0, 0, 0, 0),
    "norm": "group",
}


def tiny(**changes: object) -> SyncNet:
    torch.manual_seed(0)
    return SyncNet(SyncNetConfig(**{**TINY, "embedding": 16, "calibrated": True, **changes}))  # type: ignore[arg-type]


def num_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_published_layout_on_colour_images_has_its_parameters_and_names() -> None:
    with torch.device("meta"):
        network = SyncNet(SyncNetConfig.paper(96, frame_channels=3))
    assert num_parameters(network) == 16_435_072
    names = network.state_dict()
    assert names["face_encoder.0.conv_block.0.weight"].shape == (32, 15, 7, 7)
    assert names["face_encoder.16.conv_block.1.running_mean"].shape == (512,)
    assert names["audio_encoder.13.conv_block.0.weight"].shape == (512, 512, 1, 1)


@pytest.mark.parametrize(("size", "millions"), [(96, 13.10), (128, 14.94)])
def test_mask_branches_of_the_paper_have_the_parameters_of_the_table(size: int, millions: float) -> None:
    cfg = SyncNetConfig.paper(size)
    with torch.device("meta"):
        network = SyncNet(cfg)
    assert round(num_parameters(network.face_encoder) / 1e6, 2) == millions
    assert cfg.stage_sizes[-1] == ((3, 3) if size == 96 else (4, 4))


def test_paper_probabilities_are_cosines_between_zero_and_one() -> None:
    torch.manual_seed(0)
    network = SyncNet(SyncNetConfig.paper(96)).eval()
    masks, mel = torch.rand(3, 60, 48, 96), torch.randn(3, 1, 80, 16)
    with torch.no_grad():
        visual, audio = network.embed_masks(masks), network.embed_mel(mel)
        probability = network.probability(visual, audio)
    assert visual.shape == audio.shape == (3, 512) and visual.min() >= 0 and audio.min() >= 0
    expected = (visual * audio).sum(1) / (visual.norm(dim=1) * audio.norm(dim=1))
    torch.testing.assert_close(probability, expected, rtol=1e-4, atol=1e-5)
    assert (probability >= 0).all() and (probability <= 1).all()


@pytest.mark.parametrize("cfg", [SyncNetConfig.mini(), SyncNetConfig.expert(window=7)])
def test_the_small_experts_stay_small_and_give_512_values(cfg: SyncNetConfig) -> None:
    network = SyncNet(cfg).eval()
    assert num_parameters(network) <= 3_000_000
    onehot = torch.rand(2, cfg.window, 12, 128, 128)
    with torch.no_grad():
        assert network.embed_masks(network.pool_masks(onehot)).shape == (2, 512)
        probability = network(onehot, torch.randn(2, 1, 80, 16))
    assert probability.shape == (2,) and ((probability > 0) & (probability < 1)).all()


def test_pooling_takes_the_lower_half_frame_by_frame() -> None:
    network = tiny()
    onehot = torch.rand(2, 5, 12, 64, 64)
    pooled = network.pool_masks(onehot)
    assert pooled.shape == (2, 60, 16, 32)
    torch.testing.assert_close(pooled[1, 2 * 12 + 9, 3, 7], onehot[1, 2, 9, 38:40, 14:16].mean())
    changed = onehot.clone()
    changed[..., :32, :] = 0
    assert torch.equal(network.pool_masks(changed), pooled)


def test_a_map_at_the_input_size_is_not_resampled() -> None:
    onehot = torch.rand(1, 5, 12, 32, 32)
    pooled = tiny().pool_masks(onehot)
    torch.testing.assert_close(pooled, onehot[..., 16:, :].reshape(1, 60, 16, 32), rtol=0, atol=0)


def test_pair_logits_agree_with_probabilities() -> None:
    network = tiny().eval()
    visual, audio = torch.randn(4, 16), torch.randn(4, 16)
    with torch.no_grad():
        logits = network.logits(visual, audio)
        assert logits.shape == (4, 4)
        torch.testing.assert_close(logits.diagonal().sigmoid(), network.probability(visual, audio))
        cosine = F.cosine_similarity(visual[1], audio[2], dim=0)
        torch.testing.assert_close(logits[1, 2], 10 * cosine - 3, rtol=1e-4, atol=1e-4)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    network = tiny().train()
    masks, mel = torch.rand(4, 60, 16, 32), torch.randn(4, 1, 80, 16)
    torch.testing.assert_close(
        network.embed_masks(masks)[1:2], network.embed_masks(masks[1:2]), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(network.embed_mel(mel)[1:2], network.embed_mel(mel[1:2]), rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter() -> None:
    network = tiny().train()
    network.logits(
        network.embed_masks(torch.rand(3, 60, 16, 32)), network.embed_mel(torch.randn(3, 1, 80, 16))
    ).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no paper SyncNet"):
        SyncNetConfig.paper(100)
    with pytest.raises(ValueError, match="equal lengths"):
        SyncNetConfig(**{**TINY, "residuals": (0, 1)})  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_judges_as_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    network = SyncNet(SyncNetConfig.mini()).eval()
    onehot, mel = torch.rand(3, 5, 12, 128, 128), torch.randn(3, 1, 80, 16)
    with torch.no_grad():
        expected = network(onehot, mel)
        on_cuda = network.cuda()(onehot.cuda(), mel.cuda()).cpu()
    torch.testing.assert_close(on_cuda, expected, rtol=1e-3, atol=1e-3)
