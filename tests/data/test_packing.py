"""Compressed frames are the frames that were stored, and any few of them are read without the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segtalker.config import parse_config
from segtalker.data.clip_samples import FieldsConfig
from segtalker.data.packing import OFFSETS, Packed, PackedFrames, Packing, pack
from segtalker.data.shards import INDEX_NAME, Sample, ShardReader, ShardWriter
from segtalker.errors import ConfigError, DataError

PREPARED = FieldsConfig().packing


def smooth_pictures(count: int = 6, size: int = 64) -> np.ndarray:
    """Soft colours with sharp coloured edges; no two frames alike."""
    y, x = np.mgrid[:size, :size] / size
    frames = [
        np.stack([np.sin(3 * x + i), np.cos(4 * y + i), (np.hypot(x - 0.5, y - 0.5) < 0.3) * 1.0], -1)
        for i in range(count)
    ]
    return np.rint(127.5 + 100 * np.stack(frames)).clip(0, 255).astype(np.uint8)


def sample(size: int = 64) -> Sample:
    crops = smooth_pictures(size=size)
    maps = (crops[..., 0] // 22).astype(np.uint8)
    return Sample(
        key="c0",
        maps=maps,
        raw=maps + 3,
        crops=crops,
        mel=np.zeros((20, 80), np.float32),
        tokens=np.zeros((6, 104), np.float32),
        identity="i",
        voice="v",
        engine="e",
        split="train",
    )


def test_maps_come_back_exactly_and_crops_nearly(tmp_path):
    clip = sample()
    for name, packing in (("plain", Packing()), ("packed", PREPARED)):
        with ShardWriter(tmp_path / name, packing=packing) as writer:
            writer.add(clip)
    plain, packed = ShardReader(tmp_path / "plain"), ShardReader(tmp_path / "packed")
    for name in ("maps", "raw", "mel"):
        assert np.array_equal(packed.read(0, name), plain.read(0, name))
        assert packed.read(0, name).dtype == plain.read(0, name).dtype
    error = np.abs(packed.read(0, "crops").astype(int) - clip.crops)
    assert error.mean() < 1.5 and error.max() <= 24 and error.any()
    assert np.array_equal(plain.read(0, "crops"), clip.crops)
    sizes = [sum(f.stat().st_size for f in (tmp_path / n).glob("*.safetensors")) for n in ("plain", "packed")]
    assert sizes[1] < sizes[0] / 3


@pytest.mark.parametrize("name", ["maps", "crops"])
def test_every_way_of_reading_gives_the_same_frames(tmp_path, name):
    with ShardWriter(tmp_path, packing=PREPARED) as writer:
        writer.add(sample())
    reader = ShardReader(tmp_path)
    whole = reader.read(0, name)
    assert reader.length(0, name) == len(whole) == 6
    assert np.array_equal(reader.read(0, name, 2, 4), whole[2:4])
    assert np.array_equal(reader.read(0, name, 4, 99), whole[4:])
    assert len(reader.read(0, name, 3, 3)) == 0
    assert np.array_equal(reader.take(0, name, [5, 0, 5]), whole[[5, 0, 5]])


def test_colours_are_not_blurred_over_edges_as_chroma_subsampling_would(tmp_path):
    stripes = np.zeros((1, 32, 32, 3), np.uint8)
    stripes[:, :, ::2] = (255, 0, 0)
    stripes[:, :, 1::2] = (0, 0, 255)
    data, places = pack(stripes, "jpeg", 95)
    back = PackedFrames(Counted(data), Counted(places), Packed("jpeg", (32, 32, 3)))[0:1]
    assert np.abs(back.astype(int) - stripes).mean() < 20  # 4:2:0 makes it all one purple: more than 80


class Counted:
    """An array that is sliced like a tensor of a file, and tells how much was read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read = array, 0

    def get_shape(self) -> list[int]:
        return list(self.array.shape)

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.read += len(self.array[rows])
        return self.array[rows]


def test_one_frame_is_read_without_the_others():
    data, places = pack(smooth_pictures(40), "jpeg", 95)
    stored = Counted(data)
    PackedFrames(stored, Counted(places), Packed("jpeg", (64, 64, 3)))[20:21]
    assert 0 < stored.read <= 2 * len(data) / 40


@pytest.mark.parametrize("name", ["maps", "crops"])
@pytest.mark.parametrize("damage", ["bytes", "shape"])
def test_a_damaged_frame_is_named_with_its_file(tmp_path, name, damage):
    with ShardWriter(tmp_path, packing=PREPARED) as writer:
        writer.add(sample())
    if damage == "bytes":
        path = next(tmp_path.glob("*.safetensors"))
        data = bytearray(path.read_bytes())
        header = int.from_bytes(data[:8], "little")
        first, last = json.loads(data[8 : 8 + header])[f"c0/{name}"]["data_offsets"]
        data[8 + header + first : 8 + header + last] = bytes(last - first)
        path.write_bytes(data)
    else:
        row = json.loads((tmp_path / INDEX_NAME).read_text())
        row["packed"][name]["frame"][0] += 1
        (tmp_path / INDEX_NAME).write_text(json.dumps(row))
    reader = ShardReader(tmp_path)
    with pytest.raises(DataError, match=rf"shard-00000\.safetensors: '{name}' of 'c0', frame 1 is damaged"):
        reader.take(0, name, [1])


def test_a_shard_without_the_places_of_its_frames_is_refused(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(sample())
    row = json.loads((tmp_path / INDEX_NAME).read_text())
    row["packed"] = {"maps": {"codec": "zlib", "frame": [64, 64]}}
    (tmp_path / INDEX_NAME).write_text(json.dumps(row))
    with pytest.raises(DataError, match=rf"'c0/maps{OFFSETS}' stands in the index but not in the shard"):
        ShardReader(tmp_path)


def test_crops_are_exact_where_the_configuration_says_so():
    assert FieldsConfig(jpeg=0).packing.codec("crops") is None
    assert FieldsConfig(compress=False).packing.codec("maps") is None
    assert (PREPARED.codec("crops"), PREPARED.codec("raw"), PREPARED.codec("mel")) == ("jpeg", "zlib", None)
    with pytest.raises(ConfigError, match="quality from 1 to 100"):
        parse_config(FieldsConfig, {"jpeg": 101})
