"""What a dub says about its own origin, in its pixels and in its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from segtalker.provenance.pattern import MESSAGES

PUBLIC_KEY = "segtalker"
"""The key that everybody knows: whoever has SegTalker finds this mark, and could draw or disturb it."""


@dataclass(frozen=True)
class ProvenanceConfig:
    """Mark, manifest and visible label of a dub."""

    where: Literal["frame", "face", "off"] = "frame"
    """The invisible mark: over the whole frame, inside the face alone (found less often), or none."""
    key: str = PUBLIC_KEY
    """Who knows it finds the mark. With a key of your own, nobody else can find, copy or aim at it."""
    model: str = "segtalker"
    """What the mark names: 14 bits of the hash of this text. An operator may put the name of a service."""
    label: str = ""
    """Text drawn into the lower left corner of every frame; empty for none."""
    manifest: bool = True
    """Write a C2PA manifest, or a plain note where c2pa-python is not installed, into the mp4."""
    certificate: str = ""
    """PEM file with the signer's chain, leaf first; empty: a certificate of the moment, for development."""
    private_key: str = ""
    """PEM file with the key of `certificate` (ES256: NIST P-256)."""
    timestamp_url: str = ""
    """RFC 3161 server that confirms the time of signing; empty: no network is touched."""

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("key is empty; take any text, or where = off for no mark")
        if len(self.label) > 60 or not self.label.isprintable() or not self.label.isascii():
            raise ValueError("label must be at most 60 printable ASCII characters")
        if bool(self.certificate) != bool(self.private_key):
            raise ValueError("certificate and private_key belong together; give both or neither")

    @property
    def message(self) -> int:
        """The number that the mark carries."""
        return message_of(self.model)


def message_of(model: str) -> int:
    """14 bits of a name; two names in 16384 collide, so that it tells versions apart but proves nothing."""
    return int.from_bytes(hashlib.sha256(model.encode()).digest()[:4], "big") % MESSAGES
