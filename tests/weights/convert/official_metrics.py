"""Names and shapes of the published networks behind metrics, written down from their descriptions.

`thin` divides every width, so that the same layout fits a quick test.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.weights.convert.official import Shapes

COUNTER = "num_batches_tracked"


def norm(name: str, width: int) -> Shapes:
    vectors = {f"{name}.{kind}": (width,) for kind in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.{COUNTER}": ()}


def syncnet_v2(thin: int = 1) -> Shapes:
    """Class S of syncnet_python."""
    speech = {0: (1, 64, 3, 3), 4: (64, 192, 3, 3), 8: (192, 384, 3, 3), 11: (384, 256, 3, 3)}
    speech |= {14: (256, 256, 3, 3), 18: (256, 512, 5, 4)}
    face = {0: (3, 96, 5, 7, 7), 4: (96, 256, 1, 5, 5), 8: (256, 256, 1, 3, 3), 11: (256, 256, 1, 3, 3)}
    face |= {14: (256, 256, 1, 3, 3), 18: (256, 512, 1, 6, 6)}
    shapes: Shapes = {}
    for trunk, layers in (("netcnnaud", speech), ("netcnnlip", face)):
        for index, (num_in, num_out, *kernel) in layers.items():
            inputs, width = num_in if index == 0 else num_in // thin, num_out // thin
            shapes |= {f"{trunk}.{index}.weight": (width, inputs, *kernel), f"{trunk}.{index}.bias": (width,)}
            shapes |= norm(f"{trunk}.{index + 1}", width)
    middle, last = 512 // thin, 1024 // thin
    for head in ("netfcaud", "netfclip"):
        shapes |= {f"{head}.0.weight": (middle, middle), f"{head}.0.bias": (middle,)}
        shapes |= norm(f"{head}.1", middle)
        shapes |= {f"{head}.3.weight": (last, middle), f"{head}.3.bias": (last,)}
    return shapes


FACE_BLOCKS = (  # out, kernel, stride, padding, whether the input is added
    (32, 7, 1, 3, False),
    (64, 5, (1, 2), 1, False),
    *2 * ((64, 3, 1, 1, True),),
    (128, 3, 2, 1, False),
    *3 * ((128, 3, 1, 1, True),),
    (256, 3, 2, 1, False),
    *2 * ((256, 3, 1, 1, True),),
    (512, 3, 2, 1, False),
    *2 * ((512, 3, 1, 1, True),),
    (512, 3, 2, 1, False),
    (512, 3, 1, 0, False),
    (512, 1, 1, 0, False),
)
"""Wav2Lip's expert, face branch on [15, 48, 96]."""
SPEECH_BLOCKS = (
    (32, 3, 1, 1, False),
    *2 * ((32, 3, 1, 1, True),),
    (64, 3, (3, 1), 1, False),
    *2 * ((64, 3, 1, 1, True),),
    (128, 3, 3, 1, False),
    *2 * ((128, 3, 1, 1, True),),
    (256, 3, (3, 2), 1, False),
    *2 * ((256, 3, 1, 1, True),),
    (512, 3, 1, 0, False),
    (512, 1, 1, 0, False),
)
"""Its speech branch on [1, 80, 16]."""


def lip_expert(thin: int = 1) -> Shapes:
    """SyncNet_color of Wav2Lip."""
    shapes: Shapes = {}
    for branch, blocks, inputs in (("face_encoder", FACE_BLOCKS, 15), ("audio_encoder", SPEECH_BLOCKS, 1)):
        for index, (num_out, kernel, *_) in enumerate(blocks):
            name, width = f"{branch}.{index}.conv_block", num_out // thin
            shapes |= {f"{name}.0.weight": (width, inputs, kernel, kernel), f"{name}.0.bias": (width,)}
            shapes |= norm(f"{name}.1", width)
            inputs = width
    return shapes


