"""Uploads that would do harm if they were decoded as they ask for."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import av
import pytest

from serve.api.errors import ApiError
from serve.api.looking import Looker
from serve.config import LimitsConfig

_PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "hls key": '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:1,\n{url}\n',
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="0" bandwidth="1"><BaseURL>{url}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" '
    'height="9"><image xlink:href="{url}" width="9" height="9"/></svg>',
}


@pytest.fixture
def listener():
    """A port of this machine, and how many have knocked at it."""
    knocks: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    line, address = server.accept()
                except OSError:
                    return
                knocks.append(address)
                line.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], knocks
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("kind", ["video", "speech"])
@pytest.mark.parametrize("name", _PLAYLISTS)
def test_a_file_that_names_other_files_is_refused_and_nothing_is_fetched(tmp_path, listener, name, kind):
    port, knocks = listener
    file = tmp_path / "talk.mp4"
    file.write_text(_PLAYLISTS[name].format(url=f"http://127.0.0.1:{port}/inside.ts", port=port))
    with pytest.raises(ApiError) as refused:
        asyncio.run(Looker(LimitsConfig(probe_s=20)).look(file, kind, kind))
    assert refused.value.status == 422 and knocks == []


def test_a_film_of_this_machine_cannot_be_led_out_by_a_list(tmp_path, media):
    (tmp_path / "talk.mp4").write_text(f"ffconcat version 1.0\nfile '{media / 'video.mp4'}'\n")
    (tmp_path / "near.mp4").write_bytes((media / "video.mp4").read_bytes())
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'near.mp4'\n")
    for name in ("talk.mp4", "list.mp4"):
        with pytest.raises(ApiError) as refused:
            asyncio.run(Looker(LimitsConfig(probe_s=20)).look(tmp_path / name, "video", "video"))
        assert refused.value.code == "unusable_file"


@pytest.mark.parametrize(("kind", "codec"), [("voc", "pcm_s16le"), ("sox", "pcm_s32le")])
def test_kinds_of_files_that_nobody_records_in_are_not_taken(tmp_path, media, kind, codec):
    with av.open(str(media / "speech.wav")) as wav, av.open(str(tmp_path / "s"), "w", format=kind) as out:
        stream = out.add_stream(codec, rate=16000, layout="mono")
        for frame in [*wav.decode(audio=0), None]:
            out.mux(stream.encode(frame))
    with pytest.raises(ApiError, match=f"files of the kind {kind} are not taken"):
        asyncio.run(Looker(LimitsConfig(probe_s=20)).look(tmp_path / "s", "speech", "speech"))


def test_the_probe_has_given_up_its_rights_before_it_opens_a_file(tmp_path, media):
    code = (
        "import sys, resource; from serve.api import probe;"
        "probe._KINDS['video'] = lambda *_: sys.exit(str([resource.getrlimit(w)[1] for w in "
        "(resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]));"
        "probe.main()"
    )
    command = [sys.executable, "-c", code, "video", str(media / "video.mp4"), "--memory-mb=512", "--cpu-s=7"]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert ended.stderr.strip() == str([512 << 20, 7, 0, 0])
