"""TSG over prepared clips, computed as in a dub: each frame under its own 3 s chunk of speech."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from segtalker.audio.windows import mel_window_start, mel_windows, plan_context, token_chunks
from segtalker.data.shards import FPS, ShardReader
from segtalker.models.tsg import TSG, interpolate_context, merge_talking_map
from segtalker.regions import Region
from segtalker.training.maps import one_hot_maps

_BATCH = 25


@torch.no_grad()
def talk(
    tsg: TSG,
    reader: ShardReader,
    clip: int,
    frames: Sequence[int] | NDArray[np.int64],
    reference: NDArray[np.uint8],
    device: torch.device,
    speech: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
) -> NDArray[np.uint8]:
    """Talking maps [N, S, S] of some frames of a clip.

    reference: region map [S, S] of the person. speech: mel [M, 80] and tokens [T, 104] to speak instead of
    the clip's own.
    """
    frames = np.asarray(frames, np.int64)
    mel, tokens = speech or (reader.read(clip, "mel"), reader.read(clip, "tokens"))
    pose = reader.take(clip, "maps", frames)
    identity = one_hot_maps(torch.from_numpy(reference).to(device))[None]
    results = []
    for first in range(0, len(frames), _BATCH):
        times = [Fraction(int(f), FPS) for f in frames[first : first + _BATCH]]
        windows = mel_windows(mel, [mel_window_start(time) for time in times])
        plan = plan_context(times, len(tokens))
        chunks, padding = token_chunks(tokens, plan.chunk_starts)
        features = tsg.context(_tensor(chunks, device), _tensor(padding, device))
        context = interpolate_context(
            features, _tensor(plan.chunk, device), _tensor(plan.token, device), _tensor(plan.weight, device)
        )
        maps = _tensor(pose[first : first + _BATCH], device)
        logits = tsg(
            one_hot_maps(maps),
            identity.expand(len(maps), -1, -1, -1),
            _tensor(windows, device)[:, None],
            context,
        )
        results.append(merge_talking_map(logits, maps).cpu().numpy())
    return np.concatenate(results)


def choose_reference(maps: NDArray[np.uint8]) -> int:
    """The frame of [T, S, S] with the most closed mouth (the first of equals)."""
    return int((maps == Region.MOUTH).sum(axis=(1, 2)).argmin())


def _tensor(array: NDArray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
