"""Configuration is strict, and errors say what was meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

import pytest

from segtalker.config import apply_overrides, config_hash, load_config, parse_config, to_dict, to_yaml
from segtalker.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.1
    mode: Literal["a", "b"] = "a"
    path: Path | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Outer:
    steps: int
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.5, 0.9)


def test_a_misspelt_key_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="unknown key 'inner.rte', did you mean 'inner.rate'"):
        parse_config(Outer, {"steps": 1, "inner": {"rte": 2}})


def test_yaml_round_trip_gives_an_equal_configuration(tmp_path: Path):
    config = Outer(steps=3, inner=Inner(rate=1e-4, path=Path("x")), sizes=(4,))
    file = tmp_path / "c.yaml"
    file.write_text(to_yaml(config))
    assert load_config(Outer, file) == config


def test_exponents_that_yaml_reads_as_text_become_numbers(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("steps: 1\ninner: {rate: 1e-4}\n")
    assert load_config(Outer, file).inner.rate == 1e-4


def test_overrides_reach_nested_keys_and_leave_the_input_alone():
    values = {"steps": 1}
    assert apply_overrides(values, ["inner.mode=b", "sizes=[7]"]) == {
        "steps": 1,
        "inner": {"mode": "b"},
        "sizes": [7],
    }
    assert values == {"steps": 1}


def test_an_override_opens_a_section_that_was_switched_off():
    assert apply_overrides({"inner": None}, ["inner.mode=b"]) == {"inner": {"mode": "b"}}


def test_numbers_are_text_where_text_is_wanted():
    assert parse_config(Outer, {"steps": 1, "inner": {"name": 25}}).inner.name == "25"
    assert load_config(Outer, None, ["steps=1", "inner.name=29.97"]).inner.name == "29.97"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "missing key steps"),
        ({"steps": "many"}, "steps: expected int"),
        ({"steps": True}, "steps: expected int"),
        ({"steps": date(2020, 1, 1)}, "steps: expected int"),
        ({"steps": 1, "inner": {"name": True}}, "inner.name: expected str"),
        ({"steps": 1, "inner": {"mode": "c"}}, "inner.mode: 'c' is not one of a, b"),
        ({"steps": 1, "inner": 3}, "inner: expected a section"),
        ({"steps": 1, "pair": [1.0]}, "pair: expected 2 values"),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        parse_config(Outer, values)


def test_a_broken_yaml_file_is_named(tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text("a: [1")
    with pytest.raises(ConfigError, match=r"bad.yaml: not valid YAML"):
        load_config(Outer, file)
    file.write_bytes(b"\x00\x01\xff a film")
    with pytest.raises(ConfigError, match=r"bad.yaml: not valid YAML"):
        load_config(Outer, file, ["steps=1"])


def test_the_hash_depends_on_values_only():
    assert config_hash(Outer(steps=1)) == config_hash(parse_config(Outer, {"steps": 1}))
    assert config_hash(Outer(steps=1)) != config_hash(Outer(steps=2))
    assert to_dict(Outer(steps=1))["inner"]["path"] is None
