"""Wav2Lip's lip-sync expert (arXiv 2008.10010): our SyncNet, on colour frames instead of region maps.

Names follow `lipsync_expert.pth` of github.com/Rudrabha/Wav2Lip: 217 state entries, 16,435,072 parameters.
Its speech branch and most of its face branch serve as the start of a SyncNet on region maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segtalker.models.syncnet import SyncNetConfig

FACE_SIZE = 96
WINDOW = 5
"""Frames at 25 fps; their speech is 16 mel steps, from step floor(3.2 f) on for a window at frame f."""


def published() -> SyncNetConfig:
    """The one size there is."""
    return SyncNetConfig.paper(FACE_SIZE, frame_channels=3)


def face_windows(frames: Tensor, starts: Sequence[int]) -> Tensor:
    """Faces [T, 96, 96, 3], RGB in 0-255, to what `SyncNet.embed_masks` takes: [N, 15, 48, 96] in [0, 1].

    Five lower halves on the channel axis, frame after frame, each in OpenCV's order: blue, green, red.
    """
    assert frames.shape[1:] == (FACE_SIZE, FACE_SIZE, 3), tuple(frames.shape)
    lower = frames[:, FACE_SIZE // 2 :].flip(3).permute(0, 3, 1, 2).float() / 255
    return torch.stack([lower[start : start + WINDOW].flatten(0, 1) for start in starts])
