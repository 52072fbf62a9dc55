"""From raw videos to three trained networks by four job lines on a cluster of two nodes, with kills.

The nodes have two CPUs each, and every worker of a training asks for two: it takes both nodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from safetensors.torch import load_file

from benchmarks._ray import (
    PREPARER,
    TRAINER,
    VICTIMS,
    committed_step,
    finished_clips,
    run_job,
    starts,
    strike,
    submitted,
    until,
    workers,
)
from ray_jobs.local_cluster import LocalCluster, local_cluster
from segtalker.data.manifest import SplitConfig, split_of
from segtalker.data.shards import ShardReader
from segtalker.storage import fetch_folder, get_file, join, list_files
from segtalker.synthetic.video import demo_clip
from tests.training.recipes import read_metrics

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]
NUM_PEOPLE, NUM_HELD_OUT, VIDEOS_EACH = 5, 1, 2
HELD_OUT = 0.2
CPUS = 2


@pytest.fixture(scope="module")
def nodes(s3_server) -> Iterator[LocalCluster]:
    with local_cluster(2, CPUS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sub-folder a person, as a user would have them; one person's name is drawn for validation."""
    folder = tmp_path_factory.mktemp("videos")
    split = {name: split_of(name, SplitConfig(HELD_OUT, 0)) for name in map("person{}".format, range(40))}
    held_out = [name for name in split if split[name] == "val"][:NUM_HELD_OUT]
    people = [name for name in split if split[name] == "train"][: NUM_PEOPLE - NUM_HELD_OUT] + held_out
    jobs = [
        (folder / name / f"{k}.mp4", seed) for seed, name in enumerate(people) for k in range(VIDEOS_EACH)
    ]
    for path, _ in jobs:
        path.parent.mkdir(exist_ok=True)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(_make_video, jobs))
    return folder


def _make_video(job: tuple[Path, int]) -> None:
    path, person = job
    demo_clip(path, 1.6, person, (240, 240))


@pytest.fixture(scope="module")
def corpus(nodes, videos, tmp_path_factory) -> Path:
    """Shards from the first job line, during which a worker, a node and the driver were killed."""
    out = tmp_path_factory.mktemp("corpus")
    line = ["ray_jobs.prepare", "folder", str(videos), "--out", str(out), "--workers", "2"]
    line += ["--val", str(HELD_OUT), "--test", "0"]
    for setting in ("size=32", "syncnet=null", "quality.min_s=0.4"):
        line += ["--set", setting]
    with submitted(nodes, *line) as job:
        until(lambda: workers(nodes, 0, PREPARER) and workers(nodes, 1, PREPARER), "workers", job)
        finished: dict[str, tuple[int, int]] = {}
        for victim in VICTIMS:
            until(partial(more_than, len(finished), out), "finished clip", job)
            strike(nodes, victim, PREPARER)
            found = finished_clips(out)
            assert all(found[clip] == seal for clip, seal in finished.items())
            finished = found
        assert job.wait(60) == 1
    assert 0 < len(finished) < NUM_PEOPLE * VIDEOS_EACH  # or the kills would prove nothing
    code, printed = run_job(nodes, *line)
    assert code == 0, printed
    found = finished_clips(out)
    assert all(found[clip] == seal for clip, seal in finished.items()), "a finished clip was made again"
    return out


def more_than(count: int, out: Path) -> bool:
    return len(finished_clips(out)) > count


def train_line(network: str, corpus: Path, storage: Path | str, steps: int) -> list[str]:
    line = ["ray_jobs.train", network, f"configs/smoke/{network}.yaml", "--storage", str(storage)]
    line += ["--workers", "2", "--cpus-per-worker", str(CPUS)]
    run = {"max_steps": steps, "save_every": 20, "log_every": 20, "validate_every": 20, "picture_every": 0}
    for setting in (f"clips.folder={corpus}", *(f"run.{name}={value}" for name, value in run.items())):
        line += ["--set", setting]
    return line


def train_on_both(nodes: LocalCluster, line: list[str]) -> None:
    """A training that nothing disturbs, on both nodes."""
    with submitted(nodes, *line) as job:
        until(lambda: workers(nodes, 0, TRAINER) and workers(nodes, 1, TRAINER), "workers", job)
        assert job.wait(280) == 0, job.output
        assert "weights: " in job.output


def only_run(storage: Path) -> Path:
    (folder,) = (path for path in storage.iterdir() if (path / "config.yaml").is_file())
    return folder


def held_out(run: Path, figure: str) -> list[float]:
    return [row[figure] for row in read_metrics(run) if figure in row]


