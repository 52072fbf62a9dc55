from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from segtalker.data.shards import INDEX_NAME, Sample, ShardReader, ShardWriter
from segtalker.errors import DataError
from segtalker.types import Phone


def sample(key: str, frames: int = 30, split: str = "train", voice: str = "v0", **more: object) -> Sample:
    rng = np.random.default_rng(list(key.encode()))
    return Sample(
        key=key,
        maps=rng.integers(0, 12, (frames, 8, 8), dtype=np.uint8),
        mel=rng.normal(size=(frames * 16 // 5, 80)).astype(np.float32),
        tokens=rng.normal(size=(frames, 104)).astype(np.float32),
        identity=f"id-{key}",
        voice=voice,
        engine="flite",
        split=split,
        phones=[Phone("aa", 0.0, 0.5), Phone("sil", 0.5, 1.2)],
        provenance={"seed": 3},
        **more,  # type: ignore[arg-type]
    )


def test_what_was_written_is_read_back_by_slices(tmp_path):
    clips = [sample(f"c{i}", opening=np.arange(30, dtype=np.float32)) for i in range(3)]
    with ShardWriter(tmp_path) as writer:
        for clip in clips:
            writer.add(clip)
    reader = ShardReader(tmp_path)
    for i, clip in enumerate(clips):
        assert np.array_equal(reader.read(i, "maps", 4, 9), clip.maps[4:9])
        assert np.array_equal(reader.read(i, "mel"), clip.mel.astype(np.float16))
        assert reader.rows[i].phones == tuple(clip.phones)
    assert reader.read(1, "opening", 28, 99).tolist() == [28.0, 29.0]
    assert (reader.length(2, "tokens"), reader.index_of("c2")) == (30, 2)


def test_clips_spread_over_several_shards_when_one_is_full(tmp_path):
    with ShardWriter(tmp_path, shard_bytes=20_000) as writer:
        for i in range(4):
            writer.add(sample(f"c{i}"))
    reader = ShardReader(tmp_path)
    assert len({row.shard for row in reader.rows}) > 1
    assert np.array_equal(reader.read(3, "maps"), sample("c3").maps)


def test_a_folder_of_parts_is_one_corpus(tmp_path):
    for part in ("a", "b"):
        with ShardWriter(tmp_path / part) as writer:
            writer.add(sample(f"{part}0", split="val" if part == "b" else "train", voice=part))
    reader = ShardReader(tmp_path)
    assert [reader.rows[i].key for i in reader.select("val")] == ["b0"]
    assert [reader.rows[i].key for i in reader.select(voices=["a"])] == ["a0"]
    assert len(reader.select()) == 2 and reader.select(engines=["espeak"]) == []


def test_an_interrupted_writer_leaves_no_index(tmp_path):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, shard_bytes=1) as writer:
        writer.add(sample("c0"))
        writer.add(sample("c1"))
        raise RuntimeError("killed")
    with pytest.raises(DataError, match="no finished corpus"):
        ShardReader(tmp_path)


def test_the_reader_survives_a_trip_to_another_process(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    reader = ShardReader(tmp_path)
    reader.read(0, "maps")
    assert np.array_equal(pickle.loads(pickle.dumps(reader)).read(0, "mel"), reader.read(0, "mel"))


@pytest.mark.parametrize("cut", ["shard", "index", "row"])
def test_damage_is_reported_with_the_file_and_a_remedy(tmp_path, cut):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    shard, index = next(tmp_path.glob("*.safetensors")), tmp_path / INDEX_NAME
    if cut == "shard":
        shard.write_bytes(shard.read_bytes()[:-100])
    elif cut == "index":
        index.write_text("{not json")
    else:
        index.write_text(json.dumps({**json.loads(index.read_text()), "fields": ["maps", "crops"]}))
    with pytest.raises(DataError, match=r"(?s)shard-00000|index\.jsonl") as caught:
        ShardReader(tmp_path)
    assert "again" in str(caught.value) or "line 1" in str(caught.value)


def rewrite_row(folder, **values):
    """The one row of an index with other values; None takes a key away."""
    index = folder / INDEX_NAME
    row = {**json.loads(index.read_text()), **values}
    index.write_text(json.dumps({k: v for k, v in row.items() if v is not None}))


def test_shards_of_the_first_version_are_still_read(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    rewrite_row(tmp_path, version=None, packed=None)
    assert np.array_equal(ShardReader(tmp_path).read(0, "maps", 3, 5), sample("c0").maps[3:5])


@pytest.mark.parametrize(
    "foreign",
    [
        {"version": 3},
        {"version": "2.0"},
        {"fps": 30},
        {"fps": None},
        {"shard": "../other.safetensors"},
        {"packed": {"maps": {"codec": "av1", "frame": [8, 8]}}},
    ],
)
def test_a_foreign_version_is_one_line_with_file_line_and_remedy(tmp_path, foreign):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    rewrite_row(tmp_path, **foreign)
    with pytest.raises(DataError, match=r"index\.jsonl, line 1: .*[Pp]repare .*again") as caught:
        ShardReader(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_index_that_is_no_text_is_refused(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    (tmp_path / INDEX_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"index\.jsonl: damaged, not text"):
        ShardReader(tmp_path)


def test_samples_that_do_not_fit_are_refused(tmp_path):
    writer = ShardWriter(tmp_path)
    with pytest.raises(DataError, match="29 frames"):
        writer.add(sample("c0", opening=np.zeros(29, np.float32)))
    with pytest.raises(DataError, match="'crops' needs 4 dimensions"):
        writer.add(sample("c0", crops=np.zeros((30, 8, 8), np.uint8)))
    writer.add(sample("c0"))
    with pytest.raises(DataError, match="unique"):
        writer.add(sample("c0"))


def test_asking_for_a_field_that_a_clip_lacks_says_which(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample("c0"))
    with pytest.raises(DataError, match="'c0'.*no 'crops'"):
        ShardReader(tmp_path).read(0, "crops")
