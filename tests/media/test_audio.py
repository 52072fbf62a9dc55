from fractions import Fraction

import av
import numpy as np
import pytest

from segtalker.errors import MediaError
from segtalker.media.audio import SAMPLE_RATE, audio_layout, decode_audio, decode_speech, open_speech
from tests.conftest import click_track, write_tiny_video, write_wav

CLICKS = [0.25, 0.75, 1.25]
FORMATS = [
    ("a.wav", "pcm_s16le", 44100, "stereo"),
    ("b.wav", "pcm_f32le", 48000, "mono"),
    ("c.wav", "pcm_u8", 8000, "mono"),
    ("d.wav", "pcm_s24le", 16000, "5.1"),
    ("e.mp3", "libmp3lame", 44100, "stereo"),
    ("f.m4a", "aac", 48000, "stereo"),
    ("g.mkv", "aac", 32000, "mono"),
    ("h.opus", "libopus", 48000, "mono"),
    ("i.flac", "flac", 96000, "stereo"),
]


def encode(path, codec, rate, layout, wave, first_sample=0):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, channels)[None], format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, first_sample
        resampler = av.AudioResampler(stream.format, layout, rate, 1024)
        for sized in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(sized))
        container.mux(stream.encode(None))
    return path


def onsets(samples, rate=SAMPLE_RATE):
    """Seconds at which clicks begin."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return loud[np.append(0, np.flatnonzero(np.diff(loud) > rate // 5) + 1)] / rate


@pytest.mark.parametrize(("name", "codec", "rate", "layout"), FORMATS)
def test_any_format_comes_out_in_time_at_16_khz(tmp_path, name, codec, rate, layout):
    encode(tmp_path / name, codec, rate, layout, click_track(rate, 1.5, CLICKS))
    speech = decode_speech(tmp_path / name, tmp_path / "out.npy")
    assert np.abs(onsets(speech.samples()) - CLICKS).max() < 0.002
    assert abs(float(speech.duration) - 1.5) < 0.04
    assert 0.6 < np.abs(speech.samples()).max() <= 1.0
    stored = np.load(tmp_path / "out.npy", mmap_mode="r")
    assert stored.dtype == np.int16 and stored.shape == (speech.num_samples,)


def test_samples_outside_the_speech_are_zero_and_slices_agree_with_the_whole(tiny_speech, tmp_path):
    speech = decode_speech(tiny_speech, tmp_path / "out.npy")
    whole = speech.samples()
    assert speech.num_samples == len(whole) == 19200 and speech.duration == Fraction(6, 5)
    around = speech.samples(-100, 19300)
    assert (around[:100] == 0).all() and (around[-100:] == 0).all() and (around[100:-100] == whole).all()
    assert (speech.samples(3000, 3400) == whole[3000:3400]).all()
    assert len(speech.samples(5, 5)) == 0 and (speech.samples(50000, 50010) == 0).all()
    assert open_speech(tmp_path / "out.npy") == speech


def test_16_khz_mono_is_bit_exact(tmp_path):
    wave = np.random.default_rng(0).integers(-30000, 30000, 5000).astype(np.int16)
    speech = decode_speech(write_wav(tmp_path / "x.wav", wave, 16000), tmp_path / "x.npy")
    assert (np.load(speech.path) == wave).all()


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv"])
def test_sound_that_starts_after_the_picture_keeps_its_distance(tmp_path, name):
    path = write_tiny_video(tmp_path / name, 50, clicks_s=[1.0], audio_start_s=0.6)
    speech = decode_speech(path, tmp_path / "out.npy")
    assert abs(onsets(speech.samples())[0] - 1.0) < 0.005
    assert np.abs(speech.samples(0, 9000)).max() == 0


def test_sound_before_the_first_picture_is_cut(tmp_path):
    pts = [round(500 + 40 * i) for i in range(30)]
    path = write_tiny_video(
        tmp_path / "late.mkv", 30, pts=pts, time_base=Fraction(1, 1000), clicks_s=[0.2, 1.0]
    )
    speech = decode_speech(path, tmp_path / "out.npy")
    assert np.abs(onsets(speech.samples()) - 0.5).max() < 0.005


def test_a_hole_in_the_timestamps_is_silence(tmp_path):
    path = tmp_path / "hole.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for first, wave in ((0, click_track(16000, 0.5, [0.2])), (16000, click_track(16000, 0.5, [0.1]))):
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, first, Fraction(1, 16000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    speech = decode_speech(path, tmp_path / "out.npy")
    assert np.abs(onsets(speech.samples()) - [0.2, 1.1]).max() < 0.002
    assert speech.duration == Fraction(3, 2)


def test_blocks_keep_the_asked_rate_and_channels(tmp_path):
    path = encode(tmp_path / "x.flac", "flac", 44100, "stereo", click_track(44100, 1, [0.5]))
    assert audio_layout(path) == (44100, 2)
    samples = np.concatenate(list(decode_audio(path, 44100, 2)))
    assert samples.shape == (44100, 2)
    assert abs(onsets(samples[:, 0] / 32768, 44100)[0] - 0.5) < 0.001


def test_silence_is_valid_and_known(tmp_path):
    quiet = decode_speech(write_wav(tmp_path / "q.wav", np.zeros(16000, np.int16), 16000), tmp_path / "q.npy")
    assert quiet.is_silent() and quiet.num_samples == 16000
    loud = click_track(16000, 130.0, [129.0])  # beyond the first blocks
    assert not decode_speech(write_wav(tmp_path / "l.wav", loud, 16000), tmp_path / "l.npy").is_silent()


@pytest.mark.parametrize("kind", ["zero", "video", "text", "absent"])
def test_bad_speech_ends_with_one_line_and_leaves_the_old_file(tmp_path, kind):
    paths = {
        "zero": write_wav(tmp_path / "zero.wav", np.zeros(0, np.int16), 16000),
        "video": write_tiny_video(tmp_path / "mute.mp4", 5),
        "text": tmp_path / "text.wav",
        "absent": tmp_path / "absent.wav",
    }
    paths["text"].write_text("no sound here " * 100)
    (tmp_path / "out.npy").write_bytes(b"old")
    says = {
        "zero": "zero length",
        "video": "no audio stream",
        "text": "not a media file",
        "absent": "no such",
    }
    with pytest.raises(MediaError, match=says[kind]) as caught:
        decode_speech(paths[kind], tmp_path / "out.npy")
    assert str(paths[kind]) in str(caught.value) and "\n" not in str(caught.value)
    assert (tmp_path / "out.npy").read_bytes() == b"old"
    assert not list(tmp_path.glob(".*part"))


def test_a_truncated_wav_gives_what_is_there(tmp_path):
    path = write_wav(tmp_path / "x.wav", click_track(16000, 2.0, [0.5, 1.5]), 16000)
    path.write_bytes(path.read_bytes()[:32044])
    speech = decode_speech(path, tmp_path / "x.npy")
    assert speech.num_samples == 16000 and np.abs(onsets(speech.samples()) - 0.5).max() < 0.002
