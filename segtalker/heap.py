"""Memory that the C library keeps after it was freed."""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Return freed memory of this process to the system.

    glibc has several heaps for the threads of a process, and each keeps what its largest moment took.
    Decoders and encoders start new threads for every piece of a video, which meet another heap each time: a
    process that makes many pieces would grow by about 30 MB a few times. Where the C library is another, it
    does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
