"""Scoring without networks, for tests of what is done with scores; the fixture `tools` switches it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.sets import SetFigures
from segtalker.metrics.frechet import Moments
from segtalker.metrics.mean import Mean

PROTOCOL = EvalProtocol(metrics=("image", "mini"))


@dataclass
class FakeTools:
    """Measures PSNR by the first byte of a file, and tells which pairs it saw."""

    networks: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=lambda: {"lpips": "not here"})
    seen: list[Pair] = field(default_factory=list)

    def measured(self, protocol: EvalProtocol) -> frozenset[str]:
        return frozenset({"psnr", "coverage"})

    def score(self, pair: Pair, protocol: EvalProtocol, tools: object) -> Scored:
        self.seen.append(pair)
        value = Path(pair.output).read_bytes()[0]
        if value == ord("!"):
            return Scored(pair.id, reason="no face in any frame")
        vectors = np.random.default_rng(value).normal(size=(8, 3))
        sets = SetFigures(mini=Moments.of(vectors), true_mini=Moments.of(vectors + 1))
        means = {"psnr": Mean(float(value), 1)}
        return Scored(pair.id, VideoFigures(frozenset({"psnr"}), 1, means), sets, (f"byte {value}",))
