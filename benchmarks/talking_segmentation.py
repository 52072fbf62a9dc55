"""Does the talking segmentation open and close the mouth as the speech says?

Held-out synthetic identities and voices; the reference is the clip's most closed mouth, and that frame is
not scored. `lower_half_miou`: all frames pooled, all classes that are present in the lower halves
(`lower_half_miou_without_strays`: those that make up 0.01 % or more of them).
Opening: inner-mouth area of the drawn map; its Pearson correlation with the true opening is taken per
clip and averaged. `silence_opening`: mean opening on silence (60 ms off its ends) over mean opening on
speech. `closure_ratio`: mean opening on p, b, m over that on vowels. `source_leak`: |correlation| of the
opening with the source's own when other speech drives it; `source_leak_chance` is what two unrelated
clips have.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._held_out import held_out, mean_and_interval, run_with_corpus
from benchmarks._report import log, table
from segtalker.audio.mel import MEL_SILENCE
from segtalker.data.phones import frame_times
from segtalker.data.shards import ShardReader
from segtalker.metrics.opening import (
    BILABIALS,
    SILENCE,
    VOWELS,
    correlation,
    in_phones,
    mouth_area,
    source_leak,
)
from segtalker.metrics.segmentation import STRAY_SHARE, class_iou, confusion, lower_half, map_jitter, mean_iou
from segtalker.models.tsg import TSG
from segtalker.regions import NUM_REGIONS, REGION_NAMES
from segtalker.training.talk import choose_reference, talk
from segtalker.weights.checkpoint import load_weights

_MOST_FRAMES = 250
_SILENCE_MARGIN_S = 0.06
_DEVICE = torch.device("cpu")

Series = Sequence[NDArray[np.floating]]


def run(options: argparse.Namespace, quick: bool) -> dict[str, Any]:
    """All figures."""
    reader, voices, unseen = held_out(options.corpus, quick)
    tsg = load_weights(options.tsg, "tsg")
    assert isinstance(tsg, TSG)
    figures = own_speech(tsg, reader, voices)
    other = own_speech(tsg, reader, unseen)
    figures["correlation_unseen_synthesiser"] = other["mouth_opening_correlation"]
    figures["lower_half_miou_unseen_synthesiser"] = other["lower_half_miou"]
    figures["closure_ratio_unseen_synthesiser"] = other["closure_ratio"]
    figures["loudness_baseline_unseen_synthesiser"] = other["loudness_baseline_correlation"]
    figures |= other_speech(tsg, reader, voices[: 8 if quick else 32])
    return figures


def own_speech(tsg: TSG, reader: ShardReader, clips: list[int]) -> dict[str, Any]:
    """Clips drawn from their own speech."""
    counts = np.zeros((NUM_REGIONS, NUM_REGIONS), np.int64)
    drawn_opening, true_area, true_opening, loudness, jitter = [], [], [], [], []
    closed, vowels, silent, spoken = [], [], [], []
    for clip in clips:
        maps = reader.read(clip, "maps")[:_MOST_FRAMES]
        reference = choose_reference(maps)
        frames = np.delete(np.arange(len(maps)), reference)
        drawn = talk(tsg, reader, clip, frames, maps[reference], _DEVICE)
        counts += confusion(lower_half(drawn), lower_half(maps[frames]))
        drawn_opening.append(mouth_area(drawn))
        true_area.append(mouth_area(maps[frames]))
        has_truth = "opening" in reader.rows[clip].fields
        true_opening.append(reader.read(clip, "opening")[frames] if has_truth else true_area[-1])
        loudness.append(_loudness(reader, clip)[frames])
        jitter.append(map_jitter(drawn))
        row, times = reader.rows[clip], frame_times(reader.rows[clip])[frames]
        closed.append(in_phones(times, row.phones, BILABIALS))
        vowels.append(in_phones(times, row.phones, VOWELS))
        silent.append(in_phones(times, row.phones, SILENCE, _SILENCE_MARGIN_S))
        spoken.append(~in_phones(times, row.phones, SILENCE))
    iou = class_iou(counts)
    table([{"class": n, "iou": v} for n, v in zip(REGION_NAMES, iou, strict=True) if np.isfinite(v)])
    per_clip = [correlation(a, b) for a, b in zip(drawn_opening, true_opening, strict=True)]
    mean, interval = mean_and_interval(per_clip)
    return {
        "lower_half_miou": mean_iou(counts),
        "lower_half_miou_without_strays": mean_iou(counts, STRAY_SHARE),
        "mouth_opening_correlation": mean,
        "mouth_opening_correlation_interval": interval,
        "loudness_baseline_correlation": loudness_baseline(loudness, true_opening),
        "closure_ratio": _ratio(drawn_opening, closed, vowels),
        "closure_ratio_truth": _ratio(true_area, closed, vowels),
        "silence_opening": _ratio(drawn_opening, silent, spoken),
        "silence_opening_truth": _ratio(true_area, silent, spoken),
        "map_jitter": float(np.mean(jitter)),
    }


def other_speech(tsg: TSG, reader: ShardReader, clips: list[int]) -> dict[str, float]:
    """Clips that speak what the next clip says, and clips that hear digital silence."""
    leaks, chance, follows, silence, speech = [], [], [], [], []
    for clip, other in zip(clips, clips[1:] + clips[:1], strict=True):
        maps = reader.read(clip, "maps")
        length = min(len(maps), reader.rows[other].num_frames, _MOST_FRAMES)
        frames = np.arange(length)
        reference = maps[choose_reference(maps)]
        mel, tokens = reader.read(other, "mel"), reader.read(other, "tokens")
        opening = mouth_area(talk(tsg, reader, clip, frames, reference, _DEVICE, (mel, tokens)))
        own, wanted = mouth_area(maps[:length]), mouth_area(reader.read(other, "maps", 0, length))
        leaks.append(source_leak(opening, own))
        chance.append(source_leak(wanted, own))
        follows.append(correlation(opening, wanted))
        quiet = (np.full_like(mel, MEL_SILENCE), np.zeros_like(tokens))
        silence.append(mouth_area(talk(tsg, reader, clip, frames[:25], reference, _DEVICE, quiet)).mean())
        speech.append(opening.mean())
    log(f"other speech: {len(clips)} clips")
    return {
        "source_leak": float(np.mean(leaks)),
        "source_leak_chance": float(np.mean(chance)),
        "correlation_other_speech": float(np.mean(follows)),
        "digital_silence_opening": float(np.mean(silence) / max(np.mean(speech), 1e-9)),
    }


def loudness_baseline(loudness: Series, opening: Series) -> float:
    """Best mean correlation that loudness alone reaches at one lag of -3..3 frames and smoothing of 1..7."""
    best = -1.0
    for width in (1, 3, 5, 7):
        smooth = [np.convolve(series, np.ones(width) / width, "same") for series in loudness]
        for lag in range(-3, 4):
            shifted = [np.roll(series, lag) for series in smooth]
            found = [correlation(a[3:-3], b[3:-3]) for a, b in zip(shifted, opening, strict=True)]
            best = max(best, float(np.mean(found)))
    return best


def _loudness(reader: ShardReader, clip: int) -> NDArray[np.float64]:
    """[T] mean of the mel around each frame."""
    mel = reader.read(clip, "mel").astype(np.float32).mean(axis=1)
    return np.interp(np.arange(reader.rows[clip].num_frames) * 3.2, np.arange(len(mel)), mel)


def _ratio(opening: Series, above: list[NDArray[np.bool_]], below: list[NDArray[np.bool_]]) -> float:
    """Mean opening of all clips' frames `above` over that of `below`."""
    top, bottom = (
        np.concatenate([series[mask] for series, mask in zip(opening, masks, strict=True)])
        for masks in (above, below)
    )
    return (
        float(top.mean() / bottom.mean()) if len(top) and len(bottom) and bottom.mean() > 0 else float("nan")
    )


if __name__ == "__main__":
    run_with_corpus(
        __doc__,
        run,
        {
            "lower_half_miou": ">= 0.80",
            "mouth_opening_correlation": ">= 0.88",
            "correlation_unseen_synthesiser": ">= 0.82",
            "silence_opening": "<= 0.15",
            "closure_ratio": "<= 0.20",
            "source_leak": "<= 0.2",
        },
        {"tsg": "tsg.safetensors"},
    )
