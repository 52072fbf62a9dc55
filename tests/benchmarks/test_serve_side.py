"""What benchmarks of the service measure besides its answers: processes, metrics, outputs, growth."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import psutil
import pytest

from benchmarks import serve_chaos, serve_overhead, serve_soak
from benchmarks._ray import memory_of
from benchmarks._serve import (
    free_port,
    histogram_max,
    open_files_of,
    replicas_below,
    service_config,
    small_segments,
)
from benchmarks._serve_books import differs
from benchmarks._serve_load import Outcome
from segtalker.config import parse_config, to_dict
from segtalker.media.write import EncodeConfig, encode_audio, mux, write_segment
from serve.config import ServiceConfig
from tests.conftest import click_track, write_wav

LOSSLESS = EncodeConfig(crf=0, preset="ultrafast")


def test_replicas_are_found_by_the_titles_of_their_processes():
    titles = [
        "ray::ServeReplica:default:Generator.run",
        "ray::ServeReplica:default:Generator",
        "ray::ServeReplica:default:GeneratorOld",
        "ray::IDLE",
    ]
    sleep = "exec -a '{}' sleep 30"
    started = [subprocess.Popen(["bash", "-c", sleep.format(title)]) for title in titles]
    try:
        end = time.monotonic() + 5
        while len(replicas_below(os.getpid(), "Generator")) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        found = replicas_below(os.getpid(), "Generator")
        assert sorted(found) == sorted(process.pid for process in started[:2])
        assert replicas_below(os.getpid(), "Driver") == []
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_memory_and_open_files_add_up_and_the_dead_count_nothing(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    processes = [psutil.Process(), psutil.Process(gone.pid)]
    gone.wait()
    before = open_files_of(processes)
    with (tmp_path / "x").open("w"):
        assert open_files_of(processes) == before + 1
    assert 10e6 < memory_of(processes) < 10e9


def test_the_longest_batch_is_read_from_the_buckets():
    rows = {"1.0": (5, 3), "2.0": (7, 3), "4.0": (7, 6), "6.0": (7, 6), "+Inf": (7, 6)}
    text = "# TYPE ray_calls histogram\n"
    for edge, counts in rows.items():
        for stage, count in zip(("a", "b"), counts, strict=True):
            text += f'ray_calls_bucket{{le="{edge}",stage="{stage}"}} {count}.0\n'
    text += (
        'ray_calls_sum{stage="a"} 99.0\nray_others_bucket{le="6.0"} 1.0\nray_others_bucket{le="9.0"} 5.0\n'
    )
    assert histogram_max(text, "ray_calls") == 3  # in the bucket above 2
    assert histogram_max(text, "ray_others") == 7
    assert histogram_max(text, "ray_absent") == 0
    assert histogram_max('ray_one_bucket{le="1.0"} 2.0\nray_one_bucket{le="2.0"} 2.0\n', "ray_one") == 1


def test_the_configuration_of_the_service_reads_back(tmp_path):
    config = service_config(tmp_path, small_segments(8, threads=1))
    assert parse_config(ServiceConfig, to_dict(config)) == config
    assert config.dub.plan.chunk_frames == 8 and config.generator.max_replicas == 2
    overhead = serve_overhead._config(tmp_path)
    assert overhead.generator.threads == overhead.faces.threads == overhead.dub.threads == os.cpu_count()
    assert overhead.generator.max_replicas == 1 and overhead.dub.encode.crf == 0
    assert 1024 < free_port() < 65536


def film(path, frames, clicks=(0.1,)):
    write_segment(frames, path.with_suffix(".part.mp4"), Fraction(25), LOSSLESS)
    speech = write_wav(path.with_suffix(".wav"), click_track(16000, 0.3, list(clicks)), 16000)
    encode_audio(speech, path.with_suffix(".m4a"), Fraction(len(frames), 25))
    ticks = np.arange(len(frames) + 1)
    mux([path.with_suffix(".part.mp4")], path.with_suffix(".m4a"), path, ticks, Fraction(1, 25))
    return path


def test_outputs_are_equal_but_for_rounding_and_a_few_pixels(tmp_path):
    frames = np.random.default_rng(0).integers(60, 190, (4, 96, 128, 3)).astype(np.uint8)
    frames = np.repeat(np.repeat(frames[:, ::8, ::8], 8, axis=1), 8, axis=2)
    reference = film(tmp_path / "reference.mp4", frames)
    assert differs(film(tmp_path / "same.mp4", frames), reference) == ""
    assert differs(film(tmp_path / "rounded.mp4", frames + 1), reference) == ""
    few, many = frames.copy(), frames.copy()
    few[2, :3, :3] = 255
    many[2, :9, :9] = 255
    assert differs(film(tmp_path / "few.mp4", few), reference) == ""
    assert "frame 2: " in differs(film(tmp_path / "many.mp4", many), reference)
    assert "3 frames instead of 4" in differs(film(tmp_path / "short.mp4", frames[:3]), reference)
    assert "another size" in differs(film(tmp_path / "small.mp4", frames[:, :64]), reference)
    assert differs(film(tmp_path / "sound.mp4", frames, [0.05]), reference) == "another sound"


def test_differing_outputs_are_named(tmp_path):
    frames = np.full((2, 48, 64, 3), 100, np.uint8)
    references = [film(tmp_path / "r0.mp4", frames), film(tmp_path / "r1.mp4", frames + 50)]
    same = Outcome(0, "good", "done", clip=1, output=film(tmp_path / "0.mp4", frames + 50))
    other = replace(same, number=1, clip=0)
    refused = Outcome(2, "huge", "refused")
    lines = serve_chaos._differences([same, other, refused], references)
    assert len(lines) == 1 and lines[0].startswith("request 1, clip 0: frame 0")


def test_growth_compares_the_first_third_of_the_rests_with_the_last():
    rests = [
        {"memory MB": m, "open files": f}
        for m, f in [(100, 50), (90, 52), (99, 50), (100, 51), (100, 53), (110, 50)]
    ]
    figures = serve_soak.growth(rests)
    assert figures["rss_growth_ratio"] == pytest.approx(105 / 95, abs=1e-3)
    assert figures["open_files_growth"] == 0
    assert serve_soak.growth(rests[:1])["rss_growth_ratio"] == 1


@pytest.mark.parametrize(
    ("counts", "times"),
    [([1, 2, 1], 1), ([1], 0), ([1, 2], 0), ([2, 1], 0), ([1, 0, 1], 0), ([1, 2, 3, 2, 1, 2, 1], 2)],
)
def test_replicas_that_came_and_went_are_counted(counts, times):
    assert serve_soak.rises_and_falls(counts) == times
