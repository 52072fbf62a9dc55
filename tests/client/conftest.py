import pytest

from segtalker.client import Client, Retries
from tests.client.playing import playing


@pytest.fixture
def script():
    with playing() as script:
        yield script


@pytest.fixture
def client(script):
    return Client(script.url, timeout_s=2, retries=Retries(errors=2, within_s=3, first_wait_s=0.01))


@pytest.fixture
def inputs(tmp_path):
    video, speech = tmp_path / 'a "b".mp4', tmp_path / "s.wav"
    video.write_bytes(bytes(range(256)) * 3000)
    speech.write_bytes(b"sound")
    return video, speech
