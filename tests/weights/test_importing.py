"""From a published file to one of ours, by function and by command."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segtalker.cli import main
from segtalker.config import load_yaml, parse_config
from segtalker.errors import ConfigError, SegTalkerError, WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.speech_encoder import SpeechEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig
from segtalker.weights import registry, store
from segtalker.weights.checkpoint import fill_weights, load_weights, network_shapes, weights_info
from segtalker.weights.convert import stylegan2
from segtalker.weights.convert.avhubert import audio_path
from segtalker.weights.convert.layouts import LAYOUTS, recognise
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.importing import import_file
from segtalker.weights.lineage import licence_of
from segtalker.weights.partial import Place, generator_in_sgi, start_from
from segtalker.weights.pickles.tensors import InMemory
from segtalker.weights.registry import WeightsRow
from tests.weights.convert import official
from tests.weights.rows import DATA, list_rows, published
from tests.weights.rows import small_row as as_published
from tests.weights.test_parity import DIM, generator_file, speech_file

TRAINING = """
model:
  encoder: {input_size: 32, stem: 8, widths: [8, 8, 8, 16], units: [1, 1, 1, 1]}
  generator: {size: 16, style_dim: 12, channel_base: 256, channel_max: 16, num_mapping_layers: 0}
  mlp_hidden: 8
discriminator: {size: 16, channel_base: 256, channel_max: 16}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGTALKER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def training(tmp_path: Path) -> Path:
    path = tmp_path / "sgi.yaml"
    path.write_text(TRAINING)
    return path


def test_the_average_is_taken_and_the_other_copy_on_request(tmp_path: Path):
    average = generator_file("port", tmp_path / "net")
    done = import_file(tmp_path / "net", out=tmp_path / "a.safetensors")
    assert done.match.group == "g_ema" and done.others == ("sgi", "discriminator")
    net = load_weights(done.path)
    assert torch.equal(net.state_dict()["convs.1.conv.weight"], average["convs.1.conv.weight"])
    raw = import_file(tmp_path / "net", out=tmp_path / "b.safetensors", group="g")
    assert not torch.equal(load_weights(raw.path).state_dict()["conv1.conv.weight"], net.conv1.conv.weight)
    with pytest.raises(WeightsError, match="has no group 'ema'; groups with tensors: .*'g_ema'"):
        import_file(tmp_path / "net", group="ema")


def test_the_file_remembers_where_it_came_from(tmp_path: Path):
    generator_file("nvidia", tmp_path / "network-final.pkl")
    done = import_file(tmp_path / "network-final.pkl", out=tmp_path / "a.safetensors")
    told = weights_info(done.path)["info"]
    assert (told["source"], told["group"]) == ("network-final.pkl", "G_ema")
    assert len(told["sha256"]) == 64 and "NVIDIA" in told["layout"] and told["random"] == told["zero"] == []
    with pytest.raises(WeightsError, match="is a SegTalker 'generator' already"):
        import_file(done.path)


def test_safetensors_and_plain_state_dicts_are_recognised_too(tmp_path: Path):
    values = official.drawn(official.port_generator(32, 256, 16, DIM, 2))
    save_file(values, str(tmp_path / "a"))
    torch.save({f"module.{name}": value for name, value in values.items()}, tmp_path / "b")
    for name in "ab":
        done = import_file(tmp_path / name, out=tmp_path / "out.safetensors")
        assert done.network == "generator"
        assert torch.equal(load_weights(done.path).input.input, values["input.input"])


def test_a_speech_encoder_has_heads_of_zeros_until_it_is_trained(tmp_path: Path):
    values = speech_file(tmp_path / "net.pt", "encoder.w2v_model.")
    done = import_file(tmp_path / "net.pt", out=tmp_path / "speech.safetensors")
    state = load_weights(done.path, "speech").state_dict()
    zeros = weights_info(done.path)["info"]["zero"]
    assert zeros == ["phones.weight", "phones.bias", "mouth.weight", "mouth.bias"]
    assert not any(state[name].any() for name in zeros)
    assert torch.equal(state["context.encoder.layers.1.fc1.weight"], values["encoder.layers.1.fc1.weight"])
    assert "mask_emb: stands for hidden input in pretraining" in done.left_out


