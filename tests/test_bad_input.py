"""Every bad input works by the frame plan or ends in one clear line, and existing files stay as they are."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from segtalker.compositing.plan import PlanConfig
from segtalker.config import load_config
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.errors import ConfigError, FaceNotFound, MediaError, SegTalkerError, StorageError, WeightsError
from segtalker.local_stages import LocalStages
from segtalker.media import write
from segtalker.pipeline import SegTalker
from tests.dubbing import BlobFaces, blank_frame, talking_clip, talking_frame, tiny_weights, write_speech


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> DubConfig:
    weights = tiny_weights(tmp_path_factory.mktemp("weights"))
    return DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        plan=PlanConfig(chunk_frames=4),
        threads=1,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", 12)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "speech.wav", 0.4)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An output that was there before."""
    output = tmp_path / "out" / "film.mp4"
    output.parent.mkdir()
    output.write_bytes(b"an older film")
    return output


def dub(cfg: DubConfig, video: Path, speech: Path, output: Path):
    return SegTalker(cfg, LocalStages(cfg, BlobFaces())).dub(video, speech, output, quiet=True)


def refuses(
    kind: type[SegTalkerError], words: str, cfg: DubConfig, video: Path, speech: Path, old: Path
) -> None:
    """The dub ends with one line of `kind` that says `words`; the older output stays, nothing appears."""
    with pytest.raises(kind, match=words) as caught:
        dub(cfg, video, speech, old)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20
    assert caught.value.exit_code != 0
    assert old.read_bytes() == b"an older film"
    assert list(old.parent.iterdir()) == [old]


def test_no_face_at_all(tiny, speech, old, tmp_path):
    video = talking_clip(tmp_path / "empty.mp4", 12, lambda index: blank_frame(value=90))
    refuses(FaceNotFound, r"empty\.mp4.*no face", tiny, video, speech, old)


def test_a_speaker_who_is_not_there(tiny, clip, speech, old):
    refuses(FaceNotFound, r"talk\.mp4.*index:7.*track 0", replace(tiny, speaker="index:7"), clip, speech, old)


def test_a_bad_photo_of_the_speaker_is_noticed_before_faces_are_looked_for(
    tiny, clip, speech, old, monkeypatch
):
    monkeypatch.setattr("segtalker.analysis.find_tracks", lambda *_: pytest.fail("too late"))
    refuses(MediaError, "none.png", replace(tiny, speaker="photo:none.png"), clip, speech, old)


def test_only_faces_that_cannot_be_used_are_counted(tiny, clip, speech, old):
    picky = replace(tiny, plan=PlanConfig(min_face_px=500))
    refuses(FaceNotFound, "10 too_small.*min_face_px", picky, clip, speech, old)


def test_a_face_in_a_few_frames_is_dubbed_there(tiny, speech, old, tmp_path):
    video = talking_clip(
        tmp_path / "few.mp4", 12, lambda i: talking_frame(i) if 5 <= i < 9 else blank_frame(value=90)
    )
    report = dub(tiny, video, speech, old)
    assert report.frames == {"synthesized": 4, "no_face": 6}


def test_a_picture_without_a_face(tiny, speech, old, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "wall.png"), np.full((80, 80, 3), 120, np.uint8))
    refuses(FaceNotFound, "wall.png.*no face", tiny, tmp_path / "wall.png", speech, old)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("text", "not a media file"),
        ("folder", "is a folder"),
        ("speech only", "holds audio but no video stream"),
    ],
)
def test_a_video_that_is_none(tiny, speech, old, tmp_path, kind, says):
    video = tmp_path / "bad.mp4"
    if kind == "empty":
        video.write_bytes(b"")
    elif kind == "text":
        video.write_text("not a film " * 100)
    elif kind == "folder":
        video.mkdir()
    elif kind == "speech only":
        video = write_speech(tmp_path / "bad.wav", 0.4)
    refuses(MediaError, f"{video.name}: {says}", tiny, video, speech, old)


