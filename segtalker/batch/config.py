"""How a batch runs; nothing here changes what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from segtalker.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """The defaults suit clips of minutes."""

    chunk_frames: int = 1500
    """Videos of more output frames are cut into ranges of at most so many, rendered anywhere; 0 cuts none."""
    attempts: int = 3
    """Times that a task is tried whose worker died, or that failed in a way that may pass."""
    overwrite: bool = False
    """Replace outputs that were made of other inputs or settings, or by somebody else."""
    stall_s: int = 1800
    """A worker that comes no frame further for so long is ended, as if it had died."""
    scratch: str | None = None
    """Folder on a disk of each node for fetched inputs and unfinished work; the system's by default."""
    cache_gb: float = 20.0
    """Room for fetched inputs, for all workers of a node together."""
    threads: int = 1
    """CPU threads of a worker's networks, where the dub's own `threads` is 0."""

    def __post_init__(self) -> None:
        if self.chunk_frames < 0:
            raise ConfigError(f"--chunk-frames {self.chunk_frames}: must be at least 0; 0 cuts no video.")
        if self.attempts < 1:
            raise ConfigError(f"--attempts {self.attempts}: must be at least 1.")
        if self.stall_s < 1:
            raise ConfigError(f"--stall {self.stall_s}: must be at least 1 second.")
        if not self.cache_gb >= 0:
            raise ConfigError(f"--cache-gb {self.cache_gb:g}: must be at least 0; 0 keeps no fetched input.")
        if self.threads < 1:
            raise ConfigError(f"threads {self.threads}: a worker needs at least 1.")
