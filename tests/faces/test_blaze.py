from __future__ import annotations

import numpy as np

from segtalker.faces import blaze
from segtalker.faces.blaze import Detection


def _slow_decode(regressors: np.ndarray, logits: np.ndarray, min_score: float) -> list[tuple]:
    """The published description, one anchor at a time."""
    found, k = [], 0
    for cells, repeats in ((16, 2), (8, 6)):
        for row in range(cells):
            for column in range(cells):
                for _ in range(repeats):
                    score = 1 / (1 + np.exp(-float(logits[k])))
                    if score >= min_score:
                        r = regressors[k] / 128
                        cx, cy = (column + 0.5) / cells + r[0], (row + 0.5) / cells + r[1]
                        box = (cx - r[2] / 2, cy - r[3] / 2, cx + r[2] / 2, cy + r[3] / 2)
                        ax, ay = (column + 0.5) / cells, (row + 0.5) / cells
                        eyes = ((ax + r[4], ay + r[5]), (ax + r[6], ay + r[7]))
                        found.append((box, eyes, score))
                    k += 1
    assert k == 896
    return found


def test_decoding_agrees_with_the_description_anchor_by_anchor():
    rng = np.random.default_rng(0)
    regressors = rng.normal(0, 30, (896, 16)).astype(np.float32)
    logits = rng.normal(-2, 2, 896).astype(np.float32)
    boxes, eyes, scores = blaze.decode(regressors, logits, 0.5)
    slow = _slow_decode(regressors, logits, 0.5)
    assert 50 < len(slow) < 400
    np.testing.assert_allclose(boxes, [box for box, _, _ in slow], atol=1e-5)
    np.testing.assert_allclose(eyes, [pair for _, pair, _ in slow], atol=1e-5)
    np.testing.assert_allclose(scores, [score for _, _, score in slow], atol=1e-5)


def _detection(x: float, score: float, size: float = 10.0) -> Detection:
    return Detection(np.array([x, 0, x + size, size]), np.array([[x, 0], [x + 1, 0]]), score)


def test_overlapping_boxes_become_their_mean_and_others_stay():
    merged = blaze.merge_overlapping([_detection(0, 0.9), _detection(50, 0.6), _detection(2, 0.3)])
    assert [round(d.score, 2) for d in merged] == [0.9, 0.6]
    np.testing.assert_allclose(merged[0].bbox, [0.5, 0, 10.5, 10])  # (0.9 * 0 + 0.3 * 2) / 1.2
    np.testing.assert_allclose(merged[1].bbox, [50, 0, 60, 10])
    assert blaze.merge_overlapping([]) == []


def test_overlap_is_intersection_over_union():
    box = np.array([0.0, 0, 2, 2])
    others = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(blaze.iou(box, others), [1, 1 / 3, 0])


def test_tiles_hold_every_small_face_whole():
    for width, height in ((1920, 1080), (720, 1280), (512, 512)):
        levels = blaze.square_tiles(width, height, 20)
        assert levels and all(len({side for *_, side in level}) == 1 for level in levels)
        for level in levels:
            side = level[0][2]
            rng = np.random.default_rng(0)
            for x, y in rng.uniform((0, 0), (width - side / 2, height - side / 2), (100, 2)):
                assert any(
                    tx <= x and ty <= y and x + side / 2 <= tx + side and y + side / 2 <= ty + side
                    for tx, ty, _ in level
                )
