"""A batch: nothing lost, nothing doubled, a reason for what failed, whatever happens to workers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtalker.batch import worker as worker_module
from segtalker.batch.config import BatchConfig
from segtalker.batch.rows import DubRow
from segtalker.batch.run import dub_rows
from segtalker.batch.stall import Stall
from segtalker.batch.tasks import Task
from segtalker.dub_config import DubConfig
from segtalker.local_stages import LocalStages
from segtalker.pipeline import SegTalker
from segtalker.storage import stamp_file
from tests.batch.dubs import decoded, draw_rows, here, small_config
from tests.dubbing import BlobFaces, blank_frame, talking_clip


@pytest.fixture(scope="module")
def cfg(tmp_path_factory) -> DubConfig:
    return small_config(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def batch(tmp_path) -> BatchConfig:
    """Nothing is cut; leftovers stay in the test's folder."""
    return BatchConfig(chunk_frames=0, scratch=str(tmp_path / "scratch"))


@pytest.fixture
def rows(tmp_path) -> list[DubRow]:
    return draw_rows(tmp_path, tmp_path / "out")


def run(rows, cfg, batch, tmp_path, before=lambda task: False):
    standing = dub_rows(rows, cfg, batch, tmp_path / "out", here(cfg, batch, tmp_path / "out", before))
    return {outcome.id: outcome for outcome in standing.outcomes}


def whole(cfg, row, output: Path) -> np.ndarray:
    SegTalker(cfg, LocalStages(cfg, BlobFaces())).dub(row.video, row.speech, output, quiet=True)
    return decoded(output)


def test_all_rows_are_dubbed_and_found_again(cfg, batch, rows, tmp_path):
    first = run(rows, cfg, batch, tmp_path)
    assert [(o.state, o.num_frames, o.attempts, o.chunks) for o in first.values()] == [
        ("done", 6, 1, 1), ("done", 5, 1, 1),
    ]  # fmt: skip
    assert set(first["ann"].hashes) == {"video", "speech", "output"} and first["ann"].timings_s["sgi"] > 0
    assert np.array_equal(decoded(tmp_path / "out" / "ann.de.mp4"), whole(cfg, rows[0], tmp_path / "w.mp4"))
    told = json.loads((tmp_path / "out" / "ann.de.report.json").read_text())
    assert (told["video"], told["output"], told["key"]) == (rows[0].video, rows[0].output, first["ann"].key)

    stamps = {row.id: stamp_file(row.output) for row in rows}
    again = run(rows, cfg, batch, tmp_path)
    assert [o.state for o in again.values()] == ["found", "found"]
    assert {row.id: stamp_file(row.output) for row in rows} == stamps
    for name in ("key", "num_frames", "frames", "hashes", "output", "timings_s"):
        assert getattr(again["ann"], name) == getattr(first["ann"], name)
    Path(rows[0].video).touch()  # as after a copy: other times, the same content
    assert run(rows, cfg, batch, tmp_path)["ann"].state == "found"


def test_the_table_and_the_page_tell_of_every_row(cfg, batch, rows, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no film <b>at all</b>" * 9)
    bad = replace(rows[0], id="bad", video=str(tmp_path / "bad.mp4"), output=str(tmp_path / "out" / "x.mp4"))
    outcomes = run([bad, *rows], cfg, batch, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / "outcomes.jsonl").read_text().splitlines()]
    assert [(line["id"], line["state"]) for line in lines] == [
        ("bad", "failed"), ("ann", "done"), ("bob", "done"),
    ]  # fmt: skip
    with open(tmp_path / "out" / "outcomes.csv", newline="") as file:
        cells = {line["id"]: line for line in csv.DictReader(file)}
    assert cells["ann"]["frames"] == "synthesized=6" and "bad.mp4" in cells["bad"]["reason"]
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "Batch finished: 3 of 3 rows" in page and "http-equiv" not in page and "src=" not in page
    assert outcomes["bad"].attempts == 1, "an unreadable video is not tried again"


def test_reasons_stand_in_the_row(cfg, batch, rows, tmp_path):
    row = rows[0]
    talking_clip(tmp_path / "empty.mp4", 6, lambda index: blank_frame())
    cases = {
        "nobody": ({"video": str(tmp_path / "empty.mp4")}, "no face was found"),
        "absent": ({"speech": str(tmp_path / "absent.wav")}, "absent.wav: cannot look it up: there is no"),
        "mute": ({"speech": row.video}, "ann.mp4"),
        "who": ({"speaker": "index:7"}, "index"),
        "what": ({"speaker": "somebody"}, "somebody"),
        "twice": ({"speaker": "largest", "options": ("speaker=index:0",)}, "given twice"),
        "typo": ({"options": ("sync_mod=loop",)}, "did you mean 'sync_mode'"),
        "range": ({"options": ("encode.crf=99",)}, "crf = 99 is outside"),
        "none": ({"options": ("tsg.weights=none.safetensors",)}, "none.safetensors"),
    }
    made = [
        replace(row, **{"id": name, "output": str(tmp_path / "out" / f"{name}.mp4"), **changes})
        for name, (changes, _) in cases.items()
    ]
    outcomes = run(made, cfg, batch, tmp_path)
    for name, (_, says) in cases.items():
        assert outcomes[name].state == "failed" and says in outcomes[name].reason, outcomes[name]
        assert "\n" not in outcomes[name].reason
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_settings_of_a_row_are_its_own(cfg, batch, rows, tmp_path):
    shown = replace(rows[0], options=("save_maps=true", "plan.spans_s=[[0, 0.08]]"))
    outcomes = run([shown, rows[1]], cfg, batch, tmp_path)
    assert outcomes["ann"].frames == {"synthesized": 2, "outside_span": 4}
    assert outcomes["bob"].frames == {"synthesized": 5}
    assert (tmp_path / "out" / "ann.de.maps.mp4").is_file()


