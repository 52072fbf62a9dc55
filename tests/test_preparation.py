"""`segtalker prepare`, from files on the disk to a first step of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import segtalker.data.prepare_run as run_module
from segtalker.cli import main
from segtalker.config import to_yaml
from segtalker.data.manifest import read_manifest
from segtalker.data.shards import ShardReader
from segtalker.errors import DataError
from segtalker.synthetic.plan import SynthConfig
from segtalker.synthetic.rows import corpus_rows
from tests.data.clips import CONFIG, blob_tools, blob_video
from tests.data.hdtf_files import touch_videos, write_hdtf
from tests.dubbing import require_face_models

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def _blobs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_module, "load_tools", lambda cfg: blob_tools())


@pytest.mark.usefixtures("_blobs")
def test_a_folder_of_videos_becomes_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("ann", "bob"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        blob_video(tmp_path / "videos" / name / "1.mp4", 12)
    (tmp_path / "prepare.yaml").write_text(to_yaml(CONFIG))
    words = ["prepare", "folder", str(tmp_path / "videos"), "--out", str(tmp_path / "out")]
    assert main([*words, "--config", str(tmp_path / "prepare.yaml"), "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("2 of 2 clips done")
    assert {row.identity for row in ShardReader(tmp_path / "out").rows} == {"ann", "bob"}


def test_hdtf_is_planned_with_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lists, videos = write_hdtf(tmp_path), touch_videos(tmp_path / "videos", "Radio1.mp4")
    words = ["prepare", "hdtf", str(lists), "--videos", str(videos), "--out", str(tmp_path / "out")]
    assert main([*words, "--plan-only"]) == 0
    said = capsys.readouterr().out
    assert "17.07" in said and "clips have no video" in said and "1 clips planned" in said
    assert [row.clip for row in read_manifest(tmp_path / "out" / "manifest.jsonl")] == ["RD_Radio1_000"]


def test_lists_alone_are_counted_and_not_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["prepare", "hdtf", str(write_hdtf(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*words, "--plan-only"]) == 0
    assert "17.07" in capsys.readouterr().out and not (tmp_path / "out").exists()
    assert main(words) == 2
    assert "--videos" in capsys.readouterr().err


def test_who_downloads_is_told_that_it_takes_the_right_to(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["prepare", "hdtf", "--help"])
    assert "only if you have the right to" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("_blobs")
def test_a_run_without_one_good_clip_is_an_error_with_a_reason(tmp_path: Path, capsys):
    touch_videos(tmp_path / "videos", "empty.mp4")
    words = ["prepare", "folder", str(tmp_path / "videos"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(words) == DataError.exit_code
    error = capsys.readouterr().err
    assert "not one of 1 clips" in error and "empty.mp4" in error and error.count("\n") == 1


def test_a_synthetic_corpus_brings_its_people_splits_and_phones(tmp_path: Path):
    cfg = SynthConfig(preset="clips", clips=2, splits=("train", "val"))
    (tmp_path / "corpus.yaml").write_text(to_yaml(cfg))
    touch_videos(tmp_path, "train-0000/train-00000.mp4", "train-0000/train-00000.json")
    touch_videos(tmp_path, "train-0000/train-00001.mp4", "val-0000/val-00000.json")
    rows = corpus_rows(tmp_path)
    assert [(row.clip, row.split) for row in rows] == [("train-00000", "train"), ("val-00000", "val")]
    assert len({row.identity for row in rows}) == 2 and all(row.voice.startswith(row.engine) for row in rows)
    (tmp_path / "corpus.yaml").write_text(to_yaml(SynthConfig()))
    with pytest.raises(DataError, match="is prepared already"):
        corpus_rows(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)  # two clips are spoken and drawn first
@pytest.mark.weights
def test_syncnet_trains_on_what_was_prepared_from_videos(tmp_path: Path):
    require_face_models()
    from segtalker.synthetic.video import demo_clip

    for folder, seed in (("ann", 0), ("bob", 1)):
        (tmp_path / "videos" / folder).mkdir(parents=True)
        video = demo_clip(tmp_path / "videos" / folder / "clip.mp4", 1.6, seed, (240, 240))
        assert json.loads(video.with_suffix(".json").read_text())["phones"]
    rows = [
        {
            "clip": name,
            "source": str(tmp_path / "videos" / name / "clip.mp4"),
            "identity": name,
            "split": split,
        }
        | {"labels": str(tmp_path / "videos" / name / "clip.json"), "engine": "hibari"}
        for name, split in (("ann", "train"), ("bob", "val"))
    ]
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, run = tmp_path / "shards", tmp_path / "run"
    small = ["--set", "size=32", "--set", "quality.min_s=0.4"]
    assert main(["prepare", "manifest", str(manifest), "--out", str(out), "--workers", "2", *small]) == 0
    reader = ShardReader(out)
    assert {row.split for row in reader.rows} == {"train", "val"} and all(row.phones for row in reader.rows)
    train = ["train", "syncnet", str(CONFIGS / "smoke" / "syncnet.yaml"), "--out", str(run), "--quiet"]
    overrides = ["clips.folder=" + str(out), "run.max_steps=1", "data.clips=1", "data.windows=4"]
    assert main([*train, *(word for override in overrides for word in ("--set", override))]) == 0
    assert list(run.glob("*.safetensors"))
