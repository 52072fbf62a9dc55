"""What docs/service.md and the README say of the service is what the service has."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from segtalker.client import Client, Job
from segtalker.config import load_config
from serve.api import create_api
from serve.api.options import DubOptions
from serve.config import CallbacksConfig, JobsConfig, LimitsConfig, ServiceConfig
from tests.serve.api.service import make_service

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/service.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str = "") -> list[str]:
    """Contents of the fenced blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for named, content in found if named == language]


def curls(text: str) -> set[tuple[str, str]]:
    """Method and path of every curl command, the job's id as `{job}`."""
    found = set()
    commands = "\n".join(blocks(text)).replace("\\\n", " ")
    for command in re.findall(r"^curl .*?(?=^curl |^\w+=|\Z)", commands, re.MULTILINE | re.DOTALL):
        words = shlex.split(command, comments=True)
        (url,) = [word for word in words if word.startswith(("$S/", "localhost:8000/"))]
        path = url.removeprefix("$S").removeprefix("localhost:8000")
        sends = {"-F", "--json"} & set(words)
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if sends else "GET"
        found.add((method, re.sub(r"\$JOB|\bID\b", "{job}", path)))
    return found


def routes(folder: Path) -> set[tuple[str, str]]:
    paths = create_api(make_service(folder)).openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_the_guide_has_a_curl_for_every_endpoint_and_none_besides(tmp_path: Path):
    assert curls(GUIDE) == routes(tmp_path)


def test_the_readme_asks_for_endpoints_that_there_are(tmp_path: Path):
    asked = curls(README)
    assert ("POST", "/v1/dubs") in asked and asked <= routes(tmp_path)


def test_the_guide_explains_every_option_of_a_dub():
    table = GUIDE[GUIDE.index("| option | values |") : GUIDE.index("From Python")]
    rows = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(DubOptions.model_fields)


def test_the_guide_states_every_limit_with_its_default():
    table = GUIDE[GUIDE.index("| limit (`limits.`) |") :].split("\n\n")[0]
    stated: dict[str, float] = {}
    for line in table.splitlines()[2:]:
        _, names, defaults, *_ = line.split("|")
        figures = [float(figure) for figure in re.findall(r"\d+", defaults)]
        stated |= dict(zip(re.findall(r"`(\w+)`", names), figures, strict=True))
    assert stated == {name: float(value) for name, value in dataclasses.asdict(LimitsConfig()).items()}


def test_the_guide_names_the_metrics_as_prometheus_sees_them():
    source = (ROOT / "serve/metrics.py").read_text(encoding="utf-8")
    made = re.findall(r'metrics\.(\w+)\(\s*"(\w+)"', source)
    shown = {f"ray_{name}{'_total' if kind == 'Counter' else ''}" for kind, name in made}
    assert shown == set(re.findall(r"^\| `(ray_segtalker_\w+)`", GUIDE, re.MULTILINE))


@pytest.mark.parametrize("text", [GUIDE, README], ids=["guide", "readme"])
def test_python_examples_call_what_the_client_has(text: str):
    called = 0
    for block in blocks(text, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = {"client": Client, "job": Job}.get(node.value.id)
                called += owner is not None
                assert owner is None or callable(getattr(owner, node.attr)), node.attr
    assert called or 'Client("http://localhost:8000").dub(' in text


def test_knobs_that_the_guide_names_exist():
    sections = {"jobs": JobsConfig, "limits": LimitsConfig, "callbacks": CallbacksConfig}
    sections |= {
        name: type(getattr(ServiceConfig(), name)) for name in ("api", "driver", "generator", "inputs")
    }
    named = re.findall(rf"`({'|'.join(sections)})\.(\w+)`", GUIDE)
    assert len(named) > 15
    for section, key in named:
        assert key in {field.name for field in dataclasses.fields(sections[section])}, f"{section}.{key}"


def test_commands_of_one_machine_name_configurations_that_load():
    for text in (GUIDE, README):
        found = re.findall(r"(?:--config |config=)(configs/\S+)", text)
        assert found
        for name in found:
            load_config(ServiceConfig, ROOT / name)
