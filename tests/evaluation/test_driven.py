"""Self- and cross-driven runs: the right task for every method, rows of ours and of others, protocol told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from segtalker.batch.config import BatchConfig
from segtalker.batch.outcome import Outcome
from segtalker.batch.rows import DubRow, read_rows
from segtalker.batch.run import Runner as DubRunner
from segtalker.batch.tasks import Answer, Spent
from segtalker.batch.tasks import Task as DubTask
from segtalker.data.manifest import ClipRow, write_manifest
from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError, DataError
from segtalker.evaluation.clips import Clip
from segtalker.evaluation.columns import COPY, REAL
from segtalker.evaluation.driven import drive, dubbed_folder
from segtalker.evaluation.drives import DrivenConfig, plan_drives, variants_of
from segtalker.evaluation.results import Evaluation
from segtalker.report import report_path
from tests.dubbing import talking_clip, write_speech
from tests.evaluation.fake_score import PROTOCOL, FakeTools


@contextmanager
def _dubbers(rows: Sequence[DubRow], cfg: DubConfig, batch: BatchConfig, out: str) -> Iterator[DubRunner]:
    """Dubs that are a line of text; a row of clip `bad` fails."""

    def work(tasks: Sequence[DubTask]) -> Iterator[Answer]:
        for task in tasks:
            row = task.row
            if "bad" in row.id:
                outcome = Outcome(id=row.id, state="failed", reason="no face", output=row.output)
            else:
                Path(row.output).parent.mkdir(parents=True, exist_ok=True)
                Path(row.output).write_text(f"{row.id} {row.options}")
                told = {"duration_s": 0.4, "timings_s": {"tsg": 2.0}, "reused_segments": 0, "tracks": []}
                report_path(Path(row.output)).write_text(json.dumps(told))
                outcome = Outcome(id=row.id, state="done", output=row.output, duration_s=0.4)
            yield Answer(task=task.name, outcome=outcome, spent=Spent())

    yield work


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A prepared folder of three people, a clip each; one has no sound."""
    rows = []
    for person in ("ann", "bob", "mute"):
        video = talking_clip(tmp_path / f"{person}.mp4", 8)
        if person != "mute":
            video = _with_sound(video, write_speech(tmp_path / f"{person}.wav", 0.32))
        labels = tmp_path / f"{person}.json"
        labels.write_text(json.dumps({"phones": [[person, 0.0, 0.32]]}))
        rows.append(
            ClipRow(clip=person, source=str(video), identity=person, split="test", labels=str(labels))
        )
    write_manifest(rows, tmp_path / "data" / "manifest.jsonl")
    return tmp_path / "data"


def _with_sound(video: Path, sound: Path) -> Path:
    from fractions import Fraction

    import numpy as np

    from segtalker.media.write import encode_audio, mux

    encode_audio(sound, sound.with_suffix(".m4a"), Fraction(8, 25))
    mux([video], sound.with_suffix(".m4a"), video.with_suffix(".mov"), np.arange(9), Fraction(1, 25))
    return video.with_suffix(".mov")


def _drive(data: Path, out: Path, kind: str, **told: object) -> Evaluation:
    cfg = DrivenConfig(kind=kind, **told)  # type: ignore[arg-type]
    return drive(data, out, cfg, PROTOCOL, DubConfig(), _dubbers)


def test_self_driven_clips_are_measured_against_themselves(tmp_path: Path, data: Path, tools: FakeTools):
    result = _drive(data, tmp_path / "out", "self")
    assert [method.method for method in result.methods] == [REAL, COPY, "segtalker", "segtalker, detail off"]
    assert set(result.method("segtalker").videos) == {"ann", "bob"}
    pair = next(pair for pair in tools.seen if "dubbed" in pair.output and pair.id == "ann")
    clips = tmp_path / "out" / "clips"
    assert pair.reference == pair.source == str(clips / "ann.mp4") and pair.speech == str(clips / "ann.wav")
    assert any("'mute' was left out" in note for note in result.notes)
    assert (
        "segtalker: 300 s of work for a minute of video (tsg 300), by the clocks of 2 dubs." in result.notes
    )
    assert result.protocol["driven"]["kind"] == "self"
    assert result.protocol["made"]["rows"]["segtalker, detail off"]["settings"] == [
        "paste.detail_transfer=false"
    ]


def test_cross_driven_clips_say_what_others_say_and_have_no_reference(
    tmp_path: Path,
    data: Path,
    tools: FakeTools,
):
    result = _drive(data, tmp_path / "out", "cross")
    assert set(result.method("segtalker").videos) == {"ann.says.bob", "bob.says.ann"}
    pair = next(pair for pair in tools.seen if "dubbed" in pair.output and pair.id == "ann.says.bob")
    clips = tmp_path / "out" / "clips"
    assert (pair.reference, pair.source) == ("", str(clips / "ann.mp4"))
    assert pair.speech == str(clips / "bob.wav")
    assert result.protocol["made"]["says"] == {"ann.says.bob": "bob", "bob.says.ann": "ann"}
    real = next(pair for pair in tools.seen if pair.output == str(clips / "ann.mp4") and not pair.speech)
    assert real.source == real.output and real.labels == str(clips / "ann.json")  # with its own sound
    assert pair.labels == str(clips / "bob.json")


