"""How a method of others is run: its command line, what it needs, and where its video appears."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segtalker.config import load_config
from segtalker.errors import ConfigError

PRESETS = Path(__file__).parents[2] / "configs" / "methods"
"""In the repository; an installed package has none."""
WORDS = ("video", "speech", "output", "work", "checkout", "python", "id")
_WORD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How a method is run.

    The words `{video}`, `{speech}`, `{output}`, `{work}`, `{checkout}`, `{python}` and `{id}` are replaced in
    `command`, `files` and `environment`.
    """

    name: str
    """Row of the table."""
    command: tuple[str, ...]
    """Its words; run in the checkout, where there is one. No shell ever sees them."""
    makes: str = ""
    """Where the video appears in {work}, as a pattern such as `*.mp4`; by default it is {output}."""
    files: dict[str, str] = field(default_factory=dict)
    """Files to write into {work} first, name -> text; words become quoted JSON (and YAML) strings there."""
    needs: tuple[str, ...] = ()
    """Files that must be in the checkout."""
    environment: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 3600.0
    """For one row."""

    def __post_init__(self) -> None:
        if not self.command or self.timeout_s <= 0:
            raise ValueError("command needs a word at least, timeout_s must be positive")
        texts = (*self.command, *self.files.values(), *self.environment.values())
        for word in (word for text in texts for word in _WORD.findall(text)):
            if word not in WORDS:
                raise ValueError(f"unknown word {{{word}}}; there are {', '.join(WORDS)}")
        if not self.makes and not any("{output}" in text for text in self.command):
            raise ValueError("the command does not use {output}, so 'makes' must say where the video appears")

    @property
    def in_checkout(self) -> bool:
        """Whether it needs files of its authors."""
        return bool(self.needs) or any("{checkout}" in word for word in self.command)


def load_method(name: str, overrides: Sequence[str] = ()) -> MethodConfig:
    """A method of the repository by its name, or of a YAML file."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = PRESETS / f"{name}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
            raise ConfigError(f"no method '{name}'; there are {known or 'none here'}, or name a YAML file.")
    return load_config(MethodConfig, path, overrides)


def fill(text: str, words: Mapping[str, str], quoted: bool = False) -> str:
    """The text with its words replaced, as JSON strings where `quoted`."""
    return _WORD.sub(lambda found: json.dumps(words[found[1]]) if quoted else words[found[1]], text)