@pytest.fixture(scope="module")
def film(tiny, tmp_path_factory) -> Path:
    """40 frames in an mp4 whose index comes first, as every output has it."""
    folder = tmp_path_factory.mktemp("film")
    video, speech = talking_clip(folder / "whole.mkv", 40), write_speech(folder / "whole.wav", 1.6)
    dub(tiny, video, speech, folder / "film.mp4")
    return folder / "film.mp4"


def cut(path: Path, whole: Path, share: float) -> Path:
    path.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * share)])
    return path


@pytest.mark.parametrize(
    ("whole", "says"), [("film.mp4", "cut short: .* of 40 announced"), ("whole.mkv", "its pictures end at")]
)
def test_a_truncated_video_is_dubbed_as_far_as_it_goes(tiny, film, old, tmp_path, whole, says):
    video = cut(tmp_path / f"cut{whole}", film.with_name(whole), 2 / 3)
    report = dub(tiny, video, film.with_name("whole.wav"), old)
    assert 10 < report.num_frames == report.synthesized < 40
    assert re.search(f"cut{whole}: {says}", report.warnings[0])
    assert any("speech were cut: the video is shorter" in warning for warning in report.warnings)


def test_a_video_whose_index_was_cut_off_is_refused(tiny, clip, speech, old, tmp_path):
    refuses(
        MediaError,
        r"cut\.mp4: .*copy or export it again",
        tiny,
        cut(tmp_path / "cut.mp4", clip, 0.6),
        speech,
        old,
    )


def test_damaged_bytes_in_the_middle_cost_the_frames_that_they_hit(tiny, film, old, tmp_path):
    data = bytearray(film.read_bytes())
    with av.open(film) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = np.random.default_rng(0).bytes(packet.size)
    (tmp_path / "hurt.mp4").write_bytes(data)
    report = dub(tiny, tmp_path / "hurt.mp4", film.with_name("whole.wav"), old)
    assert report.num_frames == 40  # the frame before stands in: nothing moves in time
    assert any(re.search(r"hurt\.mp4: \d+ of 40 frames do not decode", told) for told in report.warnings)


def test_speech_of_zero_length(tiny, clip, old, tmp_path):
    says = r"none\.wav: its audio stream holds no sound \(zero length\)"
    refuses(MediaError, says, tiny, clip, write_speech(tmp_path / "none.wav", 0), old)


def test_a_video_without_sound_as_speech(tiny, clip, old):
    refuses(MediaError, r"talk\.mp4: has no audio stream", tiny, clip, clip, old)


def test_silent_speech_works_and_says_so(tiny, clip, old, tmp_path):
    report = dub(tiny, clip, write_speech(tmp_path / "silent.wav", 0.4, loudness=0.0), old)
    assert report.synthesized == 10 and any("silent" in warning for warning in report.warnings)


def test_an_output_that_cannot_be_written_is_noticed_before_any_work(
    tiny, clip, speech, tmp_path, monkeypatch
):
    monkeypatch.setattr("segtalker.passes.decode_speech", lambda *_: pytest.fail("too late"))
    (tmp_path / "file").write_bytes(b"x")
    for output, words in (
        (tmp_path / "file" / "out.mp4", "cannot write"),
        (tmp_path, "is a folder"),
        (clip, "is an input"),
    ):
        with pytest.raises(StorageError, match=words):
            dub(tiny, clip, speech, output)
    assert (tmp_path / "file").read_bytes() == b"x" and clip.stat().st_size > 1000


