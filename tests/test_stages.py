"""The networks as verbs on arrays."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from segtalker.audio.source import ArraySource
from segtalker.local_stages import Compute, Painter, Talker, from_network, pick_device, to_network
from segtalker.regions import Region
from segtalker.stages import SpeechWindows
from segtalker.weights.checkpoint import load_weights, weights_path
from tests.dubbing import tiny_weights

SIZE = 32
CPU = torch.device("cpu")
TIMES = [Fraction(index, 25) for index in range(6)]


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, torch.nn.Module]:
    paths = tiny_weights(tmp_path_factory.mktemp("weights"))
    return {name: load_weights(path, name) for name, path in paths.items()}


@pytest.fixture
def maps() -> np.ndarray:
    maps = np.zeros((6, SIZE, SIZE), np.uint8)
    maps[:, 6:28, 6:26] = Region.SKIN
    maps[:, 10:13, 9:23] = Region.EYES
    for index in range(6):
        maps[index, 20 : 22 + index // 2, 12:20] = Region.LIP
    return maps


@pytest.fixture
def speech() -> ArraySource:
    time = np.arange(16000) / 16000
    return ArraySource((0.4 * np.sin(2 * np.pi * 150 * time) * (np.sin(12 * time) > 0)).astype(np.float32))


def talk(networks, maps, speech, times=TIMES, references=None) -> np.ndarray:
    references = np.repeat(maps[:1], len(maps), 0) if references is None else references
    return Talker(networks["tsg"], Compute(CPU)).talk(maps, references, SpeechWindows.read(speech, times))


def test_speech_changes_the_lower_half_only(networks, maps, speech):
    talking = talk(networks, maps, speech)
    assert talking.shape == maps.shape and talking.dtype == np.uint8
    assert np.array_equal(talking[:, : SIZE // 2], maps[:, : SIZE // 2])
    assert (talking[:, SIZE // 2 :] != maps[:, SIZE // 2 :]).any()


def test_the_lower_half_of_the_source_cannot_leak(networks, maps, speech):
    other = maps.copy()
    other[:, SIZE // 2 :] = Region.BACKGROUND
    reference = np.repeat(maps[:1], len(maps), 0)
    one, two = (talk(networks, source, speech, references=reference) for source in (maps, other))
    assert np.array_equal(one, two)


def test_a_frame_talks_the_same_alone_and_in_a_batch(networks, maps, speech):
    together = talk(networks, maps, speech)
    alone = [talk(networks, maps[i : i + 1], speech, TIMES[i : i + 1], maps[:1])[0] for i in range(6)]
    assert (np.stack(alone) == together).mean() > 0.9999


def test_maps_of_another_size_than_the_network_keep_their_size(networks, maps, speech):
    large = maps.repeat(2, axis=1).repeat(2, axis=2)
    talking = talk(networks, large, speech)
    assert talking.shape == large.shape
    assert np.array_equal(talking[:, :SIZE], large[:, :SIZE])
    assert (talking[:, ::2, ::2] == talk(networks, maps, speech)).mean() > 0.8


def test_frames_of_two_speeches_together_are_those_of_each(networks, maps, speech):
    other = ArraySource(np.roll(speech.samples(0, 16000), 4000))
    late = [Fraction(200 + index, 25) for index in range(6)]
    heard = [SpeechWindows.read(speech, TIMES), SpeechWindows.read(other, late)]
    talker, reference = Talker(networks["tsg"], Compute(CPU)), np.repeat(maps[:1], 6, 0)
    apart = [talker.talk(maps, reference, windows) for windows in heard]
    twice = np.concatenate([maps, maps]), np.concatenate([reference, reference])
    together = talker.talk(*twice, SpeechWindows.join(heard))
    assert (together == np.concatenate(apart)).mean() > 0.9999
    assert (apart[0] != apart[1]).any()


def test_painting_two_people_together_is_painting_each(networks, maps):
    crops = np.random.default_rng(0).integers(0, 255, (2, 6, SIZE, SIZE, 3), np.uint8)
    painter = Painter(networks["sgi"], Compute(CPU, batch=4))
    codes = [painter.encode(own, maps) for own in crops]
    apart = np.concatenate([painter.paint(maps, own) for own in codes])
    each = np.concatenate([np.repeat(own[None], len(maps), 0) for own in codes])
    together = painter.paint(np.concatenate([maps, maps]), each)
    assert np.abs(together.astype(int) - apart).max() <= 1
    assert np.abs(apart[:6].astype(int) - apart[6:]).max() > 1


def test_painting_in_batches_equals_painting_one_by_one(networks, maps):
    crops = np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 3), np.uint8)
    painter = Painter(networks["sgi"], Compute(CPU, batch=4))
    codes = painter.encode(crops, maps)
    assert codes.ndim == 3 and len(codes) == 12 and codes.dtype == np.float32
    together = painter.paint(maps, codes)
    assert together.shape == crops.shape and together.dtype == np.uint8
    single = np.concatenate([painter.paint(maps[i : i + 1], codes) for i in range(6)])
    assert np.abs(together.astype(int) - single).max() <= 1


def test_pixels_survive_the_way_into_the_network_and_back():
    crops = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images = to_network(crops, CPU)
    assert images.min() == -1 and images.max() == 1
    assert np.array_equal(from_network(images), crops)


def test_weights_are_the_shipped_ones_or_a_path():
    assert weights_path("mini", "tsg").parts[-4:] == ("segtalker", "weights", "mini", "tsg.safetensors")
    assert str(weights_path("runs/a.safetensors", "tsg")) == "runs/a.safetensors"
    assert pick_device("cpu") == CPU