def test_a_foreign_output_is_left_alone_unless_it_may_go(cfg, batch, rows, tmp_path):
    (tmp_path / "out").mkdir()
    Path(rows[0].output).write_bytes(b"an older film")
    outcomes = run(rows, cfg, batch, tmp_path)
    assert outcomes["ann"].state == "failed" and "--overwrite" in outcomes["ann"].reason
    assert Path(rows[0].output).read_bytes() == b"an older film" and outcomes["bob"].state == "done"
    outcomes = run(rows, cfg, replace(batch, overwrite=True), tmp_path)
    assert [o.state for o in outcomes.values()] == ["done", "found"]


def test_an_output_that_broke_off_after_its_report_is_made_again(cfg, batch, rows, tmp_path):
    run(rows[:1], cfg, batch, tmp_path)
    output = Path(rows[0].output)
    output.write_bytes(output.read_bytes()[:-7])
    assert run(rows[:1], cfg, batch, tmp_path)["ann"].state == "done"
    output.unlink()
    assert run(rows[:1], cfg, batch, tmp_path)["ann"].state == "done"


def test_other_inputs_or_settings_make_another_output(cfg, batch, rows, tmp_path):
    run(rows[:1], cfg, batch, tmp_path)
    talking_clip(Path(rows[0].video), 7)
    assert "was not made of these" in run(rows[:1], cfg, batch, tmp_path)["ann"].reason
    changed = replace(cfg, seed=1)
    assert run(rows[:1], changed, replace(batch, overwrite=True), tmp_path)["ann"].state == "done"


def test_a_long_video_is_cut_and_equals_the_dub_in_one_piece(cfg, batch, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 22, ("ann",))
    tasks: list[str] = []

    def note(task: Task) -> bool:
        tasks.append(task.name)
        return False

    cut = replace(batch, chunk_frames=8)
    outcome = run(rows, cfg, cut, tmp_path, note)["ann"]
    assert tasks == [
        "ann/begin", "ann/segments-000000-000002.tar", "ann/segments-000002-000004.tar",
        "ann/segments-000004-000006.tar", "ann/join",
    ]  # fmt: skip
    assert (outcome.state, outcome.chunks, outcome.num_frames) == ("done", 3, 22)
    assert {"faces", "sgi", "mux"} <= set(outcome.timings_s)
    assert np.array_equal(decoded(Path(rows[0].output)), whole(cfg, rows[0], tmp_path / "w.mp4"))
    assert not (tmp_path / "out" / ".work").exists()


def test_a_batch_that_is_stopped_amid_a_long_video_goes_on(cfg, batch, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 22, ("ann",))
    cut = replace(batch, chunk_frames=8)
    done: list[str] = []

    def stop(task: Task) -> bool:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(task.name)
        return False

    with pytest.raises(KeyboardInterrupt):
        run(rows, cfg, cut, tmp_path, stop)
    page = (tmp_path / "out" / "summary.html").read_text()
    assert not Path(rows[0].output).exists() and "Batch stopped: 0 of 1 rows" in page
    again: list[str] = []
    outcome = run(rows, cfg, cut, tmp_path, lambda task: again.append(task.name))["ann"]
    assert again == ["ann/begin", "ann/segments-000004-000006.tar", "ann/join"]
    told = json.loads((tmp_path / "out" / "ann.de.report.json").read_text())
    assert outcome.state == "done" and told["reused_segments"] == 4
    assert np.array_equal(decoded(Path(rows[0].output)), whole(cfg, rows[0], tmp_path / "w.mp4"))


def test_a_range_is_told_nothing_of_the_others(cfg, batch, tmp_path):
    """Or the tasks of a video of hours would take the square of its ranges in memory."""
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))
    cuts = {}

    def note(task: Task) -> bool:
        cuts[task.name] = task.cut
        return False

    run(rows, cfg, replace(batch, chunk_frames=4), tmp_path, note)
    assert [len(cut.ranges) for name, cut in cuts.items() if "segments" in name] == [0, 0, 0]
    assert len(cuts["ann/join"].ranges) == 3


