"""One network in one published layout, and such a network found in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from segtalker.errors import WeightsError
from segtalker.weights.convert.table import KeyTable, Shape
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.pickles.tensors import StoredTensor

Tensors = dict[str, StoredTensor]
Plan = Callable[[Mapping[str, Shape], Mapping[str, Any], str], tuple[Any, KeyTable]]


@dataclass(frozen=True)
class Layout:
    """One network in one published layout."""

    title: str
    network: str
    """What it becomes: a name of `checkpoint.NETWORKS`."""
    groups: tuple[str, ...]
    """Groups of a file in which it is looked for first; averages stand before what they average."""
    signature: tuple[str, ...]
    """Keys that no other layout has together."""
    plan: Plan
    """Shapes, options of the file and its name to our configuration and the table of keys."""
    row: Callable[[Any], str]
    """Name in the registry of the published network of a configuration."""
    beside: tuple[str, ...] = ()
    """Tensors of the outermost dictionary that belong to it."""
    ours_alone: tuple[str, ...] = ()
    """Parts of our network that no published file has; they begin at zero."""
    installed: Callable[[Any], Mapping[str, Tensor]] = lambda cfg: {}
    """Tensors of our network that come with an installed package instead of the file."""
    anywhere: bool = True
    """Whether it is looked for in other groups of a file too."""
    own_keys: Callable[[Tensors], Tensors] = lambda tensors: tensors
    """Takes off prefixes that vary between files."""


@dataclass(frozen=True)
class Match:
    """A network that was found in a file."""

    file: ForeignFile
    layout: Layout
    group: str
    tensors: Tensors

    @property
    def title(self) -> str:
        """What was found, and where."""
        return self.layout.title + (f", in {self.group!r}" if self.group else "")

    def plan(self) -> tuple[Any, KeyTable]:
        """Our configuration of this network and its table of keys; `WeightsError` if the shapes make none."""
        place = str(self.file.path)
        shapes = {name: value.shape for name, value in self.tensors.items()}
        try:
            return self.layout.plan(shapes, self.file.settings, place)
        except KeyError as error:
            raise WeightsError(
                f"{place}: a {self.layout.title}, but it lacks '{error.args[0]}'. Fetch it again."
            ) from error
        except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:
            why = str(error).splitlines()[0].rstrip(".")
            raise WeightsError(f"{place}: a {self.layout.title} of impossible shapes: {why}.") from error

    def read(self, cfg: Any, table: KeyTable) -> dict[str, Tensor]:
        """The tensors of our network, those of an installed package too; `WeightsError` as `to_ours`."""
        return {**table.to_ours(self.tensors, str(self.file.path)), **self.layout.installed(cfg)}
