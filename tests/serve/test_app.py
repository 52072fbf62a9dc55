"""The service: one request, one dub, and mistakes as sentences."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from segtalker.config import to_yaml
from tests.dubbing import real_portrait, tiny_weights, write_speech

pytestmark = [pytest.mark.ray, pytest.mark.weights]
URL = "http://127.0.0.1:8123/dub"


def post(body: dict) -> tuple[int, dict]:
    request = urllib.request.Request(URL, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def app(cluster, tmp_path_factory):
    from ray import serve

    from segtalker.pipeline import DubConfig, NetworkConfig
    from serve.app import BuildArguments, build

    folder = tmp_path_factory.mktemp("app")
    weights = tiny_weights(folder)
    networks = {name: NetworkConfig(weights=str(path)) for name, path in weights.items()}
    config = folder / "dub.yaml"
    config.write_text(to_yaml(DubConfig(**networks, threads=1)))

    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": 8123})
    serve.run(build(BuildArguments(config=str(config))), name="test-dub", route_prefix="/")
    yield
    serve.delete("test-dub")
    serve.shutdown()


def test_a_request_dubs_a_clip_and_answers_with_the_report(app, tmp_path):
    video = real_portrait(tmp_path / "portrait.png")
    speech = write_speech(tmp_path / "speech.wav", 0.2)
    output = tmp_path / "out.mp4"
    status, report = post({"video": str(video), "speech": str(speech), "output": str(output)})
    assert status == 200, report
    assert report["frames"] == {"synthesized": 5}
    assert output.is_file()


def test_a_bad_file_is_one_sentence_with_status_422(app, tmp_path):
    speech = write_speech(tmp_path / "speech.wav", 0.4)
    missing, output = tmp_path / "none.mp4", tmp_path / "out.mp4"
    status, answer = post({"video": str(missing), "speech": str(speech), "output": str(output)})
    assert status == 422 and "none.mp4" in answer["detail"] and not output.exists()


def test_an_unknown_key_of_a_request_is_refused(app):
    status, _ = post({"video": "a", "speech": "b", "output": "c", "sped": "d"})
    assert status == 422
