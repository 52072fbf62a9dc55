"""Small networks of the metrics: random numbers in the published layouts, imported into the cache."""

from __future__ import annotations

from pathlib import Path

import torch

from segtalker.weights import store
from segtalker.weights.importing import import_file
from segtalker.weights.registry import rows_of
from tests.weights.cases import cases
from tests.weights.convert import official_faces, official_metrics

METRICS = {
    "inception_fid": ("FID",),
    "i3d_fvd": ("FVD",),
    "syncnet_v2": ("Sync-C", "Sync-D"),
    "lpips_alex": ("LPIPS",),
    "irse50": ("CSIM",),
}
"""Row of the registry -> what it measures."""


def put(row: str, folder: Path) -> None:
    """Write the file of a row into `folder` and import it to its place in the cache."""
    (known,) = rows_of(row)
    file, place = folder / known.source.filename, store.path_of(known)
    if row == "irse50":  # a recogniser is shown 112 px, whatever its width
        shapes = official_faces.irse(stem=8, widths=(8, 16, 24, 32), units=(1, 2, 2, 1), side=7, embedding=12)
        torch.save(official_faces.drawn(shapes, 2, 0.5), file)
    elif row == "inception_fid":  # random shifts would drown what is seen in so many layers
        values = official_metrics.drawn(official_metrics.inception(16))
        shifts = {
            name: 0 * value for name, value in values.items() if name.endswith(("bias", "running_mean"))
        }
        torch.save(values | shifts, file)
    else:
        cases()[row].write(file)
    with store.installing(place, "a test") as made:
        import_file(file, known.network, made)
