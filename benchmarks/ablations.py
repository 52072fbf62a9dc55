"""What does each part of the pipeline contribute? Table 2 of arXiv 2409.03605 (Sec. 4.3), two rows of ours.

Every variant of `configs/ablations/table.yaml` is trained (networks that variants share once; what is
finished in --out is found again) and draws held-out people from their own speech: the map by TSG, the picture
by SGI. Reference and style codes come from the frame with the most closed mouth, which is not scored.

miou: lower half of the talking map. psnr, ssim: the whole crop. lmd: mouth landmarks of a map that a small
parser, trained beside the others, reads off the picture; in eye distances, where they are and centred
(lmd_centred). sync: these maps and the speech, as the evaluation-only expert sees them; confidence is best
minus median log-odds over 31 shifts, distance that of unit embeddings; map_sync_confidence: the talking maps
themselves, which need no parser. Rows "real" (true pictures, read the
same way: what parser and expert can see at best) and "still" (the reference frame throughout) stand beside.
lpips, and the paper's fid (over all scored frames): columns where the weights cache holds the networks that
these need ("segtalker doctor" says), absent where it does not.

The order of the paper: full is better than each of its three variants in both confidences, PSNR and SSIM.
Options: --size smoke|mini|paper (mini; smoke with --quick), --out FOLDER, --shards FOLDER (prepared clips to
train and score on), --speech and --faces FOLDER (synthetic corpora that exist), --expert FILE,
--set KEY=VALUE (of all trainings), --commands (only print the trainings).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks._ablations import (
    PAPER,
    Corpora,
    Training,
    compare,
    corpora_for,
    load_table,
    make_missing,
    plan,
    say,
    sync_is_visible,
    train_missing,
    unique,
)
from benchmarks._held_out import MINI_WEIGHTS
from benchmarks._report import log, main, table
from segtalker.cli_arguments import add_overrides
from segtalker.data.shards import ShardReader
from segtalker.errors import DataError, SegTalkerError
from segtalker.metrics.networks import load_metric_networks
from segtalker.metrics.sync import sync_curve
from segtalker.metrics.talking import TalkingScores, score_maps, score_mouths, score_pictures
from segtalker.models.frozen.maskgan_unet import ParsingUNet
from segtalker.models.sgi import SGI
from segtalker.models.syncnet import SyncNet
from segtalker.models.tsg import TSG
from segtalker.readiness import available_metrics
from segtalker.training.loop import pick_device
from segtalker.training.sgi_step import to_float, to_uint8
from segtalker.training.talk import choose_reference, talk
from segtalker.weights.checkpoint import load_weights, weights_info
from segtalker.weights.store import cache_dir

_MOST_CLIPS = 24
_MOST_FRAMES = 250
_BATCH = 8
"""Pictures that are painted or read at once."""
_BY_NETWORKS = ("LPIPS", "FID")
"""Metrics of pictures that are on where their networks are."""

Maps = NDArray[np.uint8]
Images = NDArray[np.uint8]
Make = Callable[[int, NDArray[np.int64], int], tuple[Images, Maps | None]]
"""Pictures, and talking maps where there are some, of a clip: its number, its frames, the reference."""


def run(options: argparse.Namespace, quick: bool) -> dict[str, Any]:
    """Train what is missing, score, compare."""
    size = options.size or ("smoke" if quick else "mini")
    given = (path and path.resolve() for path in (options.shards, options.speech, options.faces))
    corpora, missing = corpora_for(size, *given)
    # Resolved, since the names of the runs are of their configurations, paths and all.
    plans = plan(load_table(), size, corpora, options.out.resolve(), options.overrides)
    if options.commands:
        for training in unique(plans):
            log("\n".join(training.commands()))
        return {"trainings": len(unique(plans))}
    make_missing(missing)
    threads = torch.get_num_threads()
    trained = train_missing(unique(plans), quiet=quick)
    torch.set_num_threads(threads)  # a configuration may have asked for another number
    reader, clips = held_out(corpora)
    judge = Judge(reader, plans["full"]["parsing_unet"], options.expert)
    rows = {"real": judge.score_all(clips, judge.real), "still": judge.score_all(clips, judge.still)}
    for variant, nets in plans.items():
        rows[variant] = judge.score_all(clips, Painter(nets, judge).paint)
        log(f"scored {variant}")
    figures = {name: scores.figures() for name, scores in rows.items()}
    log(f"\nsize {size}, {len(clips)} held-out clips; steps: {steps(plans['full'])}")
    if judge.off:
        log(f"off for want of their networks (see 'segtalker doctor'): {', '.join(judge.off)}")
    table([{"variant": name, **row} for name, row in figures.items()], ["variant", *figures["full"]])
    order = compare(figures)
    say(order)
    visible = sync_is_visible(figures)
    kept = [row["kept"] for row in order if row["variant"] in PAPER]
    return {
        **{name: rounded(row) for name, row in figures.items()},
        "paper_comparisons": len(kept),
        "paper_comparisons_kept": sum(kept),
        "order_kept": sum(kept) / len(kept),
        "sync_is_visible_in_pictures": visible,
        "size": size,
        "clips": len(clips),
        "trained_now": trained,
    }


class Judge:
    """Scores pictures of a clip; has the parser that reads them and the expert that only evaluates."""

    def __init__(self, reader: ShardReader, parser: Training, expert: Path) -> None:
        self.device = pick_device("auto")
        self.reader = reader
        self._parser, self._expert = (
            load_weights(path, network, self.device)
            for path, network in ((parser.weights, "parsing_unet"), (expert, "syncnet"))
        )
        available = available_metrics()
        self.off = [name for name in _BY_NETWORKS if available[name] is None]
        self._networks = load_metric_networks(available, self.device, _BY_NETWORKS)

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
        scores = score_mouths(read[scored], true[scored])
        scores += TalkingScores(sync=curves[0], map_sync=curves[1])
        if drawn is None:
            return scores
        crops = resized(self.reader.take(clip, "crops", scored), pictures.shape[1])
        scores += score_maps(drawn[scored], true[scored])
        return scores + score_pictures(pictures[scored], crops, self._networks)

    @torch.inference_mode()
    def _read(self, pictures: Images) -> Maps:
        """Region maps of pictures [T, S, S, 3]."""
        parser = net_of(self._parser, ParsingUNet)
        parts = torch.from_numpy(pictures).split(_BATCH)
        logits = (parser(to_float(part.to(self.device), pictures.shape[1])) for part in parts)
        return np.concatenate([part.argmax(dim=1).byte().cpu().numpy() for part in logits])


class Painter:
    """TSG and SGI of a variant."""

    def __init__(self, nets: Mapping[str, Training], judge: Judge) -> None:
        self._reader, self._device = judge.reader, judge.device
        self._tsg = net_of(load_weights(nets["tsg"].weights, "tsg", self._device), TSG)
        self._sgi = net_of(load_weights(nets["sgi"].weights, "sgi", self._device), SGI)

    @torch.inference_mode()
    def paint(self, clip: int, frames: NDArray[np.int64], reference: int) -> tuple[Images, Maps]:
        """Pictures and talking maps of frames of a clip, from its own speech."""
        own = self._reader.take(clip, "maps", [reference])
        drawn = talk(self._tsg, self._reader, clip, frames, own[0], self._device)
        crop = torch.from_numpy(self._reader.take(clip, "crops", [reference])).to(self._device)
        codes = self._sgi.encode(to_float(crop, crop.shape[1]), torch.from_numpy(own).to(self._device))
        parts = torch.from_numpy(drawn).split(_BATCH)
        painted = [self._sgi.decode(codes.expand(len(part), -1, -1, -1), part) for part in parts]
        return np.concatenate([to_uint8(part) for part in painted]), drawn


def held_out(corpora: Corpora) -> tuple[ShardReader, list[int]]:
    """Clips with pictures, maps and speech of every frame, nobody of whom was trained on."""
    reader = ShardReader(corpora.held_out)
    clips = [i for i in reader.select(corpora.split) if "crops" in reader.rows[i].fields]
    whole = [i for i in clips if abs(reader.length(i, "tokens") - reader.rows[i].num_frames) <= 3]
    if not whole:
        raise DataError(
            f"{corpora.held_out}: split '{corpora.split}' has no clip with pictures of every frame. "
            "Prepare videos ('segtalker prepare'), with some of the people held out."
        )
    return reader, whole[:: -(-len(whole) // _MOST_CLIPS)]


def steps(nets: Mapping[str, Training]) -> str:
    """How long each network of the full pipeline was trained."""
    return ", ".join(f"{name} {weights_info(net.weights)['info']['steps']}" for name, net in nets.items())


def rounded(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """Four digits are enough to compare."""
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def net_of(net: nn.Module, kind: type[Any]) -> Any:
    """`net`, which is a `kind`."""
    assert isinstance(net, kind)
    return net


def resized(images: Images, size: int) -> Images:
    """Pictures [T, s, s, 3] at another size."""
    return images if images.shape[1] == size else to_uint8(to_float(torch.from_numpy(images), size))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", choices=sorted(load_table().sizes))
    parser.add_argument("--out", type=Path, default=cache_dir() / "benchmarks" / "ablations")
    parser.add_argument("--expert", type=Path, default=MINI_WEIGHTS / "sync_expert.safetensors")
    for name in ("shards", "speech", "faces"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--commands", action="store_true")
    add_overrides(parser, "run.precision=fp32")
    chosen, rest = parser.parse_known_args()
    try:
        main(__doc__, lambda quick: run(chosen, quick), {"order_kept": "== 1"}, rest)
    except SegTalkerError as error:
        sys.exit(f"error: {error}")