def test_the_task_is_a_manifest_for_any_method_and_its_videos_become_a_row(
    tmp_path: Path,
    data: Path,
    tools: FakeTools,
):
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    _drive(data, out, "self")
    rows = read_rows(out / "rows.jsonl", str(theirs))
    theirs.mkdir()
    shutil.copy(rows[0].video, rows[0].output)
    cfg = DrivenConfig(kind="self")
    result = drive(data, out, cfg, PROTOCOL, DubConfig(), _dubbers, {"theirs": str(theirs)})
    assert set(result.method("theirs").videos) == {rows[0].id}
    (missing,) = result.method("theirs").failures
    assert missing.id == rows[1].id and missing.reason.startswith("no video")


def test_a_dub_that_failed_is_a_row(tmp_path: Path, data: Path, tools: FakeTools):
    manifest = data / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"clip": "bob"', '"clip": "bad"'))
    result = _drive(data, tmp_path / "out", "self")
    assert set(result.method("segtalker").videos) == {"ann"}
    (failure,) = result.method("segtalker").failures
    assert (failure.id, failure.reason) == ("bad", "no video: no face")


def test_what_other_settings_made_is_not_scored_where_a_dub_fails(
    tmp_path: Path, data: Path, tools: FakeTools
):
    manifest = data / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"clip": "bob"', '"clip": "bad"'))
    earlier = dubbed_folder(tmp_path / "out", "segtalker") / "bad.mp4"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("of an earlier run")
    result = _drive(data, tmp_path / "out", "self")
    assert set(result.method("segtalker").videos) == {"ann"}
    assert [failure.reason for failure in result.method("segtalker").failures] == ["no video: no face"]


def test_variants_are_rows_and_their_settings_are_checked_before_any_work(
    tmp_path: Path,
    data: Path,
    tools: FakeTools,
):
    variants = {"plain": (), "wide": ("paste.detail_transfer=false",)}
    result = _drive(data, tmp_path / "out", "self", variants=variants)
    assert [method.method for method in result.own_methods()] == ["plain", "wide"]
    with pytest.raises(ConfigError, match="did you mean 'paste.detail_transfer'"):
        _drive(data, tmp_path / "other", "self", variants={"x": ("paste.detail_tranfer=false",)})
    assert not (tmp_path / "other").exists()


def test_a_name_cannot_be_ours_and_theirs(tmp_path: Path, data: Path):
    with pytest.raises(ConfigError, match="'segtalker' is both a row of ours and a --method"):
        drive(
            data,
            tmp_path / "out",
            DrivenConfig(kind="self"),
            PROTOCOL,
            DubConfig(),
            _dubbers,
            {"segtalker": "x"},
        )


@pytest.mark.parametrize(
    ("variants", "others", "complaint"),
    [
        ({"real": ()}, {}, "a row cannot be called 'real'"),
        ({"ours": ()}, {"copy the input": "x"}, "a row cannot be called 'copy the input'"),
        ({"no detail": (), "no_detail": ("seed=1",)}, {}, "'no detail' and 'no_detail' share a folder"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_refused_before_any_work(
    tmp_path: Path, data: Path, variants: dict[str, tuple[str, ...]], others: dict[str, str], complaint: str
):
    cfg = DrivenConfig(kind="self", variants=variants)
    with pytest.raises(ConfigError, match=complaint):
        drive(data, tmp_path / "out", cfg, PROTOCOL, DubConfig(), _dubbers, others)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["other.mp4", None])
def test_a_folder_with_no_video_of_the_task_is_refused_before_anything_is_dubbed(
    tmp_path: Path, data: Path, name: str | None
):
    theirs = tmp_path / "theirs"
    if name is not None:
        theirs.mkdir()
        (theirs / name).touch()
    cfg = DrivenConfig(kind="self")
    with pytest.raises(DataError, match="no video of any row|no such folder"):
        drive(data, tmp_path / "out", cfg, PROTOCOL, DubConfig(), _dubbers, {"theirs": str(theirs)})
    assert not (tmp_path / "out" / "dubbed").exists()


def test_a_manifest_of_pairs_tells_where_the_videos_of_another_method_are(
    tmp_path: Path, data: Path, tools: FakeTools
):
    pairs = tmp_path / "theirs" / "pairs.jsonl"
    pairs.parent.mkdir()
    pairs.write_text(json.dumps({"id": "ann", "output": "anything.mov"}) + "\n")
    (pairs.parent / "anything.mov").write_text("a video")
    cfg = DrivenConfig(kind="self")
    result = drive(data, tmp_path / "out", cfg, PROTOCOL, DubConfig(), _dubbers, {"theirs": str(pairs)})
    assert set(result.method("theirs").videos) == {"ann"}
    assert [failure.id for failure in result.method("theirs").failures] == ["bob"]


def test_detail_transfer_is_told_apart_where_source_and_target_are_one():
    assert len(variants_of(DrivenConfig(kind="self"))) == 2
    assert list(variants_of(DrivenConfig(kind="cross"))) == ["segtalker"]


def test_folders_of_rows_have_plain_names(tmp_path: Path):
    assert dubbed_folder(tmp_path, "segtalker, detail off").name == "segtalker__detail_off"


def test_ids_of_cross_driven_dubs_are_ids_of_a_batch(tmp_path: Path):
    clips = [Clip(name, name, "/v.mp4", "/s.wav", "", 1.0) for name in ("a.b", "c_d")]
    lines = [
        json.dumps({"id": item.id, "video": "v", "speech": "s"})
        for item in plan_drives(clips, DrivenConfig(kind="cross"))
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    assert {row.id for row in read_rows(tmp_path / "rows.jsonl", str(tmp_path))} == {
        "a.b.says.c_d", "c_d.says.a.b",
    }  # fmt: skip
