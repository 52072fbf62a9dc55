"""The table of ablations: every variant loads at every size, differs as it says, and is trained once."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ablations
from benchmarks._ablations import (
    CONFIGS,
    OURS,
    PAPER,
    Corpora,
    compare,
    corpora_for,
    load_table,
    plan,
    say,
    sync_is_visible,
    train_missing,
    unique,
)
from segtalker.config import config_hash, to_dict
from segtalker.data.shards import ShardWriter
from segtalker.errors import ConfigError, DataError
from segtalker.models.sgi import SGIConfig
from segtalker.training.run import load_train_config, train
from tests.training.tiny import tiny_clip

SIZES = ("smoke", "mini", "paper")
WHERE = Corpora(Path("speech"), Path("faces"), Path("held"), "val")
CHANGES = {
    "without_prior_learning": ("sgi", "data.max_gap", 0),
    "without_cross_entropy": ("tsg", "loss.reconstruction", "l1"),
    "without_syncnet": ("tsg", "loss.sync_weight", 0.0),
    "without_context": ("tsg", "model.context", None),
    "plain_codes": ("sgi", "model.codes", "plain"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one: what this machine has must not add columns, nor minutes."""
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))


def value_of(config: object, key: str) -> object:
    values = to_dict(config)
    for part in key.split("."):
        values = values[part]
    return values


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", CHANGES)
def test_a_variant_changes_one_setting_of_one_network_and_nothing_else(size: str, variant: str):
    plans = plan(load_table(), size, WHERE, Path("out"))
    network, key, value = CHANGES[variant]
    for name, training in plans[variant].items():
        full = plans["full"][name]
        assert (training == full) == (name != network)
    one, other = (
        load_train_config(network, net.config, net.overrides)
        for net in (plans[variant][network], plans["full"][network])
    )
    assert value_of(one, key) == value != value_of(other, key)
    part, name = key.split(".")
    back = dataclasses.replace(getattr(one, part), **{name: getattr(getattr(other, part), name)})
    assert dataclasses.replace(one, **{part: back}) == other


@pytest.mark.parametrize("size", SIZES)
def test_the_full_pipeline_uses_everything_that_a_variant_leaves_out(size: str):
    nets = plan(load_table(), size, WHERE, Path("out"))["full"]
    tsg, sgi = (load_train_config(name, nets[name].config, nets[name].overrides) for name in ("tsg", "sgi"))
    assert tsg.syncnet == str(nets["syncnet"].weights) and 0 < tsg.sync_from < tsg.run.max_steps
    assert tsg.loss.sync_weight > 0 and tsg.data.frames == 5 and tsg.speech is None and tsg.start_from is None
    assert sgi.data.max_gap == 15


def test_the_mini_renderer_spelt_out_is_the_mini_renderer():
    assert load_train_config("sgi", CONFIGS / "mini" / "sgi.yaml").model == SGIConfig.mini()


def test_the_table_has_the_rows_that_are_compared():
    assert set(load_table().variants) == {"full", *PAPER, *OURS}


def test_networks_that_variants_share_are_trained_once_and_after_what_they_need():
    trainings = unique(plan(load_table(), "smoke", WHERE, Path("out")))
    assert sorted(t.network for t in trainings) == [
        "parsing_unet",
        "sgi",
        "sgi",
        "sgi",
        "syncnet",
        *["tsg"] * 4,
    ]
    assert trainings[0].network == "syncnet" and len({t.folder for t in trainings}) == 9


def test_a_change_of_a_network_that_a_size_lacks_is_refused(tmp_path: Path):
    path = tmp_path / "table.yaml"
    path.write_text(
        "variants: {odd: {sig: [a=1]}}\nsizes: {smoke: {networks: {sgi: {config: smoke/sgi.yaml}}}}\n"
    )
    with pytest.raises(ConfigError, match="odd changes sig, which size smoke lacks"):
        load_table(path)


def test_paper_size_wants_prepared_clips():
    with pytest.raises(ConfigError, match="Give prepared --shards"):
        corpora_for("paper", None, None, None)


@pytest.mark.parametrize("size", ["smoke", "mini"])
def test_only_corpora_that_nobody_gave_are_made(size: str, tmp_path: Path):
    corpora, missing = corpora_for(size, None, tmp_path / "speech", None)
    assert corpora.speech == tmp_path / "speech" and set(missing) == {corpora.faces, corpora.held_out}
    scored = missing[corpora.held_out]
    assert corpora.split in scored.splits and scored.frames_per_identity > 10_000
    assert corpora_for(size, tmp_path, None, None) == (Corpora(tmp_path, tmp_path, tmp_path, "val"), {})


