"""How many workers of what size a training has, and whether a cluster can hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segtalker.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many workers of what size."""

    workers: int = 1
    """At the least; the global batch is the same for any number."""
    max_workers: int = 0
    """Where the cluster has room; 0: always `workers`."""
    gpus_per_worker: float = 0
    cpus_per_worker: float = 1
    max_failures: int = 3
    hang_timeout_s: int = 1200
    """How long workers wait for one that does not answer before all begin again."""
    wait_for_nodes: bool = False
    validate_apart: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1 or min(self.gpus_per_worker, self.cpus_per_worker) < 0 or not self.worker:
            raise ConfigError("--workers must be >= 1, and each needs a CPU or GPU or a share of one.")
        if self.hang_timeout_s < 1:
            raise ConfigError(f"--hang-timeout {self.hang_timeout_s}: must be at least 1 second.")
        if self.max_workers and self.max_workers < self.workers:
            raise ConfigError(f"--max-workers {self.max_workers} is less than --workers {self.workers}.")

    @property
    def counts(self) -> range:
        """Numbers of workers that there may be."""
        return range(self.workers, max(self.workers, self.max_workers) + 1)

    @property
    def worker(self) -> dict[str, float]:
        """Resources of one worker."""
        needs = {"CPU": self.cpus_per_worker, "GPU": self.gpus_per_worker}
        return {name: amount for name, amount in needs.items() if amount > 0}


def count_places(needs: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many workers that need so much each the nodes hold at once; none is spread over two nodes."""
    return sum(
        min(int(node.get(name, 0) / amount + 1e-6) for name, amount in needs.items()) for node in nodes
    )


def check_room(scale: Scale, nodes: Sequence[dict[str, float]]) -> None:
    """Refuse workers that the nodes cannot hold all at once: Ray would wait for ever."""
    room = count_places(scale.worker, nodes)
    if room < scale.workers + scale.validate_apart:
        size = " and ".join(f"{amount:g} {name}" for name, amount in scale.worker.items())
        total = ", ".join(f"{sum(node.get(name, 0) for node in nodes):g} {name}" for name in ("CPU", "GPU"))
        raise ConfigError(
            f"no room for {scale.workers} workers{' and a validation' * scale.validate_apart} of {size} "
            f"each: {len(nodes)} nodes with {total} hold {room}. "
            "Ask for fewer or smaller workers, add nodes, or wait for nodes with --wait-for-nodes."
        )
