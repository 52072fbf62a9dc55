"""Two published judges of lip-sync: SyncNet v2, behind Sync-C and Sync-D, and Wav2Lip's expert.

Our modules have their names. The files of the first hold its tensors alone, those of the second also an
optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping

from segtalker.models.frozen.lip_expert import FACE_SIZE, WINDOW, published
from segtalker.models.frozen.syncnet_v2 import SyncNetV2Config
from segtalker.models.syncnet import SyncNetConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import KeyTable, Shape, identity_table

_COLOURS = 3


def syncnet_v2(shapes: Mapping[str, Shape], place: str) -> tuple[SyncNetV2Config, KeyTable]:
    """Configuration and table for SyncNet v2 of the published widths, or of a fraction of them."""
    cfg = SyncNetV2Config(published_share(64, shapes["netcnnaud.0.weight"][0]))
    return cfg, identity_table(network_shapes("syncnet_v2", cfg))


def lip_expert(shapes: Mapping[str, Shape], place: str) -> tuple[SyncNetConfig, KeyTable]:
    """Configuration and table for Wav2Lip's expert of any widths."""
    layers = published()
    face_stages, mel_stages = _first_blocks(layers.residuals), _first_blocks(layers.mel_residuals)
    widths = tuple(shapes[f"face_encoder.{index}.conv_block.0.weight"][0] for index in face_stages)
    mel_widths = tuple(shapes[f"audio_encoder.{index}.conv_block.0.weight"][0] for index in mel_stages)
    cfg = SyncNetConfig(
        size=FACE_SIZE,
        window=WINDOW,
        frame_channels=_COLOURS,
        channels=widths,
        residuals=layers.residuals,
        mel_channels=(*mel_widths, widths[-1]),
        mel_residuals=layers.mel_residuals,
        embedding=widths[-1],
    )
    return cfg, identity_table(network_shapes("lip_expert", cfg))


def published_share(published: int, found: int) -> int:
    """By what the published widths were divided to give `found`; ValueError if that is no fraction."""
    if not 0 < found <= published or published % found:
        raise ValueError(f"a first layer of {found} channels, where {published} or a fraction belong")
    return published // found


def _first_blocks(residuals: tuple[int, ...]) -> list[int]:
    """Where each stage's first block stands among the blocks."""
    return [stage + sum(residuals[:stage]) for stage in range(len(residuals))]


LAYOUTS = (
    Layout(
        "SyncNet v2",
        "syncnet_v2",
        ("",),
        ("netcnnaud.0.weight", "netfcaud.3.weight", "netfclip.3.weight", "netcnnlip.18.weight"),
        lambda shapes, settings, place: syncnet_v2(shapes, place),
        lambda cfg: "syncnet_v2" if cfg == SyncNetV2Config() else "syncnet",
    ),
    Layout(
        "Wav2Lip's lip-sync expert",
        "lip_expert",
        ("state_dict", ""),
        (
            "face_encoder.0.conv_block.0.weight",
            "face_encoder.16.conv_block.1.running_var",
            "audio_encoder.13.conv_block.0.weight",
        ),
        lambda shapes, settings, place: lip_expert(shapes, place),
        lambda cfg: "wav2lip_expert" if cfg == published() else "lip_expert",
    ),
)
