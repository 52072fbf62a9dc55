import json

import numpy as np
import pytest

from segtalker.config import config_hash
from segtalker.data.phones import frame_times
from segtalker.data.shards import MOUTH, ShardReader
from segtalker.errors import ConfigError, DataError
from segtalker.media.read import probe, read_frames
from segtalker.metrics.opening import in_phones
from segtalker.synthetic.corpus import demo_clip, make_corpus, run_synth
from segtalker.synthetic.plan import SPLITS, SynthConfig, plan_corpus, plan_parts, preset_config
from segtalker.synthetic.samples import varied_frames
from segtalker.synthetic.speech import SpeechConfig

UNSEEN = ("unseen_synthesiser",)  # needs pip packages only
TINY = SynthConfig(
    size=32, held_out_minutes=0.08, splits=UNSEEN, clips_per_part=1, speech=SpeechConfig(min_s=1.5, max_s=2.0)
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(TINY, tmp_path_factory.mktemp("corpus"))


def test_splits_share_no_identity_and_no_key():
    clips = plan_corpus(preset_config("speech"))
    assert len({clip.identity for clip in clips}) == len({clip.key for clip in clips}) == len(clips)
    assert {clip.split for clip in clips} == set(SPLITS)
    minutes = len([clip for clip in clips if clip.split == "train"]) * 6.5 / 60
    assert minutes == pytest.approx(60, rel=0.02)


def test_another_seed_is_another_corpus():
    people = [{clip.identity for clip in plan_corpus(SynthConfig(seed=seed))} for seed in (0, 1)]
    assert not people[0] & people[1]


def test_clips_are_complete_samples(corpus):
    reader = ShardReader(corpus)
    assert len(reader) == sum(map(len, plan_parts(TINY).values())) >= 2
    frames, row = reader.rows[0].num_frames, reader.rows[0]
    assert reader.read(0, "maps").shape == (frames, 32, 32)
    assert reader.length(0, "opening") == reader.length(0, "energy") == frames
    assert reader.length(0, "mel") / 80 == pytest.approx(frames / 25, abs=0.06)
    assert row.engine == "hibari" and row.provenance["config"] == config_hash(TINY)


def test_a_lost_part_is_made_again_and_equal(corpus):
    part = sorted(folder for folder in corpus.iterdir() if folder.is_dir())[1]
    before = {path.name: path.read_bytes() for path in corpus.rglob("*.safetensors") if path.parent == part}
    untouched = {
        path: path.stat().st_mtime_ns
        for path in corpus.rglob("*")
        if path.is_file() and part not in path.parents
    }
    (part / "index.jsonl").unlink()
    steps = []
    make_corpus(TINY, corpus, lambda done, total: steps.append((done, total)))
    assert {path.name: path.read_bytes() for path in part.glob("*.safetensors")} == before
    assert all(path.stat().st_mtime_ns == time for path, time in untouched.items())
    assert steps[0][0] == steps[0][1] - 1 and steps[-1][0] == steps[-1][1]


def test_a_folder_of_another_corpus_is_refused(corpus):
    with pytest.raises(DataError, match="another configuration"):
        make_corpus(SynthConfig(seed=9), corpus)


def test_unknown_splits_and_versions_are_refused():
    with pytest.raises(ConfigError, match="splits"):
        SynthConfig(splits=("tarin",))
    with pytest.raises(ConfigError, match="version"):
        SynthConfig(version=999)


def test_the_faces_preset_holds_pictures_of_varied_mouths(tmp_path):
    overrides = ["identities=12", "frames_per_identity=4", "size=48", "splits=[unseen_synthesiser]"]
    assert "1 clips" in run_synth("faces", tmp_path, overrides, quiet=True)
    reader = ShardReader(tmp_path)
    assert reader.read(0, "crops").shape == (4, 48, 48, 3)
    assert reader.read(0, "landmarks").shape == (4, 468, 2)
    assert len(reader.rows[0].provenance["frames"]) == 4
    assert np.ptp(reader.read(0, "opening")) > 0.01


def test_varied_frames_are_spread_and_differ_in_opening():
    opening = np.abs(np.sin(np.arange(80) * 0.7)).astype(np.float32)
    frames = varied_frames(opening, 16)
    assert len(frames) == 16 and all(5 * i <= frame < 5 * i + 5 for i, frame in enumerate(frames))
    assert opening[frames].min() < 0.2 and opening[frames].max() > 0.9


def test_a_demo_clip_is_a_video_with_sound_and_true_labels(tmp_path):
    path = demo_clip(tmp_path / "clip.mp4", 1.0, 1, size=(96, 96))
    info = probe(path)
    assert (info.width, info.height, info.num_frames, info.has_audio) == (96, 96, 25, True)
    labels = json.loads(path.with_suffix(".json").read_text())
    assert len(labels["opening"]) == len(labels["landmarks"]) == len(labels["crop_from_frame"]) == 25
    landmarks, crop = np.array(labels["landmarks"]), np.array(labels["crop_from_frame"])
    nose = np.einsum("tij,tj->ti", crop[:, :, :2], landmarks[:, 1]) + crop[:, :, 2]
    assert np.abs(nose - (0.5, 0.62)).max() < 0.1
    frames = [frame.image for frame in read_frames(path)]
    x, y = landmarks[0, 151].astype(int)  # the forehead differs from the corner behind it
    assert np.abs(frames[0][y, x].astype(int) - frames[0][1, 1]).max() > 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.json", "clip.mp4"]


def test_the_voices_preset_holds_what_is_heard_and_what_the_mouth_does(tmp_path):
    overrides = ["held_out_minutes=0.05", "splits=[unseen_synthesiser]", "speech.min_s=2", "speech.max_s=3"]
    run_synth("voices", tmp_path, overrides, quiet=True)
    reader = ShardReader(tmp_path)
    row = reader.rows[0]
    assert set(row.fields) == {"mel", "tokens", "energy", "mouth"} and row.size == 0
    mouth = reader.read(0, "mouth").astype(np.float32)
    assert mouth.shape == (row.num_frames, len(MOUTH)) and 0.2 < mouth[:, 0].max() < 1.5
    closed = in_phones(frame_times(row), row.phones, {"p", "b", "m"})
    silent = in_phones(frame_times(row), row.phones, {"sil"}, 0.1)
    assert mouth[silent, 0].mean() < 0.1 and mouth[closed, 3].mean() > 0.5 > mouth[~closed, 3].mean()
