"""Rows worked off to the last, whatever dies: one that lost its worker comes back in a later round.

So none waits for a node that is gone while others are idle, and none that kills its workers is tried on and
on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ray_jobs.pool import Pool, run_round

ROUNDS = 3
DIED = f"its worker died {ROUNDS} times"
"""Begin of the reason of a row that has no answer."""

Values = dict[str, str]
"""A row, and the answer to it: texts, as JSON where there is more to say."""


def run_rounds(
    rows: Mapping[str, Values],
    worker: Any,
    arguments: Sequence[Any],
    pool: Pool,
    job: str,
    key_of: Callable[[Values], str],
) -> Iterator[tuple[str, Values | None]]:
    """(key, answer) of every row, in any order; None of one whose worker died `ROUNDS` times.

    rows: by key. worker, arguments: as for `pool.run_round`. key_of: the key of the row that an answer is
    for. job: named on standard error.
    """
    left = dict(rows)
    for _ in range(ROUNDS):
        for answer in run_round(list(left.values()), worker, arguments, pool):
            key = key_of(answer)
            if left.pop(key, None) is not None:  # of a row that was done twice, the first answer counts
                yield key, answer
        if not left:
            return
        print(f"{job}: workers died on {len(left)} rows: once more", file=sys.stderr)
    yield from ((key, None) for key in left)
