"""A training whose corpus lies in a bucket is the training whose corpus lies on the disk."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from segtalker.data.dataset import ClipsConfig, SyncBatches, SyncDataConfig, TSGBatches, TSGDataConfig
from segtalker.data.dataset_sgi import SGIBatches, SGIDataConfig
from segtalker.storage import put_folder
from segtalker.training.run import train
from tests.training.pictures import make_picture_corpus
from tests.training.recipes import CONFIGS, read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGTALKER_SHARD_CACHE", str(tmp_path / "cache"))


def test_batches_from_a_bucket_equal_those_from_the_disk(s3_server, tiny_corpus, tmp_path):
    pictures = make_picture_corpus(tmp_path / "pictures")
    for name, folder in (("tiny", tiny_corpus), ("pictures", pictures)):
        put_folder(folder, f"s3://{s3_server.bucket}/{tmp_path.name}/{name}")
    makers = {
        "tiny": [
            lambda clips: SyncBatches(clips, SyncDataConfig(clips=2, windows=3), 5, seed=1),
            lambda clips: TSGBatches(clips, TSGDataConfig(items=2), seed=1),
        ],
        "pictures": [lambda clips: SGIBatches(clips, SGIDataConfig(items=2), seed=1)],
    }
    for name, folder in (("tiny", tiny_corpus), ("pictures", pictures)):
        remote = ClipsConfig(folder=f"s3://{s3_server.bucket}/{tmp_path.name}/{name}")
        for make in makers[name]:
            local_batches, remote_batches = make(ClipsConfig(folder=str(folder))), make(remote)
            for step in (0, 3):
                expected, found = local_batches.batch(step), remote_batches.batch(step)
                assert expected.keys() == found.keys()
                assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_smoke_training_from_a_bucket_has_the_same_losses_and_weights(
    s3_server, tiny_corpus, tmp_path, workers
):
    uri = f"s3://{s3_server.bucket}/{tmp_path.name}/tiny"
    put_folder(tiny_corpus, uri)
    runs = {}
    for name, folder, processes in (("disk", tiny_corpus, 0), ("bucket", uri, workers)):
        overrides = [
            f"clips.folder={folder}",
            f"run.workers={processes}",
            "run.max_steps=6",
            "run.log_every=1",
        ]
        path = train("syncnet", CONFIGS / "smoke" / "syncnet.yaml", overrides, tmp_path / name, quiet=True)
        losses = [row["loss"] for row in read_metrics(tmp_path / name) if "loss" in row]
        runs[name] = losses, load_file(path)
    assert runs["disk"][0] == runs["bucket"][0] and len(runs["disk"][0]) == 6
    for name, tensor in runs["disk"][1].items():
        assert torch.equal(tensor, runs["bucket"][1][name])
