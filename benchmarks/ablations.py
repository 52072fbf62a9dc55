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
lpips, fid (over all scored frames), fvd (every 16 frames), csim (the face where the alignment put it), sync_c
and sync_d (SyncNet v2 on the whole crop): columns where the weights cache holds the networks that these need
("segtalker doctor" says), absent where it does not. The last two need the speech itself: that of a synthetic
corpus is said again, that of prepared videos is read from these.

The order of the paper: full is better than each of its three variants in both confidences, PSNR and SSIM.
Options: --size smoke|mini|paper (mini; smoke with --quick), --out FOLDER, --shards FOLDER (prepared clips to
train and score on), --speech and --faces FOLDER (synthetic corpora that exist), --expert FILE,
--set KEY=VALUE (of all trainings), --commands (only print the trainings).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
from benchmarks._judge import BATCH, Images, Judge, Maps, net_of
from benchmarks._report import log, main, table
from segtalker.cli_arguments import add_overrides
from segtalker.data.shards import ShardReader
from segtalker.errors import DataError, SegTalkerError
from segtalker.models.sgi import SGI
from segtalker.models.tsg import TSG
from segtalker.training.sgi_step import to_float, to_uint8
from segtalker.training.talk import talk
from segtalker.weights.checkpoint import load_weights, weights_info
from segtalker.weights.store import cache_dir

_MOST_CLIPS = 24


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
    figures = {name: judge.score_all(clips, getattr(judge, name)).figures() for name in ("real", "still")}
    for variant, nets in plans.items():
        figures[variant] = judge.score_all(clips, Painter(nets, judge).paint).figures()
        log(f"scored {variant}")
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
        parts = torch.from_numpy(drawn).split(BATCH)
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
