"""A reader of pickles that runs no code: the opcodes of the format over an allow-list of globals.

Python's unpickler imports and calls whatever a file names, so that loading a file means trusting its author.
This one knows the few opcodes that network files need and works on plain values. A global is never imported:
`allowed` gives a stand-in for each name of its list and refuses the rest. Every length is checked
against the bytes that are there before anything is read, so a short file cannot ask for much memory.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from segtalker.errors import WeightsError
from segtalker.weights.pickles.opcodes import OPERATIONS
from segtalker.weights.pickles.telling import reason

_LONGEST_LINE = 4096
_FREE_COPIES = 1_000_000
"""Items and bytes that calls may copy beyond twice the length of the pickle."""


class PickleMachine:
    """Reads one pickle out of `data`; `position` is behind it afterwards."""

    def __init__(
        self,
        data: memoryview,
        place: str,
        find_global: Callable[[str, str], Any],
        find_persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        """`place` names the file in errors, `find_persistent` finds what is kept outside the pickle."""
        self.place = place
        self.position = position
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.find_global: Callable[[str, str], Any] = find_global
        self.find_persistent = find_persistent
        self._data = data
        self._copied = 0

    def run(self) -> Any:
        """The value of the pickle; `WeightsError` if it is damaged or wants more than plain data."""
        try:
            while (code := self.take(1)[0]) != pickle.STOP[0]:
                operation = OPERATIONS.get(code)
                if operation is None:
                    raise self.refusal(f"the pickle operation {_name_of(code)}, which no network file needs")
                operation(self)
            return self.stack.pop()
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise WeightsError(
                f"{self.place}: a damaged pickle (byte {self.position}: {reason(error)}). Fetch it again."
            ) from error

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied."""
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise WeightsError(
                f"{self.place}: ends in the middle of its pickle ({len(self._data)} bytes, needs {end}): "
                "truncated. Fetch it again."
            )
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def number(self, layout: str) -> Any:
        """The next value in the notation of `struct`."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """The next text up to a line feed."""
        ahead = bytes(self._data[self.position : self.position + _LONGEST_LINE])
        end = ahead.find(b"\n")
        if end < 0:
            raise ValueError("a line without an end")
        self.position += end + 1
        return ahead[:end].decode("utf-8")

    def pop_last(self, count: int) -> list[Any]:
        """The last `count` values."""
        if len(self.stack) < count:
            raise IndexError("fewer values than it wants")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_mark(self) -> list[Any]:
        """Everything that was pushed since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def charge(self, arguments: tuple[Any, ...]) -> None:
        """Count what a call may copy: one value named again and again would fill the memory."""
        self._copied += sum(len(value) for value in arguments if hasattr(value, "__len__"))
        if self._copied > 2 * len(self._data) + _FREE_COPIES:
            raise WeightsError(f"{self.place}: refused, nothing was run: it copies the same values for ever.")

    def refusal(self, what: str) -> WeightsError:
        """The error for something that plain data does not contain."""
        return WeightsError(
            f"{self.place}: refused, nothing was run: it wants {what}. Use a file from its publisher."
        )


def _name_of(code: int) -> str:
    return next((known.name for known in pickletools.opcodes if known.code == chr(code)), f"{code:#04x}")
