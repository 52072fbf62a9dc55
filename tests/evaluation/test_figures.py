"""Figures are sums: they merge in any grouping, and a record on disk is the record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from segtalker.evaluation.definitions import DEFINITIONS
from segtalker.evaluation.figures import MEANS, OPENINGS, VideoFigures
from segtalker.evaluation.protocol import GROUPS, EvalProtocol
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tools import Tools, figure_names
from segtalker.metrics.frechet import Moments, frechet_distance
from segtalker.metrics.mean import Mean
from segtalker.metrics.sync import SyncCurve

ALL = figure_names(GROUPS) | {"coverage"}


def some_figures(seed: int) -> VideoFigures:
    rng = np.random.default_rng(seed)
    curve = SyncCurve(rng.normal(size=31), int(rng.integers(1, 9)), rng.random(31))
    return VideoFigures(
        ALL,
        int(rng.integers(1, 50)),
        {name: Mean.of(rng.random(5)) for name in MEANS},
        rng.integers(0, 1000, (12, 12)),
        curve,
        curve,
        {name: Moments.of(rng.random((7, 2))) for name in OPENINGS},
    )


def some_sets(seed: int) -> SetFigures:
    rng = np.random.default_rng(seed)
    return SetFigures(*(Moments.of(rng.normal(size=(9, 3))) for _ in range(6)))


def test_merging_is_associative_and_begins_with_nothing():
    a, b, c = (some_figures(seed) for seed in range(3))
    left, right = ((a + b) + c).figures(), (VideoFigures() + a + (b + c)).figures()
    assert left.keys() == right.keys() and len(left) > 20
    for name in left:
        assert left[name] == pytest.approx(right[name], rel=1e-12), name


def test_a_record_on_disk_is_the_record():
    scored = Scored("clip", some_figures(0), some_sets(1), ("a note",))
    stored, sets = json.loads(json.dumps(scored.to_json())), scored.sets.to_bytes()
    again = Scored.from_json(stored, SetFigures.from_bytes(sets))
    assert again.figures.figures() == scored.figures.figures()
    assert again.sets.figures() == scored.sets.figures()
    assert again.to_json() == scored.to_json() and again.notes == ("a note",)


def test_every_figure_has_a_definition_and_is_one_that_the_tools_know():
    known = set(some_figures(0).figures()) | set(some_sets(0).figures())
    assert known == set(DEFINITIONS) == set(ALL)


def test_a_figure_that_was_not_asked_for_has_no_entry_and_one_without_frames_is_none():
    empty = VideoFigures(frozenset({"psnr", "silence", "opening", "expert_offset", "sync_d", "miou"}))
    assert empty.figures() == dict.fromkeys(sorted(empty.measured)) and "ssim" not in empty.figures()


def test_figures_are_made_of_their_sums():
    openings = np.array([[0.1, 0.4], [0.2, 0.1], [0.3, 0.35], [0.1, 0.2]])
    found = VideoFigures(
        ALL,
        means={
            "opening_silent": Mean(1.0, 10),
            "opening_spoken": Mean(2.0, 5),
            "source_opening_silent": Mean(4.0, 8),
            "opening_closed": Mean(0.3, 3),
            "opening_vowel": Mean(4.0, 8),
            "flicker_output": Mean(6.0, 3),
            "flicker_reference": Mean(1.5, 3),
        },
        openings={"source": Moments.of(openings), "reference": Moments.of(openings)},
    ).figures()
    assert found["silence"] == pytest.approx(0.1 / 0.4)
    assert found["silence_leak"] == pytest.approx(0.1 / 0.5)
    assert found["closure"] == pytest.approx(0.1 / 0.5)
    assert found["flicker"] == pytest.approx(1.5)
    correlation = np.corrcoef(openings.T)[0, 1]
    assert found["opening"] == pytest.approx(correlation)
    assert found["leak"] == pytest.approx(abs(correlation))


def test_a_mouth_that_never_moves_has_no_correlation():
    still = Moments.of(np.stack([np.full(5, 0.2), np.arange(5.0)], axis=1))
    assert math.isnan(VideoFigures(openings={"source": still}).correlation("source"))


def test_set_figures_of_parts_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    made, true = rng.normal(size=(40, 6)), rng.normal(0.5, size=(40, 6))
    parts = [SetFigures(mini=Moments.of(made[i::4]), true_mini=Moments.of(true[i::4])) for i in range(4)]
    merged = sum(parts, SetFigures())
    whole = frechet_distance(Moments.of(made), Moments.of(true))
    assert merged.figures() == {"frechet_mini": pytest.approx(whole, rel=1e-10)}
    assert SetFigures(mini=Moments.of(made)).figures() == {"frechet_mini": None}


def test_what_no_network_here_measures_is_not_among_the_measured():
    tools = Tools(backend=None, parser=None)  # type: ignore[arg-type]
    assert tools.measured(EvalProtocol(metrics=("image", "sync", "mini"))) == {"psnr", "ssim", "coverage"}
