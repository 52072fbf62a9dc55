import base64
import io
import os
import shutil
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest

from segtalker.errors import MediaError
from segtalker.media.fragments import stream_fragments
from segtalker.media.read import frame_times, read_frames
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from tests.conftest import click_track, write_wav
from tests.media.test_write import FAST, NTSC, plain, textured, write_segments

VFR = np.cumsum([0, *([33, 34, 7, 120, 40] * 7)])


def sound_of(folder, seconds, rate=16000):
    wave = click_track(rate, float(seconds) + 0.1, [0.05, float(seconds) / 2])
    encode_audio(write_wav(folder / "s.wav", wave, rate), folder / "a.m4a", seconds)
    return folder / "a.m4a"


def samples_of(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray()) for frame in container.decode(audio=0)]


def boxes(piece):
    """Types of the outermost boxes of a piece."""
    kinds, position = [], 0
    while position < len(piece):
        kinds.append(piece[position + 4 : position + 8])
        position += int.from_bytes(piece[position : position + 4], "big")
    assert position == len(piece)
    return kinds


@pytest.mark.parametrize(
    ("ticks", "time_base", "sound_rate"),
    [
        (np.arange(36) * 1001, Fraction(1, 30000), 16000),
        (np.arange(36), Fraction(1001, 24000), 44100),
        (np.arange(36), Fraction(1, 25), 8000),
        (VFR, Fraction(1, 1000), 48000),
    ],
)
def test_frames_sound_and_times_equal_those_of_the_joined_file(tmp_path, ticks, time_base, sound_rate):
    segments = write_segments(tmp_path, textured, 35, 12, NTSC)
    audio = sound_of(tmp_path, int(ticks[-1]) * time_base, sound_rate)
    mux(segments, audio, tmp_path / "joined.mp4", ticks, time_base)
    pieces = list(stream_fragments(segments, audio, ticks, time_base))
    assert [boxes(piece) for piece in pieces] == [
        [b"ftyp", b"moov"],
        *[[b"moof", b"mdat"]] * (len(pieces) - 1),
    ]
    (tmp_path / "streamed.mp4").write_bytes(b"".join(pieces))

    assert frame_times(tmp_path / "streamed.mp4") == frame_times(tmp_path / "joined.mp4")
    shown = list(read_frames(tmp_path / "streamed.mp4"))
    assert len(shown) == 35
    for ours, theirs in zip(shown, read_frames(tmp_path / "joined.mp4"), strict=True):
        assert ours.time == theirs.time and (ours.image == theirs.image).all()
    heard, expected = samples_of(tmp_path / "streamed.mp4"), samples_of(tmp_path / "joined.mp4")
    assert [time for time, _ in heard] == [time for time, _ in expected]
    assert all((a == b).all() for (_, a), (_, b) in zip(heard, expected, strict=True))


def test_a_segment_is_handed_out_with_its_sound_before_the_next_one_is_asked_for(tmp_path):
    segments = write_segments(tmp_path, textured, 30, 10)
    audio = sound_of(tmp_path, Fraction(6, 5))
    taken = []

    def appearing():
        for path in segments:
            taken.append(path)
            yield path

    stream = stream_fragments(appearing(), audio, np.arange(31), Fraction(1, 25))
    assert taken == []
    early = next(stream) + next(stream)
    assert taken == segments[:1]
    with av.open(io.BytesIO(early)) as container:
        assert len(list(container.decode(video=0))) == 10
    with av.open(io.BytesIO(early)) as container:
        heard = list(container.decode(audio=0))
        assert abs(heard[-1].time + heard[-1].samples / 16000 - 0.4) < 0.1
    next(stream)
    assert taken == segments[:2]


def test_a_fragment_starts_at_every_keyframe(tmp_path):
    segments = write_segments(
        tmp_path, plain, 20, 20, cfg=EncodeConfig(preset="veryfast", keyframe_interval=5)
    )
    pieces = list(stream_fragments(segments, None, np.arange(21), Fraction(1, 25)))
    assert len(pieces) == 1 + 4
    with av.open(io.BytesIO(pieces[0] + pieces[2])) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36])


