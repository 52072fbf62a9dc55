"""The benchmark of a GPU, on the CPU: what it says without one, and its measuring at a tiny size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import _paper_trainings, _report, gpu
from benchmarks._paper_trainings import TRAININGS, Speed, draw_corpus, measure, paper_config
from segtalker.config import load_yaml, parse_config
from segtalker.dub_config import DubConfig
from segtalker.errors import WeightsError
from segtalker.media.read import probe
from segtalker.models.sgi import SGIConfig
from segtalker.models.tsg import TSG, TSGConfig
from segtalker.person import AnalysisConfig
from segtalker.pipeline import SegTalker
from segtalker.regions import Region
from segtalker.training.run import load_train_config
from tests.dubbing import BlobFaces, talking_clip
from tests.training.recipes import CONFIGS, smoke_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return draw_corpus(tmp_path_factory.mktemp("gpu") / "corpus", 32)


@pytest.fixture(autouse=True)
def _hardly_warm(monkeypatch):
    monkeypatch.setattr(_paper_trainings, "WARM_STEPS", 1)


def smoke_networks() -> tuple[TSGConfig, SGIConfig]:
    values = [load_yaml(CONFIGS / "smoke" / f"{name}.yaml")["model"] for name in ("tsg", "sgi")]
    return parse_config(TSGConfig, values[0]), parse_config(SGIConfig, values[1])


def test_without_a_gpu_every_figure_was_not_run(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _report.main(gpu.__doc__, gpu.run, argv=["--json", "--quick"])
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    assert {name: result[name] for name in gpu.FIGURES} == dict.fromkeys(gpu.FIGURES, "not run")
    wanted = {f"{name}_steps_per_second" for name in ("syncnet", "tsg", "tsg_sync", "sgi")}
    wanted |= {"gpu", "sgi_peak_memory_gb", "frames_per_second_512", "share_sgi"}
    assert wanted <= set(gpu.FIGURES)
    assert sum("No CUDA device here" in line for line in printed.err.splitlines()) == 1


def test_with_a_gpu_the_same_figures_come_from_paper_sizes(monkeypatch, corpus):
    """A GPU in name only: what would run on it is recorded."""
    asked = {}

    def record(network, cfg, device, steps, folder):
        asked[len(asked)] = network, cfg, device.type, steps
        return Speed(2.0, 3.0, ("a term is off",))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(gpu, "measure", record)
    monkeypatch.setattr(gpu, "draw_corpus", lambda folder, size: corpus if size == 512 else None)
    monkeypatch.setattr(
        gpu, "dub_figures", lambda *_: dict.fromkeys([gpu._SPEED, *gpu._SHARES, "dub_precision"], 1)
    )
    figures = gpu.run(quick=True)
    assert tuple(figures) == gpu.FIGURES and figures["gpu"] == "a card"
    assert figures["tsg_sync_steps_per_second"] == 2.0 and figures["sgi_peak_memory_gb"] == 3.0
    assert "networks are random" in figures["notes"][0]
    assert figures["notes"][1:] == [f"{name}: a term is off" for name in TRAININGS]
    assert [(network, device, steps) for network, _, device, steps in asked.values()] == [
        (network, "cuda", 16) for network in ("syncnet", "tsg", "tsg", "sgi")
    ]
    assert figures["syncnet_precision"] == figures["tsg_precision"] == "bf16"


def test_trainings_have_the_batches_of_the_paper(corpus, tmp_path):
    configs = {name: paper_config(name, corpus, tmp_path) for name in TRAININGS}
    plain, with_sync, sgi = configs["tsg"], configs["tsg_sync"], configs["sgi"]
    assert configs["syncnet"].data.clips == 8 and sgi.data.items == 4
    assert all(cfg.data.items * cfg.data.frames == 20 for cfg in (plain, with_sync))
    assert (plain.loss.sync_weight, with_sync.sync_from) == (0, 0) and with_sync.loss.sync_weight > 0
    assert all(steps % sgi.loss.r1_every == 0 for steps in gpu.STEPS.values())  # R1 in its due share
    for name, cfg in configs.items():
        whole = load_train_config(
            TRAININGS[name].network, CONFIGS / "paper" / f"{TRAININGS[name].network}.yaml"
        )
        assert cfg.model == whole.model and cfg.optimizer == whole.optimizer and cfg.run == whole.run


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("syncnet", []), ("tsg", ["loss.sync_weight=0"]), ("sgi", ["loss.r1_every=2", "loss.lpips_weight=1"])],
)
def test_a_training_is_measured_and_says_which_terms_are_off(name, overrides, corpus):
    cfg = smoke_config(TRAININGS[name].network, corpus, *overrides)
    notes: list[str] = []
    figures = gpu.train_figures(name, cfg, CPU, 1, notes)
    assert figures[f"{name}_steps_per_second"] > 0 and figures[f"{name}_precision"] == "fp32"
    assert figures[f"{name}_peak_memory_gb"] == "not run"
    assert ("sgi: loss term lpips is off" in "".join(notes)) == (name == "sgi")


def test_the_second_half_of_tsg_listens_to_an_expert_of_paper_size(corpus, tmp_path):
    """Its weights are loaded by the task: a smoke TSG under the paper's expert steps with a sync loss."""
    expert = paper_config("tsg_sync", corpus, tmp_path).syncnet
    cfg = smoke_config("tsg", corpus, f"syncnet={expert}", "sync_from=0", "data.items=1")
    speed = measure("tsg", cfg, CPU, 1, tmp_path)
    assert not [note for note in speed.notes if "sync loss" in note]


