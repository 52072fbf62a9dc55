"""Have an uploaded file looked at by `serve.api.probe`, in a process that is stopped if it takes too long."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serve.api.errors import ApiError
from serve.api.limits import told_s
from serve.api.probe import Found
from serve.api.threads import Pool, in_thread
from serve.config import LimitsConfig

Kind = Literal["video", "speech", "picture", "map", "tensors"]
_PATIENCE = 3.0
"""Wall-clock seconds for each processor second: the machine may be busy."""
_MAX_FPS = 240
_PACKAGES = Path(__file__).parents[2]
_COMMAND = (sys.executable, "-m", "serve.api.probe")


@dataclass(frozen=True)
class Seen:
    """What the probe found, and the pixels of a `picture` [H, W, 3] or `map` [H, W]."""

    found: Found
    pixels: NDArray[np.uint8] | None = None


class Looker:
    """Looks at files, a few at once; the others wait."""

    def __init__(self, limits: LimitsConfig, command: tuple[str, ...] = _COMMAND) -> None:
        """Keep to `limits`; `command` is what is run with a kind and a file."""
        self._limits = limits
        self._command = command
        self._places = Pool(max(2, os.cpu_count() or 1), "probe")

    def close(self) -> None:
        """Let go of the threads."""
        self._places.close()

    async def look(self, path: Path, kind: Kind, name: str) -> Seen:
        """What the file is; `ApiError` 422 where it is not usable as `kind`, or too long.

        name: what the caller calls it, for the sentence.
        """
        run = _Run()
        command = (*self._command, kind, str(path), *self._bounds())
        patience_s = _PATIENCE * self._limits.probe_s
        output = await in_thread(run, command, patience_s, pool=self._places, on_cancel=run.stop)
        if output is None:
            raise ApiError(422, "unusable_file", f"{name}: takes too long to look at; shorten it.")
        if b"\n" not in output:
            raise ApiError(
                422, "unusable_file", f"{name}: the decoder gave up on it; it is damaged or far too large."
            )
        head, _, rest = output.partition(b"\n")
        answer = json.loads(head)
        if "unusable" in answer:
            raise ApiError(422, "unusable_file", f"{name}: {answer['unusable'].rstrip('.')}.")
        seen = Seen(found := Found(**answer["found"]))
        self._check_length(found, name)
        if found.channels:
            shape = (found.height, found.width, found.channels)[: 2 if found.channels == 1 else 3]
            seen = Seen(found, np.frombuffer(rest, np.uint8).reshape(shape).copy())
        return seen

    def _bounds(self) -> tuple[str, ...]:
        limits = self._limits
        cpu_s = max(1, round(limits.probe_s))
        return f"--memory-mb={limits.probe_mb}", f"--cpu-s={cpu_s}", f"--side-px={limits.side_px}"

    def _check_length(self, found: Found, name: str) -> None:
        allowed_s = self._limits.speech_s if found.kind == "speech" else self._limits.video_s
        if found.duration_s > allowed_s:
            raise ApiError(
                422, "too_long", f"{name}: lasts {told_s(found.duration_s)} s; cut it to {allowed_s:g} s."
            )
        if found.kind == "video" and found.frames > _MAX_FPS * allowed_s:
            raise ApiError(
                422, "too_long", f"{name}: has {found.frames} frames; cut it, or export at 25 fps."
            )


class _Run:
    """One process; `stop` ends it from another thread, also before it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __call__(self, command: tuple[str, ...], patience_s: float) -> bytes | None:
        """Its output, empty where it failed; None where it had to be killed."""
        with self._lock:
            if self._stopped:
                return None
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                cwd=_PACKAGES,
                start_new_session=True,
            )
        with self._process as process:
            try:
                output, _ = process.communicate(timeout=patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                return None
        return output if process.returncode == 0 else b""

    def stop(self) -> None:
        """Kill the process."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()


def _environment() -> dict[str, str]:
    """Nothing of the service's own environment: no token, no key of a bucket."""
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if key in os.environ}
    return {**kept, "PYTHONPATH": str(_PACKAGES), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