@pytest.mark.parametrize("with_sound", [True, False])
def test_one_frame_is_a_whole_film(tmp_path, with_sound):
    segments = write_segments(tmp_path, plain, 1, 1)
    audio = sound_of(tmp_path, Fraction(1, 25)) if with_sound else None
    film = b"".join(stream_fragments(segments, audio, np.array([0, 1]), Fraction(1, 25)))
    with av.open(io.BytesIO(film)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"][: 1 + with_sound]
        assert [frame.time for frame in container.decode(video=0)] == [0.0]


def test_sound_that_outlasts_the_picture_is_not_lost(tmp_path):
    segments = write_segments(tmp_path, plain, 2, 2)
    audio = sound_of(tmp_path, Fraction(1))
    film = b"".join(stream_fragments(segments, audio, np.arange(3), Fraction(1, 25)))
    (tmp_path / "x.mp4").write_bytes(film)
    assert sum(part.shape[-1] for _, part in samples_of(tmp_path / "x.mp4")) >= 16000


def test_memory_does_not_grow_with_the_length(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (4, 144, 192, 3), np.uint8)
    write_segment(noise, tmp_path / "s.mp4", Fraction(25), EncodeConfig(preset="ultrafast", crf=10))
    size = (tmp_path / "s.mp4").stat().st_size
    peaks = []
    for count in (2, 40):
        tracemalloc.start()
        for _ in stream_fragments(
            [tmp_path / "s.mp4"] * count, None, np.arange(4 * count + 1), Fraction(1, 25)
        ):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + size


def test_a_film_without_segments_is_refused():
    with pytest.raises(ValueError, match="at least one segment"):
        list(stream_fragments([], None, np.arange(2), Fraction(1, 25)))


def test_wrong_counts_and_mixed_settings_end_the_stream_with_the_reason(tmp_path):
    segments = write_segments(tmp_path, plain, 20, 10)
    for count in (19, 21):
        with pytest.raises(ValueError, match="frames"):
            list(stream_fragments(segments, None, np.arange(count + 1), Fraction(1, 25)))
    write_segment((plain(i, (32, 32)) for i in range(10)), segments[1], Fraction(25), FAST)
    with pytest.raises(MediaError, match="other settings"):
        list(stream_fragments(segments, None, np.arange(21), Fraction(1, 25)))


PLAY = """
async ([data, mime]) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const video = document.createElement('video');
  const source = new MediaSource();
  const failed = new Promise((_, no) => video.addEventListener('error', () => no(video.error.message)));
  video.muted = true;
  video.src = URL.createObjectURL(source);
  await new Promise(yes => source.addEventListener('sourceopen', yes, {once: true}));
  const buffer = source.addSourceBuffer(mime);
  for (let i = 0; i < bytes.length; i += 1000) {
    const added = new Promise(yes => buffer.addEventListener('updateend', yes, {once: true}));
    buffer.appendBuffer(bytes.slice(i, i + 1000));
    await Promise.race([added, failed]);
  }
  const known = source.duration;
  source.endOfStream();
  const ended = new Promise(yes => video.addEventListener('ended', yes, {once: true}));
  video.playbackRate = 8;
  await video.play();
  await Promise.race([ended, failed]);
  return {known, played: video.currentTime, parts: buffer.buffered.length, start: buffer.buffered.start(0)};
}
"""


@pytest.mark.slow
def test_chromium_plays_it_piece_by_piece_and_knows_its_length(tmp_path):
    chromium = shutil.which("chromium")
    if chromium is None and not os.environ.get("CI"):
        pytest.skip("needs Chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    segments = write_segments(tmp_path, textured, 35, 12, NTSC)
    audio = sound_of(tmp_path, 35 / NTSC, 44100)
    film = b"".join(stream_fragments(segments, audio, np.arange(36), 1 / NTSC))
    level = film[film.index(b"avcC") + 5 :][:3].hex()
    with (
        sync_playwright() as tools,
        tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        mime = f'video/mp4; codecs="avc1.{level}, mp4a.40.2"'
        figures = browser.new_page().evaluate(PLAY, [base64.b64encode(film).decode(), mime])
    assert figures["parts"] == 1 and figures["start"] == 0
    assert figures["known"] == pytest.approx(35 / float(NTSC), abs=0.001)
    assert figures["played"] == pytest.approx(35 / float(NTSC), abs=0.03)
