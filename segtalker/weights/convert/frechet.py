"""The two networks in whose features Fréchet distances are taken: Inception v3 (FID) and I3D (FVD).

Our modules have their published names; those in I3D's file, a TorchScript program out of which the tensors
are read, are inferred from the public port (`models.frozen.i3d`).
"""

from __future__ import annotations

from collections.abc import Mapping

from segtalker.errors import WeightsError
from segtalker.models.frozen.i3d import I3DConfig
from segtalker.models.frozen.inception import InceptionConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.sync_experts import published_share
from segtalker.weights.convert.table import Dropped, KeyTable, Shape, identity_table

_CLASSES = 1008
"""Of TensorFlow's network; torchvision's, which gives other distances, has 1000."""
_CLASSIFIER = Dropped(r"fc\.(weight|bias)", "names what a picture shows; FID compares the features before it")


def inception(shapes: Mapping[str, Shape], place: str) -> tuple[InceptionConfig, KeyTable]:
    """Configuration and table for FID's Inception; torchvision's own network is refused."""
    if (classes := shapes["fc.bias"][0]) != _CLASSES:
        raise WeightsError(
            f"{place}: an Inception v3 for {classes} classes, FID's has {_CLASSES}: its distances would be "
            "others than published ones. Use pt_inception-2015-12-05-6726825d.pth."
        )
    cfg = InceptionConfig(published_share(32, shapes["Conv2d_1a_3x3.conv.weight"][0]))
    return cfg, identity_table(network_shapes("inception", cfg), (_CLASSIFIER,))


def i3d(shapes: Mapping[str, Shape], place: str) -> tuple[I3DConfig, KeyTable]:
    """Configuration and table for I3D with any number of classes."""
    divisor = published_share(64, shapes["conv3d_1a_7x7.conv3d.weight"][0])
    cfg = I3DConfig(num_classes=shapes["conv3d_0c_1x1.conv3d.bias"][0], divisor=divisor)
    return cfg, identity_table(network_shapes("i3d", cfg))


LAYOUTS = (
    Layout(
        "Inception v3 for FID",
        "inception",
        ("",),
        ("Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch3x3dbl_3b.conv.weight", "fc.bias"),
        lambda shapes, settings, place: inception(shapes, place),
        lambda cfg: "inception_fid" if cfg == InceptionConfig() else "inception",
    ),
    Layout(
        "I3D for FVD",
        "i3d",
        ("",),
        ("conv3d_1a_7x7.conv3d.weight", "mixed_5c.branch_3.1.conv3d.weight", "conv3d_0c_1x1.conv3d.bias"),
        lambda shapes, settings, place: i3d(shapes, place),
        lambda cfg: "i3d_fvd" if cfg == I3DConfig() else "i3d",
    ),
)
