import itertools
import os
import re
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtalker.errors import MediaError
from segtalker.media import index as index_module
from segtalker.media.container import MediaWarning
from segtalker.media.read import frame_times, losses, probe, read_frames, read_sequence
from tests.conftest import click_track, frame_value, read_value, write_tiny_video, write_wav

NTSC = Fraction(30000, 1001)
FORMATS = [
    ("x.mp4", "libx264", "yuv420p"),
    ("x.mkv", "libx264", "yuv420p10le"),
    ("x.ts", "libx264", "yuv420p"),
    ("x.h264", "libx264", "yuv420p"),
    ("x.avi", "libx264", "yuv420p"),
    ("x.avi", "mpeg4", "yuv420p"),
    ("x.avi", "mjpeg", "yuvj420p"),
    ("x.mov", "prores_ks", "yuva444p10le"),
    ("x.mov", "qtrle", "argb"),
    ("x.webm", "libvpx", "yuv420p"),
    ("x.webm", "libvpx-vp9", "yuva420p"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), FORMATS)
def test_every_format_gives_every_frame_by_exact_index(tmp_path, name, codec, pix_fmt):
    path = write_tiny_video(tmp_path / name, 25, rate=NTSC, codec=codec, pix_fmt=pix_fmt)
    info = probe(path)
    assert (info.num_frames, info.frame_rate, info.is_vfr, info.is_image) == (25, NTSC, False, False)
    assert frame_times(path) == [i / NTSC for i in range(25)]
    frames = list(read_frames(path))
    assert [read_value(frame.image) for frame in frames] == list(range(25))
    assert [frame.index for frame in frames] == list(range(25))
    assert losses(path) == ()


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60000, 1001), Fraction(50), Fraction(12)]
)
@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts"])
def test_constant_rates_are_exact_even_where_the_container_rounds(tmp_path, rate, name):
    path = write_tiny_video(tmp_path / name, 40, rate=rate)
    assert frame_times(path) == [i / rate for i in range(40)]
    assert probe(path).frame_rate == rate


def test_variable_rate_keeps_the_frames_own_times(tmp_path):
    pts = [0, 40, 73, 200, 233, 266, 400, 420]
    path = write_tiny_video(
        tmp_path / "vfr.mp4", len(pts), rate=Fraction(30), pts=pts, time_base=Fraction(1, 1000)
    )
    assert frame_times(path) == [Fraction(t, 1000) for t in pts]
    assert probe(path).is_vfr
    assert [read_value(frame.image) for frame in read_frames(path, 2, 6)] == [2, 3, 4, 5]


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.ts", "x.avi"])
@settings(max_examples=12, deadline=None)
@given(start=st.integers(0, 39), length=st.integers(0, 12))
def test_reading_from_the_middle_equals_slicing_the_whole(shared, name, start, length):
    path = shared(name)
    got = [(frame.index, read_value(frame.image)) for frame in read_frames(path, start, start + length)]
    assert got == [(i, i) for i in range(start, min(40, start + length))]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    options = {"bf": "2", "x264-params": "open-gop=1"}  # B-frames over open groups: the hard case for seeking

    def path(name):
        file = folder / name
        return file if file.exists() else write_tiny_video(file, 40, options=options)

    return path


def test_a_sequence_may_go_backward_repeat_and_jump(tmp_path):
    path = write_tiny_video(tmp_path / "x.mp4", 40)
    wanted = [*range(30, 0, -1), 0, 0, 0, 5, 7, 39, 2, *range(10, 20, 3), 19]
    frames = list(read_sequence(path, wanted))
    assert [frame.index for frame in frames] == wanted
    assert [read_value(frame.image) for frame in frames] == wanted


def test_common_codecs_are_not_decoded_to_count_frames(tmp_path, monkeypatch):
    path = write_tiny_video(tmp_path / "x.mp4", 20)
    monkeypatch.setattr(index_module, "_decode_times", None)
    assert len(frame_times(path)) == 20


