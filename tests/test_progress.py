"""Clock, bar and report of a run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from segtalker.progress import Progress, ProgressBar, StageClock
from segtalker.report import DubReport, report_path


def test_the_clock_charges_a_stage_for_itself_alone():
    clock = StageClock()

    def slow_frames():
        for _ in range(3):
            time.sleep(0.01)
            yield None

    with clock("encode"):
        for _ in clock.iterate("decode", slow_frames()):
            time.sleep(0.02)
    assert 0.03 <= clock.seconds["decode"] < 0.055
    assert 0.06 <= clock.seconds["encode"] < 0.085


def test_the_clock_charges_a_stage_that_fails():
    clock = StageClock()
    try:
        with clock("faces"):
            time.sleep(0.01)
            raise ValueError
    except ValueError:
        pass
    with clock("paste"):
        pass
    assert clock.seconds["faces"] >= 0.01 and clock.seconds["paste"] < 0.005


def test_no_bar_is_drawn_where_nobody_looks(capsys):
    with ProgressBar() as bar:
        bar(Progress("rendering", 1, 2))
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_the_stage_and_its_end(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar() as bar:
        bar(Progress("finding faces", 3, 10))
        bar(Progress("rendering", 2, 2))
    shown = capsys.readouterr().err
    assert "finding faces" in shown and "rendering" in shown and "2/2" in shown


def test_the_report_reads_back_and_sums_up_what_happened():
    report = DubReport(
        output="out.mp4",
        video="in.mp4",
        speech="speech.wav",
        num_frames=100,
        frame_rate="30000/1001",
        duration_s=3.34,
        speech_duration_s=3.34,
        frames={"synthesized": 80, "no_face": 15, "profile": 5},
        tracks=(),
        timings_s={"decode": 1.0, "sgi": 4.0},
        reused_segments=0,
        weights={},
        config={},
        warnings=("the speech is silent",),
    )
    values = json.loads(report.to_json())
    assert values["frames"]["no_face"] == 15 and "python" in values["versions"]
    text = report.summary()
    assert "80 dubbed" in text and "15 no_face, 5 profile" in text and "20.0 frames/s" in text
    assert "the speech is silent" in text
    assert report_path(Path("a/out.mp4")) == Path("a/out.report.json")
