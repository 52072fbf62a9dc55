"""Runs score every video once, go on where they stopped, and end in a folder of tables."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import DataError, StorageError
from segtalker.evaluation import run, scoring
from segtalker.evaluation.columns import COPY, REAL
from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.results import read_evaluation
from segtalker.evaluation.run import About, evaluate
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.tasks import Task, Truth, plan_tasks
from segtalker.metrics.frechet import Moments
from tests.dubbing import require_face_models
from tests.evaluation.fake_score import PROTOCOL, FakeTools

Files = Callable[..., str]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    def write(folder: str, **contents: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in contents.items():
            (tmp_path / folder / f"{name}.mp4").write_text(text)
        return str(tmp_path / folder)

    return write


def test_a_run_leaves_tables_and_figures_of_every_method(tmp_path: Path, tools: FakeTools, files: Files):
    truth = Truth(references=files("true", a="z", b="y"))
    tasks = plan_tasks({"ours": files("ours", a="A", b="B")}, truth)
    evaluate(tasks, PROTOCOL, tmp_path / "out", about=About("Mine", ["A note."], {"driven": "self"}))
    result = read_evaluation(tmp_path / "out")
    assert [method.method for method in result.methods] == [REAL, COPY, "ours"]
    assert result.method("ours").values("psnr") == {"a": 65.0, "b": 66.0}
    assert result.method("ours").notes == {"a": ["byte 65"], "b": ["byte 66"]}
    assert result.method("ours").whole["frechet_mini"] is not None
    assert result.absent == {"lpips": "not here"} and result.protocol["driven"] == "self"
    assert result.notes[0] == "A note." and "sources are the true videos" in result.notes[1]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"table.md", "table.tex", "table.html", "per_video.csv", "failures.csv", "protocol.yaml"} <= names
    assert (tmp_path / "out" / "plots" / "psnr.svg").is_file()
    assert "<h1>Mine</h1>" in (tmp_path / "out" / "table.html").read_text()


def test_true_videos_without_references_do_not_leak_themselves(
    tmp_path: Path, tools: FakeTools, files: Files, monkeypatch: pytest.MonkeyPatch
):
    def score(pair: Pair, protocol: EvalProtocol, tools: object) -> Scored:
        mouths = {"source": Moments.of(np.array([[0.0, 0.0], [1.0, 1.0]]))}
        return Scored(pair.id, VideoFigures(frozenset({"leak", "closure"}), 2, openings=mouths))

    monkeypatch.setattr(scoring, "score_row", score)
    tasks = plan_tasks({"ours": files("ours", a="A")}, Truth(sources=files("given", a="z")))
    result = evaluate(tasks, PROTOCOL, tmp_path / "out")
    assert result.method(REAL).videos == {"a": {"closure": None}}
    assert result.method(COPY).values("leak") == result.method("ours").values("leak") == {"a": 1.0}


def test_rows_that_compare_the_same_files_are_scored_once(tmp_path: Path, tools: FakeTools, files: Files):
    tasks = plan_tasks({"ours": files("ours", a="A")}, Truth(references=files("true", a="z")))
    result = evaluate(tasks, PROTOCOL, tmp_path / "out")
    assert len(tools.seen) == 2
    assert result.method(REAL).videos == result.method(COPY).videos == {"a": {"psnr": 122.0}}


def test_the_same_run_again_scores_nothing_and_says_the_same(tmp_path: Path, tools: FakeTools, files: Files):
    tasks = plan_tasks({"ours": files("ours", a="A")}, Truth(references=files("true", a="z")))
    first = evaluate(tasks, PROTOCOL, tmp_path / "out")
    tools.seen.clear()
    again = evaluate(tasks, PROTOCOL, tmp_path / "out")
    assert not tools.seen and again.methods == first.methods


def test_a_changed_video_another_network_and_a_damaged_record_are_scored_again(
    tmp_path: Path, tools: FakeTools, files: Files
):
    truth, out = Truth(references=files("true", a="z")), tmp_path / "out"

    def seen() -> list[str]:
        tools.seen.clear()
        evaluate(plan_tasks({"ours": files("ours")}, truth), PROTOCOL, out)
        return [Path(pair.output).read_text() for pair in tools.seen]

    files("ours", a="A")
    assert seen() == ["z", "A"]
    files("ours", a="B")
    assert seen() == ["B"]
    tools.networks["expert"] = "another"
    assert seen() == ["z", "B"]
    for record in (out / "records").glob("*.json"):
        record.write_text('{"id": "a"}')
    assert seen() == ["z", "B"]


def test_a_video_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path, tools: FakeTools, files: Files):
    truth = Truth(references=files("true", a="z", b="y", c="x"))
    result = evaluate(plan_tasks({"ours": files("ours", a="!", b="B")}, truth), PROTOCOL, tmp_path / "out")
    ours = result.method("ours")
    assert set(ours.videos) == {"b"}
    reasons = {failure.id: failure.reason for failure in ours.failures}
    assert reasons["a"] == "no face in any frame" and reasons["c"].startswith("no video: there is no ")
    assert "ours,c,no video" in (tmp_path / "out" / "failures.csv").read_text()
    text = run.summary(result, tmp_path / "out")
    assert "ours: 1 scored, 2 failed" in text and "failed: a: no face in any frame" in text


def test_a_failure_is_not_kept_but_tried_again(tmp_path: Path, tools: FakeTools, files: Files):
    truth = Truth(references=files("true", a="z", b="y"))
    tasks = plan_tasks({"ours": files("ours", a="!", b="B")}, truth)
    evaluate(tasks, PROTOCOL, tmp_path / "out")
    tools.seen.clear()
    evaluate(tasks, PROTOCOL, tmp_path / "out")
    assert [pair.id for pair in tools.seen] == ["a"]


def test_a_file_that_cannot_be_read_is_a_row(
    tmp_path: Path, tools: FakeTools, files: Files, monkeypatch: pytest.MonkeyPatch
):
    def fail(uri: str) -> str:
        if uri.endswith("true/a.mp4"):
            raise StorageError(f"{uri}: cannot read it (Input/output error).")
        return uri

    monkeypatch.setattr(scoring, "content_sample", fail)
    truth = Truth(references=files("true", a="z", b="y"))
    result = evaluate(plan_tasks({"ours": files("ours", a="A", b="B")}, truth), PROTOCOL, tmp_path / "out")
    (failure,) = result.method("ours").failures
    assert failure.id == "a" and "Input/output error" in failure.reason


def test_outputs_alone_have_rows_that_say_what_they_lack(tmp_path: Path, tools: FakeTools, files: Files):
    result = evaluate(plan_tasks({"ours": files("ours", a="A")}), PROTOCOL, tmp_path / "out")
    for name in (REAL, COPY):
        (failure,) = result.method(name).failures
        assert failure.reason == "neither a reference nor a source is given for it"
    assert any("no references" in note for note in result.notes)
    assert result.absent["psnr"] == "There is no reference to compare with."
    assert result.absent["lpips"] == "not here"


def test_nothing_scored_is_an_error_after_the_failures_were_written(
    tmp_path: Path, tools: FakeTools, files: Files
):
    truth = Truth(references=files("true", a="z"))
    with pytest.raises(
        DataError, match="not one video could be scored; the first, 'a': no face in any frame"
    ):
        evaluate(plan_tasks({"ours": files("ours", a="!")}, truth), PROTOCOL, tmp_path / "out")
    assert "no face" in (tmp_path / "out" / "failures.csv").read_text()


def test_a_folder_of_another_protocol_is_refused(tmp_path: Path, tools: FakeTools, files: Files):
    tasks = plan_tasks({"ours": files("ours", a="A")}, Truth(references=files("true", a="z")))
    evaluate(tasks, PROTOCOL, tmp_path / "out")
    with pytest.raises(DataError, match="holds figures under another protocol"):
        evaluate(tasks, EvalProtocol(metrics=("image",)), tmp_path / "out")


def test_networks_that_differ_between_workers_are_told(tmp_path: Path, tools: FakeTools, files: Files):
    def runner(tasks, protocol, out, workers):
        for place, task in enumerate(tasks):
            tools.networks = {"expert": str(place)}
            yield scoring.score_task(task, protocol, tools, out)  # type: ignore[arg-type]

    tasks = plan_tasks({"ours": files("ours", a="A")}, Truth(references=files("true", a="z")))
    result = evaluate(tasks, PROTOCOL, tmp_path / "out", runner=runner)
    assert any("different networks" in note for note in result.notes)


def test_processes_answer_for_every_task(tmp_path: Path):
    require_face_models()
    tasks = [Task("ours", Pair(id=name, output=str(tmp_path / f"{name}.mp4"))) for name in "ab"]
    records = list(run.run_processes(tasks, EvalProtocol(metrics=("image",)), tmp_path / "out", 2))
    assert {record.id for record in records} == {"a", "b"}
    assert all(record.reason.startswith("no video: there is no ") for record in records)


class _Killed:
    """A pool whose worker was killed."""

    def __init__(self, *arguments: object) -> None:
        self.was_shut = False

    def submit(self, work: object, task: object) -> Future[object]:
        future: Future[object] = Future()
        future.set_exception(BrokenProcessPool("killed"))
        return future

    def shutdown(self, cancel_futures: bool) -> None:
        self.was_shut = cancel_futures


def test_a_killed_worker_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "ProcessPoolExecutor", _Killed)
    tasks = [Task("ours", Pair(id=name, output="x")) for name in "ab"]
    with pytest.raises(DataError, match="a worker was killed.* with fewer --workers"):
        list(run.run_processes(tasks, PROTOCOL, tmp_path, 2))
