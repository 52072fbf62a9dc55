"""The Python client and the real service, in one process without Ray, over real HTTP."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import uvicorn

from segtalker.client import Client, Retries, ServiceError
from segtalker.compositing.plan import PlanConfig
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import LocalStages
from segtalker.media.read import frame_times, read_frames
from segtalker.media.write import EncodeConfig
from segtalker.pipeline import SegTalker
from serve.api import create_api
from serve.config import ApiConfig, DriverConfig, JobsConfig, LimitsConfig, ServiceConfig
from serve.local import LocalService
from tests.dubbing import BlobFaces, talking_clip, talking_frame, tiny_weights, write_speech

TOKEN = "a-token-of-forty-characters-0123456789ab"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    networks = {name: NetworkConfig(weights=str(path)) for name, path in tiny_weights(folder).items()}
    (folder / "tokens").write_text(f"ann {TOKEN}\n")
    (folder / "tokens").chmod(0o600)
    return ServiceConfig(
        dub=DubConfig(
            **networks, threads=1, plan=PlanConfig(chunk_frames=4), encode=EncodeConfig(preset="ultrafast")
        ),
        driver=DriverConfig(chunks=1),
        api=ApiConfig(scratch=str(folder), tokens_file=str(folder / "tokens")),
        jobs=JobsConfig(storage=str(folder / "jobs"), poll_s=0.05),
        limits=LimitsConfig(upload_mb=1.0),
    )


@pytest.fixture(scope="module")
def url(config):
    stages = LocalStages(config.dub, BlobFaces())
    with LocalService(config, stages) as service:
        server = uvicorn.Server(uvicorn.Config(create_api(service), port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(url):
    return Client(url, TOKEN, retries=Retries(first_wait_s=0.05))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return talking_clip(folder / "talk.mp4", 10), write_speech(folder / "speech.wav", 0.4)


def test_a_dub_over_http_equals_the_local_one(client, config, inputs, tmp_path):
    cfg = replace(config.dub, encode=replace(config.dub.encode, crf=5))
    SegTalker(cfg, LocalStages(cfg, BlobFaces())).dub(*inputs, tmp_path / "local.mp4", quiet=True)
    told = []
    report = client.dub(*inputs, tmp_path / "out.mp4", on_progress=told.append, crf=5, timeout_s=60)
    assert report["num_frames"] == 10 and report["frames"] == {"synthesized": 10}
    assert json.loads((tmp_path / "out.report.json").read_text()) == report
    assert frame_times(tmp_path / "out.mp4") == frame_times(tmp_path / "local.mp4")
    for ours, theirs in zip(
        read_frames(tmp_path / "out.mp4"), read_frames(tmp_path / "local.mp4"), strict=True
    ):
        assert (ours.image == theirs.image).all()
    assert told and all(event.total is None or event.done <= event.total for event in told)


def test_a_streamed_dub_has_the_frames_of_the_downloaded_one(client, inputs, tmp_path):
    pieces = list(client.stream(*inputs, key="streamed"))
    (tmp_path / "streamed.mp4").write_bytes(b"".join(pieces))
    job = client.submit(*inputs, key="streamed")
    job.wait(timeout_s=60)
    job.download(tmp_path / "whole.mp4")
    assert frame_times(tmp_path / "streamed.mp4") == frame_times(tmp_path / "whole.mp4")
    frames = zip(read_frames(tmp_path / "streamed.mp4"), read_frames(tmp_path / "whole.mp4"), strict=True)
    assert all((ours.image == theirs.image).all() for ours, theirs in frames)


def test_a_download_goes_on_in_the_midst(client, inputs, tmp_path):
    job = client.submit(*inputs, key="streamed")
    job.wait(timeout_s=60)
    job.download(tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / f".part.mp4.{job.id}.video.part").write_bytes(whole[:1000])
    told = []
    job.download(tmp_path / "part.mp4", on_progress=told.append)
    assert (tmp_path / "part.mp4").read_bytes() == whole
    assert told[0].done > 1000 and told[-1].done == told[-1].total == len(whole)


def test_maps_are_fetched_where_they_were_asked_for(client, inputs, tmp_path):
    client.dub(*inputs, tmp_path / "out.mp4", save_maps=True, timeout_s=60)
    assert len(frame_times(tmp_path / "out.maps.mp4")) == 10


def test_the_same_key_is_the_same_job_and_another_body_is_refused(client, inputs):
    first, again = (client.submit(*inputs, key="once").id for _ in range(2))
    assert first == again
    with pytest.raises(ServiceError) as caught:
        client.submit(*inputs, key="once", crf=30)
    assert caught.value.status == 409


def test_a_job_is_cancelled_listed_and_deleted(client, inputs):
    job = client.submit(*inputs, sync_mode="bounce")
    assert job.cancel()["state"] in ("cancelled", "done")
    assert job.id in [view["id"] for view in client.jobs()]
    job.delete()
    with pytest.raises(ServiceError) as caught:
        job.view()
    assert caught.value.status == 404


def test_refusals_are_the_sentences_of_the_service(client, url, inputs, tmp_path):
    with pytest.raises(ServiceError, match="sync_mode") as caught:
        client.submit(*inputs, sync_mode="backwards")
    assert caught.value.status == 422
    (tmp_path / "big.mp4").write_bytes(bytes(3_000_000))
    with pytest.raises(ServiceError) as caught:
        client.submit(tmp_path / "big.mp4", inputs[1])
    assert caught.value.status == 413
    with pytest.raises(ServiceError) as caught:
        client.submit(inputs[1], inputs[1])
    assert caught.value.status == 422
    with pytest.raises(ServiceError) as caught:
        Client(url, "another token").models()
    assert caught.value.status == 401


def test_single_pictures_go_there_and_back(client, inputs, tmp_path):
    import cv2

    frame = next(read_frames(inputs[0])).image
    cv2.imwrite(str(tmp_path / "face.png"), frame[..., ::-1])
    parsed = client.parse(tmp_path / "face.png")
    assert (parsed["width"], parsed["height"], len(parsed["faces"])) == (160, 120, 1)
    region_map = parsed["faces"][0]["region_map"]
    labels = cv2.imdecode(np.frombuffer(region_map, np.uint8), cv2.IMREAD_UNCHANGED)
    codes = client.encode(tmp_path / "face.png")
    picture = cv2.imdecode(np.frombuffer(client.render(region_map, codes), np.uint8), cv2.IMREAD_COLOR)
    assert codes["shape"][0] == 12 and picture.shape == (*labels.shape, 3)
    assert {"tsg", "sgi"} <= set(json.dumps(client.models()).replace('"', " ").split())


def test_edits_go_with_their_references_through_the_whole_service(client, inputs, tmp_path):
    cv2.imwrite(str(tmp_path / "look.png"), talking_frame(3, (240, 200), height=110)[..., ::-1])
    edits = [f"skin={tmp_path}/look.png@0.6", {"edit": "frown", "amount": 0.5}]
    report = client.dub(*inputs, tmp_path / "dubbed.mp4", edits=edits)
    assert [edit["reference"] for edit in report["config"]["edits"]] == ["look.png", None]
    report = client.edit(inputs[0], tmp_path / "edited.mp4", "skin=blue")
    assert report["num_frames"] == len(list(read_frames(inputs[0])))
    picture = cv2.imdecode(
        np.frombuffer(client.edit_picture(tmp_path / "look.png", "skin=blue"), np.uint8), 1
    )
    before = cv2.imread(str(tmp_path / "look.png"))
    assert picture.shape == before.shape and np.abs(picture.astype(int) - before).max() > 20