def test_sgi_starts_from_a_generator_and_its_training_takes_it(tmp_path: Path, training: Path):
    average = generator_file("port", tmp_path / "net")
    done = import_file(tmp_path / "net", "sgi", tmp_path / "start.safetensors", training)
    cfg = parse_config(SGIConfig, load_yaml(training)["model"])
    net = SGI(cfg)
    fill_weights(net, done.path)  # what the key `start_from` of the training does
    assert torch.equal(net.generator.convs[3].conv.weight, average["convs.3.conv.weight"])
    assert torch.equal(net.latent_avg, torch.ones(6, DIM))
    assert weights_info(done.path)["info"]["random"] == [f.name for f in done.fates if f.what == "random"]
    again = import_file(tmp_path / "net", "sgi", tmp_path / "again.safetensors", training)
    state = load_weights(again.path, "sgi").state_dict()
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())


def test_our_own_file_of_a_generator_starts_sgi_as_well(tmp_path: Path, training: Path):
    generator_file("nvidia", tmp_path / "net.pkl")
    ours = import_file(tmp_path / "net.pkl", out=tmp_path / "generator.safetensors")
    direct = import_file(tmp_path / "net.pkl", "sgi", tmp_path / "a.safetensors", training)
    by_ours = import_file(ours.path, "sgi", tmp_path / "b.safetensors", training)
    first, second = (load_weights(done.path, "sgi").state_dict() for done in (direct, by_ours))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_discriminator_of_another_size_starts_that_of_a_training(tmp_path: Path, training: Path):
    generator_file("nvidia", tmp_path / "net.pkl")
    done = import_file(tmp_path / "net.pkl", "discriminator", tmp_path / "d.safetensors", training)
    assert done.cfg == DiscriminatorConfig(16, 256, 16) == load_weights(done.path).cfg
    assert {fate.name for fate in done.fates if fate.what == "random"} == {
        "convs.0.0.weight",
        "convs.0.1.bias",
    }


def test_published_sizes_go_to_the_cache_and_others_want_a_name(tmp_path: Path, cache: Path, monkeypatch):
    generator_file("port", tmp_path / "net")
    with pytest.raises(WeightsError, match="'stylegan2_ffhq_32' is not in the list.*with -o"):
        import_file(tmp_path / "net")
    assert not cache.exists()
    row = registry.rows_of("stylegan2_ffhq_1024")[0]
    rows = (*registry.ROWS, replace(row, name="stylegan2_ffhq_32", filename="stylegan2_ffhq_32.safetensors"))
    monkeypatch.setattr(registry, "ROWS", rows)
    monkeypatch.setattr(store, "ROWS", rows)
    done = import_file(tmp_path / "net")
    assert (
        done.path
        == cache / "stylegan2" / "stylegan2_ffhq_32.safetensors"
        == store.locate("stylegan2_ffhq_32")
    )
    assert weights_info(done.path)["info"]["licence"] == row.terms


@pytest.mark.parametrize(("network", "title"), [("discriminator", "discriminator"), ("sgi", "SGI")])
def test_a_start_into_which_no_weight_fits_is_none(network: str, title: str, tmp_path: Path, training: Path):
    """Biases of colours, fixed noise and the mean code fit a network of any width."""
    generator_file("nvidia", tmp_path / "net.pkl")
    training.write_text(TRAINING.replace("channel_max: 16", "channel_max: 6"))
    with pytest.raises(WeightsError, match=f"net.pkl: nothing in it fits the {title} of this training: "):
        import_file(tmp_path / "net.pkl", network, tmp_path / "out.safetensors", training)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.fixture
def small_row(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WeightsRow]:
    """Puts the size that the tests write into the registry, published as the file whose bytes are given."""

    def listed(data: bytes | None = None, **known: object) -> WeightsRow:
        row = replace(
            registry.rows_of("stylegan2_ffhq_1024")[0],
            name="stylegan2_ffhq_32",
            filename="stylegan2_ffhq_32.safetensors",
            source=replace(published("net.pt", data=data), **known),
        )
        monkeypatch.setattr(registry, "ROWS", [r for r in registry.ROWS if r.name != row.name])
        list_rows(monkeypatch, row)
        return row

    return listed


