"""Where a driver works on its jobs."""

from __future__ import annotations

from segtalker import workroom


class Workroom(workroom.Workroom):
    """A folder of this driver alone, with one folder for each job."""

    def __init__(self, root: str | None) -> None:
        """Make it under `root`, and remove what killed processes left there. `StorageError`: it cannot be."""
        super().__init__(root, "segtalker-jobs", "driver", "Set api.scratch to another folder.")
