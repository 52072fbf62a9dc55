"""What can be known to be wrong with rows before any of them is dubbed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from segtalker.batch.rows import DubRow
from segtalker.batch.settings import row_config
from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError
from segtalker.storage import stamp_file

_AT_ONCE = 16
"""Questions to a store on their way at a time: one takes tens of milliseconds."""


def find_faults(rows: Sequence[DubRow], cfg: DubConfig) -> list[tuple[str, str]]:
    """(id, reason) of the rows with settings that cannot be, or inputs that are not there, in their order.

    No input is read: whether it is a video is known when it is dubbed.
    """

    def fault(row: DubRow) -> str:
        try:
            row_config(cfg, row)
            for uri in row.inputs.values():
                stamp_file(uri)
        except SegTalkerError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(fault, rows)
        return [(row.id, why) for row, why in zip(rows, found, strict=True) if why]