def another_file(path: Path, source: Path) -> Path:
    """A network of the same keys and shapes, of other numbers."""
    values = torch.load(source, weights_only=True)
    values["g_ema"]["input.input"] += 1
    torch.save(values, path)
    return path


@pytest.mark.parametrize("known", [{}, {"size": None}, {"size": None, "sha256": None}])
def test_only_the_published_bytes_enter_the_cache(
    known: dict[str, None], tmp_path: Path, small_row: Callable[..., WeightsRow], capsys
):
    generator_file("port", tmp_path / "net")
    data = (tmp_path / "net").read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    row = small_row(data, git_blob=blob, **known)
    path = import_file(tmp_path / "net").path
    kept = path.read_bytes()
    another_file(tmp_path / "net.pth", tmp_path / "net")
    words = "net.pth: not the published bytes of stylegan2_ffhq_32 .net.pt.; keep it elsewhere with -o FILE"
    assert main(["weights", "import", str(tmp_path / "net.pth")]) == WeightsError.exit_code
    error = capsys.readouterr().err
    assert re.search(words, error) and error.count("\n") == 1
    assert path.read_bytes() == kept and store.examine(row).state == "ready"
    path.unlink()
    with pytest.raises(WeightsError, match=words):  # and no empty place is filled either
        import_file(tmp_path / "net.pth")
    assert not path.exists()
    elsewhere = import_file(tmp_path / "net.pth", out=tmp_path / "other.safetensors")
    assert weights_info(elsewhere.path)["info"]["published_as"] == row.name


def test_where_no_hash_is_known_a_network_is_not_replaced_by_that_of_another_file(
    tmp_path: Path, small_row: Callable[..., WeightsRow]
):
    row = small_row()
    generator_file("port", tmp_path / "net")
    path = import_file(tmp_path / "net").path
    kept = path.read_bytes()
    words = f"{path} holds stylegan2_ffhq_32 out of other bytes .net.; keep this one elsewhere with -o FILE"
    with pytest.raises(WeightsError, match=words):
        import_file(another_file(tmp_path / "net.pth", tmp_path / "net"))
    with pytest.raises(WeightsError, match=words):  # another copy out of the same file is another network
        import_file(tmp_path / "net", group="g")
    assert path.read_bytes() == kept
    import_file(tmp_path / "net")  # the same again does no harm
    path.write_bytes(kept[:-1])
    assert store.examine(row).state == "damaged"
    import_file(tmp_path / "net.pth")  # what is damaged is nobody's loss
    assert store.examine(row).state == "ready" and path.read_bytes() != kept


def test_every_published_size_has_its_row_with_a_licence():
    generators, discriminators = (
        [layout for layout in stylegan2.LAYOUTS if layout.network == kind]
        for kind in ("generator", "discriminator")
    )
    for size in (256, 512, 1024):
        assert all(
            layout.row(SynthesisConfig(size=size)) == f"stylegan2_ffhq_{size}" for layout in generators
        )
        assert all(
            layout.row(DiscriminatorConfig(size=size)) == f"stylegan2_ffhq_{size}_d"
            for layout in discriminators
        )
        assert "NVIDIA" in licence_of(f"stylegan2_ffhq_{size}") == licence_of(f"stylegan2_ffhq_{size}_d")
    (speech,) = (layout for layout in LAYOUTS if layout.network == "speech")
    for cfg, name in ((AVHubertConfig.base(), "avhubert_base"), (AVHubertConfig.large(), "avhubert_large")):
        assert speech.row(SpeechEncoderConfig(cfg)) == name
        assert "Meta Platforms, Inc. All Rights Reserved" in licence_of(name)


