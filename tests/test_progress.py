"""Clock, bar and report of a run."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from pathlib import Path

from segtalker import progress
from segtalker.progress import Progress, ProgressBar, StageClock
from segtalker.report import DubReport, report_path


class Hands:
    """The hands of the clock, moved by the test."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress.time, "perf_counter", lambda: self.now)

    def move(self, seconds: float) -> None:
        self.now += seconds


def test_the_clock_charges_a_stage_for_itself_alone(monkeypatch):
    clock, hands = StageClock(), Hands(monkeypatch)

    def slow_frames():
        for _ in range(3):
            hands.move(1)
            yield None

    with clock("encode"):
        for _ in clock.iterate("decode", slow_frames()):
            hands.move(2)
    assert clock.seconds == {"decode": 3, "encode": 6}


def test_the_clock_charges_a_stage_that_fails(monkeypatch):
    clock, hands = StageClock(), Hands(monkeypatch)
    with contextlib.suppress(ValueError), clock("faces"):
        hands.move(1)
        raise ValueError
    with clock("paste"):
        hands.move(2)
    assert clock.seconds == {"faces": 1, "paste": 2}


def test_threads_are_in_stages_of_their_own_and_their_seconds_add_up(monkeypatch):
    clock, hands = StageClock(), Hands(monkeypatch)

    def other() -> None:
        with clock("paste"):
            hands.move(1)

    with clock("decode"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        hands.move(1)
    assert clock.seconds == {"paste": 1, "decode": 2}  # both were at work while the other one ran


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
