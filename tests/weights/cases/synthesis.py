"""The networks that draw faces and listen to speech.

Shape legend: L style layers, D style dim, R regions, T tokens.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.models.avhubert_reference import reference as avhubert_reference
from tests.weights import inversion_reference as inversion
from tests.weights import published
from tests.weights import stylegan2_reference as stylegan2
from tests.weights.cases.case import Case, Cases, Pairs, at_unit_scale, normal
from tests.weights.convert import official, official_inversion

REGIONS = 12
SMALL_GENERATOR = {"size": 32, "base": 128, "most": 8, "dim": 12, "mapping": 2}
SMALL_ENCODER = {"stem": 4, "widths": (6, 8, 10, 10)}
SMALL_SPEECH = {"ffn": 40, "tokens": 10, "kernel": 6, "groups": 4}


def cases(full: bool) -> Cases:
    """Rows `stylegan2_ffhq_{256,512,1024}[_d]`, `e4s`, `e4s_d`, `psp_ffhq`, `avhubert_{base,large}`."""
    return {
        **_stylegan2(256, full),
        **_stylegan2(512, full),
        **_stylegan2(1024, full),
        **_e4s(full),
        "psp_ffhq": _psp(full),
        "avhubert_base": _avhubert("base", {"dim": 768, "ffn": 3072, "layers": 12}, full),
        "avhubert_large": _avhubert("large", {"dim": 1024, "ffn": 4096, "layers": 24}, full),
    }


def port_generator() -> Case:
    """StyleGAN2 at 1024 px in the layout of the PyTorch port: a file with this network and no other."""
    checkpoint = partial(published.stylegan2, "port", size=1024)

    def write(path: Path) -> None:
        found = checkpoint()
        torch.save({name: found[name] for name in ("g_ema", "latent_avg")}, path)

    def outputs(net: Any) -> Pairs:
        return _painted(net, checkpoint()["g_ema"], "port")

    return Case(official.port_generator(1024), write, outputs, "stylegan2_ffhq_1024")


def _stylegan2(size: int, full: bool) -> Cases:
    """As NVIDIA publishes it; small ones have the published size in pixels, and 1 to 16 channels."""
    widths = {"size": size} if full else {"size": size, "base": 1024, "most": 16}
    checkpoint = partial(published.stylegan2, "nvidia", *(() if full else (12, 3)), **widths)

    def write(path: Path) -> None:
        published.write_nvidia(path, checkpoint())

    def painted(net: Any) -> Pairs:
        return _painted(net, checkpoint()["G_ema"], "nvidia")

    def judged(net: Any) -> Pairs:
        return _judged(net, stylegan2.by_port_names(checkpoint()["D"], size))

    name = f"stylegan2_ffhq_{size}"
    return {
        name: Case(official.nvidia_generator(size), write, painted, name),
        f"{name}_d": Case(official.nvidia_discriminator(size), write, judged, f"{name}_d"),
    }


def _painted(net: Any, values: dict[str, Tensor], layout: str) -> Pairs:
    """A picture of codes [L, D], and the code of a normal vector [D]."""
    w, cfg = stylegan2.doubles(values), net.cfg
    codes, z = normal(cfg.num_layers, cfg.style_dim), normal(cfg.style_dim, seed=1)
    picture = stylegan2.generate(w, codes.double().numpy(), cfg.size, layout)
    yield at_unit_scale(net(codes[None, None])[0], torch.from_numpy(picture))  # where learned pictures are
    code = stylegan2.mapped(w, z.double().numpy(), cfg.num_mapping_layers, layout)
    yield at_unit_scale(net.style(z[None])[0], torch.from_numpy(code))  # a hundredth at every layer


def _judged(net: Any, values: dict[str, Tensor]) -> Pairs:
    """Logits of two pictures; `values` by the names of the PyTorch port."""
    patches = 16 * normal(
        2, 3, 8, 8
    )  # of noise, pixel by pixel, a discriminator of random numbers says little
    pictures = patches.repeat_interleave(net.cfg.size // 8, 2).repeat_interleave(net.cfg.size // 8, 3)
    expected = stylegan2.judge(stylegan2.doubles(values), pictures.double().numpy(), net.cfg.size)
    yield net(pictures)[:, 0], torch.from_numpy(expected)


def _e4s(full: bool) -> Cases:
    checkpoint = partial(published.e4s, {}, {})
    if not full:
        checkpoint = partial(published.e4s, SMALL_GENERATOR, SMALL_ENCODER, hidden=7, codes=5)

    def write(path: Path) -> None:
        torch.save(checkpoint(), path)

    def inverted(net: Any) -> Pairs:
        """Codes [R, L, D] of one picture and map, and the picture of these codes in another map."""
        found = checkpoint()
        w, mean = stylegan2.doubles(found["state_dict_ema"]), found["latent_avg"].double().numpy()
        picture, source, target = normal(3, 512, 512), inversion.region_map(1), inversion.region_map(2)
        halved = picture.double().numpy().reshape(3, 256, 2, 256, 2).mean(axis=(2, 4))  # bilinear, to half
        features = inversion.scales(inversion.below("encoder.", w), halved)
        codes = inversion.style_codes(w, inversion.region_averages(features, source, REGIONS), mean)
        regions = torch.from_numpy(source)[None], torch.from_numpy(target)[None]
        yield net.encode(picture[None], regions[0])[0], torch.from_numpy(codes)
        masked, generator = net.cfg.generator.num_region_layers, inversion.below("G.", w)
        expected = inversion.region_picture(generator, codes, target, net.cfg.size, masked)
        yield at_unit_scale(net(picture[None], *regions)[0], torch.from_numpy(expected))

    def judged(net: Any) -> Pairs:
        return _judged(net, inversion.below("module.", checkpoint()["D_state_dict"]))

    name, shapes = "e4s" if full else "e4s_32", official.port_discriminator(1024)
    return {
        "e4s": Case(official_inversion.e4s(), write, inverted, name),
        "e4s_d": Case(shapes, write, judged, f"{name}_d"),
    }


def _psp(full: bool) -> Case:
    checkpoint = partial(published.psp, {}, {})
    if not full:
        checkpoint = partial(published.psp, SMALL_GENERATOR, SMALL_ENCODER, heads=8)

    def write(path: Path) -> None:
        torch.save(checkpoint(), path)

    def outputs(net: Any) -> Pairs:
        w = stylegan2.doubles(inversion.below("encoder.", checkpoint()["state_dict"]))
        picture = normal(3, 256, 256)
        expected = inversion.pyramid(w, picture.double().numpy())
        yield from zip(net.feature_maps(picture[None]), expected, strict=True)

    return Case(official_inversion.psp_encoder(), write, outputs, "psp_ffhq" if full else "psp")


def _avhubert(size: str, published_sizes: dict[str, int], full: bool) -> Case:
    """Its audio path; the video half is left out of the files, but for two tensors."""
    dim, layers = published_sizes["dim"], published_sizes["layers"]
    sizes, heads, scale = published_sizes, dim // 64, dim**-0.5
    if not full:
        sizes, heads, scale = {**SMALL_SPEECH, "dim": dim // 32, "layers": layers // 6}, 4, 0.3
    checkpoint = partial(published.avhubert, heads, scale=scale, **sizes)

    def write(path: Path) -> None:
        torch.save(checkpoint(), path)

    def outputs(net: Any) -> Pairs:
        tokens = normal(9, net.cfg.context.input_dim)
        yield net.context(tokens[None])[0], avhubert_reference(checkpoint()["model"], tokens, heads)

    row = f"avhubert_{size}"
    return Case(official.avhubert(**published_sizes), write, outputs, row if full else "avhubert")