@pytest.mark.parametrize(
    ("full_at", "says", "kept"),
    [
        ("speech.npy", r"film\.mp4: cannot write: the disk is full", 0),
        ("000001.unfinished.mp4", r"000001\.unfinished\.mp4: cannot write it \(No space", 1),
        ("film.mp4", r"film\.mp4: cannot write it \(No space", 3),
    ],
)
def test_a_full_disk_keeps_what_is_done_for_the_next_run(
    tiny, clip, speech, old, monkeypatch, full_at, says, kept
):
    real = os.replace

    def full(source, target):
        if Path(target).name == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a write names no file
        real(source, target)

    monkeypatch.setattr(write.os, "replace", full)
    with pytest.raises((StorageError, MediaError), match=says) as caught:
        dub(tiny, clip, speech, old)
    assert "\n" not in str(caught.value) and old.read_bytes() == b"an older film"
    assert len(list(old.parent.glob(".*"))) == (1 if kept else 0)
    monkeypatch.setattr(write.os, "replace", real)
    report = dub(tiny, clip, speech, old)
    assert report.reused_segments == kept
    assert old.read_bytes() != b"an older film" and not list(old.parent.glob(".*"))


def test_a_full_disk_is_named_where_work_is_kept_elsewhere(tiny, clip, speech, old, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(write.os, "replace", full)
    with pytest.raises(StorageError, match=f"^{tmp_path / 'work'}: cannot write: the disk is full"):
        segtalker = SegTalker(tiny, LocalStages(tiny, BlobFaces()))
        segtalker.dub(clip, speech, old, work_dir=tmp_path / "work", quiet=True)
    assert old.read_bytes() == b"an older film" and list(old.parent.iterdir()) == [old]


def test_unknown_configuration_keys_are_refused_with_a_hint():
    with pytest.raises(ConfigError, match="did you mean 'sync_mode'"):
        load_config(DubConfig, None, ["sync_mod=loop"])
    with pytest.raises(ConfigError, match=r"did you mean 'plan\.min_face_px'"):
        load_config(DubConfig, None, ["plan.min_face=3"])
    with pytest.raises(ConfigError, match="not one of"):
        load_config(DubConfig, None, ["sync_mode=sideways"])
    with pytest.raises(ConfigError, match="speaker"):
        load_config(DubConfig, None, ["speaker=loudest"])
    assert load_config(DubConfig, None, ["adapt.steps=5"]).adapt.steps == 5


@pytest.mark.parametrize(
    "setting",
    [
        "seed=-1",
        "encode.preset=quick",
        "encode.audio_kbps_per_channel=0",
        "faces.threads=0",
        "faces.max_faces=0",
        "analysis.adapt_frames=0",
        "portrait.frame_rate=0",
        "portrait.max_side=0",
        "adapt.steps=0",
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ConfigError, match=setting.split("=")[0].split(".")[-1]):
        load_config(DubConfig, None, [setting])


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(tiny, clip, speech, old, device):
    refuses(ConfigError, f"{device}.*Take auto or cpu", replace(tiny, device=device), clip, speech, old)


def test_weights_that_are_missing_damaged_or_of_another_network(tiny, clip, speech, old, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(Path(tiny.tsg.weights).read_bytes()[:-100])
    for weights, words in (
        (tmp_path / "none.safetensors", "no such weights"),
        (damaged, "damaged"),
        (Path(tiny.sgi.weights), "not a 'tsg'"),
    ):
        cfg = replace(tiny, tsg=NetworkConfig(weights=str(weights)))
        refuses(WeightsError, words, cfg, clip, speech, old)


def test_weights_of_another_size_are_refused(tiny, clip, speech, old, tmp_path):
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(tiny.tsg.weights, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    tensors[name] = torch.cat([tensors[name], tensors[name]])
    save_file(tensors, str(tmp_path / "large.safetensors"), header)
    cfg = replace(tiny, tsg=NetworkConfig(weights=str(tmp_path / "large.safetensors")))
    refuses(WeightsError, "another size", cfg, clip, speech, old)


def test_the_command_line_ends_with_one_line_and_a_code(speech, tmp_path):
    command = [sys.executable, "-m", "segtalker", "dub", str(tmp_path / "none.mp4"), str(speech)]
    command += ["-o", str(tmp_path / "out.mp4"), "--set", "sync_mod=loop"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == ConfigError.exit_code
    assert len(result.stderr.strip().splitlines()) == 1 and "did you mean" in result.stderr
