"""What benchmarks of the service share: the real application on a Ray cluster of its own, and its processes.

`running` starts `python -m benchmarks._serve`, which starts Ray and the application on free ports of the
loopback. All processes of Ray are below that one, so that they can be found, measured and killed by hand.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks._ray import REPOSITORY, memory_of, processes_below
from benchmarks._report import log
from ray_jobs.local_cluster import QUIET
from segtalker.client import Client, Retries
from segtalker.compositing.plan import PlanConfig
from segtalker.config import to_yaml
from segtalker.dub_config import DubConfig
from serve.config import ApiConfig, DriverConfig, JobsConfig, LimitsConfig, ServiceConfig, StageConfig

GENERATOR, DRIVER, INGRESS = "Generator", "Driver", "Ingress"
"""Names of deployments."""
_ADVISED = {"RAY_LOG_MONITOR_MAX_OPEN_FILES": "20"}
"""What docs/service.md advises: else Ray's log monitor holds 200 files of ended replicas open."""
_LOGICAL_CPUS = 32  # replicas are placed by these; the machine's own are shared by all
_STORE_BYTES = 300 << 20
_START_S, _STOP_S = 240.0, 30.0
_BUCKET = re.compile(r"^(\w+)_bucket\{(.*)\} (\S+)$", re.MULTILINE)
_EDGE = re.compile(r'\ble="([^"]+)"')


@dataclass(frozen=True)
class Service:
    """The application that runs, and the cluster under it."""

    url: str
    metrics_url: str
    process: subprocess.Popen[bytes]
    config: ServiceConfig
    log: Path

    def client(self, retries: Retries | None = None) -> Client:
        """A client of it."""
        return Client(self.url, retries=retries)

    def processes(self) -> list[psutil.Process]:
        """All processes of Ray."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def replicas(self, deployment: str) -> list[int]:
        """Processes of a deployment's replicas."""
        return replicas_below(self.process.pid, deployment)

    def kill(self, deployment: str) -> int:
        """SIGKILL one replica and return its process id; waits for one where none runs."""
        end = time.monotonic() + _START_S
        while not (pids := self.replicas(deployment)):
            if time.monotonic() > end:
                raise RuntimeError(f"no replica of {deployment} to kill; see {self.log}")
            time.sleep(0.1)
        os.kill(pids[0], signal.SIGKILL)
        return pids[0]

    def kill_cluster(self) -> None:
        """SIGKILL everything at once, as when the power fails."""
        for process in [psutil.Process(self.process.pid), *self.processes()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def memory(self) -> int:
        """Bytes of all processes of Ray together: the least of a few samples, as work in progress ebbs."""
        return min(memory_of(self.processes()) for _ in _samples())

    def open_files(self) -> int:
        """Open files and sockets of all processes of Ray: the least of a few samples."""
        return min(open_files_of(self.processes()) for _ in _samples())

    def metrics(self) -> str:
        """What Prometheus would read now; Ray hands new values on every few seconds."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            return answer.read().decode()


@contextmanager
def running(config: ServiceConfig, folder: Path) -> Iterator[Service]:
    """The application of `serve.app` with this configuration, ready for requests; gone after the block."""
    log("starting the service ...")
    path = folder / "service.yaml"
    path.write_text(to_yaml(config))
    port, metrics_port = free_port(), free_port()
    lines = folder / f"service-{port}.log"
    with (
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as ray_folder,
        lines.open("wb") as output,
    ):
        words = [sys.executable, "-m", "benchmarks._serve", path, port, metrics_port, ray_folder]
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **QUIET, **_ADVISED},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the other
        )
        local = "http://127.0.0.1"
        service = Service(f"{local}:{port}", f"{local}:{metrics_port}/metrics", process, config, lines)
        try:
            _wait_until_ready(service)
            yield service
        finally:
            _stop(service)


def service_config(folder: Path, dub: DubConfig) -> ServiceConfig:
    """The split graph with short waits, and small limits that bad requests exceed at once.

    The generator may grow to two replicas.
    """
    return ServiceConfig(
        dub=dub,
        generator=StageConfig(max_replicas=2, upscale_s=2.0, downscale_s=10.0),
        driver=DriverConfig(jobs=4),
        api=ApiConfig(scratch=str(folder)),
        jobs=JobsConfig(storage=str(folder / "jobs"), lease_s=5.0, poll_s=0.2),
        limits=LimitsConfig(upload_mb=4.0, idle_s=3.0, upload_s=15.0, video_s=60.0),
    )


def small_segments(frames: int, threads: int) -> DubConfig:
    """The shipped networks, in segments of so few frames that a short clip has several."""
    return DubConfig(plan=PlanConfig(chunk_frames=frames), threads=threads)


def replicas_below(parent: int, deployment: str) -> list[int]:
    """Processes of the replicas of a deployment under a process, by the titles that Ray gives them."""
    title = re.compile(rf"ray::ServeReplica:[^:]+:{re.escape(deployment)}(\.\w+)?\s*")
    return processes_below(parent, lambda words: title.fullmatch(words[0]) is not None)


def open_files_of(processes: list[psutil.Process]) -> int:
    """File descriptors of processes together."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.num_fds()
    return total


def histogram_max(text: str, name: str) -> int:
    """The least that the greatest value of a histogram of whole numbers can be; 0: there are no values.

    text: what Prometheus reads; the histogram is the sum over all tags.
    """
    counts: dict[float, float] = {}
    for found, tags, count in _BUCKET.findall(text):
        edge = _EDGE.search(tags)
        if found == name and edge:
            value = float(edge[1])
            counts[value] = counts.get(value, 0.0) + float(count)
    edges = sorted(counts)
    filled = [i for i, edge in enumerate(edges) if counts[edge] > (counts[edges[i - 1]] if i else 0)]
    if not filled:
        return 0
    return int(edges[filled[-1] - 1]) + 1 if filled[-1] else 1


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _samples() -> Iterator[None]:
    for number in range(5):
        if number:
            time.sleep(1.0)
        yield


def _wait_until_ready(service: Service) -> None:
    end = time.monotonic() + _START_S
    state = "no answer"
    while time.monotonic() < end and service.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{service.url}/readyz", timeout=10):
                return
        except urllib.error.HTTPError as error:
            state = error.read().decode(errors="replace")
        except OSError as error:
            state = str(error)
        time.sleep(0.2)
    printed = service.log.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"the service did not become ready ({state}); it printed:\n{printed}")


def _stop(service: Service) -> None:
    """Let the process shut Ray down; kill what is left of it."""
    if service.process.poll() is not None:
        return
    everything = service.processes()
    assert service.process.stdin is not None
    service.process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        service.process.wait(_STOP_S)
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    service.process.kill()
    service.process.wait()


def _host(config: str, port: int, metrics_port: int, folder: str) -> None:
    """The process below which Ray runs: ends when its standard input does."""
    import ray
    from ray import serve

    from serve.app import Arguments, build

    ray.init(
        address="local",
        num_cpus=_LOGICAL_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_STORE_BYTES,
        _metrics_export_port=metrics_port,
        _temp_dir=folder,  # short, as sockets need it
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(Arguments(config=config)))
    sys.stdin.buffer.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    _host(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
