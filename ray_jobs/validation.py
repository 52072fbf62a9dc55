"""Held-out figures of a checkpoint, by a task of its own while the workers train on."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath

from ray.train import Checkpoint

from segtalker.storage import fetch_folder, get_file, join, write_bytes
from segtalker.training.loop import LocalContext
from segtalker.training.run import load_train_config, make_task
from segtalker.training.state import load_state, newest_state

VALIDATION = "validation"
"""Folder of a run: `STEP_NAME.json` holds the figures of that checkpoint."""


def validate_checkpoint(checkpoint: Checkpoint, network: str, run: str) -> dict[str, float]:
    """Figures of a committed checkpoint of the run at URI `run`, which are also put beside it."""
    name = PurePosixPath(checkpoint.path).name
    with tempfile.TemporaryDirectory(prefix="segtalker-") as scratch:
        folder = Path(scratch) / name
        fetch_folder(join(run, name), folder)
        get_file(join(run, "config.yaml"), Path(scratch) / "config.yaml")
        cfg = load_train_config(network, Path(scratch) / "config.yaml")
        context = LocalContext(folder, cfg.run.device)
        task = make_task(network, cfg)
        state = task.build(context)
        path = newest_state(folder)
        assert path is not None  # the folder was verified
        load_state(path, state)
        figures = task.validate(state)
    text = json.dumps({"step": state.step, **figures}) + "\n"
    write_bytes(join(run, VALIDATION, f"{name}.json"), text.encode())
    return figures
