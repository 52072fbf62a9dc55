"""Pickles that would run a command under Python's own unpickler, and the files that carry them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def named(module: str, name: str, *arguments: Any) -> bytes:
    """A call of a global by name, which need not exist here."""
    called = pickle.GLOBAL + f"{module}\n{name}\n".encode()
    return b"\x80\x02" + called + pickle.dumps(arguments, 2)[2:-1] + pickle.REDUCE + pickle.STOP


def archive(path: Path, pickled: bytes, **records: bytes) -> Path:
    """A torch zip archive around a pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("net/data.pkl", pickled)
        file.writestr("net/version", b"3\n")
        for name, data in records.items():
            file.writestr(f"net/data/{name}", data)
    return path


def script_archive(path: Path, pickled: bytes, program: bytes = b"", constants: bytes = b"") -> Path:
    """A TorchScript archive around a pickle, as `torch.jit.save` writes them."""
    archive(path, pickled)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("net/code/__torch__.py", program, zipfile.ZIP_DEFLATED)
        file.writestr("net/constants.pkl", constants)
    return path


def legacy(pickled: bytes, keys: tuple[str, ...] = (), numbers: bytes = b"") -> bytes:
    """Torch's older stream around a pickle."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return (
        b"".join(pickle.dumps(value, 2) for value in head) + pickled + pickle.dumps(list(keys), 2) + numbers
    )


def old_style(value: Any) -> bytes:
    """`value` as older versions of torch wrote it."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()
