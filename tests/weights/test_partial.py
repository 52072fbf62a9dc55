"""Part of one network as the start of another: what is taken, and a word on everything that is not."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segtalker.models.discriminator import Discriminator, DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.stylegan2 import Generator, SynthesisConfig
from segtalker.weights.partial import Fate, discriminator_of_size, generator_in_sgi, start_from, summary


def critic(size: int) -> DiscriminatorConfig:
    return DiscriminatorConfig(size=size, channel_base=256, channel_max=16)


def tensors(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def renderer(size: int, mask_until_res: int = 0) -> SGI:
    encoder = StyleEncoderConfig(input_size=32, stem=8, widths=(8, 8, 8, 16), units=(1, 1, 1, 1))
    generator = SynthesisConfig(
        size=size,
        style_dim=16,
        channel_base=512,
        channel_max=16,
        num_mapping_layers=0,
        mask_until_res=mask_until_res,
    )
    return SGI(SGIConfig(encoder=encoder, generator=generator, mlp_hidden=16))


def generator(size: int) -> Generator:
    cfg = SynthesisConfig(size=size, style_dim=16, channel_base=512, channel_max=16, num_mapping_layers=2)
    return Generator(cfg)


def names(fates: list[Fate], what: str) -> set[str]:
    return {fate.name for fate in fates if fate.what == what}


def test_a_discriminator_of_twice_the_size_gives_its_inner_blocks():
    """As 1024 px into 512: block i of the small one is block i + 1 of the large; `fromRGB` stays random."""
    old, new = tensors(Discriminator(critic(64))), tensors(Discriminator(critic(32)))
    state, fates = start_from(new, old, discriminator_of_size(critic(64), critic(32)))
    for i in (1, 2, 3):
        assert torch.equal(state[f"convs.{i}.conv1.0.weight"], old[f"convs.{i + 1}.conv1.0.weight"])
        assert torch.equal(state[f"convs.{i}.skip.1.weight"], old[f"convs.{i + 1}.skip.1.weight"])
    assert torch.equal(state["final_linear.0.weight"], old["final_linear.0.weight"])
    assert torch.equal(state["convs.0.0.weight"], new["convs.0.0.weight"])
    assert names(fates, "random") == {"convs.0.0.weight", "convs.0.1.bias"}
    assert names(fates, "skipped") == {n for n in old if n.startswith(("convs.0.", "convs.1."))}
    why = {(fate.what, fate.name): fate.why for fate in fates}
    assert why["skipped", "convs.1.skip.1.weight"] == "the new discriminator begins at 32 px"
    assert why["taken", "convs.2.conv2.2.bias"] == "from 'convs.3.conv2.2.bias'"


def test_a_discriminator_of_half_the_size_leaves_the_outer_block_at_random():
    old, new = tensors(Discriminator(critic(16))), tensors(Discriminator(critic(32)))
    state, fates = start_from(new, old, discriminator_of_size(critic(16), critic(32)))
    assert torch.equal(state["convs.3.conv1.0.weight"], old["convs.2.conv1.0.weight"])
    assert names(fates, "random") == {n for n in new if n.startswith(("convs.0.", "convs.1."))}


def test_a_discriminator_of_the_same_size_is_taken_whole():
    old, new = tensors(Discriminator(critic(32))), tensors(Discriminator(critic(32)))
    state, fates = start_from(new, old, discriminator_of_size(critic(32), critic(32)))
    assert {fate.what for fate in fates} == {"taken"}
    assert all(torch.equal(state[name], value) for name, value in old.items())


def test_other_widths_are_skipped_tensor_by_tensor_and_say_both_shapes():
    thin = DiscriminatorConfig(size=32, channel_base=128, channel_max=16)
    old, new = tensors(Discriminator(critic(32))), tensors(Discriminator(thin))
    state, fates = start_from(new, old, discriminator_of_size(critic(32), thin))
    why = {fate.name: fate.why for fate in fates if fate.what == "skipped"}
    assert why["convs.0.0.weight"] == "is [8, 3, 1, 1], 'convs.0.0.weight' is [4, 3, 1, 1]"
    assert torch.equal(state["convs.0.0.weight"], new["convs.0.0.weight"])
    assert torch.equal(state["final_conv.0.weight"], old["final_conv.0.weight"])


@torch.no_grad()
def test_a_plain_generator_in_sgi_paints_the_same_picture_from_one_code():
    plain, net = generator(32), renderer(32, mask_until_res=16)
    source = {**tensors(plain), "latent_avg": torch.randn(16)}
    state, fates = start_from(tensors(net), source, generator_in_sgi)
    net.load_state_dict(state)
    assert torch.equal(net.latent_avg, source["latent_avg"].expand(8, 16))
    codes, maps = torch.randn(1, 1, 8, 16), torch.arange(32 * 32).reshape(1, 32, 32) % 12
    regional = net.eval().decode(codes.expand(-1, 12, -1, -1), maps)
    torch.testing.assert_close(regional, plain.eval()(codes), rtol=1e-4, atol=1e-5)
    assert names(fates, "skipped") == {f"style.{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    assert all(name.startswith(("encoder.", "mlps.")) for name in names(fates, "random"))


def test_a_larger_generator_gives_the_resolutions_that_there_are():
    net, plain = renderer(16), generator(32)
    state, fates = start_from(tensors(net), tensors(plain), generator_in_sgi)
    assert torch.equal(state["generator.convs.3.conv.weight"], plain.convs[3].conv.weight)
    why = {fate.name: fate.why for fate in fates if fate.what == "skipped"}
    assert (
        why["convs.4.conv.weight"] == why["noises.noise_6"] == "the new generator ends at a lower resolution"
    )
    assert all(
        torch.equal(net.state_dict()[name], value) for name, value in state.items() if "encoder" in name
    )


def test_a_summary_counts_and_gives_every_reason_once():
    fates = [Fate("a", "taken", "from 'a'"), Fate("b", "random", "x"), Fate("c", "random", "x")]
    lines = summary([*fates, Fate("d", "skipped", "y")])
    assert lines == [
        "1 tensors taken, 2 left at random, 1 skipped",
        "  random: b and 1 more: x",
        "  skipped: d: y",
    ]
