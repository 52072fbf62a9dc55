"""What each opcode of a pickle does in `machine`; an opcode that is not in the table is refused.

Left out on purpose: `INST`, `OBJ` and `PERSID` of the oldest protocols, the extension registry (`EXT1` ...),
and buffers outside the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segtalker.weights.pickles.machine import PickleMachine

    Operation = Callable[[PickleMachine], None]

_LONGEST_KEY = 16
_LONGEST_INTEGER = 64
"""Bytes: states of random generators are the longest; hashing a longer one again and again takes long."""

OPERATIONS: dict[int, Operation] = {}


@dataclass(frozen=True)
class Global:
    """What stands in for a global of the file; only such an object can be called by it."""

    name: str
    build: Callable[..., Any]


class Inert:
    """An object of a class that nobody needs: keeps what the file says of it and does nothing."""

    __slots__ = ("arguments", "items", "name", "state")

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name = name
        self.arguments = arguments
        self.items: list[Any] = []
        self.state: Any = None

    def set_state(self, state: Any) -> None:
        """Remember the attributes."""
        self.state = state


def checked_key(value: Any) -> Any:
    """`value` if it may be a key of a dictionary or in a set; long or nested tuples take long to hash."""
    flat = value if type(value) is tuple else (value,)
    if len(flat) > _LONGEST_KEY or not all(
        isinstance(item, (str, int, float, bytes, type(None), Global, Inert)) for item in flat
    ):
        raise TypeError(f"a {type(value).__name__} as a key")
    return value


def _on(*codes: bytes) -> Callable[[Operation], Operation]:
    def register(operation: Operation) -> Operation:
        OPERATIONS.update({code[0]: operation for code in codes})
        return operation

    return register


def _pushes(code: bytes, value: Callable[[PickleMachine], Any]) -> None:
    def push(machine: PickleMachine) -> None:
        result = value(machine)  # first: it may leave a mark, and with it the stack
        machine.stack.append(result)

    OPERATIONS[code[0]] = push


def _text(machine: PickleMachine, size: int) -> str:
    return str(machine.take(size), "utf-8", "surrogatepass")


def _long(machine: PickleMachine, size: int) -> int:
    if size > _LONGEST_INTEGER:
        raise ValueError(f"an integer of {size} bytes")
    return int.from_bytes(machine.take(size), "little", signed=True)


_pushes(pickle.NONE, lambda m: None)
_pushes(pickle.NEWTRUE, lambda m: True)
_pushes(pickle.NEWFALSE, lambda m: False)
_pushes(pickle.BININT, lambda m: m.number("<i"))
_pushes(pickle.BININT1, lambda m: m.number("<B"))
_pushes(pickle.BININT2, lambda m: m.number("<H"))
_pushes(pickle.BINFLOAT, lambda m: m.number(">d"))
_pushes(pickle.FLOAT, lambda m: float(m.line()))
_pushes(pickle.INT, lambda m: int(m.line()))  # "00" and "01" are the oldest protocol's False and True
_pushes(pickle.LONG, lambda m: int(m.line().rstrip("L")))
_pushes(pickle.LONG1, lambda m: _long(m, m.number("<B")))
_pushes(pickle.LONG4, lambda m: _long(m, m.number("<i")))
_pushes(pickle.SHORT_BINUNICODE, lambda m: _text(m, m.number("<B")))
_pushes(pickle.BINUNICODE, lambda m: _text(m, m.number("<I")))
_pushes(pickle.BINUNICODE8, lambda m: _text(m, m.number("<Q")))
_pushes(pickle.SHORT_BINSTRING, lambda m: str(m.take(m.number("<B")), "latin-1"))
_pushes(pickle.BINSTRING, lambda m: str(m.take(m.number("<i")), "latin-1"))
_pushes(pickle.SHORT_BINBYTES, lambda m: bytes(m.take(m.number("<B"))))
# Long ones are tensors: they stay where they are in the file until somebody wants them.
_pushes(pickle.BINBYTES, lambda m: m.take(m.number("<I")))
_pushes(pickle.BINBYTES8, lambda m: m.take(m.number("<Q")))
_pushes(pickle.BYTEARRAY8, lambda m: m.take(m.number("<Q")))
_pushes(pickle.EMPTY_TUPLE, lambda m: ())
_pushes(pickle.EMPTY_LIST, lambda m: [])
_pushes(pickle.EMPTY_DICT, lambda m: {})
_pushes(pickle.EMPTY_SET, lambda m: set())
_pushes(pickle.TUPLE, lambda m: tuple(m.pop_mark()))
_pushes(pickle.TUPLE1, lambda m: tuple(m.pop_last(1)))
_pushes(pickle.TUPLE2, lambda m: tuple(m.pop_last(2)))
_pushes(pickle.TUPLE3, lambda m: tuple(m.pop_last(3)))
_pushes(pickle.LIST, lambda m: m.pop_mark())
_pushes(pickle.FROZENSET, lambda m: frozenset(map(checked_key, m.pop_mark())))
_pushes(pickle.DUP, lambda m: m.stack[-1])
_pushes(pickle.GET, lambda m: m.memo[int(m.line())])
_pushes(pickle.BINGET, lambda m: m.memo[m.number("<B")])
_pushes(pickle.LONG_BINGET, lambda m: m.memo[m.number("<I")])
_pushes(pickle.GLOBAL, lambda m: m.find_global(m.line(), m.line()))


@_on(pickle.PROTO)
def _protocol(machine: PickleMachine) -> None:
    if (version := machine.number("<B")) > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"protocol {version}")


@_on(pickle.FRAME)
def _frame(machine: PickleMachine) -> None:
    machine.take(8)  # how much to read ahead: everything is at hand already


@_on(pickle.MARK)
def _mark(machine: PickleMachine) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


@_on(pickle.POP)
def _pop(machine: PickleMachine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


@_on(pickle.POP_MARK)
def _pop_mark(machine: PickleMachine) -> None:
    machine.pop_mark()


@_on(pickle.PUT)
def _put(machine: PickleMachine) -> None:
    machine.memo[int(machine.line())] = machine.stack[-1]


@_on(pickle.BINPUT)
def _binput(machine: PickleMachine) -> None:
    machine.memo[machine.number("<B")] = machine.stack[-1]


@_on(pickle.LONG_BINPUT)
def _long_binput(machine: PickleMachine) -> None:
    machine.memo[machine.number("<I")] = machine.stack[-1]


@_on(pickle.MEMOIZE)
def _memoize(machine: PickleMachine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_on(pickle.DICT)
def _dict(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.stack.append({})
    _set_items(machine, items)


@_on(pickle.SETITEM)
def _setitem(machine: PickleMachine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine, [key, value])


@_on(pickle.SETITEMS)
def _setitems(machine: PickleMachine) -> None:
    _set_items(machine, machine.pop_mark())


def _set_items(machine: PickleMachine, items: list[Any]) -> None:
    pairs = zip(items[::2], items[1::2], strict=True)
    target = machine.stack[-1]
    if type(target) is dict:
        target.update((checked_key(key), value) for key, value in pairs)
    elif isinstance(target, Inert):
        target.items += pairs
    else:
        raise TypeError(f"items of a {type(target).__name__}")


@_on(pickle.APPEND)
def _append(machine: PickleMachine) -> None:
    value = machine.stack.pop()
    _extend(machine, [value])


@_on(pickle.APPENDS)
def _appends(machine: PickleMachine) -> None:
    _extend(machine, machine.pop_mark())


def _extend(machine: PickleMachine, values: list[Any]) -> None:
    target = machine.stack[-1]
    if type(target) is list:
        target.extend(values)
    elif isinstance(target, Inert):
        target.items += values
    else:
        raise TypeError(f"appending to a {type(target).__name__}")


@_on(pickle.ADDITEMS)
def _additems(machine: PickleMachine) -> None:
    values = machine.pop_mark()
    if type(machine.stack[-1]) is not set:
        raise TypeError("adding to what is no set")
    machine.stack[-1].update(map(checked_key, values))


@_on(pickle.STACK_GLOBAL)
def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("a global without a name")
    machine.stack.append(machine.find_global(module, name))


@_on(pickle.BINPERSID)
def _persistent(machine: PickleMachine) -> None:
    if machine.find_persistent is None:
        raise machine.refusal("an object outside the file (a persistent id)")
    machine.stack.append(machine.find_persistent(machine.stack.pop()))


@_on(pickle.REDUCE, pickle.NEWOBJ)
def _reduce(machine: PickleMachine) -> None:
    arguments = machine.stack.pop()
    machine.stack.append(_call(machine, machine.stack.pop(), arguments, {}))


@_on(pickle.NEWOBJ_EX)
def _newobj_ex(machine: PickleMachine) -> None:
    named, arguments = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_call(machine, machine.stack.pop(), arguments, named))


def _call(machine: PickleMachine, called: Any, arguments: Any, named: Any) -> Any:
    if not isinstance(called, Global):
        raise machine.refusal(f"to call a {type(called).__name__}")
    if type(arguments) is not tuple or type(named) is not dict:
        raise TypeError(f"arguments of {called.name} that are no tuple")
    machine.charge(arguments)
    return called.build(*arguments, **named)


@_on(pickle.BUILD)
def _build(machine: PickleMachine) -> None:
    state, target = machine.stack.pop(), machine.stack[-1]
    if hasattr(type(target), "set_state"):
        target.set_state(state)
    elif type(target) is not dict:  # attributes of a dictionary, such as its `_metadata`, are of no use
        raise machine.refusal(f"to set the attributes of a {type(target).__name__}")
