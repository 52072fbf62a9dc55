"""What benchmarks and tests of the Ray jobs share: job lines on a local cluster, and what comes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ray_jobs.local_cluster import LocalCluster
from segtalker.data.manifest import ClipRow
from segtalker.storage import MANIFEST
from segtalker.synthetic.video import demo_clip

REPOSITORY = Path(__file__).parents[1]
VICTIMS = ("worker", "raylet", "driver")
PREPARER, TRAINER = "MapWorker", "RayTrainWorker"
"""In the titles of the workers' processes."""
_POLL_S = 0.05


@dataclass(frozen=True)
class Job:
    """A `ray job submit` that is under way."""

    line: subprocess.Popen[bytes]
    log: Path

    def wait(self, timeout_s: float) -> int:
        """The exit code of the line."""
        return self.line.wait(timeout_s)

    @property
    def output(self) -> str:
        """What the line printed up to now."""
        return self.log.read_text(errors="replace")


@contextmanager
def submitted(cluster: LocalCluster, *words: str) -> Iterator[Job]:
    """`ray job submit ... -- python -m WORDS` from the repository's folder; ended with the block."""
    ray = str(Path(sys.executable).parent / "ray")
    line = [ray, "job", "submit", "--address", cluster.jobs, "--working-dir", ".", "--", "python", "-m"]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [*line, *words], cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield Job(process, Path(log.name))
        finally:
            process.kill()
            process.wait()


def draw_people(folder: Path, clips_each: int) -> list[ClipRow]:
    """Short videos of two people for training and one held out."""
    rows = []
    for person, split in enumerate(("train", "train", "val")):
        for part in range(clips_each):
            video = demo_clip(folder / f"{person}-{part}.mp4", 1.2, person, (240, 240))
            rows.append(ClipRow(clip=video.stem, source=str(video), identity=f"p{person}", split=split))
    return rows


def run_job(cluster: LocalCluster, *words: str, timeout_s: float = 280) -> tuple[int, str]:
    """Exit code and output of a whole job."""
    with submitted(cluster, *words) as job:
        return job.wait(timeout_s), job.output


def until(true: Callable[[], Any], what: str, job: Job | None = None, timeout_s: float = 120) -> Any:
    """Wait for something and return it; `TimeoutError` with the job's output when it does not come."""
    end = time.monotonic() + timeout_s
    while not (found := true()):
        over = job is not None and job.line.poll() is not None and not true()
        if over or time.monotonic() > end:
            raise TimeoutError(f"no {what}; the job printed:\n{job.output if job else ''}")
        time.sleep(_POLL_S)
    return found


def workers(cluster: LocalCluster, node: int, title: str) -> list[int]:
    """Processes of the workers of this title on a node."""
    return processes_below(
        cluster.raylet(node), lambda words: words[0].startswith("ray::") and title in words[0]
    )


def drivers(cluster: LocalCluster) -> list[int]:
    """Processes of the job scripts that run, all on the head."""
    return processes_below(
        cluster.raylet(0), lambda words: any(word.startswith("ray_jobs.") for word in words)
    )


def strike(cluster: LocalCluster, victim: str, title: str) -> None:
    """SIGKILL a `worker` of this title or the `raylet` of the last node, or the `driver`.

    A lost node is replaced by a new one, as on a cluster that keeps its size.
    """
    if victim == "raylet":
        cluster.kill_node(-1)
        cluster.add_node()
        return
    pids = workers(cluster, -1, title) if victim == "worker" else drivers(cluster)
    if not pids:
        raise RuntimeError(f"no {victim} to kill")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def finished_clips(out: Path) -> dict[str, tuple[int, int]]:
    """Folder of each clip that is done -> inode and time of its seal, which change if it is made again."""
    seals = {path.parent.name: path.stat() for path in out.glob(f"*/{MANIFEST}")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in seals.items()}


def committed_step(storage: Path) -> int:
    """Step of the last checkpoint that Ray has registered for the only run in a storage; 0: none yet."""
    for path in storage.glob("*/checkpoint_manager_snapshot.json"):
        latest = json.loads(path.read_text())["latest_checkpoint_result"]
        return int(latest["checkpoint_dir_name"].split("_")[1].partition("-")[0]) if latest else 0
    return 0


def starts(storage: Path) -> list[int]:
    """The steps from which the only run in a storage began, in turn."""
    rows = [line for path in storage.glob("*/starts.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(row)["step"] for row in rows]


def processes_below(parent: int, wanted: Callable[[list[str]], bool]) -> list[int]:
    """Processes under `parent`, at any depth, whose command line is wanted."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words and wanted(words):
            found.append(process.pid)
    return found


def memory_of(processes: Iterable[psutil.Process]) -> int:
    """Bytes that processes hold together; what they share, as the object store, counts once."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total
