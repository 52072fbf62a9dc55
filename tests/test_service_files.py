"""The files of the service fit Ray's schema, our configuration, the nodes they are for, and the wheel.

No Kubernetes and no cluster is asked: what they make of these files was not tried.
"""

from __future__ import annotations

import json
import re
import typing
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from segtalker.config import load_config
from segtalker.errors import ConfigError
from serve.config import ServiceConfig, StageConfig

ROOT = Path(__file__).parents[1]
MANIFEST = yaml.safe_load((ROOT / "configs/cluster/kuberay/service.yaml").read_text(encoding="utf-8"))
CLUSTER = MANIFEST["spec"]["rayClusterConfig"]
NODES = {node["groupName"]: node for node in CLUSTER["workerGroupSpecs"]}
DEPLOYED = {
    "serve": (ROOT / "configs/serve.yaml").read_text(encoding="utf-8"),
    "serve_a100": (ROOT / "configs/cluster/serve_a100.yaml").read_text(encoding="utf-8"),
    "kuberay": MANIFEST["spec"]["serveConfigV2"],
}
STAGES = ("faces", "talker", "encoder", "generator")

# Of KubeRay 1.6: what it does not know, it drops without a word.
SERVICE_KEYS = {
    "upgradeStrategy", "rayClusterDeletionDelaySeconds", "excludeHeadPodFromServeSvc", "serveConfigV2",
    "rayClusterConfig",
}  # fmt: skip
CLUSTER_KEYS = {
    "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "gcsFaultToleranceOptions",
    "headGroupSpec", "workerGroupSpecs",
}  # fmt: skip


class Room(NamedTuple):
    """What a replica wants, or a node has."""

    gpus: float
    cpus: float


def deployed(name: str) -> dict[str, Any]:
    """What Serve reads, with paths of the image as paths of the repository."""
    return yaml.safe_load(DEPLOYED[name].replace("/opt/segtalker/", f"{ROOT}/"))


