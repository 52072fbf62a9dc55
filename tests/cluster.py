"""A quiet local Ray cluster for tests; importing this module sets the environment before Ray is imported."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray_jobs.local_cluster import QUIET

os.environ.update(
    QUIET,
    RAY_SERVE_LOG_TO_STDERR="0",
    RAY_DATA_PARQUET_FOOTER_NUM_ACTORS="1",
    RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.1",  # the tests' trainings take seconds, Ray's default is 2 s
    RAY_health_check_period_ms="500",  # a killed node is lost after five unanswered checks: 15 s by default
)


@contextmanager
def local_cluster(num_cpus: int = 8) -> Iterator[None]:
    """A cluster of `num_cpus` logical CPUs, whatever the machine has, gone at the end of its first user.

    Who asks while it runs shares it: a test session has one cluster.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=300 << 20,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
