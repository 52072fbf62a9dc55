"""The service in one process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from benchmarks._serve import free_port
from segtalker.config import to_yaml
from segtalker.local_stages import LocalStages
from serve.local import LocalService, open_store
from tests.dubbing import BlobFaces, talking_clip, tiny_weights, write_speech
from tests.serve.running import end_of, small_service, submit, wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


def test_a_job_is_done_and_closing_ends_the_runner(weights, tmp_path):
    cfg = small_service(tmp_path, weights, poll_s=30.0)
    files = {"video": talking_clip(tmp_path / "a.mp4", 3), "speech": write_speech(tmp_path / "s.wav", 0.12)}
    with LocalService(cfg, LocalStages(cfg.dub, BlobFaces())) as service:
        assert asyncio.run(service.ready()) == {"runner": "ready"}
        job = submit(service.store, files)
        asyncio.run(service.nudge())  # else it would be looked for half a minute later
        assert end_of(service.store, job, 25).state == "done"
    assert asyncio.run(service.ready()) == {"runner": "has stopped"}


def test_what_the_service_computes_with_is_told_without_paths(weights, tmp_path):
    cfg = small_service(tmp_path, weights)
    with LocalService(cfg, LocalStages(cfg.dub, BlobFaces())) as service:
        told = service.describe()
    for name, path in weights.items():
        network = told["networks"][name]
        assert network["weights"] == path.name
        assert network["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told["edits"]["kinds"]["frown"]["amounts"] == (0.0, 1.0) and "lip" in told["edits"]["regions"]
    assert told["size"] == 32 and told["regions"]["lip"] == 1 and "torch" in told["versions"]
    assert str(weights["tsg"].parent) not in json.dumps(told)


def test_a_folder_of_jobs_may_begin_with_a_tilde(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store(small_service(tmp_path, weights, storage="~/jobs"))
    assert store.layout.root == str(tmp_path / "jobs")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(weights, tmp_path, ending):
    file = tmp_path / "service.yaml"
    file.write_text(to_yaml(small_service(tmp_path, weights)))
    port = free_port()
    command = [sys.executable, "-m", "serve.local", "--config", str(file), "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )

    def health() -> bool:
        assert process.poll() is None, process.stdout.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        assert wait_for(health)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/dubs", b"no form", timeout=60)
        process.send_signal(ending)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert f"http://127.0.0.1:{port}/" in said and "Traceback" not in said and process.returncode == 0
    (line,) = [line for line in said.splitlines() if line.startswith("segtalker.audit ")]
    told = json.loads(line.removeprefix("segtalker.audit "))
    assert (told["event"], told["code"], told["token"]) == ("refused", "unsupported_media_type", "local")
    assert not list((tmp_path / "scratch").rglob("driver-*"))
