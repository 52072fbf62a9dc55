"""The benchmarks of SyncNet and TSG on the tiny corpus with smoke weights: their keys, their arithmetic."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks import sync_expert, talking_segmentation
from benchmarks._held_out import SPLITS, mean_and_interval
from benchmarks.sync_expert import SHIFTS, Scored, accuracy_of, offset_hits
from segtalker.data.shards import ShardWriter
from segtalker.training.run import train
from tests.training.recipes import CONFIGS
from tests.training.tiny import tiny_clip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks") / "tiny"
    with ShardWriter(folder) as writer:
        for number, split in enumerate(["train"] * 4 + ["val"] + [SPLITS[0]] * 4 + [SPLITS[1]] * 2):
            writer.add(tiny_clip(number, 90, 32, split))
    return folder


@pytest.fixture(scope="module")
def options(corpus, tmp_path_factory):
    run = {"max_steps": 120, "save_every": 120, "validate_every": 120, "picture_every": 0}
    paths = {
        name: train(
            "tsg" if name == "tsg" else "syncnet",
            CONFIGS / "smoke" / f"{name}.yaml",
            [f"clips.folder={corpus}", *(f"run.{key}={value}" for key, value in run.items())],
            tmp_path_factory.mktemp(name),
            quiet=True,
        )
        for name in ("syncnet", "sync_expert", "tsg")
    }
    return argparse.Namespace(corpus=corpus, **paths)


def test_the_sync_benchmark_prints_the_named_figures(options):
    figures = sync_expert.run(options, quick=True)
    wanted = {"accuracy", "accuracy_unseen_synthesiser", "offset_exact", "offset_within_1"}
    assert wanted | {"loudness_baseline_accuracy", "evaluation_expert_accuracy"} <= figures.keys()
    assert figures["accuracy"] > 0.6 and figures["offset_exact_pieces"] == 4
    assert 0.4 < figures["loudness_baseline_accuracy"] <= 1.0


def test_the_segmentation_benchmark_prints_the_named_figures(options):
    figures = talking_segmentation.run(options, quick=True)
    wanted = {"lower_half_miou", "mouth_opening_correlation", "correlation_unseen_synthesiser"}
    assert wanted | {"silence_opening", "closure_ratio", "source_leak"} <= figures.keys()
    assert figures["mouth_opening_correlation"] > 0.8 and figures["closure_ratio_truth"] == 0


def scored(offset: int, count: int = 80) -> Scored:
    """A perfect expert of a clip whose speech comes `offset` frames late."""
    log_odds = np.full((count, count + 2 * SHIFTS), -3.0, np.float32)
    rows = np.arange(count)
    log_odds[rows, rows + SHIFTS + offset] = 3.0
    return Scored(log_odds, np.ones(count, bool))


@pytest.mark.parametrize(("offset", "exact", "near"), [(0, True, True), (1, False, True), (-4, False, False)])
def test_offsets_count_only_where_the_best_shift_is_the_true_one(offset, exact, near):
    assert offset_hits(scored(offset), 71, 0) == [exact]
    assert offset_hits(scored(offset), 21, 1) == [near] * 3


def test_silent_pieces_and_windows_are_left_out():
    clip = scored(0)
    clip.spoken[:50] = False
    assert offset_hits(clip, 71, 0) == []
    clip.log_odds[:50] = 3.0  # whatever it says about silence
    assert accuracy_of(clip, clip.spoken) == 1.0
    assert accuracy_of(clip, np.ones(80, bool)) < 0.8


def test_the_interval_ignores_clips_without_a_figure():
    mean, half = mean_and_interval([1.0, 3.0, float("nan")])
    assert mean == 2.0 and 0 < half <= 1.0


def test_accuracy_weighs_right_and_wrong_pairs_alike():
    yes_to_all = Scored(np.ones((40, 40 + 2 * SHIFTS), np.float32), np.ones(40, bool))
    assert accuracy_of(yes_to_all, yes_to_all.spoken) == 0.5
