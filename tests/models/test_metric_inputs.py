"""What goes into the networks behind metrics: order of channels and frames, ranges, sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segtalker.models.frozen import i3d, inception, lip_expert, syncnet_v2
from segtalker.models.syncnet import SyncNet


def clip(frames: int, size: int) -> Tensor:
    """Frames [T, S, S, 3] of which every number is another: RGB bytes."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (frames, size, size, 3), generator=generator, dtype=torch.uint8)


def test_syncnet_v2_sees_five_frames_in_opencvs_order_unscaled():
    frames = clip(8, 224)
    windows = syncnet_v2.face_windows(frames, [0, 3])
    assert windows.shape == (2, 3, 5, 224, 224) and windows.dtype == torch.float32
    for colour in range(3):  # blue, green, red
        assert torch.equal(windows[1, colour, 4], frames[7, :, :, 2 - colour].float())
    with pytest.raises(AssertionError):
        syncnet_v2.face_windows(clip(5, 96), [0])


def test_the_lip_expert_sees_lower_halves_frame_after_frame():
    frames = clip(7, 96)
    windows = lip_expert.face_windows(frames, [0, 2])
    assert windows.shape == (2, 15, 48, 96) and 0 <= windows.min() <= windows.max() <= 1
    for frame in range(5):
        for colour in range(3):
            expected = frames[2 + frame, 48:, :, 2 - colour].float() / 255
            torch.testing.assert_close(windows[1, 3 * frame + colour], expected)
    with pytest.raises(AssertionError):
        lip_expert.face_windows(clip(5, 224), [0])


def test_the_lip_expert_is_our_syncnet_on_colours():
    """SyncNet's own way to cut the mouth out gives the same picture."""
    with torch.device("meta"):
        net = SyncNet(lip_expert.published())
    frames = clip(5, 96)
    stacked = frames.flip(3).permute(0, 3, 1, 2)[None].float() / 255
    torch.testing.assert_close(net.pool_masks(stacked), lip_expert.face_windows(frames, [0]))


def test_inception_takes_pictures_from_minus_one_to_one_between_the_pixels():
    """Resampling by its formula: the centre of pixel i of n lies at (i + 1/2) / n of the side."""
    picture = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    found = inception.scale_pictures(picture)
    assert found.shape == (1, 3, 299, 299)
    for row, column in ((0, 0), (150, 77), (298, 298), (13, 290)):
        expected = 2 * at(picture[0], (row + 0.5) / 299, (column + 0.5) / 299) - 1
        torch.testing.assert_close(found[0, :, row, column], expected, rtol=1e-4, atol=1e-4)


def at(picture: Tensor, down: float, across: float) -> Tensor:
    """The colours of [3, H, W] at a place in shares of its sides, linear between the centres of pixels."""
    weights = []
    for share, size in ((down, picture.shape[1]), (across, picture.shape[2])):
        place = min(max(share * size - 0.5, 0.0), size - 1.0)
        weights.append([max(0.0, 1 - abs(place - i)) for i in range(size)])
    return torch.einsum("chw,h,w->c", picture, *map(torch.tensor, weights))


def test_i3d_takes_bytes_to_minus_one_to_one_and_every_frame_by_itself():
    video = clip(4, 96).permute(3, 0, 1, 2)[None]
    found = i3d.scale_videos(video)
    assert found.shape == (1, 3, 4, 224, 224) and found.dtype == torch.float32
    for frame, row, column in ((0, 0, 0), (1, 100, 220), (3, 223, 5)):
        expected = 2 * at(video[0, :, frame] / 255, (row + 0.5) / 224, (column + 0.5) / 224) - 1
        torch.testing.assert_close(found[0, :, frame, row, column], expected, rtol=1e-4, atol=1e-4)
    whole = clip(2, 224).permute(3, 0, 1, 2)[None]
    torch.testing.assert_close(i3d.scale_videos(whole), whole / 127.5 - 1, rtol=0, atol=1e-6)


def test_same_padding_leaves_the_ceiling_of_size_over_stride():
    for size in range(9, 20):
        for kernel, stride in ((7, 2), (3, 2), (3, 1), (2, 2), (1, 1)):
            x = torch.zeros(1, 1, size, 10, 10) + 1
            padded = i3d.pad_same(x, (kernel, 1, 1), (stride, 1, 1))
            added = padded.shape[2] - size
            assert (padded.shape[2] - kernel) // stride + 1 == -(-size // stride)
            front = int((padded[0, 0, :, 0, 0] == 0).cumprod(0).sum())
            assert front == added // 2 and padded.shape[3:] == (10, 10)


@torch.no_grad()
def test_i3d_reads_nine_frames_and_no_fewer():
    net = i3d.I3D(i3d.I3DConfig(num_classes=3, divisor=8)).eval()
    assert net(torch.zeros(1, 3, i3d.SHORTEST, 224, 224)).shape == (1, 3)
    with pytest.raises(AssertionError):
        net(torch.zeros(1, 3, i3d.SHORTEST - 1, 224, 224))
