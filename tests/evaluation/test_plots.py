"""Plots draw what the tables say, to scale."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from segtalker.evaluation.columns import column
from segtalker.evaluation.plots import bar_plots, bars, scatter, scatter_plots
from segtalker.evaluation.results import Evaluation, MethodResult
from tests.evaluation.made_up import made_up

_SVG = "{http://www.w3.org/2000/svg}"


def _found(picture: str, tag: str) -> list[ET.Element]:
    return ET.fromstring(picture).findall(f"{_SVG}{tag}")


def _widths(picture: str) -> list[float]:
    return [float(bar.get("width", "0")) for bar in _found(picture, "rect")[1:]]  # the first is the paper


def _texts(picture: str) -> list[str]:
    return [str(text.text) for text in _found(picture, "text")]


def test_bars_are_as_long_as_their_figures():
    methods = [MethodResult(name, {"a": {"ssim": value}}) for name, value in (("one", 0.2), ("two", 0.8))]
    one, two = _widths(bars(Evaluation({}, methods), column("ssim")))
    assert two == pytest.approx(4 * one, rel=0.01)


def test_a_reference_row_that_would_dwarf_the_methods_is_cut_and_says_so():
    picture = bars(made_up(), column("psnr"))
    real, _, ours, _ = _widths(picture)
    assert ours > 0.5 * real and "110.00 (bar cut)" in _texts(picture)


def test_negative_figures_grow_to_the_other_side_of_zero():
    _, _, ours, theirs = _found(bars(made_up(), column("expert_offset")), "rect")[1:]
    left = float(theirs.get("x", "0"))
    assert left + float(theirs.get("width", "0")) == pytest.approx(float(ours.get("x", "0")), abs=0.2)


def test_intervals_and_means_are_told_as_numbers():
    assert "28.00 [27.60, 28.40]" in _texts(bars(made_up(), column("psnr")))


def test_a_dot_stands_for_every_video_that_both_methods_have():
    ours, theirs = made_up().own_methods()
    picture = scatter(ours, theirs, column("psnr"))
    assert picture is not None
    dots = _found(picture, "circle")
    assert [str(dot[0].text).split(":")[0] for dot in dots] == [f"clip{i}" for i in range(5)]
    # ours is to the right and theirs low: below the line of equals
    across = [float(dot.get("cx", "0")) for dot in dots]
    down = [float(dot.get("cy", "0")) for dot in dots]
    assert across == sorted(across) and down == sorted(down, reverse=True)


def test_nothing_shared_is_no_plot():
    ours, theirs = made_up().own_methods()
    assert scatter(ours, theirs, column("fid")) is None


def test_plots_by_video_are_of_exactly_two_methods():
    assert "psnr_by_video.svg" in scatter_plots(made_up())
    assert scatter_plots(replace(made_up(), methods=made_up().methods[:3])) == {}


def test_every_figure_has_its_plot_and_long_or_odd_names_stay_inside():
    odd = replace(made_up().method("ours"), method="a <very> long name & more " * 4)
    drawn = bar_plots(replace(made_up(), methods=[odd]))
    assert set(drawn) == {f"{name}.svg" for name in ("f_lmd", "fid", "psnr", "expert_offset", "closure")}
    assert all(max(map(len, _texts(picture))) < 40 for picture in drawn.values())


@pytest.mark.parametrize("value", [0.0, -1e-9, 1e12])
def test_any_size_of_figure_is_drawn(value: float):
    methods = [MethodResult("only", {"a": {"seam": value}})]
    assert len(_widths(bars(Evaluation({}, methods), column("seam")))) == 1
