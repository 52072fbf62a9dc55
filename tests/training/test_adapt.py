from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segtalker.errors import WeightsError
from segtalker.regions import NUM_REGIONS, Region, merge_raw
from segtalker.training.adapt import AdaptConfig, Adapted, adapt, adapt_cached, cache_key, track_codes
from tests.compositing.test_warp import draw

FAST = AdaptConfig(steps=60, batch=2, code_lr=0.05, generator_lr=0.01, warped=0.0)


class FlatPainter(nn.Module):
    """A renderer that paints each region in the colour of its code, through one small layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 3, 1))

    def encode(self, image: Tensor, regions: Tensor) -> Tensor:
        area = regions.sum((2, 3)).clamp_min(1)
        return (torch.einsum("nchw,nrhw->nrc", image, regions) / area[..., None])[:, :, None]

    def decode(self, codes: Tensor, regions: Tensor) -> Tensor:
        onehot = torch.nn.functional.one_hot(regions.long(), NUM_REGIONS).float()
        flat = torch.einsum("nrc,nhwr->nchw", codes[:, :, 0], onehot)
        return flat + self.generator(flat)


def clip() -> tuple[np.ndarray, np.ndarray]:
    raws = np.stack([draw(opening, 50) for opening in (0.0, 3.0, 6.0)])
    colours = np.random.default_rng(0).integers(30, 220, (NUM_REGIONS, 3)).astype(np.uint8)
    return colours[merge_raw(raws)], raws


def error(net: nn.Module, codes: Tensor, crop: np.ndarray, raw: np.ndarray) -> float:
    with torch.no_grad():
        picture = net.decode(codes[None], torch.from_numpy(merge_raw(raw))[None])[0]  # type: ignore[operator]
    return float((picture.permute(1, 2, 0) * 127.5 + 127.5 - torch.from_numpy(crop).float()).square().mean())


def test_a_fit_improves_a_map_that_it_did_not_see() -> None:
    crops, raws = clip()
    net = FlatPainter()
    before = track_codes(net, _images(crops[:2]), torch.from_numpy(merge_raw(raws[:2])))[0]
    adapted = adapt(net, crops[:2], raws[:2], FAST)
    assert error(adapted.apply(net), adapted.codes, crops[2], raws[2]) < 0.3 * error(
        net, before, crops[2], raws[2]
    )


def test_the_given_network_is_left_alone() -> None:
    crops, raws = clip()
    net = FlatPainter()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    adapt(net, crops, raws, FAST).apply(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(value.requires_grad for value in net.parameters())


def test_the_same_seed_gives_the_same_fit_and_another_seed_does_not() -> None:
    crops, raws = clip()
    cfg = AdaptConfig(steps=6, warped=0.5)
    first, again = (adapt(FlatPainter(), crops, raws, cfg) for _ in range(2))
    other = adapt(FlatPainter(), crops, raws, AdaptConfig(steps=6, warped=0.5, seed=1))
    assert torch.equal(first.codes, again.codes)
    assert not torch.equal(first.codes, other.codes)


def test_progress_counts_every_step_and_the_clock_can_stop_it() -> None:
    crops, raws = clip()
    seen: list[tuple[int, int]] = []
    adapt(
        FlatPainter(), crops, raws, AdaptConfig(steps=5), lambda done, all_, loss: seen.append((done, all_))
    )
    assert seen == [(i, 5) for i in range(1, 6)]
    seen.clear()
    cfg = AdaptConfig(steps=5, max_seconds=1e-9)
    adapt(FlatPainter(), crops, raws, cfg, lambda done, all_, loss: seen.append((done, all_)))
    assert not seen


def test_a_slow_machine_makes_fewer_steps_and_ends_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    crops, raws = clip()
    now, rates, seen = [0.0], [], []
    monkeypatch.setattr("segtalker.training.adapt.time.monotonic", lambda: now[0])
    plain_step = torch.optim.Adam.step

    def step(optimizer: torch.optim.Adam) -> None:
        rates.append(optimizer.param_groups[1]["lr"])
        plain_step(optimizer)

    def told(done: int, planned: int, loss: float) -> None:
        seen.append((done, planned))
        now[0] += 5.0 if done < 20 else 10.0  # and then it slows down

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    cfg = AdaptConfig(steps=100, max_seconds=300)
    adapt(FlatPainter(), crops, raws, cfg, told)
    assert seen[0] == (1, 100) and 38 <= len(seen) <= 42
    assert seen[-1][1] - seen[-1][0] <= 1 and now[0] <= 310
    assert rates[-1] < 0.01 * cfg.generator_lr  # broken off at 40 of 100 it would be 0.66


def test_codes_of_a_track_are_means_by_area_over_frames_that_show_the_region() -> None:
    crops, raws = clip()
    crops = crops.copy()
    crops[0][merge_raw(raws[0]) == Region.MOUTH] = 0  # the closed frame shows none
    codes = track_codes(FlatPainter(), _images(crops), torch.from_numpy(merge_raw(raws)))
    mouth = merge_raw(raws) == Region.MOUTH
    expected = crops[mouth].mean(0) / 127.5 - 1
    assert codes[0, Region.MOUTH, 0].numpy() == pytest.approx(expected, abs=1e-4)


def test_a_saved_fit_comes_back_and_the_cache_is_used(tmp_path: Path) -> None:
    crops, raws = clip()
    net, cfg = FlatPainter(), AdaptConfig(steps=3)
    first = adapt_cached(net, crops, raws, tmp_path, cfg)
    calls: list[int] = []
    second = adapt_cached(net, crops, raws, tmp_path, cfg, lambda done, all_, loss: calls.append(done))
    assert not calls
    assert torch.equal(first.codes, second.codes)
    assert all(torch.equal(value, second.delta[name]) for name, value in first.delta.items())


def test_the_cache_key_knows_frames_configuration_and_weights() -> None:
    crops, raws = clip()
    cfg = AdaptConfig(steps=3)
    key = cache_key(FlatPainter(), crops, raws, cfg)
    assert key == cache_key(FlatPainter(), crops, raws, cfg)
    changed = crops.copy()
    changed[0, 0, 0, 0] ^= 1
    other = FlatPainter()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    keys = {
        key,
        cache_key(FlatPainter(), changed, raws, cfg),
        cache_key(FlatPainter(), crops, raws, AdaptConfig(steps=4)),
        cache_key(other, crops, raws, cfg),
    }
    assert len(keys) == 4


def test_a_damaged_or_foreign_fit_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "adapted.safetensors"
    damaged.write_bytes(b"not a tensor")
    with pytest.raises(WeightsError, match="adapt again"):
        Adapted.load(damaged)
    with pytest.raises(WeightsError, match="another generator"):
        Adapted(torch.zeros(12, 1, 3), {"elsewhere": torch.zeros(1)}).apply(FlatPainter())


def _images(crops: np.ndarray) -> Tensor:
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