@pytest.fixture(scope="module")
def syncnet(nodes, corpus, tmp_path_factory) -> Path:
    storage = tmp_path_factory.mktemp("runs")
    train_on_both(nodes, train_line("syncnet", corpus, storage, 200))
    return only_run(storage)


def test_killed_workers_nodes_and_drivers_lose_and_double_no_clip(corpus):
    reader = ShardReader(corpus)  # refuses a key that is there twice
    clips = [row.provenance["clip"] for row in reader.rows]
    assert len(set(clips)) == len(clips) == NUM_PEOPLE * VIDEOS_EACH
    outcomes = [json.loads(line) for line in (corpus / "outcomes.jsonl").read_text().splitlines()]
    assert [row["status"] for row in outcomes] == ["done"] * len(clips)
    assert {row["key"] for row in outcomes} == set(finished_clips(corpus))
    assert len(reader.select("val")) == NUM_HELD_OUT * VIDEOS_EACH


def test_syncnet_learns_on_two_nodes(syncnet):
    losses = held_out(syncnet, "val_bce")
    assert losses[0] == pytest.approx(0.693, abs=0.03)  # chance
    assert losses[-1] < losses[0] - 0.02


def test_tsg_learns_on_two_nodes_and_keeps_its_run_in_a_bucket(nodes, corpus, s3_server, tmp_path):
    storage = f"s3://{s3_server.bucket}/runs"
    train_on_both(nodes, train_line("tsg", corpus, storage, 120))
    (weights,) = (name for name in list_files(storage) if name.endswith("tsg.safetensors"))
    run = join(storage, weights.removesuffix("/tsg.safetensors"))
    get_file(join(run, "metrics.jsonl"), tmp_path / "metrics.jsonl")
    overlaps = held_out(tmp_path, "val_miou")
    assert overlaps[-1] > overlaps[0] + 0.05
    fetch_folder(
        join(run, "step_00000120"), tmp_path / "checkpoint"
    )  # refuses what its manifest does not say
    assert (tmp_path / "checkpoint" / "state-00000120.pt").is_file()


def test_sgi_learns_on_two_nodes(nodes, corpus, tmp_path):
    train_on_both(nodes, train_line("sgi", corpus, tmp_path, 120))
    figures = held_out(only_run(tmp_path), "val_psnr_mouth")
    assert figures[-1] > figures[0] + 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["ray_jobs.train", "syncnet", "configs/smoke/syncnet.yaml", "--storage", "runs"],
            "--storage runs: lies in the job's working dir",
        ),
        (
            ["ray_jobs.prepare", "folder", "VIDEOS", "--out", "OUT", "--set", "syncnet=/no.safetensors"],
            "/no.saf",
        ),
    ],
)
def test_a_job_that_fails_says_why_in_one_line(words, message, nodes, videos, tmp_path):
    places = {"VIDEOS": str(videos), "OUT": str(tmp_path / "out")}
    code, printed = run_job(nodes, *(places.get(word, word) for word in words))
    assert code == 1
    said = [line for line in printed.splitlines() if line.startswith(f"{words[0]}: ")]
    assert said and message in said[0], printed
    assert "Traceback" not in printed


def test_a_killed_training_ends_like_the_one_that_was_left_alone(nodes, corpus, syncnet, tmp_path):
    line = train_line("syncnet", corpus, tmp_path, 200)
    committed: list[int] = []
    with submitted(nodes, *line) as job:
        for victim in VICTIMS:
            until(
                lambda: (
                    len(starts(tmp_path)) == len(committed) + 1
                    and committed_step(tmp_path) > max([0, *committed])
                ),
                f"checkpoint before the {victim} is killed",
                job,
            )
            committed.append(committed_step(tmp_path))
            strike(nodes, victim, TRAINER)
        assert job.wait(60) == 1
    last = committed_step(tmp_path)
    code, printed = run_job(nodes, *line)
    assert code == 0, printed
    begun = starts(tmp_path)
    assert begun[0] == 0 and begun[-1] == last
    # Those that were reported before a worker died may still be committed after it.
    assert all(step <= start < 200 for step, start in zip(committed, begun[1:], strict=True))
    run = only_run(tmp_path)
    assert [row["step"] for row in read_metrics(run)] == [row["step"] for row in read_metrics(syncnet)]
    again, alone = (load_file(folder / "syncnet.safetensors") for folder in (run, syncnet))
    assert max(float((again[name] - alone[name]).abs().max()) for name in alone) < 1e-5
