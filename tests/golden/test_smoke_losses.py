"""The losses of the smoke trainings, pinned: a change here is a change of the training, to be explained.

Renew with `python -m tests.golden.test_smoke_losses`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
import torch

from tests.training.recipes import run_steps, smoke_config
from tests.training.tiny import make_tiny_corpus

STEPS = 10
RUNS = {"syncnet": "syncnet", "sync_expert": "syncnet", "tsg": "tsg"}


def golden_file(name: str) -> Path:
    return Path(__file__).parent / f"{name}_smoke_cpu.txt"


def smoke_losses(name: str, corpus: Path, folder: Path) -> list[float]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _, metrics = run_steps(RUNS[name], smoke_config(RUNS[name], corpus, name=name), STEPS, folder)
    finally:
        torch.set_num_threads(threads)
    return [row["loss"] for row in metrics]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_tiny_corpus(tmp_path_factory.mktemp("golden") / "tiny")


@pytest.mark.parametrize("name", RUNS)
def test_smoke_losses_match_golden(name, corpus, tmp_path):
    golden = [float(line) for line in golden_file(name).read_text().split()]
    # Loose enough for another processor's kernels, tight enough for any change of data, loss or schedule.
    assert smoke_losses(name, corpus, tmp_path) == pytest.approx(golden, rel=2e-3)


if __name__ == "__main__":
    for run in sys.argv[1:] or RUNS:
        with tempfile.TemporaryDirectory() as folder:
            found = smoke_losses(run, make_tiny_corpus(Path(folder) / "tiny"), Path(folder))
        golden_file(run).write_text("".join(f"{loss:.6f}\n" for loss in found))
        print(run, *found)
