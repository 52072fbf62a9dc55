"""Nodes on one machine, beside another cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs.local_cluster import local_cluster

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SAY_ADDRESS = "import ray; ray.init(); print('gcs', ray.get_runtime_context().gcs_address)"


def test_a_job_reaches_its_own_cluster_beside_others(cluster):
    ray = str(Path(sys.executable).parent / "ray")
    with local_cluster(1, 1) as nodes:
        line = [ray, "job", "submit", "--address", nodes.jobs, "--", "python", "-c", SAY_ADDRESS]
        done, address = subprocess.run(line, capture_output=True, text=True, timeout=120), nodes.address
    assert f"gcs {address}" in done.stdout, done.stdout + done.stderr
