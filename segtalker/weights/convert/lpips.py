"""LPIPS out of two places: torchvision's AlexNet or VGG16, and the heads in the installed `lpips` package.

The package's 7 kB of heads are read by their path, so that neither it nor torchvision is ever imported.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.models.frozen.lpips import LPIPSConfig, LPIPSNet
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import Dropped, Entry, KeyTable, identity_table
from segtalker.weights.foreign import open_foreign

_CLASSIFIER = Dropped(r"classifier\..+", "names what a picture shows; LPIPS compares the features before it")
_TRUNK = "features."


def trunk(net: LPIPSNet) -> tuple[LPIPSConfig, KeyTable]:
    """Configuration, and the table of torchvision's network without the heads."""
    cfg = LPIPSConfig(net)
    shapes = network_shapes("lpips", cfg)
    own = {name: shape for name, shape in shapes.items() if name.startswith(_TRUNK)}
    return cfg, identity_table(own, (_CLASSIFIER,))


def installed_heads(cfg: LPIPSConfig) -> Mapping[str, Tensor]:
    """The five heads `lin{k}` [1, C, 1, 1] of version 0.1; `WeightsError` where the package is absent."""
    spec = importlib.util.find_spec("lpips")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("LPIPS: its heads come with a package: pip install 'segtalker[metrics]'.")
    path = Path(spec.submodule_search_locations[0]) / "weights" / "v0.1" / f"{cfg.net}.pth"
    shapes = network_shapes("lpips", cfg)
    names = [name for name in shapes if not name.startswith(_TRUNK)]
    table = KeyTable(
        tuple(Entry(f"{name}.model.1.weight", name, shapes[name], shapes[name]) for name in names)
    )
    return table.to_ours(open_foreign(path).groups.get("", {}), str(path))


def _layout(net: LPIPSNet, title: str, signature: tuple[str, ...]) -> Layout:
    return Layout(
        f"{title} of torchvision, for LPIPS",
        "lpips",
        ("",),
        signature,
        lambda shapes, settings, place: trunk(net),
        lambda cfg: f"lpips_{net}",
        installed=installed_heads,
    )


LAYOUTS = (
    _layout(
        "alex",
        "AlexNet",
        ("features.3.weight", "features.6.weight", "features.8.weight", "features.10.weight"),
    ),
    _layout("vgg", "VGG16", ("features.2.weight", "features.17.weight", "features.28.weight")),
)
