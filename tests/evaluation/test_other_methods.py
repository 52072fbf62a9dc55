"""Commands of other methods run row by row; what they do wrong is told in the row, with its log."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
import yaml

from segtalker.batch.rows import DubRow
from segtalker.errors import ConfigError, DataError
from segtalker.evaluation.method import PRESETS, MethodConfig, fill, load_method
from segtalker.evaluation.other_methods import Method, ready, run_method
from segtalker.evaluation.tasks import plan_tasks
from tests.dubbing import talking_clip, write_speech

COPY = ("cp", "{video}", "{output}")


def _python(code: str, **settings: object) -> Method:
    """A method that is a line of Python, given video, speech, output and work folder."""
    words = ("{python}", "-c", code, "{video}", "{speech}", "{output}", "{work}")
    return ready(MethodConfig(name="mine", command=words, **settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> DubRow:
    folder = tmp_path_factory.mktemp("inputs")
    video, speech = talking_clip(folder / "a b.mp4", 4), write_speech(folder / "s.wav", 0.2)
    return DubRow(id="one", video=str(video), speech=str(speech), output=str(folder / "unused.mp4"))


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_method_of_the_repository_loads_under_its_file_name(path: Path):
    cfg = load_method(path.stem)
    assert cfg.name == path.stem
    assert any("{video}" in text for text in (*cfg.command, *cfg.files.values()))


def test_the_methods_that_were_asked_for_are_there():
    names = {path.stem for path in PRESETS.glob("*.yaml")}
    assert names == {"wav2lip", "ip_lap", "musetalk", "latentsync", "segtalker", "copy"}


def test_words_in_files_are_quoted_so_that_any_path_is_yaml():
    cfg = load_method("musetalk")
    words = dict.fromkeys(("video", "speech"), 'a: "b" #c')
    task = yaml.safe_load(fill(cfg.files["task.yaml"], words, quoted=True))["task_0"]
    assert task == {"video_path": 'a: "b" #c', "audio_path": 'a: "b" #c'}


def test_a_video_is_made_and_found_again(tmp_path: Path, row: DubRow):
    method = ready(MethodConfig(name="copy", command=COPY))
    (first,) = run_method(method, [row], tmp_path)
    made = tmp_path / "one.mp4"
    assert first.state == "done" and made.read_bytes() == Path(row.video).read_bytes()
    stamp = made.stat().st_mtime_ns
    (again,) = run_method(method, [row], tmp_path)
    assert again.state == "found" and made.stat().st_mtime_ns == stamp and again.key == first.key
    assert json.loads((tmp_path / "outcomes.jsonl").read_text())["state"] == "found"
    assert not (tmp_path / ".work").exists()


def test_what_was_run_can_be_scored_as_it_lies(tmp_path: Path, row: DubRow):
    run_method(ready(MethodConfig(name="copy", command=COPY)), [row], tmp_path)
    tasks = plan_tasks({"copy": str(tmp_path / "pairs.jsonl")})
    (pair,) = [task.pair for task in tasks if task.method == "copy"]
    assert pair.output == str(tmp_path / "one.mp4") and (pair.source, pair.speech) == (row.video, row.speech)


def test_a_method_may_choose_its_name_and_read_a_file(tmp_path: Path, row: DubRow):
    code = "import json, shutil, sys; t = json.load(open(sys.argv[4] + '/t.json')); "
    code += "shutil.copy(t['v'], sys.argv[4] + '/any name.mp4')"
    method = _python(code, files={"t.json": '{"v": {video}}'}, makes="*.mp4")
    (outcome,) = run_method(method, [row], tmp_path)
    assert outcome.state == "done", outcome.reason


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit('Face not detected!')", "ended with 1: Face not detected! ("),
        ("print('all is well')", "it left none, though the command ended well: all is well"),
        ("import sys; open(sys.argv[3], 'w').write('no video')", "output.mp4"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
    ],
)
def test_a_method_that_makes_no_video_is_a_row_with_the_end_of_its_log(
    tmp_path: Path, row: DubRow, code: str, why: str
):
    good = DubRow(id="two", video=row.video, speech=row.speech, output=row.output)
    (bad,) = run_method(_python(code), [row], tmp_path)
    assert bad.state == "failed" and why in bad.reason and "\n" not in bad.reason
    assert not (tmp_path / "one.mp4").exists() and (tmp_path / "logs" / "one.log").exists()
    states = [outcome.state for outcome in run_method(ready(load_method("copy")), [row, good], tmp_path)]
    assert states == ["done", "done"]


def test_a_method_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, row: DubRow):
    child = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
    words = f"[sys.executable, '-c', {child!r}, {str(tmp_path / 'pid')!r}]"
    code = f"import subprocess, sys; subprocess.run({words})"
    started = time.monotonic()
    (outcome,) = run_method(_python(code, timeout_s=1.5), [row], tmp_path)
    assert outcome.state == "failed" and "not done after 1.5 s" in outcome.reason
    assert time.monotonic() - started < 20
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if _ended(pid):
            break
        time.sleep(0.05)
    assert _ended(pid)


def _ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_a_video_of_somebody_else_is_kept_unless_told_otherwise(tmp_path: Path, row: DubRow):
    method = ready(MethodConfig(name="copy", command=COPY))
    (tmp_path / "one.mp4").write_text("mine")
    (refused,) = run_method(method, [row], tmp_path)
    assert refused.state == "failed" and "not made of these inputs by this command" in refused.reason
    assert (tmp_path / "one.mp4").read_text() == "mine"
    (made,) = run_method(method, [row], tmp_path, overwrite=True)
    assert made.state == "done"


def test_an_input_that_is_absent_is_a_row_and_one_in_a_bucket_is_refused(tmp_path: Path, row: DubRow):
    method = ready(MethodConfig(name="copy", command=COPY))
    absent = DubRow(id="a", video=str(tmp_path / "no.mp4"), speech=row.speech, output=row.output)
    (outcome,) = run_method(method, [absent], tmp_path)
    assert outcome.state == "failed" and "no.mp4" in outcome.reason
    remote = DubRow(id="a", video="s3://bucket/a.mp4", speech=row.speech, output=row.output)
    with pytest.raises(DataError, match=r"s3://bucket/a\.mp4: methods of others read local files only"):
        run_method(method, [remote], tmp_path)


def test_what_is_missing_of_a_method_is_told_before_any_row(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"wav2lip: name the folder of its code \(--checkout\)"):
        ready(load_method("wav2lip"))
    with pytest.raises(ConfigError, match="no inference.py in it, which wav2lip needs"):
        ready(load_method("wav2lip"), tmp_path)
    with pytest.raises(ConfigError, match="there is no program 'no-such-program'"):
        ready(MethodConfig(name="x", command=("no-such-program", "{output}")))


def test_a_whole_checkout_runs_there_with_its_python(tmp_path: Path, row: DubRow):
    checkout = tmp_path / "code"
    for name in load_method("wav2lip").needs:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("import shutil, sys; a = sys.argv; shutil.copy(a[4], a[8])")
    method = ready(load_method("wav2lip"), checkout, sys.executable)
    (outcome,) = run_method(method, [row], tmp_path / "out")
    assert outcome.state == "done", outcome.reason


def test_a_python_that_is_named_from_here_is_found_in_the_checkout(
    tmp_path: Path, row: DubRow, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "python").symlink_to(sys.executable)
    (tmp_path / "code").mkdir()
    monkeypatch.chdir(tmp_path)
    code = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    cfg = MethodConfig(name="mine", command=("{python}", "-c", code, "{video}", "{output}"))
    (outcome,) = run_method(ready(cfg, Path("code"), "env/python"), [row], Path("out"))
    assert outcome.state == "done", outcome.reason


def test_more_patience_makes_no_other_video_but_another_command_does(tmp_path: Path, row: DubRow):
    states = []
    for overrides in ((), ("timeout_s=7200",), ("environment={A: b}",)):
        (outcome,) = run_method(ready(load_method("copy", overrides)), [row], tmp_path)
        states.append(outcome.state)
    assert states == ["done", "found", "failed"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"command": ["x", "{vidoe}"]}, "unknown word {vidoe}"),
        ({"command": ["x", "{video}"]}, "'makes' must say where the video appears"),
        ({"command": []}, "command needs a word"),
        ({"command": ["x", "{output}"], "timeout": 3}, "did you mean 'timeout_s'"),
    ],
)
def test_a_bad_method_file_is_one_line_with_its_name(tmp_path: Path, settings: dict[str, object], why: str):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", **settings}))
    with pytest.raises(ConfigError) as refused:
        load_method(str(path))
    assert why in str(refused.value) and "mine.yaml" in str(refused.value)


def test_an_unknown_method_is_told_with_those_there_are():
    with pytest.raises(ConfigError, match="no method 'wav2lop'; there are copy, ip_lap, latentsync"):
        load_method("wav2lop")