QUADRANTS = np.zeros((32, 48, 3), np.uint8)
QUADRANTS[:16, :24], QUADRANTS[:16, 24:], QUADRANTS[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_display_rotation_is_applied(tmp_path, quarter_turns):
    path = write_tiny_video(
        tmp_path / "plain.mp4", 3, size=(48, 32), images=lambda i: QUADRANTS, options={"crf": "1"}
    )
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns]
    data = path.read_bytes()
    identity = np.array([65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30], ">i4").tobytes()
    turned = np.array([cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    track = data.index(b"tkhd")
    place = data.index(identity, track)
    rotated = tmp_path / "rotated.mp4"
    rotated.write_bytes(data[:place] + turned + data[place + 36 :])
    image = next(read_frames(rotated)).image.astype(int)
    expected = np.rot90(QUADRANTS, -quarter_turns).astype(int)  # the matrix turns clockwise
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 12
    assert (probe(rotated).width, probe(rotated).height) == (expected.shape[1], expected.shape[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_photo_is_applied(tmp_path, orientation):
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    ops = pytest.importorskip("PIL.ImageOps")
    picture = pillow.fromarray(QUADRANTS)
    exif = picture.getexif()
    exif[0x112] = orientation
    picture.save(tmp_path / "photo.jpg", exif=exif, quality=97, subsampling=0)
    expected = np.asarray(ops.exif_transpose(pillow.open(tmp_path / "photo.jpg"))).astype(int)
    image = next(read_frames(tmp_path / "photo.jpg")).image.astype(int)
    assert image.shape == expected.shape and np.abs(image - expected).max() <= 3


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in ("a.png", "b.jpg", "c.bmp", "d.webp", "odd %03d 1:2.png"):
        cv2.imwrite(str(tmp_path / "plain.png"), QUADRANTS[..., ::-1])
        ok, data = cv2.imencode(name[-4:].replace("webp", ".webp"), QUADRANTS[..., ::-1])
        assert ok
        (tmp_path / name).write_bytes(data.tobytes())
        info = probe(tmp_path / name)
        assert info.is_image and info.num_frames == 1 and (info.width, info.height) == (48, 32)
        assert next(read_frames(tmp_path / name, max_side=24)).image.shape == (16, 24, 3)


def test_a_picture_in_the_container_of_a_video_is_a_picture(tmp_path):
    with av.open(str(tmp_path / "face.avif"), "w") as container:
        stream = container.add_stream("libsvtav1")
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))))
        container.mux(stream.encode(None))
    info = probe(tmp_path / "face.avif")
    assert info.is_image and (info.width, info.height) == (96, 64)


def test_transparent_pixels_lie_on_black(tmp_path):
    cv2 = pytest.importorskip("cv2")
    picture = np.full((10, 10, 4), 200, np.uint8)
    picture[:5, :, 3], picture[5:, :, 3] = 255, 0
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    image = next(read_frames(tmp_path / "a.png")).image
    assert (image[:5] == 200).all() and (image[5:] == 0).all()


def test_odd_sizes_are_kept_and_a_largest_side_is_obeyed(tmp_path):
    path = write_tiny_video(tmp_path / "x.mov", 2, size=(63, 47), codec="qtrle", pix_fmt="rgb24")
    assert next(read_frames(path)).image.shape == (47, 63, 3)
    small = next(read_frames(path, max_side=21)).image
    assert small.shape == (16, 21, 3) and read_value(small) == 0
    assert next(read_frames(path, max_side=100)).image.shape == (47, 63, 3)


@pytest.mark.parametrize(
    ("aspect", "shape"), [("16/11", (48, 93, 3)), ("1/2", (96, 64, 3)), ("65/64", (48, 64, 3))]
)
def test_pixels_come_out_square(tmp_path, aspect, shape):
    path = write_tiny_video(tmp_path / "x.mkv", 2, aspect=Fraction(aspect))
    assert next(read_frames(path)).image.shape == shape


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_tagged_colours_are_converted_with_their_own_matrix(tmp_path, matrix):
    red = np.zeros((48, 64, 3), np.uint8)
    red[:] = (200, 40, 40)
    code = {"bt709": 1, "smpte170m": 6}[matrix]
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = code
        frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709" if code == 1 else "ITU601", dst_color_range="MPEG"
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(next(read_frames(path)).image.astype(int) - red).max() <= 3


def test_an_edit_list_trims_exactly_the_frames_before_it(tmp_path):
    source = write_tiny_video(tmp_path / "x.mp4", 30)
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(source)) as given, av.open(str(trimmed), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                shift = round(5 / 25 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                out.mux(packet)
    values = [read_value(frame.image) for frame in read_frames(trimmed)]
    assert values == list(range(5, 30)) and len(frame_times(trimmed)) == 25
    assert [read_value(frame.image) for frame in read_frames(trimmed, 3, 6)] == [8, 9, 10]


def test_a_file_cut_in_the_middle_gives_what_decodes_and_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 48, 64, 3), np.uint8)
    whole = write_tiny_video(
        tmp_path / "x.mp4", 60, images=lambda i: noise[i], container_options={"movflags": "+faststart"}
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    count = len(frame_times(cut))
    assert 10 < count < 60
    assert "cut.mp4" in losses(cut)[0] and str(count) in losses(cut)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MediaWarning)
        assert [frame.index for frame in read_frames(cut)] == list(range(count))


