"""CSIM is the mean cosine of embeddings, of frames in which there is a face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segtalker.faces.identity import ArcFaceEmbedder
from segtalker.faces.mesh import mean_face
from segtalker.metrics.likeness import crop_embeddings, csim, face_embeddings
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.types import Face


def face() -> Face:
    points = (mean_face()[:, :2] * 96).astype(np.float32)
    return Face(np.array([0, 0, 96, 96], np.float32), 1.0, points, np.zeros(len(points), np.float32))


def test_cosines_are_averaged_over_frames_with_a_face():
    found = np.array([[1, 0], [0, 1], [np.nan, np.nan], [0.6, 0.8]])
    one = csim(found, np.array([1.0, 0.0]))
    assert one.count == 3 and one.value == pytest.approx((1 + 0 + 0.6) / 3)
    each = csim(found, np.array([[0, 1], [0, 1], [1, 0], [np.nan, np.nan]], np.float32))
    assert each.count == 2 and each.value == pytest.approx(0.5)
    assert np.isnan(csim(found[2:3], found[:1]).value)


def test_embeddings_that_do_not_belong_together_are_refused():
    for wanted in (np.zeros(3), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="csim: embeddings of"):
            csim(np.zeros((4, 2)), wanted)


def test_a_recogniser_knows_a_frame_again_and_frames_without_a_face_are_left_out():
    torch.manual_seed(0)
    embedder = ArcFaceEmbedder(ArcFace(ArcFaceConfig.mini()))
    one, other = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    found = face_embeddings(embedder, [(one, face()), (other, None), (other, face())])
    assert found.shape == (3, 64) and np.isnan(found[1]).all()
    same = csim(found, found[0])
    assert same.count == 2 and same.total == pytest.approx(1 + found[0] @ found[2], rel=1e-5)
    assert csim(found, found).value == pytest.approx(1)


def test_in_aligned_crops_the_face_is_where_the_alignment_put_it():
    torch.manual_seed(0)
    embedder = ArcFaceEmbedder(ArcFace(ArcFaceConfig.mini()))
    crops = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    wanted = face_embeddings(embedder, [(crop, face()) for crop in crops])
    np.testing.assert_array_equal(crop_embeddings(embedder, crops), wanted)
    doubled = crop_embeddings(embedder, crops.repeat(2, axis=1).repeat(2, axis=2))
    assert csim(doubled, wanted).value > csim(doubled[::-1], wanted).value + 0.01


def test_a_clip_without_any_face_has_no_likeness():
    embedder = ArcFaceEmbedder(ArcFace(ArcFaceConfig.mini()))
    blank = np.zeros((96, 96, 3), np.uint8)
    found = face_embeddings(embedder, [(blank, None), (blank, None)])
    assert csim(found, found).count == csim(found, np.ones(512)).count == 0
