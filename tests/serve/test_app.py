"""The service on Ray Serve: jobs over HTTP, and what SIGKILL may not change."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks._serve import free_port
from segtalker.client import Client
from segtalker.client.service import Job
from segtalker.errors import ConfigError
from segtalker.pipeline import SegTalker
from serve.config import ApiConfig, DriverConfig, ServiceConfig, StageConfig
from tests.dubbing import real_portrait, tiny_weights, write_speech
from tests.serve.running import CHUNK, decoded, small_service, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.weights]
NAME = "segtalker-test"
FRAMES = 15
_SMALL = StageConfig(cpus=0.2)
_PATIENT = StageConfig(cpus=0.2, batch_wait_s=0.3)
"""Waits for company so long that two jobs at once must meet, however slow the machine is."""


@dataclass
class App:
    """The application that runs, its inputs, and the frames that a local dub makes of them."""

    cfg: ServiceConfig
    url: str
    files: dict[str, Path]
    frames: np.ndarray

    @property
    def client(self) -> Client:
        return Client(self.url)

    def submit(self, **options: Any) -> Job:
        return self.client.submit(self.files["video"], self.files["speech"], **options)

    def check(self, job: Job, folder: Path) -> dict[str, Any]:
        """Wait for the end of the job, compare its video with the local one, and return its report."""
        view = job.wait(timeout_s=120)
        job.download(folder / "out.mp4")
        differ = np.abs(decoded(folder / "out.mp4").astype(int) - self.frames)
        assert (differ <= 1).mean() >= 0.999
        return view["report"]

    def ready(self) -> dict[str, str]:
        """Part -> state; status 200 says that all are ready, and 503 that not."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=60) as answer:
                parts = json.load(answer)["parts"]
                assert set(parts.values()) == {"ready"}
        except urllib.error.HTTPError as error:
            assert error.code == 503
            parts = json.load(error)["parts"]
            assert set(parts.values()) != {"ready"}
        return parts

    def kill(self, deployment: str, replica: Callable[[str], bool] = lambda name: True) -> int:
        """SIGKILL the process of one replica; returns its id."""
        pid = next(pid for name, pid in replicas(deployment).items() if replica(name))
        os.kill(pid, signal.SIGKILL)
        return pid

    def stats(self, deployment: str) -> dict[str, float]:
        from ray import serve

        return serve.get_deployment_handle(deployment, NAME).stats.remote().result(timeout_s=30)


def replicas(deployment: str) -> dict[str, int]:
    """Replica -> process id, as the controller of Serve knows them."""
    from ray.serve.context import _get_global_client

    details = _get_global_client().get_serve_details()
    found = details["applications"][NAME]["deployments"][deployment]["replicas"]
    return {replica["replica_id"]: replica["pid"] for replica in found if replica["state"] == "RUNNING"}


