"""The files for clusters fit the commands, the configurations, the pins and each other.

No cloud, no Kubernetes and no Docker are asked: what they make of these files was not tried.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml

from segtalker.config import load_config
from segtalker.data.prepare import PrepareConfig
from segtalker.data.sampler import IndexedSampler
from segtalker.training.run import load_train_config
from segtalker.weights.registry import groups

ROOT = Path(__file__).parents[1]
MANIFESTS = {path.stem: path for path in sorted((ROOT / "configs/cluster/kuberay").glob("*.yaml"))}
JOBS = {name: path for name, path in MANIFESTS.items() if name != "service"}
LAUNCHER = [ROOT / "configs/cluster/aws.yaml", ROOT / "configs/cluster/static.yaml"]
TRAININGS = ("syncnet", "tsg", "sgi")
IN_IMAGE = "/opt/segtalker/"
GUIDE = (ROOT / "docs/from_hdtf_to_weights.md").read_text(encoding="utf-8")
SECRETS_IN = {name: "service" if name == "service" else "from_hdtf_to_weights" for name in MANIFESTS}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RAY = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]  # type: ignore[index]

# Of KubeRay 1.6: what it does not know, it drops without a word.
JOB_KEYS = {
    "entrypoint", "runtimeEnvYAML", "activeDeadlineSeconds", "backoffLimit", "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished", "rayClusterSpec",
}  # fmt: skip
CLUSTER_KEYS = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
GROUP_KEYS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def words_of(entrypoint: str, module: str) -> list[str]:
    """The arguments of `python -m MODULE ...`, paths in the image as paths of the repository."""
    python, flag, name, *words = shlex.split(entrypoint)
    assert (python, flag, name) == ("python", "-m", module)
    return [word.replace(IN_IMAGE, f"{ROOT}/") for word in words]


def parse_train(entrypoint: str) -> Namespace:
    from ray_jobs.train import build_parser

    return build_parser().parse_args(words_of(entrypoint, "ray_jobs.train"))


def parse_prepare(entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    from ray_jobs import prepare

    seen: list[Namespace] = []
    monkeypatch.setattr(prepare.cli_prepare, "run", lambda options, runner: seen.append(options) or 0)
    assert prepare.main(words_of(entrypoint, "ray_jobs.prepare")) == 0
    return seen[0]


def pool(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only group of workers, and what one of its pods holds."""
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    return group, group["template"]["spec"]["containers"][0]["resources"]["requests"]


def cluster_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The cluster of a RayJob or of a RayService."""
    spec = manifest["spec"]
    return spec["rayClusterConfig"] if manifest["kind"] == "RayService" else spec["rayClusterSpec"]


def groups_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The head, then the groups of workers."""
    cluster = cluster_of(manifest)
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for group in groups_of(manifest) for found in group["template"]["spec"]["containers"]]


def images() -> dict[str, str]:
    found = {
        f"{name}: {index}": c["image"]
        for name, path in MANIFESTS.items()
        for index, c in enumerate(containers(load(path)))
    }
    for path in LAUNCHER:
        told = re.findall(r"\b(?:worker_|head_)?image: (\S+)", path.read_text())
        found |= {f"{path.stem} {i}": image.rstrip("}") for i, image in enumerate(told)}
    return found


def test_there_is_a_manifest_for_each_of_the_four_jobs():
    assert set(JOBS) == {"prepare", *TRAININGS}
    assert {path.stem for path in (ROOT / "configs/cluster").glob("*.yaml")} == {
        "static",
        "aws",
        "serve_a100",
    }
    assert {pool(load(JOBS[name]))[0]["groupName"] for name in JOBS} == {"cpu", "a100"}