def test_a_container_that_counts_no_frames_is_cut_by_its_announced_length(tmp_path):
    whole = write_tiny_video(tmp_path / "x.mkv", 60)
    assert losses(whole) == ()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (told,) = losses(cut)
    assert 0 < len(frame_times(cut)) < 45
    assert re.search(r"cut\.mkv: its pictures end at [01]\.\d\d s of the 2\.4\d s that it announces", told)


def test_frames_that_do_not_decode_are_held_and_counted_and_neighbours_stay(tmp_path):
    path = write_tiny_video(tmp_path / "x.mov", 30, codec="png", pix_fmt="rgb24")
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 8] == b"\x89PNG\r\n\x1a\n"]
    assert len(starts) == 30
    for lost in (0, 11, 12):
        data[starts[lost] : starts[lost] + 8] = bytes(8)
    path.write_bytes(data)
    told = []
    values = [read_value(frame.image) for frame in read_frames(path, on_loss=told.append)]
    expected = list(range(30))
    expected[0], expected[11], expected[12] = 1, 10, 10
    assert values == expected
    assert len(told) == 1 and "3 of 30 frames do not decode, the first at 0.00 s" in told[0]
    with pytest.warns(MediaWarning, match="1 of 3 frames"):
        values = [read_value(frame.image) for frame in read_frames(path, 12, 15)]
    assert values == [10, 13, 14]  # the frame before the asked range stands in


def test_time_that_jumps_backward_is_continued(tmp_path):
    first, second = (write_tiny_video(tmp_path / f"{i}.ts", 20) for i in range(2))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    times = frame_times(joined)
    assert len(times) == 40 and all(a < b for a, b in itertools.pairwise(times))
    assert times[-1] < 2
    assert [read_value(f.image) for f in read_frames(joined, 15, 25)] == [15, 16, 17, 18, 19, 0, 1, 2, 3, 4]


def test_equal_times_are_moved_apart_and_no_frame_is_lost():
    ticks, tick, _, is_vfr = index_module._display_times(
        np.array([0, 10, 10, 10, 11, 30]), Fraction(1, 100), [Fraction(10)]
    )
    assert ticks.tolist() == [0, 10, 11, 12, 13, 30] and tick == Fraction(1, 100) and is_vfr


def _bad_inputs(folder):
    os.mkfifo(folder / "pipe")
    (folder / "text.mp4").write_text("this is no video at all, only words\n" * 50)
    (folder / "empty.mp4").touch()
    whole = write_tiny_video(folder / "whole.mp4", 20)
    (folder / "headless.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with av.open(str(folder / "frameless.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    write_wav(folder / "sound.wav", click_track(16000, 1, [0.5]), 16000)
    _write_song(folder / "song.mp3")
    # Both play where players may follow them: whoever sends one must not get at other files of this machine.
    with av.open(str(whole)) as source, av.open(str(folder / "whole.ts"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nwhole.ts\n#EXT-X-ENDLIST\n"
    (folder / "list.m3u8").write_text(playlist)
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def _write_song(path):
    """Sound with a picture of its cover."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=48000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")) + cover.encode(None))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        block.sample_rate, block.pts = 48000, 0
        container.mux(sound.encode(block) + sound.encode(None))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.mp4", "no such file"),
        ("text.mp4", "not a media file, or damaged"),
        ("empty.mp4", "the file is empty"),
        ("headless.mp4", "not a media file, or damaged"),
        ("frameless.mp4", "no frame that can be decoded|no video stream|not a media file"),
        ("sound.wav", "holds audio but no video stream"),
        ("song.mp3", "holds a cover and audio but no video stream"),
        ("list.m3u8", "only names other files"),
        ("list.mp4", "only names other files"),
        ("broken.png", "no frame|not a media file"),
        (".", "is a folder"),
        ("pipe", "is a pipe"),
        ("n" * 300, "name too long"),
    ],
)
@pytest.mark.parametrize("call", [probe, frame_times, lambda path: list(read_frames(path))])
def test_bad_inputs_end_with_one_line_that_names_the_file(tmp_path, name, says, call):
    _bad_inputs(tmp_path)
    with pytest.raises(MediaError, match=says) as caught:
        call(tmp_path / name)
    message = str(caught.value)
    assert str(tmp_path / name) in message and "\n" not in message and message.endswith(".")


def test_values_of_tiny_frames_can_be_told_apart():
    assert [read_value(np.full((2, 2, 3), frame_value(i))) for i in range(43)] == list(range(43))
