from __future__ import annotations

import numpy as np
import pytest
import torch

from segtalker.errors import WeightsError
from segtalker.models.frozen.bisenet import BiSeNet
from segtalker.parsing.bisenet import BiSeNetParser, load_bisenet
from segtalker.regions import merge_raw

BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _conv_bn(prefix: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.conv.weight": shape} | _bn(f"{prefix}.bn", shape[0])


def _bn(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.{name}": () if name == "num_batches_tracked" else (channels,) for name in BN}


def _published_keys() -> dict[str, tuple[int, ...]]:
    """Names and shapes of 79999_iter.pth, written out from its description."""
    keys: dict[str, tuple[int, ...]] = {"cp.resnet.conv1.weight": (64, 3, 7, 7)} | _bn("cp.resnet.bn1", 64)
    widths = (64, 64, 128, 256, 512)
    for level in range(1, 5):
        for block in range(2):
            base, out = f"cp.resnet.layer{level}.{block}", widths[level]
            into = widths[level - 1] if block == 0 else out
            keys |= {f"{base}.conv1.weight": (out, into, 3, 3), f"{base}.conv2.weight": (out, out, 3, 3)}
            keys |= _bn(f"{base}.bn1", out) | _bn(f"{base}.bn2", out)
            if level > 1 and block == 0:
                keys |= {f"{base}.downsample.0.weight": (out, into, 1, 1)} | _bn(f"{base}.downsample.1", out)
    for name, into in (("cp.arm16", 256), ("cp.arm32", 512)):
        keys |= _conv_bn(f"{name}.conv", (128, into, 3, 3)) | _bn(f"{name}.bn_atten", 128)
        keys[f"{name}.conv_atten.weight"] = (128, 128, 1, 1)
    for name in ("cp.conv_head32", "cp.conv_head16"):
        keys |= _conv_bn(name, (128, 128, 3, 3))
    keys |= _conv_bn("cp.conv_avg", (128, 512, 1, 1)) | _conv_bn("ffm.convblk", (256, 256, 1, 1))
    keys |= {"ffm.conv1.weight": (64, 256, 1, 1), "ffm.conv2.weight": (256, 64, 1, 1)}
    for name, into, middle in (("conv_out", 256, 256), ("conv_out16", 128, 64), ("conv_out32", 128, 64)):
        keys |= _conv_bn(f"{name}.conv", (middle, into, 3, 3))
        keys[f"{name}.conv_out.weight"] = (19, middle, 1, 1)
    return keys


def test_the_layout_is_that_of_the_published_file():
    network = BiSeNet()
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found == _published_keys()
    assert len(found) == 191
    assert sum(p.numel() for p in network.parameters()) == 13_300_416


def test_all_three_heads_answer_at_the_size_of_the_input():
    with torch.no_grad():
        outputs = BiSeNet().eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(output.shape) for output in outputs] == [(1, 19, 64, 96)] * 3


def test_the_parser_gives_every_pixel_a_label_and_loads_a_saved_state(tmp_path):
    torch.manual_seed(0)
    network = BiSeNet()
    torch.save({f"module.{k}": v for k, v in network.state_dict().items()}, tmp_path / "net.pth")
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    points = np.zeros((468, 2), np.float32)
    parsed = BiSeNetParser(load_bisenet(tmp_path / "net.pth")).parse(crop, points)
    direct = BiSeNetParser(network).parse(crop, points)
    np.testing.assert_array_equal(parsed.raw, direct.raw)
    assert parsed.raw.shape == (64, 64) and parsed.raw.max() < 19
    np.testing.assert_array_equal(parsed.region_map, merge_raw(parsed.raw))
    np.testing.assert_array_equal(parsed.matte > 0, parsed.raw != 0)


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("other.pth", "text.pth"):
        with pytest.raises(WeightsError, match="not the published BiSeNet"):
            load_bisenet(tmp_path / name)