def test_the_paper_configurations_take_the_published_networks():
    """Names and shapes alone: nothing of that size is computed."""
    configs = Path(__file__).parents[2] / "configs" / "paper"
    sgi = parse_config(SGIConfig, load_yaml(configs / "sgi.yaml")["model"])
    critic = parse_config(DiscriminatorConfig, load_yaml(configs / "sgi.yaml")["discriminator"])
    published = {**network_shapes("generator", SynthesisConfig()), "latent_avg": (512,)}
    for state, source, place in (
        (network_shapes("sgi", sgi), published, generator_in_sgi),
        (network_shapes("discriminator", critic), network_shapes("discriminator", critic), Place),
    ):
        empty = ({n: torch.empty(s, device="meta") for n, s in shapes.items()} for shapes in (state, source))
        fates = start_from(*empty, place)[1]
        assert all(f.name.startswith("style.") for f in fates if f.what == "skipped")
        assert all(f.name.startswith(("encoder.", "mlps.")) for f in fates if f.what == "random")
    speech, _ = audio_path(official.avhubert(), {}, "base_vox_iter5.pt")
    assert parse_config(AVHubertConfig, load_yaml(configs / "tsg.yaml")["model"]["context"]) == speech.context


@pytest.mark.parametrize(
    ("network", "with_training", "words"),
    [
        ("speech", False, "holds no 'speech'; it can be imported as: generator, sgi, discriminator"),
        ("sgi", False, "--as sgi needs --for TRAINING.yaml"),
        ("generator", True, "--for is of use with --as sgi, discriminator and syncnet only"),
    ],
)
def test_what_makes_no_sense_is_refused(
    network: str, with_training: bool, words: str, tmp_path: Path, training: Path
):
    generator_file("port", tmp_path / "net")
    with pytest.raises(SegTalkerError, match=words):
        import_file(
            tmp_path / "net", network, tmp_path / "out.safetensors", training if with_training else None
        )
    assert not (tmp_path / "out.safetensors").exists()


def test_a_training_of_another_network_is_named(tmp_path: Path):
    generator_file("port", tmp_path / "net")
    (tmp_path / "tsg.yaml").write_text("model: {size: 512}")
    with pytest.raises(SegTalkerError, match="tsg.yaml: unknown key 'model.size'"):
        import_file(tmp_path / "net", "sgi", tmp_path / "out", tmp_path / "tsg.yaml")
    with pytest.raises(SegTalkerError, match="tsg.yaml: has no section 'discriminator'"):
        import_file(tmp_path / "net", "discriminator", tmp_path / "out", tmp_path / "tsg.yaml")


def test_a_generator_without_its_mean_code_starts_nothing(tmp_path: Path, training: Path):
    torch.save({"g_ema": official.drawn(official.port_generator(32, 256, 16, DIM, 2))}, tmp_path / "net")
    with pytest.raises(WeightsError, match="lacks 'latent_avg', the mean code"):
        import_file(tmp_path / "net", "sgi", tmp_path / "out", training)


def test_a_file_of_unknown_keys_lists_what_is_nearest(tmp_path: Path):
    values = official.drawn(official.port_generator(32, 256, 16, DIM, 2))
    lacking = {name: value for name, value in values.items() if not name.startswith("to_rgb1")}
    torch.save({"generator": lacking}, tmp_path / "net")
    with pytest.raises(WeightsError) as caught:
        import_file(tmp_path / "net")
    text = str(caught.value)
    assert "Nearest: StyleGAN2 generator, layout of the PyTorch port in 'generator'" in text
    assert "(lacks 'to_rgb1.conv.modulation.weight')" in text and "\n" not in text
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "net")
    with pytest.raises(
        WeightsError, match="Nothing is near; known are: .*AV-HuBERT.*keys such as 'conv.weight'"
    ):
        import_file(tmp_path / "net")


def test_a_signature_over_impossible_shapes_is_one_line(tmp_path: Path):
    layout = stylegan2.LAYOUTS[0]
    group = {name: InMemory(torch.zeros(1)) for name in layout.signature}
    (match,) = recognise(ForeignFile(tmp_path / "net", {"": dict(group)}))
    with pytest.raises(WeightsError, match="but it lacks 'conv1.conv.weight'"):
        match.plan()
    (match,) = recognise(
        ForeignFile(tmp_path / "net", {"": {**group, "conv1.conv.weight": InMemory(torch.zeros(()))}})
    )
    with pytest.raises(WeightsError, match="of impossible shapes"):
        match.plan()


