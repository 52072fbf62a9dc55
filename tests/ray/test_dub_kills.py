"""A batch as a job on two nodes loses and doubles nothing when a node or the driver is killed.

`test_dub_job` kills a worker, and `benchmarks.batch` all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._batch import Corpus, frame_hashes, list_rows, struck_batch
from benchmarks._serve_load import draw_inputs
from ray_jobs.local_cluster import LocalCluster, local_cluster
from segtalker.batch.rows import read_rows
from segtalker.dub_config import DubConfig
from segtalker.pipeline import SegTalker
from tests.dubbing import require_face_models

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.weights,
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[LocalCluster]:
    with local_cluster(2, 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    require_face_models()
    folder = tmp_path_factory.mktemp("corpus")
    return list_rows(folder / "clips.jsonl", draw_inputs(folder, 0.6, 0.01), 8, 2)


@pytest.fixture(scope="module")
def by_hand(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Frames of the three clips, dubbed here."""
    folder = tmp_path_factory.mktemp("hand")
    talker = SegTalker(DubConfig(threads=1))
    rows = read_rows(corpus.manifest, folder)[:3]
    return [frame_hashes(Path(talker.dub(r.video, r.speech, r.output, quiet=True).output)) for r in rows]


@pytest.mark.parametrize("victim", ["raylet", "driver"])
def test_a_strike_loses_and_doubles_nothing(nodes, corpus, by_hand, tmp_path, victim):
    found = struck_batch(nodes, victim, corpus, tmp_path / "out", by_hand)
    assert found["exit"] == 0
    assert (found["lost_rows"], found["duplicated_rows"], found["differing_frames"]) == (0, 0, 0)
    assert found["corrupt_reported"] == 1 and 0 < found["finished before"] < corpus.num_good
