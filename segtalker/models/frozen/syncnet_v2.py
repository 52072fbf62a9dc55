"""SyncNet of "Out of time" (Chung and Zisserman, ACCV 2016 workshops), the network behind Sync-C and Sync-D.

Five frames of a talking face and 0.2 s of its speech become vectors of 1024 numbers; the nearer the two, the
better lips and speech agree. Names follow `syncnet_v2.model` of github.com/joonson/syncnet_python: 102 state
entries, 13,631,616 parameters. The published network sees video at 25 fps and speech at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAME_RATE = 25
WINDOW = 5
"""Frames that are seen at once."""
FACE_SIZE = 224
MFCC_STEPS = 20
"""Steps of speech, 100 a second, that are heard at once; those of a window at frame f begin at 4 f."""
NUM_MFCC = 13


@dataclass(frozen=True)
class SyncNetV2Config:
    """Size of the network."""

    divisor: int = 1
    """Every width is the published one divided by this."""

    def width(self, published: int) -> int:
        """Channels where the published network has `published`."""
        return published // self.divisor


class SyncNetV2(nn.Module):
    """Two trunks and two heads; the published network's `netcnnaud` ... `netfclip`."""

    def __init__(self, cfg: SyncNetV2Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.netcnnaud = _speech_trunk(cfg)
        self.netfcaud = _head(cfg)
        self.netfclip = _head(cfg)
        self.netcnnlip = _face_trunk(cfg)

    def embed_speech(self, mfcc: Tensor) -> Tensor:
        """Windows of MFCCs [N, 1, 13, 20], of `audio.mfcc`, to vectors [N, 1024] of any length."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def embed_faces(self, windows: Tensor) -> Tensor:
        """Windows [N, 3, 5, 224, 224], of `face_windows`, to vectors [N, 1024] of any length."""
        return self.netfclip(self.netcnnlip(windows).flatten(1))

    def forward(self, windows: Tensor, mfcc: Tensor) -> Tensor:
        """Windows of faces and windows of MFCCs, pair by pair, to distances [N]: 0 where they agree."""
        return F.pairwise_distance(self.embed_faces(windows), self.embed_speech(mfcc))


def face_windows(frames: Tensor, starts: Sequence[int]) -> Tensor:
    """Frames [T, 224, 224, 3], RGB in 0-255, to the windows from `starts` on: float [N, 3, 5, 224, 224], BGR.

    The published pipeline feeds OpenCV's pictures as they are: no scaling, no mean.
    """
    assert frames.shape[1:] == (FACE_SIZE, FACE_SIZE, 3), tuple(frames.shape)
    bgr = frames.flip(3).permute(3, 0, 1, 2)
    return torch.stack([bgr[:, start : start + WINDOW] for start in starts]).float()


def _speech_trunk(cfg: SyncNetV2Config) -> nn.Sequential:
    """[N, 1, 13, 20] to [N, 512, 1, 1]."""
    w = cfg.width
    return nn.Sequential(
        *_layer(nn.Conv2d(1, w(64), 3, padding=1)),
        nn.Identity(),  # the published pool over one pixel
        *_layer(nn.Conv2d(w(64), w(192), 3, padding=1)),
        nn.MaxPool2d(3, (1, 2)),
        *_layer(nn.Conv2d(w(192), w(384), 3, padding=1)),
        *_layer(nn.Conv2d(w(384), w(256), 3, padding=1)),
        *_layer(nn.Conv2d(w(256), w(256), 3, padding=1)),
        nn.MaxPool2d(3, 2),
        *_layer(nn.Conv2d(w(256), w(512), (5, 4))),
    )


def _face_trunk(cfg: SyncNetV2Config) -> nn.Sequential:
    """[N, 3, 5, 224, 224] to [N, 512, 1, 1, 1]; the first layer joins the frames."""
    w = cfg.width
    return nn.Sequential(
        *_layer(nn.Conv3d(3, w(96), (5, 7, 7), (1, 2, 2))),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_layer(nn.Conv3d(w(96), w(256), (1, 5, 5), (1, 2, 2), (0, 1, 1))),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        *_layer(nn.Conv3d(w(256), w(256), (1, 3, 3), padding=(0, 1, 1))),
        *_layer(nn.Conv3d(w(256), w(256), (1, 3, 3), padding=(0, 1, 1))),
        *_layer(nn.Conv3d(w(256), w(256), (1, 3, 3), padding=(0, 1, 1))),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
        *_layer(nn.Conv3d(w(256), w(512), (1, 6, 6))),
    )


def _head(cfg: SyncNetV2Config) -> nn.Sequential:
    """[N, 512] to [N, 1024]."""
    width = cfg.width(512)
    return nn.Sequential(
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, cfg.width(1024))
    )


def _layer(conv: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, nn.Module, nn.Module]:
    """A convolution, its batch norm and a ReLU."""
    norm = nn.BatchNorm2d if isinstance(conv, nn.Conv2d) else nn.BatchNorm3d
    return conv, norm(conv.out_channels), nn.ReLU()
