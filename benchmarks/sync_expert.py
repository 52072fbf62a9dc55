"""Does the lip-sync expert hear which speech belongs to which mouth?

Held-out synthetic identities. `accuracy`: right pairs and wrong pairs (same clip, at least 0.4 s apart)
weigh the same, windows of which more than half is silence are left out, threshold 0.5, the paper's
5-frame window. `offset_exact`: share of 3 s pieces whose best shift in -15..15 frames is 0;
`offset_within_1`: share of 1 s pieces whose best shift is -1, 0 or 1. `loudness_baseline_accuracy`: a
classifier of the same pairs that sees only how open the mouth and how loud the speech is. The same
figures stand for the expert that only evaluates (7-frame window).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks._held_out import held_out, mean_and_interval, run_with_corpus
from benchmarks._report import log, table
from segtalker.data.dataset import sync_mel
from segtalker.data.phones import spoken_windows
from segtalker.data.shards import ShardReader
from segtalker.metrics.opening import mouth_area
from segtalker.models.syncnet import SyncNet
from segtalker.training.maps import pool_lower_half
from segtalker.weights.checkpoint import load_weights

GAP = 10
"""Frames that the two windows of a wrong pair are apart at least: 0.4 s."""
SHIFTS = 15
_BATCH = 64


@dataclass(frozen=True)
class Scored:
    """All pairs of one clip's n windows."""

    log_odds: NDArray[np.float32]
    """[n, n + 30]: mask window i with the mel window that starts at frame j - 15."""
    spoken: NDArray[np.bool_]
    """[n]"""


def run(options: argparse.Namespace, quick: bool) -> dict[str, Any]:
    """Score both experts on both kinds of held-out speech."""
    reader, voices, unseen = held_out(options.corpus, quick)
    figures: dict[str, Any] = {}
    rows = []
    for name, path in (("syncnet", options.syncnet), ("sync_expert", options.sync_expert)):
        if name == "sync_expert" and not path.exists():
            log(f"evaluation-only expert: not run, {path} does not exist")
            continue
        net = load_weights(path, "syncnet")
        assert isinstance(net, SyncNet)
        prefix = "" if name == "syncnet" else "evaluation_expert_"
        for kind, clips in (("held-out voices", voices), ("unseen synthesiser", unseen)):
            result = score(net, reader, clips)
            rows.append({"network": name, "frames": net.cfg.window, "speech": kind, **result})
            if kind == "held-out voices":
                figures |= {prefix + key: value for key, value in result.items()}
            else:
                figures[prefix + "accuracy_unseen_synthesiser"] = result["accuracy"]
                figures[prefix + "offset_exact_unseen_synthesiser"] = result["offset_exact"]
    table(rows)
    figures["loudness_baseline_accuracy"] = loudness_baseline(reader, voices)
    return figures


def score(net: SyncNet, reader: ShardReader, clips: list[int]) -> dict[str, float]:
    """Accuracy and offsets over clips."""
    scored = [score_clip(net, reader, clip) for clip in clips]
    accuracy, interval = mean_and_interval([accuracy_of(s, s.spoken) for s in scored])
    everything = [accuracy_of(s, np.ones_like(s.spoken)) for s in scored]
    exact = [hit for s in scored for hit in offset_hits(s, 75 - net.cfg.window + 1, 0)]
    near = [hit for s in scored for hit in offset_hits(s, 25 - net.cfg.window + 1, 1)]
    return {
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "accuracy_with_silence": mean_and_interval(everything)[0],
        "offset_exact": float(np.mean(exact)) if exact else float("nan"),
        "offset_exact_pieces": len(exact),
        "offset_within_1": float(np.mean(near)) if near else float("nan"),
        "offset_within_1_pieces": len(near),
    }