def rendering(job: Job) -> dict[str, Any]:
    """The job once some of its frames are rendered."""
    for view in job.events(60):
        stage = view["progress"][-1] if view["progress"] else {"stage": ""}
        if stage["stage"] == "rendering" and stage["done"] >= CHUNK:
            assert view["state"] == "running", "the job must last longer than this test looks away"
            return view
    raise AssertionError("the job ended before it was seen rendering")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ServiceConfig:
    """Chunks of one job follow each other, so that batches of several calls are of several jobs."""
    folder = tmp_path_factory.mktemp("service")
    small = small_service(folder, tiny_weights(folder), poll_s=0.1, lease_s=2.0)
    return replace(
        small,
        dub=replace(small.dub, encode=replace(small.dub.encode, crf=0)),
        **dict.fromkeys(("faces", "talker", "encoder"), _SMALL),
        generator=_PATIENT,
        driver=DriverConfig(cpus=0.2, jobs=2, chunks=1),
        api=ApiConfig(cpus=0.2, scratch=str(folder / "scratch")),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sent")
    speech = write_speech(folder / "speech.wav", FRAMES / 25)
    return {"video": real_portrait(folder / "portrait.png"), "speech": speech}


@pytest.fixture(scope="module")
def local_frames(config, files, tmp_path_factory) -> np.ndarray:
    output = tmp_path_factory.mktemp("local") / "out.mp4"
    SegTalker(config.dub).dub(files["video"], files["speech"], output, quiet=True)
    return decoded(output).astype(int)


@pytest.fixture(scope="module")
def app(cluster, config, files, local_frames) -> Iterator[App]:
    from ray import serve

    from serve.app import compose

    port = free_port()
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(compose(config), name=NAME, route_prefix="/")
    yield App(config, f"http://127.0.0.1:{port}", files, local_frames)
    serve.delete(NAME)
    serve.shutdown()


def test_a_job_over_http_is_the_local_dub(app, tmp_path):
    assert app.ready() == dict.fromkeys(("Driver", "Encoder", "Faces", "Generator", "Talker"), "ready")
    report = app.check(app.submit(), tmp_path)
    assert report["frames"] == {"synthesized": FRAMES} and report["reused_segments"] == 0
    assert (report["video"], report["speech"]) == ("portrait.png", "speech.wav")
    assert str(Path(app.cfg.jobs.storage).parent) not in json.dumps(report)


def test_jobs_at_once_share_batches_and_change_each_other_in_nothing(app, tmp_path):
    jobs = [app.submit() for _ in range(4)]
    for job in jobs:
        app.check(job, tmp_path)
    stats = app.stats("Generator")
    assert stats["largest_batch"] > 1 and stats["failures"] == 0
    assert stats["frames"] >= 4 * 2 * FRAMES and stats["waiting"] == 0


def test_a_face_of_a_picture_is_parsed_encoded_and_rendered(app):
    (face,) = app.client.parse(app.files["video"])["faces"]
    codes = app.client.encode(app.files["video"])
    assert app.client.render(face["region_map"], codes).startswith(b"\x89PNG")


def test_a_picture_is_edited_by_the_graph_with_a_reference(app):
    portrait = app.files["video"]
    png = app.client.edit_picture(portrait, [f"hair={portrait}@0.5", "lip=#0040ff@0.9,raise_brows"])
    before, after = cv2.imread(str(portrait)), cv2.imdecode(np.frombuffer(png, np.uint8), 1)
    assert after.shape == before.shape and np.abs(after.astype(int) - before).max() > 30


def test_a_job_outlives_the_generator(app, tmp_path):
    job = app.submit()
    rendering(job)
    killed = app.kill("Generator")
    report = app.check(job, tmp_path)
    assert report["reused_segments"] == 0, "the driver asks another replica; the job is not begun again"
    assert job.view()["attempts"] == 1
    assert killed not in wait_for(lambda: replicas("Generator")).values()


def test_another_driver_finishes_the_job_of_a_killed_one(app, tmp_path):
    job = app.submit()
    rendering(job)
    (log,) = Path(app.cfg.jobs.storage).glob(f"data/{job.id}-*/log/000001.json")
    holder = json.loads(log.read_text())["holder"]
    app.kill("Driver", lambda name: holder.endswith(f":{name}"))
    report = app.check(job, tmp_path)
    assert report["reused_segments"] >= 1 and job.view()["attempts"] == 2
    # The driver that takes the killed one's place removes what that one has left on the disk.
    folders = Path(str(app.cfg.api.scratch)).glob
    wait_for(lambda: len(list(folders("segtalker-jobs-*/driver-*/"))) == app.cfg.driver.replicas)


def test_requests_outlive_the_ingress(app, tmp_path):
    job = app.submit(key="as before")
    app.kill("Ingress")
    assert app.submit(key="as before").id == job.id
    app.check(job, tmp_path)


def test_a_part_that_is_away_is_told(app):
    killed = app.kill("Talker")
    told = wait_for(lambda: {name for name, state in app.ready().items() if state != "ready"} or None, 30)
    assert told == {"Talker"}
    wait_for(lambda: set(app.ready().values()) == {"ready"})
    assert killed not in replicas("Talker").values()


def test_the_fused_graph_dubs_a_job_under_a_prefix(app, tmp_path):
    from ray import serve

    from serve.app import compose

    jobs = replace(app.cfg.jobs, storage=str(tmp_path / "jobs"))
    fused = replace(app.cfg, graph="fused", jobs=jobs, driver=DriverConfig(replicas=1, cpus=0.5, chunks=2))
    serve.run(compose(fused), name="fused", route_prefix="/fused")
    try:
        other = replace(app, cfg=fused, url=f"{app.url}/fused")
        assert other.ready() == {"Driver": "ready"}
        other.check(other.submit(), tmp_path)
        assert len(other.client.parse(app.files["video"])["faces"]) == 1
    finally:
        serve.delete("fused")


@pytest.mark.parametrize("graph", ["split", "fused"])
def test_local_testing_dubs_a_job_without_a_cluster(graph, config, files, local_frames, tmp_path):
    from ray import serve

    from serve.app import compose
    from serve.local import open_store
    from tests.serve.running import end_of, frames_of, submit

    config = replace(config, graph=graph, jobs=replace(config.jobs, storage=str(tmp_path / "jobs")))
    serve.run(compose(config), _local_testing_mode=True)
    store = open_store(config)
    job = submit(store, files)
    view = end_of(store, job)
    assert view.state == "done", view.error
    assert (np.abs(frames_of(store, job, tmp_path).astype(int) - local_frames) <= 1).mean() >= 0.999


def test_unknown_keys_are_refused(tmp_path):
    from pydantic import ValidationError

    from serve.app import Arguments, build

    with pytest.raises(ValidationError):
        Arguments(configs="service.yaml")
    for wrong in ({"genrator": {}}, {"generator": {"max_replica": 3}}):
        with pytest.raises(ConfigError, match="generator|max_replicas"):
            build(Arguments(service=wrong))
    with pytest.raises(ConfigError, match="chunk"):
        build(Arguments(set=["driver.chunk=3"]))


def test_arguments_are_laid_on_top_of_the_file_key_by_key(tmp_path, monkeypatch):
    from serve import app

    monkeypatch.setattr(app, "compose", lambda cfg: cfg)
    file = tmp_path / "service.yaml"
    file.write_text("jobs: {storage: s3://bucket/jobs, lease_s: 30}\ndriver: {jobs: 3}\n")
    built = app.build(
        app.Arguments(config=str(file), service={"jobs": {"lease_s": 5}}, set=["driver.chunks=4"])
    )
    assert (built.jobs.storage, built.jobs.lease_s) == ("s3://bucket/jobs", 5)
    assert (built.driver.jobs, built.driver.chunks) == (3, 4)
