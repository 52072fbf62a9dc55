"""Strict configuration: frozen dataclasses, YAML, and `--set a.b=c` overrides.

A component keeps its knobs in a frozen dataclass beside the code that they turn. `parse_config` builds it
from plain dictionaries and refuses what it does not know; `to_dict`/`to_yaml` write it back, so that the
resolved configuration can be saved beside every result.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml

from segtalker.errors import ConfigError

T = TypeVar("T")


def load_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML mapping; an empty file is an empty mapping."""
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected a mapping at the top level, found {type(loaded).__name__}.")
    return loaded


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `values` with each `a.b=c` of `overrides` set; values are read as YAML (`true`, `[1, 2]`)."""
    result = copy.deepcopy(dict(values))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {override}: expected KEY=VALUE, as in --set seed=1.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: the value is not valid YAML.") from error
        *parents, leaf = key.strip().split(".")
        node = result
        for parent in parents:
            if node.get(parent) is None:  # absent, or switched off, as in `adapt: null`
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise ConfigError(f"--set {override}: '{parent}' is a value, not a section.")
        node[leaf] = value
    return result


def parse_config(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build the dataclass `cls` from plain values; unknown keys and wrong types raise `ConfigError`."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(_unknown_key(where, str(key), list(fields)))
    arguments = {key: _convert(hints[key], value, _join(where, key)) for key, value in values.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in arguments
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"missing key {_join(where, missing[0])}: {cls.__name__} has no default for it.")
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from error


def load_config(cls: type[T], path: Path | str | None = None, overrides: Sequence[str] = ()) -> T:
    """`parse_config` of a YAML file (or of nothing) with overrides; errors name the file."""
    values = apply_overrides(load_yaml(path) if path is not None else {}, overrides)
    try:
        return parse_config(cls, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if path is not None else str(error)) from None


def to_dict(config: Any) -> Any:
    """Plain values (dict, list, str, int, float, bool, None) of a configuration."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: to_dict(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {str(key): to_dict(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_dict(value) for value in config]
    if isinstance(config, Enum):
        return to_dict(config.value)
    if isinstance(config, Path):
        return str(config)
    return config


def to_yaml(config: Any) -> str:
    """YAML text that `parse_config` reads back to an equal configuration."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def config_hash(config: Any, length: int = 12) -> str:
    """Hexadecimal digest of a configuration, the same on every machine."""
    text = json.dumps(to_dict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ConfigError(f"{where}: {value!r} is not one of {', '.join(map(str, arguments))}.")
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a section with keys, found {value!r}.")
        return parse_config(hint, value, where)  # type: ignore[arg-type]
    if origin in (tuple, list):
        return _convert_sequence(origin, arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a section with keys, found {value!r}.")
        return {key: _convert(arguments[1], item, _join(where, str(key))) for key, item in value.items()}
    return _convert_scalar(hint, value, where)


def _convert_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    for option in options:
        if option is type(None):
            continue
        try:
            return _convert(option, value, where)
        except ConfigError as error:
            last = error
    raise last


def _convert_sequence(origin: type, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: expected a list, found {value!r}.")
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            raise ConfigError(f"{where}: expected {len(arguments)} values, found {len(value)}.")
        hints: Sequence[Any] = arguments
    else:
        hints = [arguments[0] if arguments else Any] * len(value)
    return origin(
        _convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as a string
        try:
            return float(value)
        except ValueError:
            pass
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # plan.fps=25, a folder called 2024
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise ConfigError(
                f"{where}: {value!r} is not one of {', '.join(str(e.value) for e in hint)}."
            ) from None
    if (isinstance(value, bool) and hint is not bool) or not isinstance(value, hint):
        raise ConfigError(f"{where}: expected {hint.__name__}, found {value!r}.")
    return value


def _unknown_key(where: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f", did you mean '{_join(where, close[0])}'?" if close else f"; known keys: {', '.join(known)}."
    return f"unknown key '{_join(where, key)}'{hint}"


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
