"""SegTalker: audio-driven talking faces through segmentation (arXiv 2409.03605).

Importing is free: nothing is loaded, downloaded or created before `SegTalker` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["SegTalker", "__version__"]

if TYPE_CHECKING:
    from segtalker.pipeline import SegTalker


def __getattr__(name: str) -> Any:
    if name == "SegTalker":
        from segtalker.pipeline import SegTalker

        return SegTalker
    raise AttributeError(f"module 'segtalker' has no attribute {name!r}")