@torch.no_grad()
def score_clip(net: SyncNet, reader: ShardReader, clip: int) -> Scored:
    """Log-odds of all pairs of a clip."""
    window = net.cfg.window
    maps, mel = reader.read(clip, "maps"), reader.read(clip, "mel")
    count = len(maps) - window + 1
    lower = torch.from_numpy(maps[:, maps.shape[1] // 2 :])
    masks, speech = [], []
    for first in range(0, count, _BATCH):
        last = min(first + _BATCH, count)
        frames = torch.arange(first, last)[:, None] + torch.arange(window)
        masks.append(net.embed_masks(pool_lower_half(lower[frames], net.cfg.size)))
    starts = np.arange(-SHIFTS, count + SHIFTS)
    for part in np.array_split(starts, max(1, len(starts) // _BATCH)):
        speech.append(net.embed_mel(torch.from_numpy(sync_mel(mel, part, window))[:, None]))
    log_odds = net.logits(torch.cat(masks), torch.cat(speech)).numpy()
    return Scored(log_odds, spoken_windows(reader.rows[clip], window))


def accuracy_of(scored: Scored, take: NDArray[np.bool_]) -> float:
    """Balanced accuracy of one clip's pairs of the windows that `take` [n] marks."""
    pairs = scored.log_odds[:, SHIFTS:-SHIFTS]
    right, wrong = _pair_masks(take)
    if not right.any() or not wrong.any():
        return float("nan")
    return float(((pairs > 0)[right].mean() + (pairs <= 0)[wrong].mean()) / 2)


def offset_hits(scored: Scored, windows: int, tolerance: int) -> list[bool]:
    """For each piece of `windows` windows, at least half of them spoken: is its best shift near 0?"""
    hits = []
    for first in range(0, len(scored.spoken) - windows + 1, windows):
        rows = np.arange(first, first + windows)
        if scored.spoken[rows].mean() < 0.5:
            continue
        diagonals = [scored.log_odds[rows, rows + shift] for shift in range(2 * SHIFTS + 1)]
        means = [diagonal.mean() for diagonal in diagonals]
        hits.append(abs(int(np.argmax(means)) - SHIFTS) <= tolerance)
    return hits


def loudness_baseline(reader: ShardReader, clips: list[int]) -> float:
    """Balanced accuracy of logistic regression on 5 openings, 5 loudnesses, their squares and products.

    Both are standardised over the clip; fitted on every other clip, scored on the rest.
    """
    parts = [_loudness_pairs(reader, clip, seed) for seed, clip in enumerate(clips)]
    fit, rest = parts[::2], parts[1::2]
    x, y = (torch.cat([part[k] for part in fit]) for k in (0, 1))
    weights = torch.zeros(x.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        odds = x @ weights[:-1] + weights[-1]
        loss = F.binary_cross_entropy_with_logits(odds, y) + 1e-3 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        x, y = (torch.cat([part[k] for part in rest]) for k in (0, 1))
        said = (x @ weights[:-1] + weights[-1]) > 0
        accuracy = float(0.5 * (said[y == 1].float().mean() + (~said[y == 0]).float().mean()))
    log(f"loudness baseline: {len(x)} pairs of {len(rest)} clips")
    return accuracy


def _loudness_pairs(reader: ShardReader, clip: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [P, 45] and labels [P] of one clip's right pairs and equally many wrong ones."""
    row = reader.rows[clip]
    opening = mouth_area(reader.read(clip, "maps"))
    mel = reader.read(clip, "mel").astype(np.float32).mean(axis=1)
    loudness = np.interp(np.arange(row.num_frames) * 3.2 + 1.6, np.arange(len(mel)), mel)
    spoken = spoken_windows(row, 5)
    rng = np.random.default_rng(seed)
    right, wrong = _pair_masks(spoken)
    chosen = [(int(i), int(i), 1.0) for i in np.flatnonzero(right.any(axis=1))]
    chosen += [(i, int(rng.choice(np.flatnonzero(w))), 0.0) for i, w in enumerate(wrong) if w.any()]
    o, s = _standard(opening), _standard(loudness)
    features = []
    for i, j, _ in chosen:
        a, b = o[i : i + 5], s[j : j + 5]
        features.append(np.concatenate([a, b, a**2, b**2, np.outer(a, b).ravel()]))
    x = torch.tensor(np.array(features), dtype=torch.float32).reshape(len(chosen), -1)
    return x, torch.tensor([label for _, _, label in chosen])


def _pair_masks(take: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    place = np.arange(len(take))
    both = take[:, None] & take[None]
    apart = np.abs(place[:, None] - place[None])
    return both & (apart == 0), both & (apart >= GAP)


def _standard(series: NDArray[np.floating]) -> NDArray[np.float64]:
    return (series - series.mean()) / max(float(series.std()), 1e-6)


if __name__ == "__main__":
    run_with_corpus(
        __doc__,
        run,
        {
            "accuracy": ">= 0.88",
            "accuracy_unseen_synthesiser": ">= 0.85",
            "offset_exact": ">= 0.98",
            "offset_within_1": ">= 0.95",
            "loudness_baseline_accuracy": "<= 0.70",
        },
        {"syncnet": "syncnet.safetensors", "sync_expert": "sync_expert.safetensors"},
    )
