"""Frames that a method was shown of the truth take no part in what compares it with the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker.evaluation.dub_reports import shown_frames
from segtalker.evaluation.pairs import Pair, pair_from_values, pair_to_values
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.score import score_pair
from segtalker.evaluation.scoring import record_key
from segtalker.types import Image
from tests.dubbing import talking_clip, talking_frame
from tests.evaluation.tiny import tiny_tools

PROTOCOL = EvalProtocol(size=96, map_size=64, metrics=("image", "landmarks", "miou"))
SHOWN = (3, 5)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A method that returns the frames that it was shown as they are, and spoils all others alike."""
    folder = tmp_path_factory.mktemp("shown")

    def spoilt(index: int) -> Image:
        image = talking_frame(8)
        return image if index in SHOWN else image + np.uint8(10)

    true = talking_clip(folder / "true.mp4", 8, lambda index: talking_frame(8))
    return Pair(id="a", output=str(talking_clip(folder / "made.mp4", 8, spoilt)), reference=str(true))


def test_frames_that_were_shown_are_left_out_of_what_compares(pair: Pair):
    tools = tiny_tools()
    scored = [score_pair(replace(pair, shown=shown), PROTOCOL, tools).figures for shown in ("", "3 5", "7")]
    counts = [(found.means["psnr"].count, found.means["m_lmd"].count) for found in scored]
    assert counts == [(8, 8), (6, 6), (7, 7)]
    flattered, honest, _ = (found.figures()["psnr"] for found in scored)
    assert flattered is not None and honest is not None and honest < flattered - 1
    assert scored[1].pixels.sum() == pytest.approx(scored[0].pixels.sum() * 6 / 8)
    assert all(found.means["coverage"].count == 8 for found in scored)


def test_a_record_is_of_the_frames_that_were_compared(pair: Pair):
    tools = tiny_tools()
    keys = [record_key(replace(pair, shown=shown), PROTOCOL, tools) for shown in ("", "3 5", "5  3")]
    assert keys[0] != keys[1] == keys[2]


def test_shown_frames_are_numbers_in_a_manifest():
    values = {"id": "a", "output": "/o.mp4", "shown": "3 17"}
    assert pair_from_values(values, "/base").shown_frames == {3, 17}
    assert pair_to_values(pair_from_values(values)) == values
    assert Pair(id="a", output="o").shown_frames == frozenset()
    with pytest.raises(ValueError, match="shown 'a b': expected numbers of frames"):
        pair_from_values({**values, "shown": "a b"})


def test_what_any_row_of_ours_was_shown_is_left_out_for_all(tmp_path: Path):
    for name, tracks in {
        "one": [
            {"reference_index": 4, "style_indices": [1, 4]},
            {"reference_index": None, "style_indices": []},
        ],
        "two": [{"reference_index": 9, "style_indices": [2]}],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.report.json").write_text(json.dumps({"tracks": tracks}))
    assert shown_frames([tmp_path / "one", tmp_path / "two", tmp_path / "absent"], "a") == "1 2 4 9"
    assert shown_frames([tmp_path / "one"], "b") == ""
