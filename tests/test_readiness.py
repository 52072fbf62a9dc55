"""What the published networks in a cache make possible, and what the rest would take."""

from __future__ import annotations

import errno
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from segtalker.config import load_yaml
from segtalker.doctor import Finding, examine
from segtalker.readiness import PRESETS, Preset, loss_terms, metrics, presets, rows_here
from segtalker.weights import store
from segtalker.weights.registry import ROWS, rows_of

LOSSES = {"lpips_alex", "irse50", "maskgan_unet"}
SMALL = "clips: {folder: x}\nrun: {max_steps: 1}\n"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no pack at home, and a folder to work in."""
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INSIGHTFACE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str) -> None:
    """Files where the cache keeps these rows."""
    for name in names:
        place = store.place_of(name)
        assert place is not None
        with store.installing(place, "a test") as made:
            made.write_bytes(b"weights")


def switched_on() -> dict[str, str | None]:
    here = rows_here()
    return {item.name: item.by and item.by.name for item in (*metrics(here), *loss_terms(here))}


def preset(name: str) -> Preset:
    return next(item for item in presets(rows_here()) if item.name == f"paper/{name}")


def written(folder: Path, name: str, text: str) -> Preset:
    """The only preset of a folder."""
    folder.mkdir()
    (folder / f"{name}.yaml").write_text(text)
    (found,) = presets(rows_here(), folder)
    return found


def test_nothing_is_on_where_the_cache_is_empty_and_all_metrics_of_the_field_are_known():
    assert switched_on() == dict.fromkeys(
        ["CSIM", "Sync-C", "Sync-D", "LPIPS", "FID", "FVD", "lpips", "id", "parsing"]
    )


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("inception_fid", ["FID"]),
        ("i3d_fvd", ["FVD"]),
        ("syncnet_v2", ["Sync-C", "Sync-D"]),
        ("lpips_alex", ["LPIPS", "lpips"]),
        ("irse50", ["CSIM", "id"]),
        ("maskgan_unet", ["parsing"]),
        ("lpips_vgg", []),
    ],
)
def test_a_file_in_the_cache_switches_on_what_it_is_for_and_nothing_else(row: str, names: list[str]):
    put(row)
    assert {name: by for name, by in switched_on().items() if by} == dict.fromkeys(names, row)


def test_a_file_of_another_size_than_was_recorded_switches_nothing_on():
    put("inception_fid")
    path = store.place_of("inception_fid")
    assert path is not None
    path.write_bytes(b"less")
    assert rows_here() == set() and switched_on()["FID"] is None


def test_an_empty_file_or_a_folder_in_the_cache_switches_nothing_on():
    for row in ("inception_fid", "irse50"):
        path = store.place_of(row)
        assert path is not None
        path.parent.mkdir(parents=True)
        path.touch() if row == "irse50" else path.mkdir()
    assert rows_here() == set() and not any(switched_on().values())
    assert "irse50" in preset("sgi").lacks


def test_doctor_goes_on_where_the_cache_may_not_be_read(machine: Path, monkeypatch: pytest.MonkeyPatch):
    real, hidden = os.stat, str(machine / "cache")

    def stat(path: object, **options: object) -> os.stat_result:  # chmod would not stop root
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(hidden):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    found = {item.name: item for item in examine()}
    assert found["metric FID"].detail == "off: wants inception_fid" and "weights cache" in found


def test_the_pack_counts_with_the_package_that_runs_it(machine: Path, monkeypatch: pytest.MonkeyPatch):
    folder = machine / "home" / ".insightface" / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    for name in ("det_10g.onnx", "w600k_r50.onnx", "1k3d68.onnx"):
        (folder / name).write_bytes(b"onnx")
    monkeypatch.setitem(sys.modules, "insightface", None)
    assert switched_on()["CSIM"] is None
    module = ModuleType("insightface")
    module.__spec__ = ModuleSpec("insightface", None)
    monkeypatch.setitem(sys.modules, "insightface", module)
    assert switched_on()["CSIM"] == "buffalo_l"
    put("irse50")
    assert switched_on()["CSIM"] == "irse50"


def test_every_configuration_of_the_paper_is_a_preset_and_says_what_it_lacks():
    found = {item.name: item for item in presets(set())}
    assert set(found) == {f"paper/{path.stem}" for path in PRESETS.glob("*.yaml")}
    lacks = {name.removeprefix("paper/"): set(item.lacks) for name, item in found.items()}
    assert lacks["prepare"] == {"bisenet"} and lacks["tsg_avhubert"] == {"avhubert_base"}
    assert lacks["sgi"] == LOSSES and lacks["syncnet"] == lacks["tsg"] == set()
    assert lacks["sgi_e4s"] == lacks["sgi_e4s_512"] == LOSSES | {"e4s", "e4s_d"}
    assert lacks["sgi_512"] == LOSSES | {"stylegan2_ffhq_512", "stylegan2_ffhq_512_d"}
    assert all(item.complete == (not item.lacks) for item in found.values())
    assert found["paper/tsg"].trained == (load_yaml(PRESETS / "tsg.yaml")["syncnet"],)


def test_a_preset_is_complete_once_its_rows_are_in_the_cache():
    put("avhubert_base", "bisenet", *LOSSES)
    for name in ("prepare", "tsg_avhubert", "sgi"):
        assert preset(name).complete and preset(name).remedy == (), name


def test_a_start_is_made_by_the_commands_in_the_head_of_its_preset_one_after_another(machine: Path):
    rows = ("stylegan2_ffhq_512", "stylegan2_ffhq_512_d")
    put(*LOSSES, *rows)
    todo = preset("sgi_512")
    assert not todo.complete and todo.lacks == {} and len(todo.remedy) == 3
    first, second, third = todo.remedy
    assert first.startswith(
        "Run: segtalker weights import $(segtalker weights where stylegan2_ffhq_512) --as sgi "
        "--for configs/paper/sgi_512.yaml -o "
    )
    assert "$(segtalker weights where irse50)" in second and "--onto " + first.split()[-1] in second
    assert "$(segtalker weights where stylegan2_ffhq_512_d) --as discriminator" in third
    for command, left in ((first, (second, third)), (second, (third,)), (third, ())):
        made = machine / command.split()[-1]
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"x")
        assert preset("sgi_512").remedy == left
    assert preset("sgi_512").complete


def test_a_file_that_only_a_browser_gets_is_asked_for_once_and_imported_directly():
    put(*LOSSES)
    get, generator, critic = preset("sgi_e4s").remedy
    assert get == "Get iteration_300000.pt with a browser (segtalker weights info e4s)."
    assert generator.startswith("Run: segtalker weights import iteration_300000.pt --as sgi ")
    assert critic.startswith("Run: segtalker weights import iteration_300000.pt --as discriminator ")
    put("e4s", "e4s_d")
    assert [line.split(")")[0] for line in preset("sgi_e4s").remedy] == [
        "Run: segtalker weights import $(segtalker weights where e4s",
        "Run: segtalker weights import $(segtalker weights where e4s_d",
    ]


def test_terms_are_named_before_a_command_that_accepts_them(machine: Path):
    free = written(machine / "a", "sgi", f"{SMALL}loss: {{id_weight: 0, parsing_weight: 0}}\n")
    assert free.remedy == ("Run: segtalker weights fetch lpips_alex",)
    restricted = written(machine / "b", "sgi", f"{SMALL}loss: {{lpips_weight: 0, parsing_weight: 0}}\n")
    read = "Read the terms (segtalker weights info NAME) and run: "
    assert restricted.remedy == (f"{read}segtalker weights fetch irse50 --accept-licence",)


def test_a_term_without_weight_and_a_network_that_is_named_or_left_out_are_not_lacking(machine: Path):
    (machine / "mine.pth").write_bytes(b"x")
    text = "networks: {arcface: mine.pth, lpips_trunk: null}\nloss: {parsing_weight: 0}\n"
    found = written(machine / "a", "sgi", SMALL + text)
    assert found.complete and found.trained == ()
    gone = written(machine / "b", "sgi_mine", SMALL + text.replace("mine", "other"))
    assert gone.complete and gone.trained == ("other.pth",)


def test_a_broken_preset_says_where_and_the_others_are_told_all_the_same(machine: Path):
    broken = written(machine / "a", "tsg_mine", f"{SMALL}speach: x\n")
    assert not broken.complete and "tsg_mine.yaml: unknown key 'speach'" in broken.remedy[0]
    strange = written(machine / "b", "other", SMALL)
    assert "no training of 'other'" in strange.remedy[0]
    assert presets(set(), machine / "none") == []


def test_what_can_be_measured_by_nothing_here_names_a_row_that_the_registry_can_get():
    for switch in (*metrics(set()), *loss_terms(set())):
        (line,) = switch.remedy
        assert switch.rows[0].name in line and rows_of(switch.rows[0].name)[0] in ROWS


def test_the_doctor_tells_all_of_it_and_dubbing_needs_none_of_it():
    put("inception_fid", "avhubert_base")
    found: dict[str, Finding] = {finding.name: finding for finding in examine()}
    assert (found["metric FID"].state, found["metric FID"].detail) == ("ok", "on: inception_fid")
    assert found["metric CSIM"].detail == "off: wants irse50 or buffalo_l"
    assert found["loss term id"].remedy.endswith("segtalker weights fetch irse50 --accept-licence")
    assert found["preset paper/syncnet"].detail == "complete"
    assert found["preset paper/tsg_avhubert"].detail.startswith("complete; reads runs/")
    assert (
        "lacks e4s (for start_from), e4s_d (for discriminator_from)" in found["preset paper/sgi_e4s"].detail
    )
    assert len(found["preset paper/sgi_e4s"].remedy.splitlines()) == 4
    needless = [name for name in found if name.startswith(("metric ", "loss term ", "preset "))]
    assert {found[name].state for name in needless} == {"ok", "optional"}


def test_looking_builds_no_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a network is built")

    put("irse50", "e4s", "avhubert_base")
    monkeypatch.setattr(nn.Module, "__init__", refuse)
    here = rows_here()
    assert len([*metrics(here), *loss_terms(here), *presets(here)]) == 9 + len(list(PRESETS.glob("*.yaml")))
