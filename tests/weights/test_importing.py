"""From a published file to one of ours, by function and by command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segtalker.config import load_yaml, parse_config
from segtalker.errors import ConfigError, SegTalkerError, WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.weights.checkpoint import fill_weights, load_weights, weights_info
from segtalker.weights.convert import stylegan2
from segtalker.weights.convert.layouts import recognise
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.importing import import_file
from segtalker.weights.pickles.tensors import InMemory
from tests.weights.convert import official
from tests.weights.test_parity import DIM, generator_file, speech_file


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


@pytest.mark.parametrize(("network", "title"), [("discriminator", "discriminator"), ("sgi", "SGI")])
def test_a_start_into_which_no_weight_fits_is_none(network: str, title: str, tmp_path: Path, training: Path):
    """Biases of colours, fixed noise and the mean code fit a network of any width."""
    generator_file("nvidia", tmp_path / "net.pkl")
    training.write_text(training.read_text().replace("channel_max: 16", "channel_max: 6"))
    with pytest.raises(WeightsError, match=f"net.pkl: nothing in it fits the {title} of this training: "):
        import_file(tmp_path / "net.pkl", network, tmp_path / "out.safetensors", training)
    assert not (tmp_path / "out.safetensors").exists()


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


def test_a_file_of_ours_has_no_groups(tmp_path: Path, training: Path):
    generator_file("port", tmp_path / "net")
    ours = import_file(tmp_path / "net", out=tmp_path / "generator.safetensors").path
    for network, config in ((None, None), ("sgi", training)):
        with pytest.raises(ConfigError, match="generator.safetensors: a file of ours .*Leave --group out"):
            import_file(ours, network, tmp_path / "out.safetensors", config, group="g")
