"""What strangers send as films: looked at in a process that cannot harm, and told apart in a sentence."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import psutil
import pytest

from serve.api.errors import ApiError
from serve.api.looking import Looker
from serve.config import LimitsConfig
from tests.conftest import click_track, write_tiny_video, write_wav

LIMITS = LimitsConfig(probe_s=20)


def look(path, kind, limits=LIMITS):
    return asyncio.run(Looker(limits).look(path, kind, kind))


def refusal(path, kind, limits=LIMITS, code="unusable_file"):
    with pytest.raises(ApiError) as refused:
        look(path, kind, limits)
    assert (refused.value.status, refused.value.code) == (422, code)
    assert refused.value.message.startswith(f"{kind}: ") and str(path.parent) not in refused.value.message
    return refused.value.message


def png(width, height, pixels=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def test_a_film_has_its_size_length_and_frames(media):
    found = look(media / "video.mp4", "video").found
    assert (found.width, found.height, found.frames, found.is_image) == (64, 48, 5, False)
    assert found.duration_s == pytest.approx(0.2)


def test_a_still_is_a_video_too_and_lasts_as_long_as_it_is_told(media):
    found = look(media / "photo.png", "video").found
    assert found.is_image and (found.width, found.height, found.duration_s) == (60, 40, 0)


def test_speech_has_its_length(media):
    assert look(media / "speech.wav", "speech").found.duration_s == pytest.approx(0.2)


def test_a_picture_comes_with_its_pixels(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), image[..., ::-1])
    seen = look(tmp_path / "p.png", "picture")
    assert np.array_equal(seen.pixels, image)


def test_a_map_comes_with_its_labels(tmp_path):
    labels = np.arange(240, dtype=np.uint8).reshape(15, 16)
    cv2.imwrite(str(tmp_path / "m.png"), labels)
    assert np.array_equal(look(tmp_path / "m.png", "map").pixels, labels)


@pytest.mark.parametrize("kind", ["video", "speech", "picture", "map"])
@pytest.mark.parametrize(
    "data", [b"", b"hello\n" * 100, bytes(5000), b"\x89PNG\r\n\x1a\n", b"#EXTM3U\nfile:///etc/passwd"]
)
def test_what_is_no_media_is_refused(tmp_path, kind, data):
    (tmp_path / "file").write_bytes(data)
    assert "passwd" not in refusal(tmp_path / "file", kind)


def test_a_file_of_numbers_is_told_from_others(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "beard"
    save_file({"direction": np.zeros((12, 4), np.float32)}, path)
    seen = look(path, "tensors")
    assert (seen.found.kind, seen.found.frames, seen.pixels) == ("tensors", 1, None)
    path.write_bytes(path.read_bytes()[:-8])
    assert "no .safetensors file" in refusal(path, "tensors")
    path.write_bytes(b"\x80\x04cposix\nsystem\n" * 9)
    assert "no .safetensors file" in refusal(path, "tensors")


def test_a_film_that_is_cut_short_is_refused_or_ends_early(tmp_path, media):
    data = (media / "video.mp4").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    refusal(tmp_path / "cut", "video")


def test_a_film_without_a_frame_that_decodes_is_refused(tmp_path, media):
    data = bytearray((media / "video.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    data[start : start + size] = bytes(size)
    (tmp_path / "blank.mp4").write_bytes(data)
    assert "frame" in refusal(tmp_path / "blank.mp4", "video")


def test_a_film_without_frames_is_refused(tmp_path, media):
    with av.open(str(media / "video.mp4")) as whole, av.open(str(tmp_path / "empty.mp4"), "w") as out:
        out.add_stream_from_template(whole.streams.video[0])
        out.start_encoding()
    refusal(tmp_path / "empty.mp4", "video")


def test_sound_is_no_film_and_a_silent_film_is_no_speech(media):
    assert "no video stream" in refusal(media / "speech.wav", "video")
    assert "no audio stream" in refusal(media / "video.mp4", "speech")


def test_a_film_is_no_picture(media):
    assert "film" in refusal(media / "video.mp4", "picture")


def test_a_picture_that_unpacks_to_gigabytes_is_refused(tmp_path):
    (tmp_path / "bomb").write_bytes(png(60_000, 60_000, bytes(50_000_000)))
    for kind in ("video", "picture", "map"):
        refusal(tmp_path / "bomb", kind)


def test_a_side_that_is_too_long_is_told(tmp_path):
    write_tiny_video(tmp_path / "v.mp4", num_frames=2, size=(160, 48))
    assert "160 x 48" in refusal(tmp_path / "v.mp4", "video", LimitsConfig(side_px=128))


def test_pixels_that_are_stretched_count_as_they_are_shown(tmp_path):
    write_tiny_video(tmp_path / "v.mp4", num_frames=2, aspect=Fraction(30, 1))
    assert "1920 x 48" in refusal(tmp_path / "v.mp4", "video", LimitsConfig(side_px=1000))


def test_a_film_that_lasts_too_long_is_refused(media):
    assert "0.1 s" in refusal(media / "video.mp4", "video", LimitsConfig(video_s=0.1), "too_long")
    assert "0.1 s" in refusal(media / "speech.wav", "speech", LimitsConfig(speech_s=0.1), "too_long")


def test_the_length_is_measured_and_not_what_the_file_says(tmp_path):
    pts = [0, 40, 5_000_000]
    write_tiny_video(tmp_path / "v.mkv", num_frames=3, pts=pts, time_base=Fraction(1, 1000))
    assert "5000.08 s" in refusal(tmp_path / "v.mkv", "video", code="too_long")


def test_a_clock_that_jumps_back_does_not_hide_the_length(tmp_path):
    from serve.api.probe import _Extent

    class Packet:
        time_base, duration, dts = Fraction(1, 10), 1, None

        def __init__(self, at):
            self.pts = self.dts = at

    extent = _Extent()
    for _ in range(3):
        for at in range(100):
            extent.add(Packet(at), Fraction(1))
    assert extent.duration == 30


def test_more_frames_than_any_camera_takes_are_refused(tmp_path):
    pts = list(range(200))
    write_tiny_video(tmp_path / "v.mkv", num_frames=200, pts=pts, time_base=Fraction(1, 1000), size=(16, 16))
    limits = LimitsConfig(video_s=0.5)
    assert "200 frames" in refusal(tmp_path / "v.mkv", "video", limits, "too_long")


def test_a_probe_that_hangs_is_killed(media):
    hang = (sys.executable, "-c", "import time; time.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(ApiError, match="too long"):
        asyncio.run(Looker(LimitsConfig(probe_s=0.1), hang).look(media / "video.mp4", "video", "video"))
    assert time.monotonic() - begun < 10
    assert not children(60)


def test_a_probe_is_killed_when_nobody_waits_for_it_any_more(media):
    hang = (sys.executable, "-c", "import time; time.sleep(61)")

    async def go():
        task = asyncio.ensure_future(Looker(LIMITS, hang).look(media / "video.mp4", "video", "video"))
        while not children(61):
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    begun = time.monotonic()
    asyncio.run(go())
    assert time.monotonic() - begun < 20 and not children(61)


@pytest.mark.parametrize("ending", ["import os; os.abort()", "raise SystemExit(1)", "pass"])
def test_a_probe_that_crashes_is_the_fault_of_the_file(media, ending):
    with pytest.raises(ApiError, match="gave up") as refused:
        asyncio.run(
            Looker(LIMITS, (sys.executable, "-c", ending)).look(media / "video.mp4", "video", "video")
        )
    assert refused.value.status == 422


def test_the_process_is_bounded_and_does_not_know_the_secrets_of_the_service(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    tell = (
        "import sys, os, json; from serve.api.probe import give_up_rights; from resource import *;"
        "give_up_rights(512, 7); limits = [getrlimit(r) for r in (RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE)];"
        "print(json.dumps({'unusable': json.dumps([limits, sorted(os.environ)])}))"
    )
    with pytest.raises(ApiError) as told:
        asyncio.run(Looker(LIMITS, (sys.executable, "-c", tell)).look(tmp_path, "video", "video"))
    assert "[[536870912, 536870912], [7, 7], [0, 0]]" in told.value.message
    assert "AWS_SECRET_ACCESS_KEY" not in told.value.message


def children(seconds):
    me = psutil.Process()
    wanted = f"sleep({seconds})"
    return [child for child in me.children() if any(wanted in word for word in child.cmdline())]


def test_a_jump_in_the_sound_counts_as_the_silence_that_it_becomes(tmp_path):
    write_wav(tmp_path / "s.wav", click_track(16000, 0.5, [0.1]), 16000)
    with av.open(str(tmp_path / "s.wav")) as source, av.open(str(tmp_path / "s.mka"), "w") as out:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for index, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.dts is not None:
                packet.pts = packet.dts = packet.pts + (0 if index == 0 else 16000 * 900)
                packet.stream = stream
                out.mux(packet)
    assert "900.5 s" in refusal(tmp_path / "s.mka", "speech", code="too_long")
