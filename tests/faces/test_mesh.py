from __future__ import annotations

import numpy as np

from segtalker.faces import mesh


def test_the_mean_face_is_symmetric_closed_and_in_the_ffhq_frame():
    face = mesh.mean_face()
    assert face.shape == (468, 3) and face.dtype == np.float32
    mirrored = (face * (-1, 1, 1) + (1, 0, 0))[mesh.mirror_points()]
    np.testing.assert_allclose(face, mirrored, atol=1e-5)
    assert mesh.mouth_opening(face[:, :2]) < 1e-6
    for points, x, y in ((mesh.EYE_L, 0.3769, 0.4686), (mesh.EYE_R, 0.6229, 0.4691), ((1,), 0.5012, 0.6133)):
        np.testing.assert_allclose(face[list(points), :2].mean(axis=0), (x, y), atol=0.02)
    assert face[mesh.NOSE_TIP, 2] == face[:, 2].min() or face[4, 2] == face[:, 2].min()


def test_mirroring_is_an_involution_that_swaps_the_named_sides():
    other = mesh.mirror_points()
    np.testing.assert_array_equal(other[other], np.arange(468))
    assert np.count_nonzero(other == np.arange(468)) == 28
    assert other[33] == 263 and other[61] == 291 and other[13] == 13 and other[14] == 14
    for left, right in ((mesh.EYE_L, mesh.EYE_R), (mesh.BROW_L, mesh.BROW_R)):
        assert set(other[list(left)]) == set(right)
    for contour in (mesh.OVAL, mesh.LIP_OUT, mesh.LIP_IN, mesh.STABLE):
        assert {int(other[i]) for i in contour} == set(map(int, contour))


def test_triangles_cover_the_face_but_not_the_opening_of_the_mouth():
    triangles = mesh.mesh_triangles()
    assert set(np.unique(triangles)) == set(range(468))
    assert not np.isin(triangles, mesh.LIP_IN).all(axis=1).any()
    a, b, c = (mesh.mean_face()[triangles[:, k], :2].astype(np.float64) for k in range(3))
    u, v = b - a, c - a
    area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum() / 2
    x, y = mesh.mean_face()[list(mesh.OVAL), :2].astype(np.float64).T
    oval = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert 0.99 * oval < area < 1.05 * oval


def test_mouth_opening_is_a_ratio_that_ignores_size_and_follows_the_lower_lip():
    face = mesh.mean_face()[:, :2].copy()
    width = np.linalg.norm(face[61] - face[291])
    face[14, 1] += 0.5 * width
    np.testing.assert_allclose(mesh.mouth_opening(np.stack([face, 300 * face])), 0.5, rtol=1e-5)