def test_printing_the_commands_makes_and_trains_nothing(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(ablations, "make_missing", lambda missing: pytest.fail("made a corpus"))
    monkeypatch.setattr(ablations, "train_missing", lambda *rest, **named: pytest.fail("trained"))
    asked = options(None, tmp_path / "expert", tmp_path / "out")
    asked.commands = True
    assert ablations.run(asked, quick=True) == {"trainings": 9}
    assert capsys.readouterr().err.count("segtalker train") == 9 and not (tmp_path / "out").exists()


def test_the_printed_commands_are_the_trainings_and_a_cluster_names_their_folders_alike():
    for training in unique(plan(load_table(), "mini", WHERE, Path("out"), ["run.precision=fp32"])):
        here, cluster = (shlex.split(line) for line in training.commands())
        overrides = [here[i + 1] for i, word in enumerate(here) if word == "--set"]
        assert overrides == [cluster[i + 1] for i, word in enumerate(cluster) if word == "--set"]
        cfg = load_train_config(here[2], here[3], overrides)
        assert here[:2] == ["segtalker", "train"] and cfg.run.precision == "fp32"
        assert here[here.index("--out") + 1] == f"out/{here[2]}-{config_hash(cfg)}"  # as ray_jobs.train does
        assert (
            cluster[:6] == ["python", "-m", "ray_jobs.train", *here[2:4], "--storage"] and cluster[6] == "out"
        )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six painted people of 60 frames who talk, the last two held out."""
    folder = tmp_path_factory.mktemp("ablations") / "corpus"
    with ShardWriter(folder) as writer:
        for number in range(6):
            clip = tiny_clip(number, 60, 32, "val" if number > 3 else "train")
            palette = np.random.default_rng(number).integers(40, 216, (12, 3)).astype(np.uint8)
            writer.add(dataclasses.replace(clip, crops=palette[clip.maps]))
    return folder


@pytest.fixture(scope="module")
def expert(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = CONFIGS / "smoke" / "sync_expert.yaml"
    out = tmp_path_factory.mktemp("expert")
    return train("syncnet", config, [f"clips.folder={corpus}", "run.max_steps=60"], out, quiet=True)


def options(corpus: Path | None, expert: Path, out: Path) -> argparse.Namespace:
    few = ["run.max_steps=8"]
    nothing = dict.fromkeys(("speech", "faces"))
    return argparse.Namespace(
        size="smoke", shards=corpus, out=out, expert=expert, overrides=few, commands=False, **nothing
    )


@pytest.mark.slow
def test_the_benchmark_trains_once_finds_its_networks_again_and_scores_alike(corpus, expert, tmp_path):
    asked = options(corpus, expert, tmp_path)
    figures = ablations.run(asked, quick=True)
    assert figures["trained_now"] == 9 and figures["clips"] == 2
    assert {"real", "still", *load_table().variants} <= figures.keys()
    assert figures["paper_comparisons"] == 11
    assert figures["order_kept"] == pytest.approx(figures["paper_comparisons_kept"] / 11)
    for variant in load_table().variants:
        assert None not in {figures[variant][name] for name in ("miou", "psnr", "ssim", "sync_confidence")}
    assert figures["real"]["psnr"] is None and figures["real"]["mouths_found"] is not None
    assert (
        figures["plain_codes"]["miou"] == figures["full"]["miou"] != figures["without_cross_entropy"]["miou"]
    )
    victim = next(tmp_path.glob("sgi-*/sgi.safetensors"))
    victim.unlink()
    again = ablations.run(asked, quick=True)
    assert again.pop("trained_now") == 1 and victim.exists()
    figures.pop("trained_now")
    assert again == figures


def test_a_perfect_painter_scores_as_the_truth_does(corpus, expert, tmp_path):
    plans = plan(load_table(), "smoke", Corpora(corpus, corpus, corpus, "val"), tmp_path, ["run.max_steps=2"])
    parser = plans["full"]["parsing_unet"]
    assert train_missing([parser], quiet=True) == 1
    reader, clips = ablations.held_out(Corpora(corpus, corpus, corpus, "val"))
    judge = ablations.Judge(reader, parser, expert)
    real = judge.score_all(clips, judge.real).figures()

    def perfect(clip, frames, reference):
        return reader.take(clip, "crops", frames), reader.take(clip, "maps", frames)

    drawn = judge.score_all(clips, perfect).figures()
    assert (drawn["miou"], drawn["ssim"], drawn["psnr"]) == (1.0, pytest.approx(1.0), pytest.approx(110))
    for name in ("lmd", "lmd_centred", "mouths_found", "sync_confidence", "map_sync_confidence"):
        assert drawn[name] == real[name]


def test_the_expert_hears_that_a_still_face_does_not_speak(corpus, expert, tmp_path):
    """With a parser that reads every pixel right, sync and landmarks are those of the maps themselves."""
    reader, clips = ablations.held_out(Corpora(corpus, corpus, corpus, "val"))
    plans = plan(load_table(), "smoke", Corpora(corpus, corpus, corpus, "val"), tmp_path, ["run.max_steps=2"])
    train_missing([plans["full"]["parsing_unet"]], quiet=True)
    judge = ablations.Judge(reader, plans["full"]["parsing_unet"], expert)
    told: list[np.ndarray] = []
    judge._read = lambda pictures: told.pop()

    def tell(make):
        def made(clip, frames, reference):
            maps = reader.take(clip, "maps", frames if make == "real" else np.full_like(frames, reference))
            told.append(maps)
            return judge.real(clip, frames, reference)

        return judge.score_all(clips, made).figures()

    real, still = tell("real"), tell("still")
    assert real["map_sync_confidence"] == real["sync_confidence"]
    assert real["lmd"] == 0 and still["lmd"] > 0.02
    assert real["sync_confidence"] > still["sync_confidence"] + 0.1


def test_what_was_not_measured_is_not_better():
    row = {"map_sync_confidence": 1.0, "sync_confidence": 1.0, "psnr": 20.0, "ssim": 0.5}
    figures = {name: dict(row) for name in load_table().variants}
    figures["full"] = {**row, "psnr": 21.0}
    figures["without_syncnet"]["ssim"] = None
    order = {(r["variant"], r["figure"]): r["kept"] for r in compare(figures)}
    assert order["without_cross_entropy", "psnr"] and not order["without_cross_entropy", "ssim"]
    assert order["without_syncnet", "ssim"] and len(order) == 18
    figures["full"]["psnr"] = None
    assert not any(r["kept"] for r in compare(figures) if r["figure"] == "psnr")


def test_the_verdict_names_every_comparison_that_did_not_come_out(capsys):
    row = {"map_sync_confidence": 1.0, "sync_confidence": 1.0, "psnr": 20.0, "ssim": 0.5}
    figures = {name: dict(row) for name in load_table().variants}
    figures["full"] = {name: value + 1 for name, value in row.items()}
    say(compare(figures))
    assert "the paper's order holds throughout" in capsys.readouterr().err
    figures["without_prior_learning"]["psnr"] = 22.0
    say(compare(figures))
    assert "does not hold for without_prior_learning (psnr)" in capsys.readouterr().err


def test_sync_that_nobody_can_see_in_true_pictures_is_said_to_say_nothing(capsys):
    figures = {name: {"sync_confidence": value} for name, value in (("real", 2.0), ("still", 0.5))}
    assert sync_is_visible(figures) and not capsys.readouterr().err
    figures["still"]["sync_confidence"] = 2.0
    assert not sync_is_visible(figures) and "says nothing" in capsys.readouterr().err
    figures["real"]["sync_confidence"] = figures["still"]["sync_confidence"] = None
    assert not sync_is_visible(figures)


def test_clips_without_a_picture_of_every_frame_are_not_scored(tmp_path):
    with ShardWriter(tmp_path) as writer:
        for number, kept in enumerate((60, 20)):
            clip = tiny_clip(number, 60, 32, "val")
            fields = {"maps": clip.maps[:kept], "crops": np.zeros((kept, 32, 32, 3), np.uint8)}
            short = {name: getattr(clip, name)[:kept] for name in ("opening", "mouth", "energy")}
            writer.add(dataclasses.replace(clip, **fields, **short))
    where = Corpora(tmp_path, tmp_path, tmp_path, "val")
    reader, clips = ablations.held_out(where)
    assert [reader.rows[i].num_frames for i in clips] == [60]
    with pytest.raises(DataError, match="pictures of every frame"):
        ablations.held_out(dataclasses.replace(where, split="train"))
