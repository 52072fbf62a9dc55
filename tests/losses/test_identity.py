import pytest
import torch

from segtalker.losses.identity import arcface_crop, identity_loss


def levels(seed: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 4, 3, 3, generator=draw), torch.randn(2, 8, generator=draw)]


def test_the_same_face_costs_nothing_and_an_opposite_one_two() -> None:
    face = levels(0)
    assert float(identity_loss(face, face)) == pytest.approx(0, abs=1e-6)
    assert float(identity_loss(face, [-level for level in face])) == pytest.approx(2, rel=1e-5)


def test_only_the_embedding_counts_unless_levels_are_asked_for() -> None:
    face = levels(0)
    other = [-face[0], face[1]]
    assert float(identity_loss(face, other)) == pytest.approx(0, abs=1e-6)
    assert float(identity_loss(face, other, multi_level=True)) == pytest.approx(2, rel=1e-5)


def test_the_crop_holds_the_face_of_an_ffhq_framed_picture() -> None:
    picture = torch.zeros(1, 3, 512, 512)
    picture[:, :, 70:446, 64:440] = 1
    assert arcface_crop(picture).shape == (1, 3, 112, 112)
    assert float(arcface_crop(picture).min()) == 1
