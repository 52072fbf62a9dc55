"""Several Ray nodes on this machine, each with processes of its own, to try job lines on.

    python -m ray_jobs.local_cluster --nodes 2 --cpus 2
    ray job submit --address http://127.0.0.1:PORT --working-dir . -- python -m ray_jobs.prepare ...

CPUs are logical: a node is given as many as asked for, whatever the machine has. All processes end with the
one that started them; other Ray clusters on the machine are left alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # on the loopback only
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}
_STORE_BYTES = 150 << 20


class LocalCluster:
    """Ray nodes that this process owns; the first one is the head. See `local_cluster`."""

    def __init__(self, cpus: float, temp_dir: str) -> None:
        from ray.cluster_utils import Cluster

        self._cpus, self._temp_dir = cpus, temp_dir
        self._cluster = Cluster()
        self.nodes: list[Any] = []
        # Free ports: another cluster on the machine may hold the usual ones, and then no job would start.
        free = {"dashboard_port": 0, "dashboard_agent_listen_port": 0}
        self.add_node(include_dashboard=True, dashboard_host="127.0.0.1", **free)

    @property
    def address(self) -> str:
        """For `ray.init`."""
        return str(self._cluster.address)

    @property
    def jobs(self) -> str:
        """For `ray job submit --address`."""
        return f"http://{self.nodes[0].webui_url}"

    def add_node(self, **more: Any) -> None:
        """One more node, ready for work."""
        node = self._cluster.add_node(
            num_cpus=self._cpus, object_store_memory=_STORE_BYTES, temp_dir=self._temp_dir, **more
        )
        self.nodes.append(node)

    def raylet(self, number: int) -> int:
        """Process id of a node's raylet: the parent of all workers there."""
        return int(self.nodes[number].all_processes["raylet"][0].process.pid)

    def kill_node(self, number: int) -> None:
        """SIGKILL a node's raylet, as when a machine is lost; the other nodes move up."""
        os.kill(self.raylet(number), signal.SIGKILL)
        self._cluster.remove_node(self.nodes.pop(number), allow_graceful=False)

    def stop(self) -> None:
        """End all processes."""
        self._cluster.shutdown()


@contextmanager
def local_cluster(nodes: int = 2, cpus: float = 2) -> Iterator[LocalCluster]:
    """A cluster of `nodes` nodes with `cpus` CPUs each, gone after the block; an error keeps its logs."""
    os.environ.update(QUIET)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # jobs say `python`
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    with _ray_folder(folder) as temp_dir:
        cluster = LocalCluster(cpus, temp_dir)
    try:
        for _ in range(nodes - 1):
            cluster.add_node()
        yield cluster
    except BaseException:
        cluster.stop()
        print(f"Ray's logs are kept: {folder}", file=sys.stderr)
        raise
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ray_folder(folder: str) -> Iterator[str]:
    """The cluster's own `temp_dir` in a folder; meanwhile Ray notes the address of a head in there.

    Otherwise it goes to /tmp/ray, which may be absent or another cluster's, and jobs do not find it: beside
    other clusters on the machine their drivers would then connect to any of them.
    """
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = folder
    temp_dir = os.path.join(folder, "ray")  # as Ray would call it
    os.makedirs(temp_dir)
    try:
        yield temp_dir
    finally:
        del os.environ["RAY_TMPDIR"]
        if before is not None:
            os.environ["RAY_TMPDIR"] = before


def main() -> None:
    """Start the nodes, say where to submit jobs, and wait for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m ray_jobs.local_cluster",
        description="Ray nodes on this machine, to try job lines on; Ctrl-C ends them.",
    )
    parser.add_argument("--nodes", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument("--cpus", type=float, default=2, metavar="C", help="logical CPUs a node (default: 2)")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with local_cluster(options.nodes, options.cpus) as cluster:
        print(f"{options.nodes} nodes are up: ray job submit --address {cluster.jobs} --working-dir . -- ...")
        stop.wait()


if __name__ == "__main__":
    main()
