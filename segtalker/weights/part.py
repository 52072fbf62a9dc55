"""What has arrived of a download, with what its server said of the whole file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from segtalker.storage import write_bytes


@dataclass(frozen=True)
class Said:
    """What the server said of the file to which a part belongs."""

    address: str
    """Digest of its address, which may hold a secret."""
    validator: str = ""
    """Strong ETag or Last-Modified: another one, another file. Empty if the server gives none."""
    total: int | None = None
    """Bytes of the whole file."""

    def is_of_another_file(self, old: Said) -> bool:
        """Whether this cannot be the file of which `old` was said."""
        return any(
            None not in (new, was) and new != was
            for new, was in ((self.validator or None, old.validator or None), (self.total, old.total))
        )


class Part:
    """What has arrived: NAME.part beside the target, and NAME.part.json with what the server said."""

    def __init__(self, url: str, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self.url = url
        self.said = Said(digest(url))
        try:
            said = Said(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):  # absent, or damaged: then it begins anew
            said = self.said
        if said.address == self.said.address and said.validator:
            self.said = said
        else:
            self.drop()

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, said: Said) -> None:
        """Start with the first byte; the note is written after the part is empty, so they always fit."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        self.said = said
        write_bytes(self._note, json.dumps(asdict(said)).encode())

    def drop(self) -> None:
        """Forget what is here."""
        for path in (self.path, self._note):
            path.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Give the whole file its name."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)


def digest(url: str) -> str:
    """What stands for an address on a disk."""
    return hashlib.sha256(url.encode()).hexdigest()