def test_a_training_that_does_not_fit_is_reported_and_the_rest_goes_on(monkeypatch, corpus, capsys):
    def too_large(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(gpu, "measure", too_large)
    figures = gpu.train_figures("tsg", smoke_config("tsg", corpus), CPU, 1, [])
    assert figures["tsg_steps_per_second"] == figures["tsg_peak_memory_gb"] == "out of memory"
    assert "Tried to allocate 2 GiB" in capsys.readouterr().err


def test_a_dub_by_random_networks_moves_mouths_and_is_measured(tmp_path):
    config = DubConfig(device="cpu", analysis=AnalysisConfig(style_frames=1))
    talker = SegTalker(config, gpu.RandomStages(config, *smoke_networks(), BlobFaces()))
    video = talking_clip(tmp_path / "talk.mp4", 10)
    figures = gpu.dub_figures(talker, 0.4, tmp_path, [], video)
    assert figures["frames_per_second_512"] > 0 and figures["dub_precision"] == "fp32"
    shares = {name: figures[name] for name in figures if name.startswith("share_")}
    assert min(shares.values()) > 0 and sum(shares.values()) == pytest.approx(1, abs=0.002)
    assert probe(tmp_path / "out.mp4").num_frames == 10


def test_a_dub_without_face_models_was_not_run(monkeypatch, tmp_path):
    def missing(*_):
        raise WeightsError("the face models are not here.")

    monkeypatch.setattr(gpu, "portrait_clip", missing)
    notes: list[str] = []
    talker = SegTalker(DubConfig(), gpu.RandomStages(DubConfig(), *smoke_networks()))
    figures = gpu.dub_figures(talker, 1, tmp_path, notes)
    assert figures["frames_per_second_512"] == figures["share_tsg"] == "not run"
    assert notes == ["dub: the face models are not here."]


def test_the_random_talker_draws_the_face_of_the_pose_a_little_lower():
    torch.manual_seed(0)
    cfg = smoke_networks()[0]
    pose = torch.full((1, 32, 32), int(Region.SKIN))
    pose[:, 22:24, 12:20] = Region.LIP
    onehot = torch.nn.functional.one_hot(pose, 12).permute(0, 3, 1, 2).float()
    inputs = onehot, onehot, torch.randn(1, 1, 80, 16), torch.randn(1, cfg.context.dim)
    with torch.no_grad():
        drawn = gpu.MovedPoseTSG(cfg).eval()(*inputs)
        assert torch.equal(drawn.argmax(1), pose.roll(1, dims=1))
        torch.manual_seed(1)
        assert not torch.equal(drawn, gpu.MovedPoseTSG(cfg).eval()(*inputs))  # the network did compute


def test_the_dub_is_of_the_paper_networks_at_512_px():
    tsg, sgi = gpu.dub_networks()
    assert tsg == TSGConfig.paper(512) and sgi.size == 512 and sgi.generator.num_layers == 16
    paper = SGIConfig.paper()
    assert replace(sgi, generator=paper.generator) == replace(paper, encoder=sgi.encoder)
    assert issubclass(gpu.MovedPoseTSG, TSG)
