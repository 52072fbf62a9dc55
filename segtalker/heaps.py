"""The heap that the threads of a process share."""

from __future__ import annotations

import ctypes
import sys

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def share_heap() -> None:
    """Let all threads of this process share one heap of the C library from now on.

    glibc gives nearly every thread a heap of its own, up to eight times the cores, and each keeps the largest
    frames that its thread has held: decoders and encoders start new threads for every piece of a video, so
    that a process which makes many of them would grow by 30 MB a few times before it stays level. Call it
    before other threads are there; elsewhere than on Linux with glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
