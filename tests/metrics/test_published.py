"""Published networks switch their figures on; what they saw in true pictures serves every comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from segtalker.faces.identity import ArcFaceEmbedder
from segtalker.metrics.frechet import Moments, frechet_distance, picture_features, video_features
from segtalker.metrics.likeness import crop_embeddings, csim
from segtalker.metrics.networks import MetricNetworks
from segtalker.metrics.perceptual import lpips_between
from segtalker.metrics.published import PublishedScores, look, score_looks, score_pairs, score_speech
from segtalker.metrics.sync_scores import face_sync_curve
from segtalker.models.frozen.arcface import ArcFace, ArcFaceConfig
from segtalker.models.frozen.i3d import I3D, I3DConfig
from segtalker.models.frozen.inception import Inception, InceptionConfig
from segtalker.models.frozen.lpips import LPIPS, LPIPSConfig
from segtalker.models.frozen.syncnet_v2 import SyncNetV2, SyncNetV2Config

SCORED = np.array([0, 1, 3, 4])
NONE = MetricNetworks()


def pictures(seed: int, count: int = 5, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture
def networks() -> MetricNetworks:
    """Those that look at single pictures."""
    torch.manual_seed(0)
    return MetricNetworks(
        fid=Inception(InceptionConfig(divisor=32)).eval(),
        lpips=LPIPS(LPIPSConfig()).eval(),
        embedder=ArcFaceEmbedder(ArcFace(ArcFaceConfig.mini())),
    )


def scores(
    networks: MetricNetworks, some: np.ndarray, true: np.ndarray, scored: np.ndarray
) -> PublishedScores:
    looks = [look(networks, images, scored) for images in (some, true)]
    return score_looks(*looks) + score_pairs(networks, some[scored], true[scored])


def test_without_networks_nothing_is_measured():
    assert dict(scores(NONE, pictures(0), pictures(1), SCORED).figures()) == {}
    assert dict(score_speech(NONE, pictures(0), np.zeros(16000, np.float32)).figures()) == {}


def test_each_figure_is_that_of_its_own_module_over_the_scored_frames(networks: MetricNetworks):
    some, true = pictures(0), pictures(1)
    found = dict(scores(networks, some, true, SCORED).figures())
    assert networks.fid is not None and networks.lpips is not None and networks.embedder is not None
    pair = (some[SCORED], true[SCORED])
    moments = (Moments.of(picture_features(networks.fid, images)) for images in pair)
    assert found == {
        "lpips": lpips_between(networks.lpips, *pair).value,
        "fid": pytest.approx(frechet_distance(*moments)),
        "csim": csim(*(crop_embeddings(networks.embedder, images) for images in pair)).value,
    }
    assert found["fid"] > 0 and found["lpips"] > 0 and found["csim"] < 1


def test_parts_give_the_figures_of_the_whole(networks: MetricNetworks):
    some, true = pictures(0), pictures(1)
    whole = scores(networks, some, true, np.arange(5))
    halves = [scores(networks, some[s], true[s], np.arange(len(some[s]))) for s in (slice(2), slice(2, 5))]
    assert dict((halves[1] + halves[0]).figures()) == pytest.approx(dict(whole.figures()), rel=1e-3)


def test_videos_are_looked_at_whole_and_one_clip_of_one_is_too_little_to_tell():
    torch.manual_seed(0)
    net = I3D(I3DConfig(num_classes=3, divisor=16)).eval()
    networks = MetricNetworks(fvd=net)
    some, true = pictures(0, 33, 8), pictures(1, 33, 8)
    found = scores(networks, some, true, SCORED)
    expected = frechet_distance(*(Moments.of(video_features(net, images)) for images in (some, true)))
    assert dict(found.figures()) == {"fvd": pytest.approx(expected)} and expected > 0
    (single,) = scores(networks, some[:16], true[:16], SCORED).figures()
    assert single[0] == "fvd" and math.isnan(single[1])


def test_speech_is_compared_by_syncnet_and_averaged_over_clips():
    torch.manual_seed(0)
    net = SyncNetV2(SyncNetV2Config(divisor=32)).eval()
    samples = np.random.default_rng(0).normal(0, 0.1, 8 * 640).astype(np.float32)
    curves = [face_sync_curve(net, pictures(seed, 8, 16), samples) for seed in (0, 1)]
    found = [score_speech(MetricNetworks(sync=net), pictures(seed, 8, 16), samples) for seed in (0, 1)]
    assert dict((found[0] + found[1]).figures()) == {
        "sync_c": pytest.approx(sum(curve.confidence for curve in curves) / 2),
        "sync_d": pytest.approx(sum(curve.distance for curve in curves) / 2),
    }
    assert dict(score_speech(MetricNetworks(sync=net), pictures(0, 8, 16), None).figures()) == {}
