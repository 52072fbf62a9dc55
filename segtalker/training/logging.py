"""What a run leaves behind and shows: `metrics.jsonl`, TensorBoard, sample pictures, a progress bar."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RunLog:
    """Writes into a run folder; a resumed run appends. A context manager that closes its files."""

    def __init__(self, folder: Path, max_steps: int, first_step: int, quiet: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._quiet = folder, quiet
        _drop_after(folder / "metrics.jsonl", first_step)
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._board = _tensorboard(folder)
        self._bar = _bar(max_steps, first_step, quiet)
        self._started = time.time()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.close()

    def advance(self, metrics: Mapping[str, float]) -> None:
        """One more step is done; the bar shows its losses."""
        if self._bar is not None:
            shown = [f"{name} {metrics[name]:.4g}" for name in metrics if name not in ("lr", "grad_norm")]
            self._bar.set_postfix_str(", ".join(shown), refresh=False)
            self._bar.update()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the figures of a step."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        row = {"step": step, "elapsed_s": round(time.time() - self._started, 2), **finite}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in finite.items():
                self._board.add_scalar(name, value, step)

    def picture(self, step: int, image: NDArray[np.uint8] | None) -> None:
        """Keep a sample sheet, RGB [H, W, 3], as PNG."""
        if image is None:
            return
        import cv2

        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{step:08d}.png"), np.ascontiguousarray(image[..., ::-1]))

    def say(self, text: str) -> None:
        """Tell the person who waits, above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)


def _bar(max_steps: int, first_step: int, quiet: bool) -> Any:
    if quiet or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(total=max_steps, initial=first_step, desc="training", unit="it", dynamic_ncols=True)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def _drop_after(path: Path, step: int) -> None:
    """Forget figures of steps that a resumed run is going to make again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
