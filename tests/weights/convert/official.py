"""Names and shapes of published networks, written down from their descriptions and not from our modules."""

from __future__ import annotations

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def widths(size: int, base: int, most: int) -> dict[int, int]:
    """Resolution -> channels, from 4 to `size`."""
    resolutions = [2**power for power in range(2, size.bit_length())]
    return {resolution: min(most, base // resolution) for resolution in resolutions}


def port_generator(size: int, base: int = 32768, most: int = 512, dim: int = 512, mapping: int = 8) -> Shapes:
    """StyleGAN2's generator in the PyTorch port."""
    channels, shapes = widths(size, base, most), Shapes()
    for index in range(1, mapping + 1):
        shapes |= {f"style.{index}.weight": (dim, dim), f"style.{index}.bias": (dim,)}
    shapes["input.input"] = (1, channels[4], 4, 4)

    def layer(name: str, num_in: int, num_out: int) -> Shapes:
        return {
            f"{name}.conv.weight": (1, num_out, num_in, 3, 3),
            f"{name}.conv.modulation.weight": (num_in, dim),
            f"{name}.conv.modulation.bias": (num_in,),
            f"{name}.noise.weight": (1,),
            f"{name}.activate.bias": (num_out,),
        }

    def rgb(name: str, num_in: int) -> Shapes:
        return {
            f"{name}.bias": (1, 3, 1, 1),
            f"{name}.conv.weight": (1, 3, num_in, 1, 1),
            f"{name}.conv.modulation.weight": (num_in, dim),
            f"{name}.conv.modulation.bias": (num_in,),
        }

    shapes |= layer("conv1", channels[4], channels[4]) | rgb("to_rgb1", channels[4])
    shapes["noises.noise_0"] = (1, 1, 4, 4)
    for k, resolution in enumerate(list(channels)[1:]):
        now, before = channels[resolution], channels[resolution // 2]
        shapes |= layer(f"convs.{2 * k}", before, now) | layer(f"convs.{2 * k + 1}", now, now)
        shapes |= {f"convs.{2 * k}.conv.blur.kernel": (4, 4), f"to_rgbs.{k}.upsample.kernel": (4, 4)}
        shapes |= rgb(f"to_rgbs.{k}", now)
        shapes |= {f"noises.noise_{2 * k + i}": (1, 1, resolution, resolution) for i in (1, 2)}
    return shapes


def port_discriminator(size: int, base: int = 32768, most: int = 512) -> Shapes:
    """StyleGAN2's discriminator in the PyTorch port."""
    channels, shapes = widths(size, base, most), Shapes()
    shapes |= {"convs.0.0.weight": (channels[size], 3, 1, 1), "convs.0.1.bias": (channels[size],)}
    for index, resolution in enumerate(sorted(channels, reverse=True)[:-1], start=1):
        now, after = channels[resolution], channels[resolution // 2]
        shapes |= {
            f"convs.{index}.conv1.0.weight": (now, now, 3, 3),
            f"convs.{index}.conv1.1.bias": (now,),
            f"convs.{index}.conv2.0.kernel": (4, 4),
            f"convs.{index}.conv2.1.weight": (after, now, 3, 3),
            f"convs.{index}.conv2.2.bias": (after,),
            f"convs.{index}.skip.0.kernel": (4, 4),
            f"convs.{index}.skip.1.weight": (after, now, 1, 1),
        }
    last = channels[4]
    shapes |= {"final_conv.0.weight": (last, last + 1, 3, 3), "final_conv.1.bias": (last,)}
    shapes |= {"final_linear.0.weight": (last, last * 16), "final_linear.0.bias": (last,)}
    return shapes | {"final_linear.1.weight": (1, last), "final_linear.1.bias": (1,)}


def nvidia_generator(
    size: int, base: int = 32768, most: int = 512, dim: int = 512, mapping: int = 8
) -> Shapes:
    """StyleGAN2's generator in NVIDIA's PyTorch code."""
    channels, shapes = widths(size, base, most), Shapes()
    for index in range(mapping):
        shapes |= {f"mapping.fc{index}.weight": (dim, dim), f"mapping.fc{index}.bias": (dim,)}
    shapes |= {"mapping.w_avg": (dim,), "synthesis.b4.const": (channels[4], 4, 4)}
    for resolution, now in channels.items():
        block = f"synthesis.b{resolution}"
        layers = {"conv1": now} if resolution == 4 else {"conv0": channels[resolution // 2], "conv1": now}
        for layer, num_in in layers.items():
            shapes |= {
                f"{block}.{layer}.weight": (now, num_in, 3, 3),
                f"{block}.{layer}.bias": (now,),
                f"{block}.{layer}.affine.weight": (num_in, dim),
                f"{block}.{layer}.affine.bias": (num_in,),
                f"{block}.{layer}.noise_strength": (),
                f"{block}.{layer}.noise_const": (resolution, resolution),
                f"{block}.{layer}.resample_filter": (4, 4),
            }
        shapes |= {
            f"{block}.resample_filter": (4, 4),
            f"{block}.torgb.weight": (3, now, 1, 1),
            f"{block}.torgb.bias": (3,),
            f"{block}.torgb.affine.weight": (now, dim),
            f"{block}.torgb.affine.bias": (now,),
        }
    return shapes


def nvidia_discriminator(size: int, base: int = 32768, most: int = 512) -> Shapes:
    """StyleGAN2's discriminator in NVIDIA's PyTorch code."""
    channels = widths(size, base, most)
    shapes: Shapes = {f"b{size}.fromrgb.weight": (channels[size], 3, 1, 1)}
    shapes |= {f"b{size}.fromrgb.bias": (channels[size],), f"b{size}.fromrgb.resample_filter": (4, 4)}
    for resolution in list(channels)[1:]:
        now, after, block = channels[resolution], channels[resolution // 2], f"b{resolution}"
        shapes |= {
            f"{block}.conv0.weight": (now, now, 3, 3),
            f"{block}.conv0.bias": (now,),
            f"{block}.conv1.weight": (after, now, 3, 3),
            f"{block}.conv1.bias": (after,),
            f"{block}.skip.weight": (after, now, 1, 1),
        }
        shapes |= {f"{block}{part}.resample_filter": (4, 4) for part in ("", ".conv0", ".conv1", ".skip")}
    last = channels[4]
    shapes |= {"b4.conv.weight": (last, last + 1, 3, 3), "b4.conv.bias": (last,)}
    shapes |= {"b4.conv.resample_filter": (4, 4), "b4.fc.weight": (last, last * 16), "b4.fc.bias": (last,)}
    return shapes | {"b4.out.weight": (1, last), "b4.out.bias": (1,)}


def avhubert(
    dim: int = 768, ffn: int = 3072, layers: int = 12, tokens: int = 104, kernel: int = 128, groups: int = 16
) -> Shapes:
    """The audio path of AV-HuBERT."""
    shapes: Shapes = {
        "feature_extractor_audio.proj.weight": (dim, tokens),
        "feature_extractor_audio.proj.bias": (dim,),
        "layer_norm.weight": (2 * dim,),
        "layer_norm.bias": (2 * dim,),
        "post_extract_proj.weight": (dim, 2 * dim),
        "post_extract_proj.bias": (dim,),
        "encoder.pos_conv.0.bias": (dim,),
        "encoder.pos_conv.0.weight_g": (1, 1, kernel),
        "encoder.pos_conv.0.weight_v": (dim, dim // groups, kernel),
        "encoder.layer_norm.weight": (dim,),
        "encoder.layer_norm.bias": (dim,),
    }
    for index in range(layers):
        layer = f"encoder.layers.{index}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= {
                f"{layer}.self_attn.{name}.weight": (dim, dim),
                f"{layer}.self_attn.{name}.bias": (dim,),
            }
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{layer}.{name}.weight": (dim,), f"{layer}.{name}.bias": (dim,)}
        shapes |= {f"{layer}.fc1.weight": (ffn, dim), f"{layer}.fc1.bias": (ffn,)}
        shapes |= {f"{layer}.fc2.weight": (dim, ffn), f"{layer}.fc2.bias": (dim,)}
    return shapes


def avhubert_beside(dim: int = 768) -> Shapes:
    """What a pretrained checkpoint holds beside the audio path (of the video half, two tensors)."""
    return {
        "feature_extractor_video.resnet.frontend3D.0.weight": (64, 1, 5, 7, 7),
        "feature_extractor_video.proj.bias": (dim,),
        "mask_emb": (104,),
        "label_embs_concat": (2004, 256),
        "final_proj.weight": (256, dim),
        "final_proj.bias": (256,),
    }


BLUR = torch.tensor([[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 64


def drawn(shapes: Shapes, seed: int = 0, scale: float = 1.0) -> dict[str, Tensor]:
    """Random values for all names; filters are what the published networks hold."""
    generator = torch.Generator().manual_seed(seed)
    values = {name: scale * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for name in values:
        if name.endswith("resample_filter") or (name.endswith("0.kernel")):
            values[name] = BLUR.clone()
        elif name.endswith(".kernel"):
            values[name] = 4 * BLUR
        elif name.endswith("weight_g") or ("norm" in name and name.endswith("weight")):
            values[name] = 1 + 0.5 * values[name]
    return values
