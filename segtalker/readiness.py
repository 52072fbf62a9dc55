"""What published networks make possible on this machine: metrics, loss terms, and presets of the repository.

Nothing here has a list of its own: the registry says which metric needs which network, a configuration which
weights it names, and the head of its file how a start of its training is made. Nothing is loaded or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtalker.config import load_config
from segtalker.data.prepare import PrepareConfig
from segtalker.errors import ConfigError
from segtalker.faces.insight import PACK, usable_pack
from segtalker.storage import is_local, local_path
from segtalker.training.run import TASKS, load_train_config
from segtalker.training.sgi_losses import LossNetworksConfig, SGILossConfig, loss_networks
from segtalker.weights.registry import ROWS, WeightsRow, rows_of, with_source
from segtalker.weights.remedies import fetch_command, import_command
from segtalker.weights.starts import STARTS
from segtalker.weights.store import status
from segtalker.weights.uses import weights_of

PRESETS = Path(__file__).parents[1] / "configs" / "paper"
"""In the repository; an installed package has none."""
_PREPARE = "prepare"
_IMPORT = re.compile(r"^#\s+(segtalker weights import (\S+) --as (\S+) .*-o (\S+))$", re.MULTILINE)


@dataclass(frozen=True)
class Switch:
    """Something that is on where one of several published networks is here."""

    name: str
    rows: tuple[WeightsRow, ...]
    by: WeightsRow | None
    """The one that is here; None switches it off."""

    @property
    def remedy(self) -> tuple[str, ...]:
        """What brings the first of them."""
        return tuple(ways_to_get(self.rows[:1]))


@dataclass(frozen=True)
class Preset:
    """What a configuration of the repository still wants on this machine."""

    name: str
    lacks: dict[str, str]
    """Rows of the registry that are not here, each with what it is for."""
    remedy: tuple[str, ...]
    """Sentences, in the order in which a person follows them."""
    trained: tuple[str, ...]
    """Files that it reads and that a training of ours makes first, where they are not there."""

    @property
    def complete(self) -> bool:
        """Whether all that others published is here, in the form in which the training reads it."""
        return not self.remedy


def rows_here() -> set[str]:
    """Names of the rows that can be used: whole in the cache, and a pack with the package that runs it."""
    found = {item.row.name for item in status() if item.state == "ready"}
    return found | {PACK} if usable_pack() else found - {PACK}


def metrics(here: Collection[str]) -> list[Switch]:
    """Every metric that needs a published network."""
    names = dict.fromkeys(name for row in ROWS for name in row.measures)
    return [_switch(name, tuple(row for row in ROWS if name in row.measures), here) for name in names]


def available_metrics() -> dict[str, str | None]:
    """Every such metric with the row that gives it here, for `metrics.networks`; None where it is off."""
    return {switch.name: switch.by.name if switch.by else None for switch in metrics(rows_here())}


def loss_terms(here: Collection[str]) -> list[Switch]:
    """Every loss term that a training of SGI switches on by itself."""
    uses = loss_networks(SGILossConfig(), LossNetworksConfig())
    return [_switch(use.term, rows_of(use.row), here) for use in uses if use.by_itself]


def presets(here: Collection[str], folder: Path = PRESETS) -> list[Preset]:
    """Every configuration in `folder`; none where that is not there."""
    return [_preset(path, here) for path in sorted(folder.glob("*.yaml"))]


def ways_to_get(rows: Sequence[WeightsRow]) -> Iterator[str]:
    """What a person does to have `rows` in the cache: one command, and a sentence for each that has none."""
    if fetched := [row for row in rows if not row.by_hand]:
        restricted = any(row.forbids for row in fetched)
        terms = "Read the terms (segtalker weights info NAME) and run" if restricted else "Run"
        yield f"{terms}: {fetch_command(fetched)}"
    for row in rows:
        if row.by_hand:
            yield f"{_by_browser(row)}, then run: {import_command(row)}"


def _switch(name: str, rows: tuple[WeightsRow, ...], here: Collection[str]) -> Switch:
    return Switch(name, rows, next((row for row in rows if row.name in here), None))


def _preset(path: Path, here: Collection[str]) -> Preset:
    name = f"{path.parent.name}/{path.stem}"
    try:
        uses = weights_of(_configuration(path))
    except ConfigError as error:
        return Preset(name, {}, (f"Mend it: {error}",), ())
    commands = {command.out: command for command in _commands(path)}
    lacks: dict[str, str] = {}
    begun: dict[str, _Command] = {}
    trained = []
    for use in uses:
        if use.published is not None:
            if use.published not in here:
                lacks[use.published] = f"for the loss term {use.term}" if use.by_itself else f"for {use.key}"
        elif use.place is not None and is_local(use.place) and not local_path(use.place).exists():
            steps = _steps_to(use.place, commands)
            begun |= {step.out: step for step in steps}
            lacks |= {step.row.name: f"for {use.key}" for step in steps if step.row.name not in here}
            trained += [] if steps else [use.place]
    by_hand = {
        step.row.name for step in begun.values() if step.row.by_hand
    }  # its command takes the file itself
    cached = [row for row in ROWS if row.name in lacks and row.name not in by_hand]
    remedy = [*ways_to_get(cached), *(told for step in begun.values() for told in step.told(here))]
    return Preset(name, lacks, tuple(dict.fromkeys(remedy)), tuple(trained))


def _configuration(path: Path) -> Any:
    """The configuration of a preset; its name begins with what it is for, as in `sgi_512.yaml`."""
    kinds = [kind for kind in (_PREPARE, *TASKS) if f"{path.stem}_".startswith(f"{kind}_")]
    network = max(kinds, key=len, default=path.stem)
    return load_config(PrepareConfig, path) if network == _PREPARE else load_train_config(network, path)


@dataclass(frozen=True)
class _Command:
    """A line in the head of a preset that makes a start of its training out of a published file."""

    line: str
    file: str
    row: WeightsRow
    out: str

    @property
    def onto(self) -> str | None:
        """The earlier start that it goes on from."""
        found = re.search(r" --onto (\S+)", self.line)
        return found[1] if found else None

    def told(self, here: Collection[str]) -> Iterator[str]:
        """The command, on what the cache holds (or will hold) where it does not take a file of a browser."""
        if self.row.by_hand and self.row.name not in here:
            yield f"{_by_browser(self.row)}."
            yield f"Run: {self.line}"
        else:
            yield f"Run: {self.line.replace(self.file, f'$(segtalker weights where {self.row.name})', 1)}"


def _commands(path: Path) -> Iterator[_Command]:
    """The commands in the head of a preset whose published file the registry knows."""
    for line, file, network, out in _IMPORT.findall(path.read_text(encoding="utf-8")):
        made_of = STARTS.get(network, (network,))
        rows = [row for row in ROWS if row.source.filename == file and row.network in made_of]
        if rows:
            yield _Command(line, file, rows[0], out)


def _steps_to(place: str, commands: Mapping[str, _Command]) -> list[_Command]:
    """The commands that make a file, after those that make what it goes on from, where that is not there."""
    if place not in commands:
        return []
    onto = commands[place].onto
    before = _steps_to(onto, commands) if onto is not None and not Path(onto).exists() else []
    return [*before, commands[place]]


def _by_browser(row: WeightsRow) -> str:
    first = with_source(row.source)[0].name  # several networks of one file need it once
    return f"Get {row.source.filename} with a browser (segtalker weights info {first})"