def test_the_command_says_what_it_found_what_it_wrote_and_how_to_use_it(
    tmp_path: Path, training: Path, capsys
):
    generator_file("port", tmp_path / "net")
    arguments = ["weights", "import", str(tmp_path / "net"), "--as", "sgi", "--for", str(training)]
    assert main([*arguments, "-o", str(tmp_path / "start.safetensors")]) == 0
    shown = capsys.readouterr().out
    assert "found:   StyleGAN2 generator, layout of the PyTorch port, in 'g_ema'" in shown
    assert "of no published size: stylegan2_ffhq_32; licence: its publisher's" in shown
    assert "also in this file: generator, discriminator (--as)" in shown
    assert "skipped: style.1.weight and 5 more: the mapping network, which SGI never runs" in shown
    assert f"segtalker train sgi CONFIG --set start_from={tmp_path / 'start.safetensors'}" in shown
    assert main([*arguments, "-o", str(tmp_path / "start.safetensors"), "--each"]) == 0
    each = capsys.readouterr().out
    assert "taken   generator.conv1.conv.weight: from 'conv1.conv.weight'" in each
    assert "random  encoder.input_layer.0.weight: the file has none" in each


def test_the_command_explains_published_files_and_ours(tmp_path: Path, capsys):
    speech_file(tmp_path / "net.pt", "")
    assert main(["weights", "info", str(tmp_path / "net.pt")]) == 0
    shown = capsys.readouterr().out
    assert "AV-HuBERT, audio path, in 'model'; of no published size: avhubert" in shown
    assert "0 missing, 0 unknown" in shown and "heads=3" in shown
    out = tmp_path / "speech.safetensors"
    assert main(["weights", "import", str(tmp_path / "net.pt"), "-o", str(out)]) == 0
    assert f"use:     segtalker train tsg CONFIG --set speech={out}" in capsys.readouterr().out
    assert main(["weights", "info", str(out)]) == 0
    assert f"{out}: a SegTalker 'speech'" in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys):
    (tmp_path / "net.pt").write_bytes(b"<html>")
    assert main(["weights", "import", str(tmp_path / "net.pt")]) == WeightsError.exit_code
    error = capsys.readouterr().err
    assert (
        error.startswith(f"segtalker weights: {tmp_path / 'net.pt'}: a web page") and error.count("\n") == 1
    )


@pytest.mark.parametrize("out", ["", ".", "folder"])
def test_a_folder_is_no_name_of_a_file(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    generator_file("port", tmp_path / "net")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["weights", "import", "net", "-o", out]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert f"-o {out or '.'}: is a folder. Name the file to write" in error and error.count("\n") == 1
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_file_of_ours_has_no_groups(tmp_path: Path, training: Path):
    generator_file("port", tmp_path / "net")
    ours = import_file(tmp_path / "net", out=tmp_path / "generator.safetensors").path
    for network, config in ((None, None), ("sgi", training)):
        with pytest.raises(ConfigError, match="generator.safetensors: a file of ours .*Leave --group out"):
            import_file(ours, network, tmp_path / "out.safetensors", config, group="g")


@pytest.mark.parametrize("option", ["--as", "--for", "--onto", "--group", "--out"])
def test_a_file_that_is_used_as_published_takes_no_options_of_networks(
    option: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    (tmp_path / "small.tflite").write_bytes(DATA)
    list_rows(monkeypatch, as_published())
    command = ["weights", "import", str(tmp_path / "small.tflite")]
    assert main([*command, option, "value"]) == ConfigError.exit_code
    error = capsys.readouterr().err
    assert f"small is used as published and goes to the cache, so {option} would change nothing" in error
    assert error.count("\n") == 1 and not cache.exists()
    assert main(command) == 0 and (cache / "toys" / "small.tflite").read_bytes() == DATA
