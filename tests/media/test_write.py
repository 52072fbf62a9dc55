import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from segtalker.errors import MediaError
from segtalker.media.audio import audio_layout, decode_audio
from segtalker.media.read import frame_times, probe, read_frames
from segtalker.media.write import EncodeConfig, _without_avx512, encode_audio, mux, write_segment
from tests.conftest import click_track, frame_value, read_value, write_wav
from tests.media.test_audio import encode, onsets

NTSC = Fraction(30000, 1001)
FAST = EncodeConfig(preset="veryfast")


def plain(index, size=(64, 48)):
    return np.full((size[1], size[0], 3), frame_value(index), np.uint8)


def textured(index):
    """A picture that changes smoothly, so that the encoder's state matters."""
    y, x = np.mgrid[:48, :64]
    waves = [127 + 100 * np.sin((x + k * y + 3 * index) / 7) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def write_segments(folder, picture, count, length, rate=Fraction(25), cfg=FAST):
    starts = range(0, count, length)
    paths = [folder / f"{start:05d}.mp4" for start in starts]
    for path, start in zip(paths, starts, strict=True):
        write_segment((picture(i) for i in range(start, min(start + length, count))), path, rate, cfg)
    return paths


def test_segments_join_to_exact_times_and_every_frame_in_its_place(tmp_path):
    segments = write_segments(tmp_path, plain, 43, 10, NTSC)
    mux(segments, None, tmp_path / "out.mp4", np.arange(44) * 1001, Fraction(1, 30000))
    assert frame_times(tmp_path / "out.mp4") == [i / NTSC for i in range(43)]
    assert [read_value(frame.image) for frame in read_frames(tmp_path / "out.mp4")] == list(range(43))
    assert not probe(tmp_path / "out.mp4").has_audio


def test_variable_times_come_back_exactly(tmp_path):
    ticks = np.array([0, 40, 73, 200, 233, 266, 400, 420, 500])
    segments = write_segments(tmp_path, plain, 8, 3)
    mux(segments, None, tmp_path / "out.mp4", ticks, Fraction(1, 1000))
    assert frame_times(tmp_path / "out.mp4") == [Fraction(int(t), 1000) for t in ticks[:-1]]
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(1, 2)


def test_a_segment_depends_on_its_frames_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    together = write_segments(tmp_path / "a", textured, 60, 20)
    alone = write_segments(tmp_path / "b", textured, 60, 20)
    assert [p.read_bytes() for p in together] == [p.read_bytes() for p in alone]
    mux(together, None, tmp_path / "whole.mp4", np.arange(61), Fraction(1, 25))
    assert frame_times(tmp_path / "whole.mp4") == [Fraction(i, 25) for i in range(60)]
    decoded = [frame.image for frame in read_frames(tmp_path / "whole.mp4")]
    part = [frame.image for frame in read_frames(alone[1])]
    assert all((a == b).all() for a, b in zip(decoded[20:40], part, strict=True))


_ENCODE = """
import sys, cv2, numpy as np
from fractions import Fraction
from segtalker.media.write import write_segment
noise = np.random.default_rng(0).integers(0, 255, (300, 380, 3)).astype(np.float32)
scene = cv2.GaussianBlur(noise, (0, 0), 3)
scene = ((scene - scene.min()) / np.ptp(scene) * 255).astype(np.uint8)
frames = (scene[i : i + 238, 2 * i % 60 : 2 * i % 60 + 318] for i in range(50))
write_segment(frames, sys.argv[1], Fraction(25))
"""


def test_a_segment_does_not_depend_on_what_its_memory_held_before(tmp_path):
    encoded = set()
    for fill in ("", "1", "3"):  # glibc fills new memory with the complement of this byte
        command = [sys.executable, "-c", _ENCODE, str(tmp_path / "x.mp4")]
        subprocess.run(command, check=True, env={**os.environ, "MALLOC_PERTURB_": fill})
        encoded.add((tmp_path / "x.mp4").read_bytes())
    assert len(encoded) == 1


@pytest.mark.parametrize(
    ("lines", "option"),
    [
        (["processor : 0", "flags\t\t: fpu avx2 avx512f avx512vl", "flags\t\t: fpu"], ":asm=avx2"),
        (["flags\t\t: fpu avx avx2"], ""),
        (["flags\t\t: fpu avx512f"], ""),  # nothing that it may not have is forced
        (["Features : asimd"], ""),
        (None, ""),
    ],
)
def test_x264_is_kept_from_avx512_only_where_the_processor_has_it(tmp_path, lines, option):
    if lines is not None:
        (tmp_path / "cpuinfo").write_text("\n".join(lines))
    assert _without_avx512(tmp_path / "cpuinfo") == option


def test_colours_do_not_shift_on_the_way(tmp_path):
    colours = [(200, 60, 30), (20, 180, 90), (0, 0, 255), (255, 255, 255), (0, 0, 0), (224, 172, 140)]
    pictures = [np.full((720, 1280, 3), colour, np.uint8) for colour in colours]
    for size in ((720, 1280), (48, 64)):  # also below high definition, where readers guess another matrix
        write_segment((p[: size[0], : size[1]] for p in pictures), tmp_path / "x.mp4", Fraction(25), FAST)
        for colour, frame in zip(colours, read_frames(tmp_path / "x.mp4"), strict=True):
            assert np.abs(frame.image.astype(int) - colour).max() <= 3, colour
            assert np.abs(frame.image.mean((0, 1)) - colour).max() <= 2, colour
    with av.open(str(tmp_path / "x.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)


def test_odd_sides_are_extended_by_one(tmp_path):
    write_segment([plain(3, (63, 47))], tmp_path / "x.mp4", Fraction(25))
    info = probe(tmp_path / "x.mp4")
    assert (info.width, info.height) == (64, 48)
    assert read_value(next(read_frames(tmp_path / "x.mp4")).image) == 3


def test_lower_crf_means_a_closer_picture(tmp_path):
    errors = []
    for crf in (10, 40):
        write_segment([textured(0)], tmp_path / "x.mp4", Fraction(25), EncodeConfig(crf=crf))
        image = next(read_frames(tmp_path / "x.mp4")).image.astype(int)
        errors.append(np.abs(image - textured(0)).mean())
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize(
    ("rate", "layout", "kept"),
    [
        (16000, "mono", (16000, 1)),
        (44100, "stereo", (44100, 2)),
        (96000, "stereo", (48000, 2)),
        (11000, "mono", (11025, 1)),
        (48000, "5.1", (48000, 2)),
        (8000, "mono", (8000, 1)),
    ],
)
def test_sound_stays_in_place_at_its_own_rate(tmp_path, rate, layout, kept):
    clicks = [0.1, 0.5, 0.9]
    speech = encode(tmp_path / "speech.wav", "pcm_s16le", rate, layout, click_track(rate, 1.0, clicks))
    encode_audio(speech, tmp_path / "a.m4a", Fraction(1))
    segments = write_segments(tmp_path, plain, 25, 25)
    mux(segments, tmp_path / "a.m4a", tmp_path / "out.mp4", np.arange(26), Fraction(1, 25))
    assert audio_layout(tmp_path / "out.mp4") == kept
    samples = np.concatenate(list(decode_audio(tmp_path / "out.mp4", 48000, 1)))[:, 0] / 32768
    assert np.abs(onsets(samples, 48000) - clicks).max() < 0.004


@pytest.mark.parametrize("seconds", [Fraction(1, 2), Fraction(5, 2)])
def test_sound_is_cut_or_padded_to_the_picture(tmp_path, seconds):
    tone = np.full(16000, 12000, np.int16) * np.where(np.arange(16000) % 16 < 8, 1, -1).astype(np.int16)
    encode_audio(write_wav(tmp_path / "s.wav", tone, 16000), tmp_path / "a.m4a", seconds)
    with av.open(str(tmp_path / "a.m4a")) as container:
        stream = container.streams.audio[0]
        assert abs(stream.duration * stream.time_base - seconds) < Fraction(1, 1000)
    samples = np.concatenate(list(decode_audio(tmp_path / "a.m4a", 16000, 1)))[:, 0]
    loud = np.flatnonzero(np.abs(samples) > 3000)
    assert abs(loud[-1] / 16000 - float(min(seconds, 1))) < 0.03


def test_the_index_stands_before_the_data_for_streaming(tmp_path):
    segments = write_segments(tmp_path, plain, 5, 5)
    mux(segments, None, tmp_path / "out.mp4", np.arange(6), Fraction(1, 25))
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_no_file_appears_when_frames_fail_and_the_old_one_stays(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"old")

    def frames():
        yield plain(0)
        raise RuntimeError("the network failed")

    with pytest.raises(RuntimeError, match="the network failed"):
        write_segment(frames(), tmp_path / "x.mp4", Fraction(25))
    with pytest.raises(ValueError, match="at least one frame"):
        write_segment([], tmp_path / "x.mp4", Fraction(25))
    with pytest.raises(ValueError, match="shape"):
        write_segment([plain(0), plain(0, (32, 32))], tmp_path / "x.mp4", Fraction(25))
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.mp4"]


def test_a_wrong_number_of_frames_or_mixed_settings_are_refused(tmp_path):
    segments = write_segments(tmp_path, plain, 20, 10)
    for count in (19, 21):
        with pytest.raises(ValueError, match="frames"):
            mux(segments, None, tmp_path / "out.mp4", np.arange(count + 1), Fraction(1, 25))
    write_segment((plain(i, (32, 32)) for i in range(10)), segments[1], Fraction(25), FAST)
    with pytest.raises(MediaError, match="other settings"):
        mux(segments, None, tmp_path / "out.mp4", np.arange(21), Fraction(1, 25))
    assert not (tmp_path / "out.mp4").exists()


DISK_FULL = """
import resource, signal, sys
from fractions import Fraction
import numpy as np
from segtalker.errors import MediaError
from segtalker.media.write import EncodeConfig, _without_avx512, encode_audio, mux, write_segment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, step = sys.argv[1:]
noise = np.random.default_rng(0).integers(0, 255, (12, 240, 320, 3), np.uint8)
run = lambda: write_segment(noise, f"{folder}/x.mp4", Fraction(25), EncodeConfig(preset="ultrafast", crf=1))
if step == "mux":
    run()
    import os
    os.rename(f"{folder}/x.mp4", f"{folder}/s.mp4")
    open(f"{folder}/x.mp4", "wb").write(b"old")
    run = lambda: mux([f"{folder}/s.mp4"], None, f"{folder}/x.mp4", np.arange(13), Fraction(1, 25))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    run()
except MediaError as error:
    print(error)
"""


@pytest.mark.parametrize("step", ["segment", "mux"])
def test_a_full_disk_ends_with_one_line_and_leaves_the_old_file(tmp_path, step):
    (tmp_path / "x.mp4").write_bytes(b"old")
    run = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(tmp_path), step], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"{tmp_path}/x.mp4: cannot write it (File too large)."), run.stderr
    assert run.stdout.count("\n") == 1
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))


def test_a_segment_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(MediaError, match="cannot write it"):
        write_segment([plain(0)], tmp_path / "absent" / "x.mp4", Fraction(25))


def test_quality_is_checked():
    with pytest.raises(ValueError, match="crf = 70"):
        EncodeConfig(crf=70)
