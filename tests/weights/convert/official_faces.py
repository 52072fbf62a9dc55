"""Names and shapes of the published networks that look at faces, written down from their descriptions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.weights.convert.official import Shapes

COUNTER = "num_batches_tracked"


def norm(name: str, channels: int) -> Shapes:
    """A batch norm with its running statistics."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{part}": (channels,) for part in parts}, f"{name}.{COUNTER}": ()}


def bisenet() -> Shapes:
    """`79999_iter.pth` of face-parsing.PyTorch."""

    def conv_norm(name: str, shape: tuple[int, ...]) -> Shapes:
        return {f"{name}.conv.weight": shape} | norm(f"{name}.bn", shape[0])

    shapes: Shapes = {"cp.resnet.conv1.weight": (64, 3, 7, 7)} | norm("cp.resnet.bn1", 64)
    widths = (64, 64, 128, 256, 512)
    for level in range(1, 5):
        for block in range(2):
            base, out = f"cp.resnet.layer{level}.{block}", widths[level]
            into = widths[level - 1] if block == 0 else out
            shapes |= {f"{base}.conv1.weight": (out, into, 3, 3), f"{base}.conv2.weight": (out, out, 3, 3)}
            shapes |= norm(f"{base}.bn1", out) | norm(f"{base}.bn2", out)
            if level > 1 and block == 0:
                shapes[f"{base}.downsample.0.weight"] = (out, into, 1, 1)
                shapes |= norm(f"{base}.downsample.1", out)
    for name, into in (("cp.arm16", 256), ("cp.arm32", 512)):
        shapes |= conv_norm(f"{name}.conv", (128, into, 3, 3)) | norm(f"{name}.bn_atten", 128)
        shapes[f"{name}.conv_atten.weight"] = (128, 128, 1, 1)
    for name in ("cp.conv_head32", "cp.conv_head16"):
        shapes |= conv_norm(name, (128, 128, 3, 3))
    shapes |= conv_norm("cp.conv_avg", (128, 512, 1, 1)) | conv_norm("ffm.convblk", (256, 256, 1, 1))
    shapes |= {"ffm.conv1.weight": (64, 256, 1, 1), "ffm.conv2.weight": (256, 64, 1, 1)}
    for name, into, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        shapes |= conv_norm(f"{name}.conv", (middle, into, 3, 3))
        shapes[f"{name}.conv_out.weight"] = (19, middle, 1, 1)
    return shapes


def irse(
    stem: int = 64,
    widths: tuple[int, ...] = (64, 128, 256, 512),
    units: tuple[int, ...] = (3, 4, 14, 3),
    side: int = 7,
    embedding: int = 512,
) -> Shapes:
    """`model_ir_se50.pth` of InsightFace_Pytorch; `side` is what 112 px have become after four stages."""
    shapes: Shapes = {"input_layer.0.weight": (stem, 3, 3, 3), "input_layer.2.weight": (stem,)}
    shapes |= norm("input_layer.1", stem)
    before, number = stem, 0
    for width, count in zip(widths, units, strict=True):
        for _ in range(count):
            unit, gates = f"body.{number}", max(1, width // 16)
            shapes |= norm(f"{unit}.res_layer.0", before) | norm(f"{unit}.res_layer.4", width)
            shapes |= {
                f"{unit}.res_layer.1.weight": (width, before, 3, 3),
                f"{unit}.res_layer.2.weight": (width,),
                f"{unit}.res_layer.3.weight": (width, width, 3, 3),
                f"{unit}.res_layer.5.fc1.weight": (gates, width, 1, 1),
                f"{unit}.res_layer.5.fc2.weight": (width, gates, 1, 1),
            }
            if before != width:
                shapes[f"{unit}.shortcut_layer.0.weight"] = (width, before, 1, 1)
                shapes |= norm(f"{unit}.shortcut_layer.1", width)
            before, number = width, number + 1
    shapes |= norm("output_layer.0", before) | norm("output_layer.4", embedding)
    shapes |= {
        "output_layer.3.weight": (embedding, before * side * side),
        "output_layer.3.bias": (embedding,),
    }
    return shapes


def maskgan_unet(widths: tuple[int, ...] = (16, 32, 64, 128, 256), classes: int = 19) -> Shapes:
    """`model.pth` of CelebAMask-HQ's face_parsing."""
    shapes: Shapes = {}

    def double_conv(name: str, into: int, out: int) -> None:
        for number, channels in ((1, into), (2, out)):
            shapes[f"{name}.conv{number}.0.weight"] = (out, channels, 3, 3)
            shapes[f"{name}.conv{number}.0.bias"] = (out,)
            shapes.update(norm(f"{name}.conv{number}.1", out))

    names = ("conv1", "conv2", "conv3", "conv4", "center")
    for name, into, out in zip(names, (3, *widths), widths, strict=False):
        double_conv(name, into, out)
    for level in (4, 3, 2, 1):
        name, out, below = f"up_concat{level}", widths[level - 1], widths[level]
        double_conv(f"{name}.conv", 2 * out, out)
        shapes |= {f"{name}.up.weight": (below, out, 2, 2), f"{name}.up.bias": (out,)}
    return shapes | {"final.weight": (classes, widths[0], 1, 1), "final.bias": (classes,)}


def alexnet() -> Shapes:
    """torchvision's `alexnet-owt-7be5be79.pth`."""
    convs = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3)}
    return _classified({**convs, 10: (256, 256, 3, 3)}, {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)})


def vgg16() -> Shapes:
    """torchvision's `vgg16-397923af.pth`."""
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    befores = (3, *widths)
    convs = {at: (out, into, 3, 3) for at, into, out in zip(places, befores, widths, strict=False)}
    return _classified(convs, {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)})


def parameters(shapes: Shapes) -> int:
    """How many numbers of `shapes` are learned."""
    buffers = (COUNTER, "running_mean", "running_var")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(buffers))


def drawn(shapes: Shapes, seed: int = 0, gain: float = 2) -> dict[str, Tensor]:
    """Random values. gain: of convolutions; 2 keeps features behind ReLUs about one, sums want less."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for name, shape in shapes.items():
        if name.endswith(COUNTER):
            values[name] = torch.tensor(1234)
        elif len(shape) > 1:
            values[name] = torch.randn(shape, generator=generator) * math.sqrt(gain / math.prod(shape[1:]))
        elif name.endswith(("running_var", "weight")):  # variances, gains, slopes of PReLU
            values[name] = 0.3 + torch.rand(shape, generator=generator)
        else:
            values[name] = 0.2 * torch.randn(shape, generator=generator)
    return values


def _classified(convs: dict[int, tuple[int, ...]], linears: dict[int, tuple[int, ...]]) -> Shapes:
    shapes: Shapes = {}
    for part, layers in (("features", convs), ("classifier", linears)):
        for place, shape in layers.items():
            shapes |= {f"{part}.{place}.weight": shape, f"{part}.{place}.bias": shape[:1]}
    return shapes
