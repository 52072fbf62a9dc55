from __future__ import annotations

import math

import pytest
import torch

from segtalker.models.frozen.avhubert import AVHubertAudio, AVHubertConfig

TINY = AVHubertConfig(dim=24, ffn_dim=40, layers=2, heads=3, input_dim=10, pos_kernel=6, pos_groups=4)


def tiny() -> AVHubertAudio:
    torch.manual_seed(0)
    network = AVHubertAudio(TINY).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def layer_norm(row: torch.Tensor, weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    centred = row - row.mean()
    normal = centred / math.sqrt(float((centred**2).mean()) + 1e-5)
    return normal * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(value: torch.Tensor) -> torch.Tensor:
    return value * 0.5 * (1 + torch.erf(value / math.sqrt(2)))


def reference(network: AVHubertAudio, tokens: torch.Tensor) -> torch.Tensor:
    """One sample [T, input] through the audio path, token by token and head by head."""
    w = {name: value.double() for name, value in network.state_dict().items()}
    cfg = network.cfg
    size, per_group, per_head = cfg.dim, cfg.dim // cfg.pos_groups, cfg.dim // cfg.heads
    rows = []
    for token in tokens.double():
        audio = w["feature_extractor_audio.proj.weight"] @ token + w["feature_extractor_audio.proj.bias"]
        both = layer_norm(torch.cat([audio, torch.zeros(size).double()]), w, "layer_norm")
        rows.append(w["post_extract_proj.weight"] @ both + w["post_extract_proj.bias"])
    gain, direction = w["encoder.pos_conv.0.weight_g"], w["encoder.pos_conv.0.weight_v"]
    positioned = []
    for t in range(len(rows)):
        value = w["encoder.pos_conv.0.bias"].clone()
        for k in range(cfg.pos_kernel):
            source = t + k - cfg.pos_kernel // 2
            if 0 <= source < len(rows):
                kernel = (
                    gain[0, 0, k] * direction[:, :, k] / math.sqrt(float((direction[:, :, k] ** 2).sum()))
                )
                for channel in range(size):
                    group = channel // per_group
                    value[channel] += (
                        kernel[channel] @ rows[source][group * per_group : (group + 1) * per_group]
                    )
        positioned.append(rows[t] + gelu(value))
    x = positioned
    for layer in range(cfg.layers):
        p = f"encoder.layers.{layer}."
        normal = [layer_norm(row, w, p + "self_attn_layer_norm") for row in x]
        q, k, v = (
            [
                w[f"{p}self_attn.{name}_proj.weight"] @ row + w[f"{p}self_attn.{name}_proj.bias"]
                for row in normal
            ]
            for name in "qkv"
        )
        for t in range(len(x)):
            heads = []
            for head in range(cfg.heads):
                part = slice(head * per_head, (head + 1) * per_head)
                scores = torch.stack([q[t][part] @ key[part] * per_head**-0.5 for key in k]).softmax(0)
                heads.append(sum(score * value[part] for score, value in zip(scores, v, strict=True)))
            out = w[p + "self_attn.out_proj.weight"] @ torch.cat(heads) + w[p + "self_attn.out_proj.bias"]
            x[t] = x[t] + out
        for t in range(len(x)):
            hidden = gelu(
                w[p + "fc1.weight"] @ layer_norm(x[t], w, p + "final_layer_norm") + w[p + "fc1.bias"]
            )
            x[t] = x[t] + w[p + "fc2.weight"] @ hidden + w[p + "fc2.bias"]
    return torch.stack([layer_norm(row, w, "encoder.layer_norm") for row in x])


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
            network(tokens[None])[0].double(), reference(network, tokens), rtol=1e-4, atol=1e-5
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