def test_work_that_was_damaged_is_made_again(cfg, batch, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))
    cut, work = replace(batch, chunk_frames=4), tmp_path / "out" / ".work"

    def stop(task: Task) -> bool:
        if task.kind == "join":
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(rows, cfg, cut, tmp_path, stop)
    (analysis,), (part, *_) = work.glob("*/analysis.tar.gz"), sorted(work.glob("*/segments-*"))
    analysis.write_bytes(analysis.read_bytes()[:-400] + bytes(400))
    part.write_bytes(b"no pack")
    for damaged in (analysis, part):
        outcome = run(rows, cfg, cut, tmp_path)["ann"]
        assert (outcome.state, outcome.attempts) == ("failed", 1) and f"{damaged}: was dam" in outcome.reason
    assert run(rows, cfg, cut, tmp_path)["ann"].state == "done"


def test_an_analysis_that_could_not_be_unpacked_leaves_nothing_to_the_next(cfg, batch, tmp_path, monkeypatch):
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))
    unpack = worker_module.unpack_analysis
    folders = []

    def fail_once(packed, folder, place):
        assert not folder.exists()
        if not folders:
            folders.append(folder)
            folder.mkdir()
            (folder / "half").touch()
            raise OSError("the disk is full")
        unpack(packed, folder, place)

    monkeypatch.setattr(worker_module, "unpack_analysis", fail_once)
    assert run(rows, cfg, replace(batch, chunk_frames=4), tmp_path)["ann"].state == "done"


def test_what_is_left_of_other_batches_stays(cfg, batch, rows, tmp_path):
    work = tmp_path / "out" / ".work"
    for name in ("eve-0123456789abcdef", "ann-0123456789abcdef"):
        (work / name).mkdir(parents=True)
        (work / name / "analysis.tar.gz").touch()
    run(rows[:1], cfg, batch, tmp_path)
    assert [path.name for path in work.iterdir()] == ["eve-0123456789abcdef"]


def test_a_worker_that_fetches_its_parts_counts_as_moving(cfg, batch, tmp_path, monkeypatch):
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))
    seen: list[str] = []
    fetch, move = worker_module.get_range, Stall.move
    monkeypatch.setattr(worker_module, "get_range", lambda *told: [seen.append("fetched"), fetch(*told)])
    monkeypatch.setattr(Stall, "move", lambda self: [seen.append("moved"), move(self)])
    run(rows, cfg, replace(batch, chunk_frames=4), tmp_path)
    after = [seen[place + 1] for place, what in enumerate(seen) if what == "fetched"]
    assert after == ["moved"] * 3


def test_an_input_that_changes_amid_its_dub_fails_the_row(cfg, batch, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))

    def change(task: Task) -> bool:
        if task.kind == "join":
            Path(rows[0].speech).touch()
        return False

    outcome = run(rows, cfg, replace(batch, chunk_frames=4), tmp_path, change)["ann"]
    assert outcome.state == "failed" and "ann.wav: was changed while it was dubbed" in outcome.reason


@pytest.mark.parametrize("kind", ["begin", "render", "join"])
def test_a_task_whose_worker_died_is_done_again(cfg, batch, tmp_path, kind):
    rows = draw_rows(tmp_path, tmp_path / "out", 10, ("ann",))
    died: list[str] = []

    def die_once(task: Task) -> bool:
        dies = task.kind == kind and not died
        died.extend([task.name] * dies)
        return dies

    outcome = run(rows, cfg, replace(batch, chunk_frames=4), tmp_path, die_once)["ann"]
    assert (outcome.state, outcome.attempts, outcome.chunks) == ("done", 2, 3) and len(died) == 1


def test_a_row_that_kills_its_workers_is_given_up_and_the_others_are_done(cfg, batch, rows, tmp_path):
    tried: list[int] = []

    def die(task: Task) -> bool:
        tried.extend([task.attempt] * (task.row.id == "ann"))
        return task.row.id == "ann"

    outcomes = run(rows, cfg, batch, tmp_path, die)
    assert tried == [1, 2, 3] and outcomes["bob"].state == "done"
    assert outcomes["ann"].state == "failed" and "its worker died" in outcomes["ann"].reason
    assert "(3 attempts)" in outcomes["ann"].reason and outcomes["ann"].attempts == 3


def test_a_name_that_cannot_be_is_not_tried_again(cfg, batch, rows, tmp_path):
    Path(rows[0].output).mkdir(parents=True)
    outcome = run(rows[:1], cfg, batch, tmp_path)["ann"]
    assert "is a folder" in outcome.reason and outcome.attempts == 1


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(cfg, batch, rows, tmp_path, monkeypatch):
    calls: list[str] = []

    def fail(self, video, speech, output):
        calls.append(Path(video).stem)
        raise RuntimeError("CUDA out of memory") if Path(video).stem == "ann" else ValueError("odd")

    monkeypatch.setattr(SegTalker, "check", fail)
    outcomes = run(rows, cfg, replace(batch, attempts=2), tmp_path)
    assert calls.count("ann") == 2
    assert outcomes["ann"].reason == "RuntimeError: CUDA out of memory (2 attempts)"
