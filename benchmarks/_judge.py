"""Scores pictures of clips for `ablations`: by our parser and expert, and by the published networks here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks._ablations import Training
from benchmarks._report import log
from benchmarks._speech import speech_of
from segtalker.data.shards import ShardReader
from segtalker.errors import SegTalkerError
from segtalker.metrics.networks import load_metric_networks
from segtalker.metrics.published import Looks, look, score_looks, score_pairs, score_speech
from segtalker.metrics.sync import sync_curve
from segtalker.metrics.talking import TalkingScores, score_maps, score_mouths, score_pictures
from segtalker.models.frozen.maskgan_unet import ParsingUNet
from segtalker.models.syncnet import SyncNet
from segtalker.readiness import available_metrics
from segtalker.training.loop import pick_device
from segtalker.training.sgi_step import to_float, to_uint8
from segtalker.training.talk import choose_reference
from segtalker.weights.checkpoint import load_weights

_MOST_FRAMES = 250
BATCH = 8
"""Pictures that are painted or read at once."""

Maps = NDArray[np.uint8]
Images = NDArray[np.uint8]
Make = Callable[[int, NDArray[np.int64], int], tuple[Images, Maps | None]]
"""Pictures, and talking maps where there are some, of a clip: its number, its frames, the reference."""


class Judge:
    """Has the parser that reads pictures, the expert that only evaluates, and the networks of the metrics.

    What these see in the true pictures of a clip is kept, so that every variant is compared with the same
    look; that is 10 kB a frame.
    """

    def __init__(self, reader: ShardReader, parser: Training, expert: Path) -> None:
        self.device = pick_device("auto")
        self.reader = reader
        self._parser, self._expert = (
            load_weights(path, network, self.device)
            for path, network in ((parser.weights, "parsing_unet"), (expert, "syncnet"))
        )
        available = available_metrics()
        self.off = [name for name, row in available.items() if row is None]
        self._networks = load_metric_networks(available, self.device)
        self._true_looks = cache(self._look_at_truth)
        self._speech = cache(self._find_speech)

    def score_all(self, clips: list[int], make: Make) -> TalkingScores:
        """Of all clips together."""
        return sum((self._score(clip, make) for clip in clips), TalkingScores())

    def real(self, clip: int, frames: NDArray[np.int64], reference: int) -> tuple[Images, None]:
        """The truth."""
        return self.reader.take(clip, "crops", frames), None

    def still(self, clip: int, frames: NDArray[np.int64], reference: int) -> tuple[Images, Maps]:
        """A face that never moves."""
        frozen = np.full_like(frames, reference)
        return self.reader.take(clip, "crops", frozen), self.reader.take(clip, "maps", frozen)

    def _score(self, clip: int, make: Make) -> TalkingScores:
        true = self.reader.read(clip, "maps", 0, min(_MOST_FRAMES, self.reader.rows[clip].num_frames))
        reference, frames = choose_reference(true), np.arange(len(true))
        pictures, drawn = make(clip, frames, reference)
        read = self._read(pictures)
        expert, mel = net_of(self._expert, SyncNet), self.reader.read(clip, "mel")
        curves = [sync_curve(expert, maps, mel) for maps in (read, true if drawn is None else drawn)]
        scored = np.delete(frames, reference)
        published = score_speech(self._networks, pictures, self._speech(clip))
        scores = score_mouths(read[scored], true[scored])
        scores += TalkingScores(sync=curves[0], map_sync=curves[1])
        if drawn is not None:
            size = pictures.shape[1]
            crops = self._crops(clip, scored, size)
            published += score_pairs(self._networks, pictures[scored], crops)
            seen = look(self._networks, pictures, scored)
            published += score_looks(seen, self._true_looks(clip, len(true), reference, size))
            scores += score_maps(drawn[scored], true[scored]) + score_pictures(pictures[scored], crops)
        return scores + TalkingScores(published=published)

    def _look_at_truth(self, clip: int, count: int, reference: int, size: int) -> Looks:
        frames = np.arange(count)
        return look(self._networks, self._crops(clip, frames, size), np.delete(frames, reference))

    def _crops(self, clip: int, frames: NDArray[np.int64], size: int) -> Images:
        """The true pictures, as large as the painted ones."""
        return resized(self.reader.take(clip, "crops", frames), size)

    def _find_speech(self, clip: int) -> NDArray[np.float32] | None:
        """Of a clip, where it is wanted and can be had."""
        if self._networks.sync is None:
            return None
        try:
            return speech_of(self.reader, clip)
        except SegTalkerError as error:
            log(f"no Sync-C and Sync-D: {error}")
            return None

    @torch.inference_mode()
    def _read(self, pictures: Images) -> Maps:
        """Region maps of pictures [T, S, S, 3]."""
        parser = net_of(self._parser, ParsingUNet)
        parts = torch.from_numpy(pictures).split(BATCH)
        logits = (parser(to_float(part.to(self.device), pictures.shape[1])) for part in parts)
        return np.concatenate([part.argmax(dim=1).byte().cpu().numpy() for part in logits])


def net_of(net: nn.Module, kind: type[Any]) -> Any:
    """`net`, which is a `kind`."""
    assert isinstance(net, kind)
    return net


def resized(images: Images, size: int) -> Images:
    """Pictures [T, s, s, 3] at another size."""
    return images if images.shape[1] == size else to_uint8(to_float(torch.from_numpy(images), size))
