from __future__ import annotations

import pytest
import torch

from segtalker.models.frozen.avhubert import AVHubertAudio, AVHubertConfig
from tests.models.avhubert_reference import reference

TINY = AVHubertConfig(dim=24, ffn_dim=40, layers=2, heads=3, input_dim=10, pos_kernel=6, pos_groups=4)


def tiny() -> AVHubertAudio:
    torch.manual_seed(0)
    network = AVHubertAudio(TINY).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize(
    ("cfg", "effective"), [(AVHubertConfig.base(), 91_039_488), (AVHubertConfig.large(), 312_910_848)]
)
def test_published_sizes_have_the_published_parameters(cfg: AVHubertConfig, effective: int) -> None:
    with torch.device("meta"):
        network = AVHubertAudio(cfg)
    gains = network.encoder.pos_conv[0].weight_g.numel()  # weight norm: one gain per kernel position on top
    assert gains == 128 and sum(p.numel() for p in network.parameters()) == effective + gains


def test_names_and_shapes_are_those_of_the_published_checkpoint() -> None:
    with torch.device("meta"):
        state = AVHubertAudio(AVHubertConfig.base()).state_dict()
    assert state["feature_extractor_audio.proj.weight"].shape == (768, 104)
    assert state["layer_norm.weight"].shape == (1536,)
    assert state["post_extract_proj.weight"].shape == (768, 1536)
    assert state["encoder.pos_conv.0.weight_g"].shape == (1, 1, 128)
    assert state["encoder.pos_conv.0.weight_v"].shape == (768, 48, 128)
    assert state["encoder.pos_conv.0.bias"].shape == (768,)
    layer = {
        name.removeprefix("encoder.layers.11.") for name in state if name.startswith("encoder.layers.11.")
    }
    modules = [f"self_attn.{p}_proj" for p in "kvq"] + ["self_attn.out_proj", "self_attn_layer_norm"]
    modules += ["fc1", "fc2", "final_layer_norm"]
    assert layer == {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
    assert len(state) == 2 + 2 + 2 + 3 + 12 * 16 + 2


def test_the_network_equals_a_slow_reference() -> None:
    network, tokens = tiny(), torch.randn(9, 10)
    with torch.no_grad():
        torch.testing.assert_close(
            network(tokens[None])[0].double(),
            reference(network.state_dict(), tokens, TINY.heads),
            rtol=1e-4,
            atol=1e-5,
        )


def test_padding_of_any_length_and_content_changes_nothing() -> None:
    network, tokens = tiny(), torch.randn(2, 9, 10)
    padded = torch.cat([tokens, 5 * torch.randn(2, 8, 10)], dim=1)
    mask = torch.arange(17).expand(2, 17) >= 9
    with torch.no_grad():
        torch.testing.assert_close(network(padded, mask)[:, :9], network(tokens), rtol=1e-4, atol=1e-5)
        assert (network(padded)[:, :9] - network(tokens)).abs().max() > 1e-3


def test_nothing_but_padding_is_finite() -> None:
    with torch.no_grad():
        assert tiny()(torch.randn(1, 5, 10), torch.ones(1, 5, dtype=torch.bool)).isfinite().all()


def test_a_fresh_network_starts_with_plain_weights() -> None:
    conv = AVHubertAudio(TINY).encoder.pos_conv[0]
    torch.testing.assert_close(conv.weight_g, conv.weight_v.norm(dim=(0, 1), keepdim=True))


def test_autocast_agrees_with_full_precision() -> None:
    """Grouped convolutions in bf16 give wrong sums on some CPUs; a network trained so knows nothing."""
    torch.manual_seed(0)
    network = AVHubertAudio(AVHubertConfig(dim=192, ffn_dim=384, layers=2, heads=4, pos_kernel=32)).eval()
    tokens = torch.randn(2, 75, 104)
    with torch.no_grad():
        exact = network(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(tokens).float()
    assert (mixed - exact).norm() < 0.02 * exact.norm()