def inception_layers() -> dict[str, tuple[int, int, int, int]]:
    """Name to (in, out, kernel height, kernel width) of FID's Inception v3."""
    layers = {
        "Conv2d_1a_3x3": (3, 32, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3, 3),
        "Conv2d_2b_3x3": (32, 64, 3, 3),
        "Conv2d_3b_1x1": (64, 80, 1, 1),
        "Conv2d_4a_3x3": (80, 192, 3, 3),
    }
    for block, num_in, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        rows = {"1x1": (num_in, 64, 1, 1), "5x5_1": (num_in, 48, 1, 1), "5x5_2": (48, 64, 5, 5)}
        rows |= {"3x3dbl_1": (num_in, 64, 1, 1), "3x3dbl_2": (64, 96, 3, 3), "3x3dbl_3": (96, 96, 3, 3)}
        rows |= {"_pool": (num_in, pooled, 1, 1)}
        layers |= {f"Mixed_{block}.branch{name}": row for name, row in rows.items()}
    rows = {"3x3": (288, 384, 3, 3), "3x3dbl_1": (288, 64, 1, 1)}
    rows |= {"3x3dbl_2": (64, 96, 3, 3), "3x3dbl_3": (96, 96, 3, 3)}
    layers |= {f"Mixed_6a.branch{name}": row for name, row in rows.items()}
    for block, c in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        rows = {
            "1x1": (768, 192, 1, 1),
            "7x7_1": (768, c, 1, 1),
            "7x7_2": (c, c, 1, 7),
            "7x7_3": (c, 192, 7, 1),
        }
        rows |= {"7x7dbl_1": (768, c, 1, 1), "7x7dbl_2": (c, c, 7, 1), "7x7dbl_3": (c, c, 1, 7)}
        rows |= {"7x7dbl_4": (c, c, 7, 1), "7x7dbl_5": (c, 192, 1, 7), "_pool": (768, 192, 1, 1)}
        layers |= {f"Mixed_{block}.branch{name}": row for name, row in rows.items()}
    rows = {"3x3_1": (768, 192, 1, 1), "3x3_2": (192, 320, 3, 3), "7x7x3_1": (768, 192, 1, 1)}
    rows |= {"7x7x3_2": (192, 192, 1, 7), "7x7x3_3": (192, 192, 7, 1), "7x7x3_4": (192, 192, 3, 3)}
    layers |= {f"Mixed_7a.branch{name}": row for name, row in rows.items()}
    for block, num_in in (("7b", 1280), ("7c", 2048)):
        rows = {"1x1": (num_in, 320, 1, 1), "3x3_1": (num_in, 384, 1, 1)}
        rows |= {"3x3_2a": (384, 384, 1, 3), "3x3_2b": (384, 384, 3, 1), "3x3dbl_1": (num_in, 448, 1, 1)}
        rows |= {"3x3dbl_2": (448, 384, 3, 3), "3x3dbl_3a": (384, 384, 1, 3), "3x3dbl_3b": (384, 384, 3, 1)}
        rows |= {"_pool": (num_in, 192, 1, 1)}
        layers |= {f"Mixed_{block}.branch{name}": row for name, row in rows.items()}
    return layers


def inception(thin: int = 1, classes: int = 1008) -> Shapes:
    """FID's Inception v3 with its classifier."""
    shapes: Shapes = {}
    for name, (num_in, num_out, height, width) in inception_layers().items():
        inputs, outputs = num_in if num_in == 3 else num_in // thin, num_out // thin
        shapes[f"{name}.conv.weight"] = (outputs, inputs, height, width)
        shapes |= norm(f"{name}.bn", outputs)
    return shapes | {"fc.weight": (classes, 2048 // thin), "fc.bias": (classes,)}


MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
"""I3D's blocks: in, then the widths of the four branches (Table of Inception-v1)."""


def i3d(thin: int = 1, classes: int = 400) -> Shapes:
    """I3D on colour videos."""
    layers = {"conv3d_1a_7x7": (3, 64, 7), "conv3d_2b_1x1": (64, 64, 1), "conv3d_2c_3x3": (64, 192, 3)}
    for block, (num_in, one, before_two, two, before_three, three, pooled) in MIXED.items():
        rows = {"branch_0": (num_in, one, 1), "branch_1.0": (num_in, before_two, 1)}
        rows |= {"branch_1.1": (before_two, two, 3), "branch_2.0": (num_in, before_three, 1)}
        rows |= {"branch_2.1": (before_three, three, 3), "branch_3.1": (num_in, pooled, 1)}
        layers |= {f"mixed_{block}.{name}": row for name, row in rows.items()}
    shapes: Shapes = {}
    for name, (num_in, num_out, kernel) in layers.items():
        inputs, outputs = num_in if num_in == 3 else num_in // thin, num_out // thin
        shapes[f"{name}.conv3d.weight"] = (outputs, inputs, kernel, kernel, kernel)
        shapes |= norm(f"{name}.batch3d", outputs)
    last = "conv3d_0c_1x1.conv3d"
    return shapes | {f"{last}.weight": (classes, 1024 // thin, 1, 1, 1), f"{last}.bias": (classes,)}


def drawn(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random values that keep the signal's size from layer to layer; counters as after a training."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        if name.endswith(COUNTER):
            value = torch.tensor(1234)
        elif name.endswith("running_var"):
            value = 0.5 + value.square()
        elif len(shape) > 1:
            value = value * (2 / (value[0].numel())) ** 0.5
        elif name.endswith("weight"):
            value = 1 + 0.2 * value
        values[name] = value
    return values
