"""Rows of the networks that draw faces and listen to speech: what SGI's and TSG's trainings start from."""

from __future__ import annotations

from segtalker.weights.registry.row import Published, WeightsRow, converted

_STYLEGAN2_TERMS = (
    "NVIDIA Source Code License-NC; weights trained on FFHQ (CC BY-NC-SA 4.0)",
    "commercial use (research and evaluation only)",
)
_STYLEGAN2_URL = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_STYLEGAN2_PAGE = "https://catalog.ngc.nvidia.com/orgs/nvidia/teams/research/models/stylegan2"
_STYLEGAN2_PORT = (
    " (or stylegan2-ffhq-config-f.pt of https://github.com/rosinality/stylegan2-pytorch: "
    "https://drive.google.com/file/d/1EM87UquaoQmk17Q8d5kYIAHqu0dkYqdT)"
)
_FROM_STYLEGAN2 = (
    "code MIT; weights trained from NVIDIA's StyleGAN2 on FFHQ (CC BY-NC-SA 4.0)",
    "commercial use, as of what it was trained from",
)
_AVHUBERT_TERMS = (
    "AV-HuBERT is licensed under the AV-HuBERT license, Copyright (c) Meta Platforms, Inc. All Rights "
    "Reserved; https://github.com/facebookresearch/av_hubert",
    "commercial and production use, military use, surveillance, biometric processing, passing it on "
    "(non-commercial research only)",
)
_AVHUBERT_URL = "https://dl.fbaipublicfiles.com/avhubert/model/lrs3_vox/noise-pretrain/"
_START = "where a training of SGI starts from"


def _stylegan2(size: int, other: str = "") -> tuple[WeightsRow, WeightsRow]:
    """Generator and discriminator, which are in one file."""
    name, file = f"stylegan2_ffhq_{size}", f"stylegan2-ffhq-{size}x{size}.pkl"
    source = Published(filename=file, page=_STYLEGAN2_PAGE + other, urls=(_STYLEGAN2_URL + file,))
    what = f"of StyleGAN2, FFHQ at {size} px"
    return (
        converted(
            name,
            f"generator {what}",
            "stylegan2",
            _STYLEGAN2_TERMS,
            f"{_START} (weights import --as sgi)",
            source,
            "generator",
        ),
        converted(
            f"{name}_d",
            f"discriminator {what}",
            "stylegan2",
            _STYLEGAN2_TERMS,
            f"{_START} (key discriminator_from)",
            source,
            "discriminator",
        ),
    )


def _avhubert(size: str, what: str, sha256: str | None = None, num_bytes: int | None = None) -> WeightsRow:
    file = f"{size}_vox_iter5.pt"
    return converted(
        f"avhubert_{size}",
        f"AV-HuBERT {size}, its audio path ({what})",
        "speech",
        _AVHUBERT_TERMS,
        "segtalker train tsg (key speech)",
        Published(
            filename=file,
            page="https://facebookresearch.github.io/av_hubert/ (noise-augmented, LRS3 and VoxCeleb2)",
            urls=(_AVHUBERT_URL + file,),
            sha256=sha256,
            size=num_bytes,
        ),
        "speech",
    )


_E4S = Published(
    filename="iteration_300000.pt",
    page="https://drive.google.com/file/d/1cyJTYRO5G4kcugAcgSJ7cMsE96GzV_hq "
    "(linked by INSTALLATION.md of https://github.com/e4s2022/e4s)",
)

ROWS: tuple[WeightsRow, ...] = (
    *_stylegan2(256),
    *_stylegan2(512),
    *_stylegan2(1024, _STYLEGAN2_PORT),
    converted(
        "e4s",
        "E4S regional inversion: encoder, region MLPs, masked generator at 1024 px",
        "sgi",
        _FROM_STYLEGAN2,
        f"{_START} (--as sgi)",
        _E4S,
        "sgi",
    ),
    converted(
        "e4s_d",
        "E4S's discriminator",
        "sgi",
        _FROM_STYLEGAN2,
        f"{_START} (key discriminator_from)",
        _E4S,
        "discriminator",
    ),
    converted(
        "psp_ffhq",
        "pSp encoder (IR-SE50 with a pyramid), FFHQ",
        "sgi",
        _FROM_STYLEGAN2,
        f"{_START} (--as sgi)",
        Published(
            filename="psp_ffhq_encode.pt",
            page="https://drive.google.com/file/d/1bMTNWkh5LArlaWSc_wa8VKyq2V42T2z0 "
            "(StyleGAN Inversion in the README of https://github.com/eladrich/pixel2style2pixel)",
        ),
        "style_encoder",
    ),
    _avhubert("base", "12 layers"),
    # Of this file's hash only the beginning is known.
    _avhubert("large", "24 layers", "d11c035c09104600", 3_908_224_569),
)
