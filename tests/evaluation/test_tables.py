"""Tables in the paper's layout: the best is bold, intervals stand beside, what is missing says why."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from segtalker.evaluation.columns import COLUMNS, COPY, PAPER, REAL, column, in_order
from segtalker.evaluation.definitions import DEFINITIONS
from segtalker.evaluation.page import result_page
from segtalker.evaluation.results import Evaluation, Failure, MethodResult
from segtalker.evaluation.tables import Table, further_tables, paper_table, to_latex, to_markdown
from tests.evaluation.made_up import VIDEOS, made_up


def _cells(table: Table, method: str) -> dict[str, str]:
    """Figure -> rank, text and note of a method."""
    (cells,) = [cells for name, _, cells in table.rows if name == method]
    return {
        column.name: f"{cell.rank} {cell.text}".strip()
        for column, cell in zip(table.columns, cells, strict=True)
    }


def test_every_figure_that_is_defined_has_a_column_and_every_column_a_meaning():
    assert {column.name for column in COLUMNS} == set(DEFINITIONS)
    assert all(column.meaning for column in COLUMNS)


def test_an_unknown_figure_stands_last_under_its_own_name_and_nobody_wins_it():
    names = [found.name for found in in_order(["zebra", "psnr", "sync_c"])]
    assert names == ["sync_c", "psnr", "zebra"]
    assert column("zebra").better == "none" and column("zebra").badness(3.0) == 0.0


def test_the_first_table_has_the_columns_of_the_paper_in_its_groups():
    table = paper_table(made_up())
    assert tuple(column.name for column in table.columns) == PAPER
    assert list(table.groups()) == [("Synchronization", 3), ("Visual Quality", 5)]
    assert table.columns[-1].title == "FVD ↓ ×0.1"


def _of_all_videos() -> Evaluation:
    """As `made_up`, but ours has every video."""
    *others, ours, theirs = made_up().methods
    videos = {**ours.videos, "clip5": ours.videos["clip4"]}
    return replace(made_up(), methods=[*others, replace(ours, videos=videos, failures=[]), theirs])


def test_the_best_method_is_bold_and_rows_that_are_no_methods_never_are():
    table = paper_table(_of_all_videos())
    ours, theirs = _cells(table, "ours"), _cells(table, "theirs")
    assert ours["psnr"].startswith("best") and theirs["f_lmd"] == "best 2.000"
    assert not theirs["psnr"].startswith("best")
    assert not any("best" in text for row in (REAL, COPY) for text in _cells(table, row).values())


def test_a_method_that_failed_on_more_than_a_twentieth_of_the_videos_is_not_ranked():
    ours = _cells(paper_table(made_up()), "ours")
    assert not ours["psnr"].startswith("best") and made_up().method("ours").failures


def test_further_figures_stand_in_a_table_of_their_group():
    assert [[column.name for column in table.columns] for table in further_tables(made_up())] == [
        ["expert_offset"], ["closure"],
    ]  # fmt: skip


def test_of_three_methods_the_second_is_marked_and_equals_share_a_rank():
    third = MethodResult("third", {video: {"psnr": 28.0004} for video in VIDEOS})
    fourth = MethodResult("fourth", {video: {"psnr": 10.0} for video in VIDEOS})
    table = paper_table(replace(made_up(), methods=[*_of_all_videos().methods, third, fourth]))
    ranks = {name: _cells(table, name)["psnr"] for name in ("ours", "theirs", "third", "fourth")}
    assert ranks["theirs"] == "second 28.00" and ranks["third"] == "second 28.00"
    assert ranks["ours"].startswith("best") and ranks["fourth"] == "10.00"


def test_offsets_are_best_near_zero():
    table = further_tables(_of_all_videos())[0]
    assert _cells(table, "ours")["expert_offset"] == "best 0.50"
    assert _cells(table, "theirs")["expert_offset"] == "-1.50"


def test_what_was_not_measured_is_na_with_the_reason_below():
    text = to_markdown(paper_table(made_up()))
    (mark,) = re.findall(
        r"- (\(\d\)) LPIPS: was not measured. Its network is not here: segtalker weights fetch lpips\.", text
    )
    assert f"n/a {mark}" in text
    assert "SSIM: could not be measured on any video." in text


def test_what_one_method_alone_lacks_is_said_of_it():
    ours = MethodResult("ours", {"a": {"psnr": 30.0, "leak": 0.2}})
    table = further_tables(replace(made_up(), methods=[ours, MethodResult("theirs", {"a": {"psnr": 30.0}})]))[
        0
    ]
    assert table.footnotes == ["Source leak of theirs: could not be measured on any video."]


def test_rows_of_other_videos_are_said_to_be_so():
    assert any("not all of the same videos" in note for note in paper_table(made_up()).footnotes)
    equal = replace(made_up(), methods=[made_up().method("theirs")])
    assert not any("same videos" in note for note in paper_table(equal).footnotes)


def test_a_method_without_any_scored_video_has_a_row_of_na():
    broken = MethodResult("broken", {}, {}, [Failure("a", "no video")])
    table = paper_table(replace(made_up(), methods=[*made_up().methods, broken]))
    assert set(_cells(table, "broken").values()) == {"n/a"}
    assert [(name, count) for name, count, _ in table.rows][-1] == ("broken", "0 / 1")
    assert "broken: not one of its videos could be scored." in table.footnotes


def test_fvd_is_shown_as_the_paper_scales_it():
    wide = MethodResult("wide", {"a": {}}, {"fvd": 92.05})
    assert _cells(paper_table(Evaluation({}, [wide])), "wide")["fvd"] == "9.205"


def test_markdown_keeps_its_columns_whatever_a_method_is_called():
    odd = replace(made_up(), methods=[replace(made_up().method("ours"), method="a|b")])
    rows = [line for line in to_markdown(paper_table(odd)).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {2 + 8 + 1}


def test_latex_escapes_names_and_closes_what_it_opens():
    odd = replace(
        made_up(), methods=[*_of_all_videos().methods, replace(made_up().method("ours"), method="a_b & 5%")]
    )
    text = to_latex(paper_table(odd))
    assert r"a\_b \& 5\% &" in text and r"\multicolumn{3}{c}{Synchronization}" in text
    assert r"\cmidrule(lr){3-5}" in text and r"\textbf{2.000}" in text
    assert sorted(re.findall(r"\\begin\{(.+?)\}", text)) == sorted(re.findall(r"\\end\{(.+?)\}", text))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows[1:]} == {9}


class _Tags(HTMLParser):
    """Tags that stay open, and names of resources from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.outside += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_from_elsewhere_and_escapes_names():
    odd = replace(made_up(), methods=[*made_up().methods, MethodResult("<script>x", {"a&b": {"psnr": 1.0}})])
    page = result_page(odd, "Title & more")
    tags = _Tags()
    tags.feed(page)
    assert not tags.open and not tags.outside
    assert "<script>" not in page and "&lt;script&gt;x" in page and "Title &amp; more" in page


@pytest.mark.parametrize("told", ["Failures (1)", "no video", "size: 256", "Made up for tests.", "Remark"])
def test_the_page_tells_failures_protocol_and_notes(told: str):
    noted = replace(made_up().method("ours"), notes={"clip0": ["30 fps, resampled"]})
    assert told in result_page(replace(made_up(), methods=[noted]))


def test_plots_inside_the_page_are_svg():
    pictures = re.findall(r"<svg.*?</svg>", result_page(made_up()), re.S)
    assert len(pictures) > 5
    for picture in pictures:
        ET.fromstring(picture)
