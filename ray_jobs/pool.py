"""Workers of Ray Data that keep their networks, and what they make of rows, whatever dies meanwhile."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.annotations import RayDeprecationWarning

from ray_jobs.scale import count_places
from segtalker.errors import ConfigError

_ERRORED_BLOCKS = "ray.data._internal.execution.streaming_executor_state"


@dataclass(frozen=True)
class Pool:
    """The workers that a job asks a cluster for."""

    least: int
    most: int
    gpus: float = 0.0
    """Of each worker; a share such as 0.25 lets four live on one."""
    cpus: float = 1.0
    """Of each worker."""

    @staticmethod
    def parse(text: str, gpus: float, cpus: float) -> Pool:
        """Out of `4` or `2:8`; `ConfigError` says what cannot be."""
        found = re.fullmatch(r"(\d+)(?::(\d+))?", text)
        if found is None or int(found[1]) < 1:
            raise ConfigError(f"--workers {text}: give a number such as 4, or bounds such as 2:8.")
        pool = Pool(int(found[1]), int(found[2] or found[1]), gpus, cpus)
        if pool.most < pool.least:
            raise ConfigError(f"--workers {text}: the first bound is the smaller one.")
        if gpus < 0 or cpus < 0 or gpus + cpus == 0:
            raise ConfigError("--gpus-per-worker and --cpus-per-worker: a worker needs a share of one.")
        if gpus and pool.most > pool.least:
            raise ConfigError(
                f"--workers {text}: workers with GPUs are of a fixed number, such as {pool.most}."
            )
        return pool

    @property
    def threads(self) -> int:
        """CPU threads of a worker's networks."""
        return max(1, int(self.cpus))


def check_pool(pool: Pool) -> None:
    """Refuse workers that the cluster cannot hold all at once: Ray would wait for ever."""
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    refuse_too_many(pool, [node["Resources"] for node in ray.nodes() if node["Alive"]])


def refuse_too_many(pool: Pool, nodes: Sequence[Mapping[str, float]]) -> None:
    """`ConfigError` where `nodes`, each with what it has, do not hold the least number of workers."""
    cpus, gpus = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    if pool.least * pool.cpus + 1 > cpus + 1e-6:
        most = int((cpus - 1) / pool.cpus) if pool.cpus else 0
        remedy = f"Ask for 1 to {most}, or for less --cpus-per-worker." if most > 0 else "Add nodes."
        raise ConfigError(
            f"--workers {pool.least}: this cluster has {cpus:g} CPUs, and handing out the rows takes one. "
            f"{remedy}"
        )
    if pool.least * pool.gpus > gpus + 1e-6:
        raise ConfigError(
            f"--workers {pool.least} with {pool.gpus:g} GPUs each: this cluster has {gpus:g}. Ask for fewer "
            "workers, or for a smaller share."
        )
    needs = {name: share for name, share in (("CPU", pool.cpus), ("GPU", pool.gpus)) if share}
    if (room := count_places(needs, nodes)) < pool.least:
        size = " and ".join(f"{share:g} {name}" for name, share in needs.items())
        raise ConfigError(
            f"--workers {pool.least} with {size} each: the {len(nodes)} nodes hold {room}, since none is "
            "spread over two. Ask for fewer or smaller workers."
        )


def run_round(
    rows: Sequence[dict[str, str]], worker: Any, arguments: Sequence[Any], pool: Pool
) -> Iterator[dict[str, str]]:
    """Answers to all rows but those that a worker died on. A dead worker is replaced where there is room.

    worker: a class; each actor makes one of `arguments` and calls it with one row at a time. Rows and answers
    are of texts: a column may be empty in one block only, and has no type there.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False  # the command says it in rows
    context.max_errored_blocks = -1  # a block is a row, and comes back in the next round
    logging.getLogger(_ERRORED_BLOCKS).setLevel(logging.CRITICAL)  # which is not worth a stack trace each
    # What is done is found by its key: Ray need not remember it, and the plan may start from rows in hand.
    items = ray.data.from_items(list(rows), override_num_blocks=len(rows))
    most = min(pool.most, len(rows))
    # One row at a time: a dying worker takes no other row with it.
    if pool.most == pool.least:
        actors = ray.data.ActorPoolStrategy(size=most, max_tasks_in_flight_per_actor=1)
    else:
        least = min(pool.least, most)
        actors = ray.data.ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=1)
    with warnings.catch_warnings():
        # Ray 2.60 wants options by names of their own, and has none for this one (github.com/ray-project/ray
        # issue 65227); without it Ray itself would repeat a row that kills its workers for ever.
        warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", RayDeprecationWarning)
        answers = items.map(
            worker,
            fn_constructor_args=tuple(arguments),
            compute=actors,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_task_retries=0,
        )
    yield from answers.iter_rows()
