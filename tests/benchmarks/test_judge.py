"""The networks in the cache add their columns to the ablations, with the values of the metrics themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import _judge
from benchmarks._ablations import Training
from benchmarks._judge import Judge
from segtalker.audio.mel import mel_spectrogram
from segtalker.data.shards import ShardReader, ShardWriter
from segtalker.errors import DataError
from segtalker.metrics.frechet import Moments, frechet_distance, picture_features, video_features
from segtalker.metrics.likeness import crop_embeddings, csim
from segtalker.metrics.networks import MetricNetworks, load_metric_networks
from segtalker.metrics.perceptual import lpips_between
from segtalker.metrics.sync_scores import face_sync_curve
from segtalker.models.frozen.maskgan_unet import ParsingUNet, ParsingUNetConfig
from segtalker.models.syncnet import SyncNet
from segtalker.readiness import available_metrics
from segtalker.training.run import load_train_config
from segtalker.training.talk import choose_reference
from segtalker.weights.checkpoint import save_weights
from tests.training.recipes import CONFIGS
from tests.training.tiny import tiny_clip
from tests.weights.judges import METRICS, put

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

FRAMES, SIZE = 36, 32
SAMPLES = np.random.default_rng(0).normal(0, 0.1, FRAMES * 640).astype(np.float32)
COLUMNS = {
    "inception_fid": {"fid"},
    "i3d_fvd": {"fvd"},
    "syncnet_v2": {"sync_c", "sync_d"},
    "lpips_alex": {"lpips"},
    "irse50": {"csim"},
}


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Judge]:
    """Makes one of a painted person's clip, with a parser and an expert that have learned nothing."""
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INSIGHTFACE_HOME", raising=False)
    monkeypatch.setattr(_judge, "speech_of", lambda reader, clip: SAMPLES)
    clip = tiny_clip(0, FRAMES, SIZE, "val")
    palette = np.random.default_rng(0).integers(40, 216, (12, 3)).astype(np.uint8)
    with ShardWriter(tmp_path / "shards") as writer:
        writer.add(dataclasses.replace(clip, mel=mel_spectrogram(SAMPLES), crops=palette[clip.maps]))
    torch.manual_seed(0)
    parsing = ParsingUNetConfig(widths=(2, 2, 2, 2, 2), num_classes=12, input_size=SIZE)
    parser = Training("parsing_unet", tmp_path, (), tmp_path)
    save_weights(ParsingUNet(parsing), parsing, parser.weights)
    syncing = load_train_config("syncnet", CONFIGS / "smoke" / "sync_expert.yaml").model
    expert = save_weights(SyncNet(syncing), syncing, tmp_path / "expert.safetensors")
    return lambda: Judge(ShardReader(tmp_path / "shards"), parser, expert)


def test_without_networks_no_column_is_there_and_all_are_named_as_off(judge: Callable[[], Judge]):
    made = judge()
    assert set(made.off) == {metric for metrics in METRICS.values() for metric in metrics}
    for make in (made.still, made.real):
        assert not set().union(*COLUMNS.values()) & made.score_all([0], make).figures().keys()


def expected(row: str, networks: MetricNetworks, reader: ShardReader) -> dict[str, float]:
    """The columns of a still face by the metrics themselves."""
    true = reader.read(0, "crops")
    reference = choose_reference(reader.read(0, "maps"))
    still, scored = true[[reference] * FRAMES], np.delete(np.arange(FRAMES), reference)
    match row:
        case "inception_fid":
            sets = [Moments.of(picture_features(networks.fid, images[scored])) for images in (still, true)]
            return {"fid": frechet_distance(*sets)}
        case "i3d_fvd":
            sets = [Moments.of(video_features(networks.fvd, images)) for images in (still, true)]
            return {"fvd": frechet_distance(*sets)}
        case "lpips_alex":
            return {"lpips": lpips_between(networks.lpips, still[scored], true[scored]).value}
        case "irse50":
            faces = [crop_embeddings(networks.embedder, images[scored]) for images in (still, true)]
            return {"csim": csim(*faces).value}
        case _:
            curve = face_sync_curve(networks.sync, still, SAMPLES)
            return {"sync_c": curve.confidence, "sync_d": curve.distance}


@pytest.mark.parametrize("row", METRICS)
def test_a_network_in_the_cache_adds_its_columns_and_no_others(
    row: str, judge: Callable[[], Judge], tmp_path: Path
):
    put(row, tmp_path)
    made = judge()
    assert not set(made.off) & set(METRICS[row]) and len(made.off) == 6 - len(METRICS[row])
    figures = made.score_all([0], made.still).figures()
    added = figures.keys() & set().union(*COLUMNS.values())
    assert added == COLUMNS[row]
    wanted = expected(row, load_metric_networks(available_metrics()), made.reader)
    assert {name: figures[name] for name in added} == pytest.approx(wanted, rel=1e-6)
    assert min(map(abs, wanted.values())) > 1e-3
    true = made.score_all([0], made.real).figures()  # speech alone says something of true pictures
    assert true.keys() & added == ({"sync_c", "sync_d"} if row == "syncnet_v2" else set())


def test_true_pictures_are_looked_at_once_however_many_variants_there_are(
    judge: Callable[[], Judge], tmp_path: Path
):
    put("inception_fid", tmp_path)
    made = judge()
    seen: list[int] = []
    made._networks.fid.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    figures = [made.score_all([0], made.still).figures() for _ in range(3)]
    assert sum(seen) == (1 + 3) * (FRAMES - 1) and figures[0] == figures[1] == figures[2]


def test_a_clip_whose_speech_is_lost_is_scored_by_the_rest_and_told_once(
    judge: Callable[[], Judge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    def lost(reader: ShardReader, clip: int) -> None:
        raise DataError("clip 'clip0': its video has gone.")

    put("syncnet_v2", tmp_path)
    monkeypatch.setattr(_judge, "speech_of", lost)
    made = judge()
    for _ in range(2):
        figures = made.score_all([0], made.still).figures()
        assert "sync_c" not in figures and figures["psnr"] is not None
    assert capsys.readouterr().err.count("no Sync-C and Sync-D: clip 'clip0': its video has gone.") == 1
