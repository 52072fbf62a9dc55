"""A batch on a cluster gives what one machine gives, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from segtalker.batch.config import BatchConfig
from segtalker.batch.rows import DubRow
from segtalker.batch.run import dub_rows
from segtalker.errors import ConfigError, SegTalkerError
from tests.batch.dubs import BlobWorker, decoded, draw_rows, here, small_config

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    return small_config(tmp_path_factory.mktemp("weights"))


def workers(
    rows, cfg, batch, out, marker: Path | None = None, dies_on: str = "", always: bool = False, least: int = 2
):
    """`ray_workers` that see drawn faces; one dies on a task of this name, once or `always`."""
    from ray_jobs.dub import Dubber, ray_workers
    from ray_jobs.pool import Pool

    class BlobDubber(Dubber):
        kind = BlobWorker

        def __call__(self, row: dict[str, str]) -> dict[str, str]:
            if marker is not None and f'"{dies_on}"' in row["task"] and (always or not marker.exists()):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(row)

    return ray_workers(rows, cfg, batch, str(out), Pool(least, 2), dubber=BlobDubber)


def dub(rows, cfg, batch, out, **dying):
    with workers(rows, cfg, batch, out, **dying) as runner:
        return {outcome.id: outcome for outcome in dub_rows(rows, cfg, batch, out, runner).outcomes}


def alone(row: DubRow, cfg, folder: Path) -> np.ndarray:
    """Frames of the row by one worker in this process, in one piece."""
    from dataclasses import replace

    batch = BatchConfig(chunk_frames=0, scratch=str(folder / "scratch"))
    there = replace(row, output=str(folder / "alone" / "out.mp4"))
    standing = dub_rows([there], cfg, batch, folder / "alone", here(cfg, batch, folder / "alone"))
    assert standing.outcomes[0].state == "done", standing.outcomes[0].reason
    return decoded(Path(there.output))


def test_rows_and_ranges_are_done_when_a_worker_is_killed_and_found_again(cluster, cfg, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 14, ("ann", "bob"))
    (tmp_path / "cut.mp4").write_bytes(Path(rows[0].video).read_bytes()[:400])
    bad = DubRow(id="cut", video=str(tmp_path / "cut.mp4"), speech=rows[0].speech, output=f"{tmp_path}/o.mp4")
    batch = BatchConfig(chunk_frames=8, scratch=str(tmp_path / "scratch"))
    marker = tmp_path / "killed"
    outcomes = dub([*rows, bad], cfg, batch, tmp_path / "out", marker=marker, dies_on="render")
    assert marker.exists()
    assert {name: (o.state, o.chunks) for name, o in outcomes.items()} == {
        "ann": ("done", 2), "bob": ("done", 2), "cut": ("failed", 1),
    }  # fmt: skip
    assert max(o.attempts for o in outcomes.values()) == 2
    assert np.array_equal(decoded(Path(rows[0].output)), alone(rows[0], cfg, tmp_path))

    stamps = [os.stat(row.output).st_mtime_ns for row in rows]
    again = dub([*rows, bad], cfg, batch, tmp_path / "out")
    assert [o.state for o in again.values()] == ["found", "found", "failed"]
    assert [os.stat(row.output).st_mtime_ns for row in rows] == stamps


def test_a_row_that_kills_its_workers_fails_by_name_and_the_others_are_done(cluster, cfg, tmp_path):
    rows = draw_rows(tmp_path, tmp_path / "out", 5, ("ann", "bob", "eve"))
    batch = BatchConfig(attempts=2, scratch=str(tmp_path / "scratch"))
    outcomes = dub(
        rows, cfg, batch, tmp_path / "out", marker=tmp_path / "m", dies_on="bob", always=True, least=1
    )
    assert {name: o.state for name, o in outcomes.items()} == {"ann": "done", "bob": "failed", "eve": "done"}
    assert "its worker died" in outcomes["bob"].reason and outcomes["bob"].attempts == 2


def test_more_than_the_cluster_holds_is_refused(cluster):
    from ray_jobs.pool import Pool, check_pool

    with pytest.raises(ConfigError, match="--workers 99: this cluster has 8 CPUs.*1 to 7"):
        check_pool(Pool(99, 99))
    with pytest.raises(ConfigError, match="4 with 0.25 GPUs each: this cluster has 0"):
        check_pool(Pool(4, 4, gpus=0.25))


@pytest.mark.parametrize(
    ("pool", "nodes", "says"),
    [
        ((3, 3, 0.0, 3.0), [{"CPU": 4.0}] * 4, None),
        ((5, 5, 0.0, 3.0), [{"CPU": 4.0}] * 4, "5 with 3 CPU each: the 4 nodes hold 4"),
        ((2, 2, 0.5, 1.0), [{"CPU": 8.0}, {"CPU": 0.5, "GPU": 1.0}], "1 CPU and 0.5 GPU each: .* hold 0"),
        ((2, 2, 0.5, 0.0), [{"CPU": 8.0}, {"CPU": 0.5, "GPU": 1.0}], None),
        ((1, 1, 0.5, 0.0), [{"GPU": 1.0}], "has 0 CPUs, .* Add nodes"),
    ],
)
def test_a_worker_is_not_spread_over_nodes(pool, nodes, says):
    from ray_jobs.pool import Pool, refuse_too_many

    with nullcontext() if says is None else pytest.raises(ConfigError, match=says):
        refuse_too_many(Pool(*pool), nodes)


@pytest.mark.parametrize(
    ("text", "gpus", "says"),
    [
        ("some", 0.0, "give a number such as 4"),
        ("0", 0.0, "give a number"),
        ("4:2", 0.0, "the first bound is the smaller"),
        ("2:8", 0.25, "workers with GPUs are of a fixed number, such as 8"),
    ],
)
def test_numbers_of_workers_that_cannot_be_are_refused(text, gpus, says):
    from ray_jobs.pool import Pool

    with pytest.raises(ConfigError, match=says):
        Pool.parse(text, gpus, 1.0)
    assert Pool.parse("2:8", 0.0, 2.5) == Pool(2, 8, 0.0, 2.5) and Pool.parse("3", 0.5, 1.0).most == 3


def test_paths_that_nodes_may_not_see_are_refused(cluster, cfg, tmp_path):
    remote = DubRow(id="a", video="s3://b/a.mp4", speech="s3://b/a.wav", output="s3://b/out/a.mp4")
    with (
        pytest.raises(SegTalkerError, match="--out is the local path"),
        workers([remote], cfg, BatchConfig(), tmp_path / "out"),
    ):
        raise AssertionError("it should not begin")


def test_a_mistake_is_one_line_before_any_work(tmp_path, capsys, monkeypatch):
    from ray_jobs.dub import main

    manifest = tmp_path / "clips.csv"
    manifest.write_text("id,video\na,a.mp4\n")
    assert main([str(manifest), "--out", str(tmp_path / "out")]) == 6
    said = capsys.readouterr().err.strip()
    assert said.startswith("ray_jobs.dub: ") and "line 2: no 'speech'" in said and "\n" not in said
    assert not (tmp_path / "out").exists()
    unpacked = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_0"
    unpacked.mkdir(parents=True)
    monkeypatch.chdir(unpacked)
    assert main([str(manifest), "--out", "data"]) == 2
    assert "--out data: lies in the job's working directory" in capsys.readouterr().err