def configured(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ServiceConfig:
    """What `serve.app:build` composes of its arguments, called as Serve does."""
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary

    from serve import app

    compose, seen = app.compose, []
    monkeypatch.setattr(app, "compose", lambda cfg: seen.append(cfg) or compose(cfg))
    call_user_app_builder_with_args_if_necessary(app.build, arguments)
    return seen[0]


def arguments_of(name: str) -> dict[str, Any]:
    (application,) = deployed(name)["applications"]
    return application["args"]


def unknown_keys(model: type[BaseModel], values: dict[str, Any], where: str = "") -> list[str]:
    """Keys, at any depth, that the model would drop."""
    unknown = [f"{where}{key}" for key in values if key not in model.model_fields]
    for key in values.keys() & model.model_fields.keys():
        annotation = model.model_fields[key].annotation
        kinds = [annotation, *typing.get_args(annotation)]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        items = values[key] if isinstance(values[key], list) else [values[key]]
        for item in items if inner else []:
            unknown += unknown_keys(inner[0], item, f"{where}{key}.")
    return unknown


def replicas(cfg: ServiceConfig, most: bool) -> list[Room]:
    """What every replica wants, of the least or the most of each deployment."""
    found = [Room(0.0, cfg.api.cpus)] * cfg.api.replicas
    found += [Room(cfg.driver.gpus, cfg.driver.cpus)] * cfg.driver.replicas
    stages: list[StageConfig] = [getattr(cfg, name) for name in STAGES] if cfg.graph == "split" else []
    for stage in stages:
        found += [Room(stage.gpus, stage.cpus)] * (stage.max_replicas if most else stage.min_replicas)
    return found


def fit(wanted: list[Room], nodes: list[Room]) -> bool:
    """Whether replicas find room on nodes, the largest first; those without a GPU avoid nodes with one."""
    left = sorted(nodes)
    for want in sorted(wanted, reverse=True):
        for index, room in enumerate(left):
            if room.gpus >= want.gpus and room.cpus >= want.cpus:
                left[index] = Room(room.gpus - want.gpus, room.cpus - want.cpus)
                break
        else:
            return False
    return True


def pods(count: str) -> list[Room]:
    """Worker pods, as many as `minReplicas` or `maxReplicas` says."""
    found = []
    for group in NODES.values():
        requests = group["template"]["spec"]["containers"][0]["resources"]["requests"]
        room = Room(float(requests.get("nvidia.com/gpu", 0)), float(requests["cpu"]))
        found += [room] * group[count]
    return found


@pytest.mark.parametrize("name", DEPLOYED)
def test_serve_reads_every_key_of_a_file_to_deploy(name: str):
    from ray.serve.schema import ServeDeploySchema

    values = deployed(name)
    assert unknown_keys(ServeDeploySchema, values) == []
    parsed = ServeDeploySchema.model_validate(values)
    (application,) = parsed.applications
    assert application.import_path == "serve.app:build" and application.route_prefix == "/"
    assert parsed.http_options.host == ("0.0.0.0" if name == "kuberay" else "127.0.0.1")


def test_a_key_that_ray_would_drop_is_found():
    from ray.serve.schema import ServeDeploySchema

    values = deployed("serve")
    values["http_options"]["hots"] = "127.0.0.1"
    values["applications"][0] |= {"arguments": {}, "deployments": [{"name": "Faces", "replicas": 2}]}
    assert sorted(unknown_keys(ServeDeploySchema, values)) == [
        "applications.arguments",
        "applications.deployments.replicas",
        "http_options.hots",
    ]


@pytest.mark.parametrize("name", DEPLOYED)
def test_the_arguments_of_a_file_to_deploy_are_a_configuration(name: str, monkeypatch: pytest.MonkeyPatch):
    cfg = configured(arguments_of(name), monkeypatch)
    if name == "serve":
        assert cfg.api.tokens_file is None and cfg.graph == "split"
        return
    example = load_config(ServiceConfig, ROOT / "configs/service/a100_split.yaml")
    assert (cfg.dub, cfg.generator, cfg.driver) == (example.dub, example.generator, example.driver)
    assert cfg.jobs.storage == "s3://BUCKET/jobs"
    assert cfg.api.tokens_file  # whoever listens for other machines asks for tokens


@pytest.mark.parametrize("key", ["service.genrator", "service.generator.max_replica", "servise"])
def test_a_misspelt_argument_is_refused(key: str, monkeypatch: pytest.MonkeyPatch):
    *parents, last = key.split(".")
    arguments = arguments_of("serve")
    node = arguments
    for parent in parents:
        node = node[parent]
    node[last] = {}
    with pytest.raises((ConfigError, ValidationError), match=last):
        configured(arguments, monkeypatch)


def test_the_file_for_any_cluster_says_how_many_cpus_it_wants(monkeypatch: pytest.MonkeyPatch):
    cfg = configured(arguments_of("serve"), monkeypatch)
    told = re.search(r"Wants ([\d.]+) CPUs, ([\d.]+) under load", DEPLOYED["serve"])
    assert told is not None
    for figure, most in zip(told.groups(), (False, True), strict=True):
        assert float(figure) == sum(room.cpus for room in replicas(cfg, most))
        assert sum(room.gpus for room in replicas(cfg, most)) == 0


@pytest.mark.parametrize("count", ["minReplicas", "maxReplicas"])
def test_replicas_fit_the_pods(count: str, monkeypatch: pytest.MonkeyPatch):
    cfg = configured(arguments_of("kuberay"), monkeypatch)
    wanted = replicas(cfg, most=count == "maxReplicas")
    assert fit(wanted, pods(count))
    assert sum(room.gpus for room in wanted) == sum(room.gpus for room in pods(count))  # none is idle
    assert not fit([*wanted, Room(0.5, 1.0)], pods(count))


def test_replicas_fit_rented_nodes(monkeypatch: pytest.MonkeyPatch):
    types = yaml.safe_load((ROOT / "configs/cluster/aws.yaml").read_text())["available_node_types"]
    nodes = [
        Room(float(kind["resources"].get("GPU", 0)), float(kind["resources"]["CPU"]))
        for kind in types.values()
        for _ in range(kind.get("max_workers", 0))
    ]
    assert fit(replicas(configured(arguments_of("serve_a100"), monkeypatch), most=True), nodes)


def test_the_examples_fit_the_machines_that_they_name():
    def example(name: str) -> ServiceConfig:
        return load_config(ServiceConfig, ROOT / f"configs/service/{name}.yaml")

    assert fit(replicas(example("laptop"), most=True), [Room(0.0, 2.0)])
    assert fit(replicas(example("a100_fused"), most=True), [Room(1.0, 12.0)])
    assert example("a100_fused").driver.replicas >= 2  # one goes on when the other is lost


@pytest.mark.parametrize("name", DEPLOYED)
def test_drivers_ask_enough_at_once_for_every_stage_to_grow_to_its_most(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    cfg = configured(arguments_of(name), monkeypatch)
    calls = cfg.driver.replicas * cfg.driver.jobs * cfg.driver.chunks
    for stage in (getattr(cfg, name) for name in STAGES):
        assert calls >= stage.max_replicas * stage.target_ongoing
        assert stage.ongoing >= stage.target_ongoing


def test_the_manifest_is_a_service_with_a_state_of_its_own_and_ready_pods():
    spec = MANIFEST["spec"]
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("ray.io/v1", "RayService")
    assert set(spec) == SERVICE_KEYS and set(CLUSTER) == CLUSTER_KEYS
    assert spec["upgradeStrategy"] == {"type": "NewCluster"}
    assert CLUSTER["authOptions"]["mode"] == "token" and CLUSTER["enableInTreeAutoscaling"] is True
    assert CLUSTER["gcsFaultToleranceOptions"]["redisPassword"]["valueFrom"]["secretKeyRef"]
    assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    port = yaml.safe_load(spec["serveConfigV2"])["http_options"]["port"]
    for group in NODES.values():
        assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        (container,) = group["template"]["spec"]["containers"]
        assert {"name": "serve", "containerPort": port} in container["ports"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/-/healthz", "port": port}


def test_every_pod_that_may_hold_an_ingress_has_the_tokens(monkeypatch: pytest.MonkeyPatch):
    file = configured(arguments_of("kuberay"), monkeypatch).api.tokens_file
    assert file is not None
    for group in NODES.values():
        pod = group["template"]["spec"]
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "tokens"]
        (volume,) = [v for v in pod["volumes"] if v["name"] == "tokens"]
        assert Path(file).parent == Path(mount["mountPath"]) and mount["readOnly"]
        assert volume["secret"]["secretName"] == "segtalker-tokens"
    guide = (ROOT / "docs/service.md").read_text(encoding="utf-8")
    assert f"kubectl create secret generic segtalker-tokens --from-file={Path(file).name}=" in guide


def test_the_wheel_carries_every_file_of_the_page():
    from serve.page import page_files

    listed = re.search(r'^"serve\.page" = (\[.*\])$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert listed is not None
    patterns = json.loads(listed[1])
    assert [name for name in page_files() if not any(fnmatch(name, pattern) for pattern in patterns)] == []
