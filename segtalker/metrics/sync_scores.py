"""Sync-C, Sync-D and the offset of SyncNet v2 (Chung and Zisserman, "Out of time", ACCV 2016 workshops).

As github.com/joonson/syncnet_python measures them: every window of five frames is compared with the speech up
to 15 frames earlier and later, and the distances of a shift are averaged over the clip. Sync-D is the least
of these 31 means, Sync-C by how much the median is above it. Published tables average both over clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segtalker.audio.mfcc import MFCC_RATE, WINDOW_STEPS, mfcc_steps, mfcc_windows
from segtalker.audio.source import SAMPLE_RATE, ArraySource, SampleSource
from segtalker.metrics.mean import Mean
from segtalker.metrics.sync import SHIFTS, SyncCurve, no_curve
from segtalker.models.frozen.syncnet_v2 import FACE_SIZE, FRAME_RATE, WINDOW, SyncNetV2, face_windows

_BATCH = 16
_NOTHING = Mean()


@dataclass(frozen=True)
class SyncScores:
    """Means over clips; `SyncScores() + a + b` are those of both."""

    confidence: Mean = _NOTHING
    """Sync-C (also LSE-C), higher is better."""
    distance: Mean = _NOTHING
    """Sync-D (also LSE-D), lower is better."""

    @classmethod
    def of(cls, curve: SyncCurve) -> SyncScores:
        """Of one clip; one that was too short has none."""
        if not curve.windows:
            return cls()
        return cls(Mean(curve.confidence, 1), Mean(curve.distance, 1))

    def __add__(self, other: SyncScores) -> SyncScores:
        return SyncScores(self.confidence + other.confidence, self.distance + other.distance)


def face_sync_curve(net: SyncNetV2, frames: NDArray[np.uint8], samples: NDArray[np.float32]) -> SyncCurve:
    """The curve of a face [T, S, S, 3] at 25 fps and the speech [N] at 16 kHz that begins with it.

    A window fits the better the smaller its distance is: `confidence` is Sync-C, `distance` Sync-D, and
    `offset` has the other sign than the published tool's. Beyond the ends, speech is a vector of zeros, and
    the last window of all is left out, as there. Faces of another size than 224 px are resized whole; how
    tightly they are cut moves the figures, so compare only where that is the same.
    """
    speech = ArraySource(samples)
    count = num_face_windows(len(frames), speech.num_samples)
    return face_curve_of_windows(net, frames, np.arange(count), speech, count)


def num_face_windows(frames: int, num_samples: int) -> int:
    """Windows of a clip of so many frames and samples."""
    return max(0, min(frames, num_samples * FRAME_RATE // SAMPLE_RATE) - WINDOW)


@torch.inference_mode()
def face_curve_of_windows(
    net: SyncNetV2,
    frames: NDArray[np.uint8],
    starts: NDArray[np.int64],
    speech: SampleSource,
    count: int,
    first: int = 0,
) -> SyncCurve:
    """The curve of the windows that begin at frames `starts` of a clip; those of its parts add up.

    frames: [T, S, S, 3] of the clip from frame `first` on, which hold the windows. count: `num_face_windows`
    of the whole clip; only the speech around the windows is read.
    """
    if not len(starts):
        return no_curve()
    device = next(net.parameters()).device
    spoken = np.unique(starts[:, None] + np.arange(-SHIFTS, SHIFTS + 1))
    inside = spoken[(spoken >= 0) & (spoken < count)]
    begin, end = (MFCC_RATE // FRAME_RATE * int(frame) for frame in (inside[0], inside[-1]))
    coefficients = mfcc_steps(speech, begin, end + WINDOW_STEPS)
    windows = torch.from_numpy(mfcc_windows(coefficients, inside - inside[0]))
    found = torch.cat([net.embed_speech(part.to(device)) for part in windows.split(_BATCH)])
    heard = found.new_zeros(len(spoken), found.shape[1])
    heard[np.searchsorted(spoken, inside)] = found
    distances = np.zeros(2 * SHIFTS + 1)
    for part in np.array_split(starts, -(-len(starts) // _BATCH)):
        low, high = int(part.min()), int(part.max()) + WINDOW
        shown = _sized(torch.from_numpy(frames[low - first : high - first]).to(device))
        seen = net.embed_faces(face_windows(shown, (part - low).tolist()))
        for k in range(2 * SHIFTS + 1):
            said = heard[np.searchsorted(spoken, part + k - SHIFTS)]
            distances[k] += float(F.pairwise_distance(seen, said).double().sum())
    return SyncCurve(-distances, len(starts), distances)


def _sized(frames: Tensor) -> Tensor:
    """Frames [T, S, S, 3] of 0..255 at the size that the network sees."""
    if frames.shape[1:3] == (FACE_SIZE, FACE_SIZE):
        return frames
    pictures = frames.permute(0, 3, 1, 2).float()
    resized = F.interpolate(pictures, (FACE_SIZE, FACE_SIZE), mode="bilinear", align_corners=False)
    return resized.round().permute(0, 2, 3, 1)
