import numpy as np
import pytest

from segtalker.faces.align import crop_from_landmarks
from segtalker.faces.mesh import INNER_PAIRS, mean_face, mesh_triangles
from segtalker.regions import Raw, Region, merge_raw
from segtalker.synthetic.clip import LabelNoise, draw_raw_map, perform
from segtalker.synthetic.expression import express, lip_gap
from segtalker.synthetic.identity import random_identity
from segtalker.synthetic.motion import Style, make_motion
from segtalker.synthetic.pose import project
from segtalker.synthetic.raster import rasterize, vertex_normals
from segtalker.synthetic.render import Renderer
from segtalker.synthetic.shape import random_mesh
from segtalker.types import Phone

CALM = Style(timing_jitter_s=0.0, jaw_noise=0.0, head_motion=0.0, brow_motion=0.0, blink_interval_s=1e3)
SPOKEN = (Phone("sil", 0.0, 0.4), Phone("aa", 0.4, 0.8), Phone("m", 0.8, 0.92), Phone("aa", 0.92, 1.3))
CLOSED, OPEN, PRESSED = 0, 1, 2
TIMES = np.array([0.2, 0.7, 0.87])
EXACT = LabelNoise(jitter=0.0, drift=0.0, crop_offset=0.0, lost_ears=0.0, lost_neck=0.0)


def performance(seed, noise=EXACT):
    return perform(random_identity(seed), SPOKEN, TIMES, seed, CALM, noise)


def test_strength_zero_is_the_mean_face_and_people_differ():
    mean = random_mesh(np.random.default_rng(0), 0.0)
    assert np.abs(mean - mean_face()).max() < 1e-6
    one, other = (random_identity(seed).mesh for seed in (1, 2))
    assert 0.003 < np.abs(one - other).mean() < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_the_lip_gap_follows_the_opening_and_lips_never_cross(seed):
    person = random_identity(seed)
    motion = make_motion(SPOKEN, np.linspace(0, 1.3, 40), 0, CALM)
    meshes = express(person.mesh, motion, person.gap)
    gap = lip_gap(meshes)
    assert np.corrcoef(gap, motion.opening)[0, 1] > 0.999
    assert gap.max() == pytest.approx(motion.opening.max() * person.gap, rel=0.15)
    lower, upper = np.array(INNER_PAIRS).T
    assert (meshes[:, lower, 1] >= meshes[:, upper, 1] - 1e-12).all()


def test_the_crop_stays_still_while_the_jaw_drops():
    acted = performance(3)
    closed, opened = (crop_from_landmarks(acted.posed[i, :, :2]) for i in (CLOSED, OPEN))
    assert np.abs(closed - opened).max() < 1e-3
    assert acted.landmarks[OPEN, 152, 1] > acted.landmarks[CLOSED, 152, 1] + 0.02


def test_a_turned_head_shows_more_of_one_cheek():
    turned = make_motion((Phone("sil", 0, 1),), np.array([0.5]), 0, Style(yaw=0.4, head_motion=0.0))
    x = project(mean_face().astype(float), turned, 5.0)[0, :, 0]
    left, right = x[1] - x[234], x[454] - x[1]
    assert max(left, right) > 1.5 * min(left, right)


@pytest.mark.parametrize("seed", range(5))
def test_the_map_shows_the_mouth_only_when_it_is_open(seed):
    acted = performance(seed)
    area = [(draw_raw_map(acted, i, 128) == Raw.MOUTH).sum() for i in (CLOSED, OPEN, PRESSED)]
    assert area[CLOSED] == 0 and area[OPEN] > 40
    assert area[PRESSED] < 0.15 * area[OPEN]


def test_maps_hold_the_regions_of_a_head():
    seen = set()
    for seed in range(30):
        seen |= set(np.unique(merge_raw(draw_raw_map(performance(seed), OPEN, 96))).tolist())
    assert seen == set(range(12))
    regions = merge_raw(draw_raw_map(performance(0), OPEN, 128))
    assert 0.15 < (regions == Region.SKIN).mean() < 0.5


def test_tracking_noise_moves_landmarks_a_little():
    exact, noisy = performance(4), performance(4, LabelNoise())
    shift = np.linalg.norm(exact.landmarks - noisy.landmarks, axis=-1)
    assert 0.001 < shift.mean() < 0.03
    assert np.array_equal(exact.opening, noisy.opening)


@pytest.mark.parametrize("seed", range(6))
def test_rasterizing_equals_testing_every_pixel(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-6, 30, (3, 2))
    facing = np.linalg.det(corners[1:] - corners[0]) > 0
    triangle = np.array([[0, 1, 2] if facing else [0, 2, 1]], np.int32)
    flat, owner, weights = rasterize(corners, np.zeros(3), triangle, 24, 20)
    expected = {}
    for pixel in range(24 * 20):
        centre = np.array([pixel % 24 + 0.5, pixel // 24 + 0.5, 1.0])
        shares = np.linalg.solve(np.c_[corners[triangle[0]], np.ones(3)].T, centre)
        if (shares >= 0).all():
            expected[pixel] = shares
    assert list(flat) == list(expected) and (owner == 0).all()
    assert np.abs(weights - np.array(list(expected.values())).reshape(-1, 3)).max(initial=0.0) < 1e-5


def test_a_triangle_that_looks_away_is_not_painted():
    points = np.array([[0, 0], [20, 0], [0, 20]], float)
    assert len(rasterize(points, np.zeros(3), np.array([[0, 2, 1]], np.int32), 20, 20)[0]) == 0


def test_the_nearer_triangle_is_seen():
    points = np.array([[0, 0], [20, 0], [0, 20], [0, 0], [20, 0], [0, 20]], float)
    depth = np.array([5.0, 5, 5, 1, 1, 1])
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        _, owner, _ = rasterize(points, depth, np.array(order, np.int32), 20, 20)
        assert (owner == order.index([3, 4, 5])).all()


def test_normals_of_a_flat_mesh_stand_upright():
    flat = mean_face().astype(float) * (1, 1, 0)
    normals = vertex_normals(flat, mesh_triangles())
    used = np.unique(mesh_triangles())
    assert np.abs(np.abs(normals[used, 2]) - 1).max() < 1e-5


def test_a_rendered_person_depends_on_the_seed_alone():
    first, again, other = (Renderer(performance(seed)).crop(OPEN, 96) for seed in (7, 7, 8))
    assert first.shape == (96, 96, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 10


def test_pictures_agree_with_their_maps():
    acted = performance(5)
    renderer = Renderer(acted)
    closed, opened = (renderer.crop(i, 128).astype(float) for i in (CLOSED, OPEN))
    labels = merge_raw(draw_raw_map(acted, OPEN, 128))
    change = np.abs(closed - opened).mean(-1)
    assert change[labels == Region.MOUTH].mean() > 5 * change[labels == Region.HAIR].mean() + 5
    skin, hair = opened[labels == Region.SKIN].mean(0), opened[labels == Region.HAIR].mean(0)
    assert np.abs(skin - hair).max() > 15