@pytest.mark.parametrize("name", JOBS)
def test_a_manifest_is_a_job_that_ends_goes_on_and_asks_for_a_token(name: str):
    job = load(JOBS[name])
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == (
        "ray.io/v1",
        "RayJob",
        f"segtalker-{name}",
    )
    assert set(spec) == JOB_KEYS and set(cluster) == CLUSTER_KEYS
    assert 0 < spec["activeDeadlineSeconds"] < 2**31 and spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert cluster["authOptions"] == {"mode": "token", "secretName": "segtalker-ray-token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert set(yaml.safe_load(spec["runtimeEnvYAML"])) == {"env_vars"}
    group, _ = pool(job)
    assert set(group) == GROUP_KEYS
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_have_limits_no_root_and_secrets_by_name_alone(name: str):
    manifest = load(MANIFESTS[name])
    for group in groups_of(manifest):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 1000
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (main,) = pod["containers"]
        assert main["resources"]["requests"] == main["resources"]["limits"]
        mounted = {mount["name"] for mount in main["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    for container in containers(manifest):
        assert container["envFrom"] == [{"secretRef": {"name": "segtalker-s3"}}]
    text = MANIFESTS[name].read_text()
    assert not re.search(r"AKIA|SECRET_ACCESS_KEY|auth_token:", text)
    guide = (ROOT / f"docs/{SECRETS_IN[name]}.md").read_text(encoding="utf-8")
    secrets = set(re.findall(r"secretName: ([\w-]+)|secret(?:Key)?Ref: \{name: ([\w-]+)", text))
    names = {first or second for first, second in secrets}
    assert {"segtalker-s3", "segtalker-ray-token"} <= names
    for secret in names:
        assert f"kubectl create secret generic {secret}" in guide


@pytest.mark.parametrize("name", TRAININGS)
def test_the_entrypoint_of_a_training_is_a_command_that_its_pods_have_room_for(name: str):
    from ray_jobs.train import Scale, check_room

    job = load(JOBS[name])
    options = parse_train(job["spec"]["entrypoint"])
    assert options.network == name and options.storage == "s3://BUCKET/runs"
    cfg = load_train_config(name, options.config, options.overrides)
    assert cfg == load_train_config(name, ROOT / f"configs/paper/{name}.yaml", options.overrides)
    assert str(cfg.clips.folder) == "s3://BUCKET/data/hdtf"
    items = cfg.data.clips if name == "syncnet" else cfg.data.items
    assert IndexedSampler(100, items, seed=1).batch(0, 0, options.workers)
    group, pod = pool(job)
    scale = Scale(
        workers=options.workers,
        gpus_per_worker=options.gpus_per_worker,
        cpus_per_worker=options.cpus_per_worker,
    )
    room = {"CPU": float(pod["cpu"]), "GPU": float(pod["nvidia.com/gpu"])}
    check_room(scale, [room] * group["replicas"])
    assert options.workers * options.gpus_per_worker == room["GPU"]  # none is paid for and idle
    assert options.cpus_per_worker >= cfg.run.workers  # processes that make batches


def test_four_gpus_share_the_batch_of_the_paper():
    options = parse_train(load(JOBS["sgi"])["spec"]["entrypoint"])
    cfg = load_train_config("sgi", options.config, options.overrides)
    assert (options.workers, cfg.data.items // options.workers) == (4, 4)


def test_the_generator_finds_the_expert_where_the_job_before_put_it():
    options = parse_train(load(JOBS["tsg"])["spec"]["entrypoint"])
    cfg = load_train_config("tsg", options.config, options.overrides)
    assert cfg.syncnet == f"{options.storage}/syncnet-RUN/syncnet.safetensors"
    assert f"--set syncnet={cfg.syncnet}" in GUIDE


def test_the_entrypoint_of_the_preparation_is_a_command_that_its_pods_have_room_for(
    monkeypatch: pytest.MonkeyPatch,
):
    job = load(JOBS["prepare"])
    options = parse_prepare(job["spec"]["entrypoint"], monkeypatch)
    assert (options.source, options.out) == ("hdtf", "s3://BUCKET/data/hdtf")
    assert load_config(PrepareConfig, options.config, options.overrides).size == 512
    group, pod = pool(job)
    assert options.workers < group["replicas"] * int(pod["cpu"])
    assert int(pod["memory"].removesuffix("Gi")) / int(pod["cpu"]) >= 4  # GB a worker at 512 px


@pytest.mark.parametrize("path", LAUNCHER, ids=lambda path: path.stem)
def test_a_file_for_the_cluster_launcher_passes_rays_own_check(path: Path):
    from ray.autoscaler._private.util import prepare_config, validate_config

    cfg = prepare_config(load(path))
    validate_config(cfg)
    assert cfg["file_mounts"] == {"/home/segtalker/.ray/auth_token": "~/.ray/auth_token"}
    assert "--dashboard-host=127.0.0.1" in cfg["head_start_ray_commands"][-1]
    assert not cfg["setup_commands"] and not cfg["head_setup_commands"]


def test_rented_nodes_suffice_for_the_jobs(monkeypatch: pytest.MonkeyPatch):
    types = load(ROOT / "configs/cluster/aws.yaml")["available_node_types"]
    workers = parse_prepare(load(JOBS["prepare"])["spec"]["entrypoint"], monkeypatch).workers
    assert types["cpu"]["min_workers"] * types["cpu"]["resources"]["CPU"] > workers
    assert types["a100"]["resources"]["GPU"] >= parse_train(load(JOBS["sgi"])["spec"]["entrypoint"]).workers


def test_versions_of_image_manifests_and_pins_agree():
    extra = (ROOT / "pyproject.toml").read_text()
    assert f"[train,serve,data]=={RAY}" in extra and importlib.metadata.version("ray") == RAY
    python = re.search(
        r"^FROM python:(\d+)\.(\d+)\.\d+-slim-\w+@sha256:[0-9a-f]{64} AS base$", DOCKERFILE, re.M
    )
    assert python is not None
    major, minor = int(python[1]), int(python[2])
    lowest = re.search(r'requires-python = ">=(\d+)\.(\d+)"', extra)
    assert lowest is not None and (major, minor) >= (int(lowest[1]), int(lowest[2]))
    version = re.search(r'^version = "(.+)"$', extra, re.M)
    assert version is not None
    tag = f"segtalker:{version[1]}-ray{RAY}-py{major}{minor}-"
    assert all(f"{tag}{flavour} ." in DOCKERFILE for flavour in ("cpu", "cuda"))
    found = images()
    assert len(found) >= 2 * len(MANIFESTS) + 3
    for where, image in found.items():
        assert re.fullmatch(rf"registry\.example\.com/{re.escape(tag)}(cpu|cuda)", image), where
    for path in MANIFESTS.values():
        assert cluster_of(load(path))["rayVersion"] == RAY


def test_gpus_get_the_cuda_image():
    for path in MANIFESTS.values():
        for container in containers(load(path)):
            has_gpus = "nvidia.com/gpu" in container["resources"]["requests"]
            assert container["image"].endswith("-cuda" if has_gpus else "-cpu"), path


def test_the_image_is_built_from_what_is_there_by_pins_and_runs_as_nobody_special():
    copied = re.findall(r"^COPY (?:--chown=\S+ )?(.+) \S+$", DOCKERFILE, re.M)
    names = {name for group in copied for name in group.split()}
    assert {name for name in names if not (ROOT / name).exists()} == set()
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore and {f"!{name}" for name in names} == {
        line for line in ignore if line.startswith("!")
    }
    installs = re.findall(r"^RUN (?:pip|.*&& pip) install .*$", DOCKERFILE, re.M)
    assert len(installs) == 3 and all("-c constraints.txt" in line for line in installs)
    pinned = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert {"torch", "torchvision", "boto3", "yt-dlp", "tensorboard"} <= pinned
    assert {"torch-cpu", "torch-cuda"} <= set(re.findall(r" AS (\S+)$", DOCKERFILE, re.M))
    *_, last_user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert last_user == "segtalker" and "useradd --create-home --uid 1000" in DOCKERFILE
    (fetched,) = re.findall(r"segtalker weights fetch (\w+)", DOCKERFILE)
    assert fetched in groups()


def submit_lines() -> list[str]:
    """The commands after `--` of every `ray job submit` in the guide."""
    text = GUIDE.replace("\\\n", " ")
    return [" ".join(line.split()) for line in re.findall(r"^ray job submit\b.*? -- (.*)$", text, re.M)]


def test_the_guide_has_four_lines_that_are_commands(monkeypatch: pytest.MonkeyPatch):
    lines = submit_lines()
    assert [line.split()[2].removeprefix("ray_jobs.") for line in lines] == [
        "prepare",
        "train",
        "train",
        "train",
    ]
    prepare = parse_prepare(lines[0], monkeypatch)
    load_config(PrepareConfig, prepare.config, prepare.overrides)
    for line, network in zip(lines[1:], TRAININGS, strict=True):
        options = parse_train(line)
        cfg = load_train_config(network, options.config, options.overrides)
        assert options.network == network and str(cfg.clips.folder) == prepare.out
        told = parse_train(load(JOBS[network])["spec"]["entrypoint"])
        sizes = ("workers", "gpus_per_worker", "cpus_per_worker", "storage", "config")
        assert {getattr(told, size) == getattr(options, size) for size in sizes} == {True}
