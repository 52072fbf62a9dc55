"""Clips are cut exactly, with their sound and labels, and speech is exchanged between people."""

from __future__ import annotations

import json
import wave
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from segtalker.data.manifest import ClipRow, CropBox, write_manifest
from segtalker.errors import DataError
from segtalker.evaluation.choice import choose_rows, other_speech
from segtalker.evaluation.clips import Clip, cut_clip
from segtalker.media.audio import decode_speech
from segtalker.media.read import probe, read_frames
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from segtalker.storage import put_file
from segtalker.types import Image

RATE = 16000


def _frame(index: int) -> Image:
    """A picture whose brightness tells its index."""
    return np.full((48, 64, 3), 10 * index + 20, np.uint8)


def _ramp(path: Path, seconds: float) -> Path:
    """Sound that gets louder all the time."""
    count = round(seconds * RATE)
    samples = (np.arange(count) / count * 20000 * np.sign(np.sin(np.arange(count) / 3))).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames at 25 fps, with sound."""
    folder = tmp_path_factory.mktemp("video")
    cfg = EncodeConfig(crf=4, encoder_threads=1)
    write_segment((_frame(index) for index in range(20)), folder / "s.mp4", Fraction(25), cfg)
    encode_audio(_ramp(folder / "s.wav", 0.8), folder / "s.m4a", Fraction(4, 5), cfg)
    mux([folder / "s.mp4"], folder / "s.m4a", folder / "v.mp4", np.arange(21), Fraction(1, 25))
    (folder / "v.json").write_text(
        json.dumps(
            {
                "fps": 25,
                "opening": list(range(20)),
                "phones": [["sil", 0.0, 0.3], ["aa", 0.3, 0.5], ["b", 0.5, 0.8]],
            }
        )
    )
    return folder / "v.mp4"


def _row(video: Path, **values: object) -> ClipRow:
    return ClipRow(**{"clip": "c", "source": str(video), "identity": "p", "split": "test", **values})  # type: ignore[arg-type]


def test_a_clip_holds_the_frames_and_the_sound_of_its_range(tmp_path: Path, video: Path):
    clip = cut_clip(_row(video, start=Fraction(1, 5), end=Fraction(3, 5)), tmp_path)
    assert clip.seconds == 0.4 and probe(clip.video).frame_rate == 25
    told = [round((frame.image.mean() - 20) / 10) for frame in read_frames(clip.video)]
    assert told == list(range(5, 15))
    cut, whole = (decode_speech(path, tmp_path / f"{i}.npy") for i, path in enumerate((clip.speech, video)))
    assert cut.num_samples == round(0.4 * RATE)
    assert np.allclose(cut.samples(), whole.samples(round(0.2 * RATE), round(0.6 * RATE)), atol=1e-3)
    assert not list(tmp_path.glob("*.m4a")) and not list(tmp_path.glob("*.segment.mp4"))


def test_labels_count_from_the_beginning_of_the_clip(tmp_path: Path, video: Path):
    labels = str(video.with_suffix(".json"))
    clip = cut_clip(_row(video, start=Fraction(1, 5), end=Fraction(3, 5), labels=labels), tmp_path)
    told = json.loads(Path(clip.labels).read_text())
    assert told["opening"] == list(range(5, 15)) and told["fps"] == 25
    assert [label for label, _, _ in told["phones"]] == ["sil", "aa", "b"]
    assert np.allclose([times for _, *times in told["phones"]], [[0, 0.1], [0.1, 0.3], [0.3, 0.4]])


def test_a_box_cuts_the_picture_and_seconds_the_length(tmp_path: Path, video: Path):
    box = CropBox(left=10, top=4, width=32, height=32, frame_height=48)
    clip = cut_clip(_row(video, crop=box), tmp_path, seconds=0.2)
    info = probe(clip.video)
    assert (info.width, info.height, info.num_frames) == (32, 32, 5)


def test_a_clip_is_cut_once_and_again_when_it_changes(tmp_path: Path, video: Path):
    first = cut_clip(_row(video), tmp_path)
    stamp = Path(first.video).stat().st_mtime_ns
    assert cut_clip(_row(video), tmp_path) == first and Path(first.video).stat().st_mtime_ns == stamp
    assert cut_clip(_row(video), tmp_path, seconds=0.4).seconds == 0.4
    assert Path(first.video).stat().st_mtime_ns != stamp


def test_a_clip_whose_folder_was_moved_is_cut_where_it_is_now(tmp_path: Path, video: Path):
    cut_clip(_row(video), tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    clip = cut_clip(_row(video), tmp_path / "new")
    assert Path(clip.video).parent == tmp_path / "new" and Path(clip.video).is_file()
    Path(clip.video).unlink()
    assert Path(cut_clip(_row(video), tmp_path / "new").video).is_file()


def test_the_copy_of_a_video_in_a_bucket_goes_when_its_clip_is_cut(tmp_path: Path, video: Path):
    source = "memory://clips/v.mp4"
    put_file(video, source)
    clip = cut_clip(ClipRow(clip="c", source=source, identity="p", split="test"), tmp_path / "clips")
    names = {path.name for path in (tmp_path / "clips").iterdir()}
    assert clip.seconds > 0 and names == {"c.mp4", "c.wav", "c.clip.json"}


def test_a_range_past_the_end_is_refused_by_name(tmp_path: Path, video: Path):
    with pytest.raises(DataError, match=r"v\.mp4: nothing of the clip 'c' is in it"):
        cut_clip(_row(video, start=Fraction(5)), tmp_path)


def _clips(*people: str) -> list[Clip]:
    return [Clip(f"c{i:02d}", person, "v", "s", "", 1.0) for i, person in enumerate(people)]


@pytest.mark.parametrize("people", ["ab", "abc", "aabb", "aaabbc", "abcdefgh", "aabbccdd"])
def test_everybody_says_what_another_person_says_and_each_speech_is_used_once(people: str):
    clips = _clips(*people)
    identity = {clip.id: clip.identity for clip in clips}
    for seed in range(5):
        said = other_speech(clips, seed)
        assert set(said) == set(identity) == set(said.values())
        assert all(identity[clip] != identity[other] for clip, other in said.items())


def test_where_one_person_has_most_clips_speech_is_used_again_but_never_ones_own():
    clips = _clips(*"aaaaab")
    said = other_speech(clips)
    identity = {clip.id: clip.identity for clip in clips}
    assert all(identity[clip] != identity[other] for clip, other in said.items())


def test_the_seed_alone_decides_who_says_what():
    clips = _clips(*"abcdefgh")
    assert other_speech(clips, 1) == other_speech(clips[::-1], 1) != other_speech(clips, 2)


def test_one_person_alone_cannot_be_driven_by_others():
    with pytest.raises(DataError, match="at least two people; there is one"):
        other_speech(_clips("a", "a"))


def _prepared(folder: Path, *people: str, split: str = "test") -> Path:
    rows = [
        ClipRow(clip=f"{person}{i}", source=f"/{person}.mp4", identity=person, split=split)
        for i, person in enumerate(people)
    ]
    write_manifest(rows, folder / "manifest.jsonl")
    return folder


def test_people_take_turns_where_not_all_clips_are_wanted(tmp_path: Path):
    data = _prepared(tmp_path, *"aaaabbc")
    count = Counter(row.identity for row in choose_rows(data, "test", 4))
    assert sorted(count.values()) == [1, 1, 2] and count["c"] == 1
    assert len(choose_rows(data, "test")) == 7
    drawn = {tuple(row.clip for row in choose_rows(data, "test", 3, seed)) for seed in range(8)}
    assert len(drawn) > 1
    alone = {choose_rows(data, "test", 1, seed)[0].identity for seed in range(20)}
    assert alone == {"a", "b", "c"}  # not always the first by name


def test_clips_that_preparation_found_no_use_for_are_left_out(tmp_path: Path):
    data = _prepared(tmp_path, *"ab")
    lines = [
        {"clip": "a0", "key": "k", "status": "done", "areas": [0]},
        {"clip": "b1", "key": "", "status": "failed", "areas": [0]},
    ]
    (data / "outcomes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [row.clip for row in choose_rows(data, "test")] == ["a0"]


def test_a_split_without_clips_is_told_with_those_that_have_some(tmp_path: Path):
    with pytest.raises(DataError, match=r"no usable clip of the split 'test' \(there are train\)"):
        choose_rows(_prepared(tmp_path, "a", split="train"), "test")


def test_clips_of_several_splits_are_taken_and_each_must_have_some(tmp_path: Path):
    rows = [
        ClipRow(clip=f"{split}-0", source="/v.mp4", identity=split, split=split)
        for split in ("seen", "unseen", "train")
    ]
    write_manifest(rows, tmp_path / "manifest.jsonl")
    assert [row.clip for row in choose_rows(str(tmp_path), "seen, unseen")] == ["seen-0", "unseen-0"]
    with pytest.raises(DataError, match="no usable clip of the split 'val'"):
        choose_rows(str(tmp_path), "seen,val")
