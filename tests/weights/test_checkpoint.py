from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from segtalker.errors import WeightsError
from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.sgi import SGI, SGIConfig
from segtalker.models.speech_encoder import SpeechEncoder, SpeechEncoderConfig
from segtalker.models.style_encoder import StyleEncoderConfig
from segtalker.models.stylegan2 import SynthesisConfig
from segtalker.models.syncnet import SyncNet, SyncNetConfig
from segtalker.weights import checkpoint
from segtalker.weights.checkpoint import (
    all_finite,
    fill_weights,
    load_weights,
    network_shapes,
    save_weights,
    weights_info,
    write_weights,
)

CONFIG = SyncNetConfig(
    size=32, channels=(4, 4, 8, 8), residuals=(0, 0, 0, 0), stem_kernel=3, mel_channels=(4, 4, 4, 8, 8),
    mel_residuals=(0, 0, 0, 0), embedding=8, calibrated=True, norm="group",
)  # fmt: skip

CONTEXT = AVHubertConfig(dim=16, ffn_dim=32, layers=1, heads=2, pos_kernel=8)


@pytest.fixture
def saved(tmp_path):
    net = SyncNet(CONFIG)
    return net, save_weights(net, CONFIG, tmp_path / "syncnet.safetensors", {"steps": 7})


def rewrite(path, tensors=lambda t: t, header=lambda h: h):
    with safe_open(str(path), framework="pt") as file:
        values, metadata = {k: file.get_tensor(k) for k in file.keys()}, dict(file.metadata())  # noqa: SIM118
    save_file(tensors(values), str(path), metadata=header(metadata))


def test_a_network_comes_back_with_its_configuration_in_fp32(saved):
    net, path = saved
    back = load_weights(path, "syncnet")
    assert isinstance(back, SyncNet) and back.cfg == CONFIG and not back.training
    for name, value in net.state_dict().items():
        assert back.state_dict()[name].dtype == torch.float32
        assert torch.allclose(back.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert weights_info(path)["info"] == {"steps": 7}


def test_the_file_is_half_precision_and_leaves_no_temporary_behind(saved):
    _, path = saved
    assert path.stat().st_size < 2.6 * sum(p.numel() for p in SyncNet(CONFIG).parameters()) + 20_000
    assert list(path.parent.iterdir()) == [path]


def test_values_beyond_half_precision_are_kept(tmp_path):
    net = SyncNet(CONFIG)
    net.bias.data.fill_(1e6)
    path = save_weights(net, CONFIG, tmp_path / "a.safetensors")
    assert load_weights(path).bias.item() == 1e6


def test_diverged_weights_are_not_saved(tmp_path):
    net = SyncNet(CONFIG)
    net.bias.data.fill_(float("nan"))
    with pytest.raises(WeightsError, match="'bias' is not finite"):
        save_weights(net, CONFIG, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_numbers_whose_sum_overflows_are_finite_all_the_same():
    assert all_finite(torch.full((4,), 3e38)) and all_finite(torch.arange(3)) and all_finite(torch.empty(0))
    assert not all_finite(torch.tensor([float("inf"), float("-inf")]))
    assert not all_finite(torch.tensor([0.0, float("nan")]))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    _, path = saved
    before = path.read_bytes()

    def fail(tensors, filename, metadata):
        Path(filename).write_bytes(b"half")
        raise SafetensorError("I/O error: no space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(WeightsError, match="cannot be written.*no space left"):
        save_weights(SyncNet(CONFIG), CONFIG, path)
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == before


def test_weights_that_are_not_finite_are_refused_by_name(saved):
    _, path = saved
    rewrite(path, tensors=lambda values: {**values, "bias": values["bias"] * float("nan")})
    with pytest.raises(WeightsError, match="'bias' holds NaN"):
        load_weights(path)


def test_missing_unknown_and_misshapen_tensors_are_refused(saved):
    _, path = saved
    rewrite(path, lambda t: {k: v for k, v in t.items() if k != "bias"})
    with pytest.raises(WeightsError, match="lacks 'bias'"):
        load_weights(path)
    rewrite(path, lambda t: {**t, "bias": torch.zeros(()), "more": torch.zeros(1)})
    with pytest.raises(WeightsError, match="'more' too many"):
        load_weights(path)
    rewrite(path, lambda t: {k: v for k, v in t.items() if k != "more"} | {"bias": torch.zeros(3)})
    with pytest.raises(WeightsError, match="'bias' is \\[3\\]"):
        load_weights(path)


def test_other_networks_damaged_and_foreign_files_are_named(saved, tmp_path):
    _, path = saved
    with pytest.raises(WeightsError, match="holds a 'syncnet', not a 'tsg'"):
        load_weights(path, "tsg")
    with pytest.raises(WeightsError, match="no such weights"):
        load_weights(tmp_path / "absent.safetensors")
    save_file({"a": torch.zeros(1)}, str(tmp_path / "foreign.safetensors"))
    with pytest.raises(WeightsError, match="no SegTalker weights"):
        load_weights(tmp_path / "foreign.safetensors")
    rewrite(path, header=lambda h: {**h, "config": json.dumps({"sise": 32})})
    with pytest.raises(WeightsError, match="another version.*did you mean 'size'"):
        load_weights(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(path)


def test_a_network_takes_over_weights_of_its_own_kind_and_size(saved):
    net, path = saved
    other = SyncNet(CONFIG)
    fill_weights(other, path)
    for name, value in other.state_dict().items():
        assert torch.allclose(net.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def refuses(net, path, words):
    """`net` does not take `path`, says so in one line with the file and a remedy, and stays as it is."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(WeightsError, match=words) as caught:
        fill_weights(net, path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_network_refuses_weights_of_another_kind_or_size(saved):
    _, path = saved
    encoder = SpeechEncoder(SpeechEncoderConfig(CONTEXT))
    refuses(encoder, path, "holds a 'syncnet', not a 'speech'. Give the weights of a 'speech'")
    wider = SyncNet(replace(CONFIG, embedding=12))
    refuses(wider, path, "its model.embedding is 8, this training has 12. Take over its configuration")
    # Another norm leaves every tensor's shape as it is: only the configuration tells.
    refuses(SyncNet(replace(CONFIG, norm="instance")), path, "another size: its model.norm is group")
    rewrite(path, lambda t: {**t, "bias": torch.zeros(3)})
    refuses(SyncNet(CONFIG), path, "'bias' is .3.*another size")


def test_a_header_that_lost_its_network_or_configuration_is_damaged(saved):
    _, path = saved
    rewrite(path, header=lambda h: {**h, "config": "{"})
    with pytest.raises(WeightsError, match="damaged weights"):
        load_weights(path)
    for name in ("config", "network"):
        rewrite(path, header=lambda h, name=name: {k: v for k, v in h.items() if k != name})
        with pytest.raises(WeightsError, match="damaged weights"):
            load_weights(path)


def test_another_dropout_and_keys_that_are_newer_than_the_file_are_no_other_size(tmp_path):
    cfg = SpeechEncoderConfig(CONTEXT)
    path = save_weights(SpeechEncoder(cfg), cfg, tmp_path / "speech.safetensors")

    def older(header):
        config = json.loads(header["config"])
        del config["context"]["pos_groups"]
        return {**header, "config": json.dumps(config)}

    rewrite(path, header=older)
    fill_weights(SpeechEncoder(SpeechEncoderConfig(replace(CONTEXT, dropout=0.3))), path)


SGI_CONFIG = SGIConfig(
    encoder=StyleEncoderConfig(input_size=32, stem=8, widths=(8, 8, 8, 16), units=(1, 1, 1, 1)),
    generator=SynthesisConfig(size=16, style_dim=8, channel_base=128, channel_max=8, num_mapping_layers=2),
    mlp_hidden=8,
)


def test_a_network_that_was_built_without_random_numbers_is_whole(tmp_path):
    """Filters and other constants are in no file: building has to make them."""
    net = SGI(SGI_CONFIG).eval()
    state = torch.get_rng_state()
    back = load_weights(save_weights(net, SGI_CONFIG, tmp_path / "sgi.safetensors", half=False), "sgi")
    assert torch.equal(torch.get_rng_state(), state)
    expected = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    found = {**dict(back.named_parameters()), **dict(back.named_buffers())}
    assert set(found) == set(expected) > set(net.state_dict())
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert all(parameter.requires_grad for parameter in back.parameters())


def test_shapes_are_those_of_the_network():
    expected = {name: tuple(value.shape) for name, value in SGI(SGI_CONFIG).state_dict().items()}
    assert network_shapes("sgi", SGI_CONFIG) == expected


def test_shapes_are_found_without_what_torch_imports_to_compute_without_memory():
    """Hundreds of modules, several seconds; sympy is one of them."""
    probe = (
        "import importlib, sys\n"
        "from segtalker.weights.checkpoint import NETWORKS, network_shapes\n"
        "for network, (module, _, config) in NETWORKS.items():\n"
        "    network_shapes(network, getattr(importlib.import_module(module), config)())\n"
        "print('sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_network_that_lies_in_its_file_changes_without_the_file(saved, tmp_path):
    net, _ = saved
    path = save_weights(net, CONFIG, tmp_path / "full.safetensors", half=False)
    before, back = path.read_bytes(), load_weights(path)
    with torch.no_grad():
        for parameter in back.parameters():
            parameter.add_(1)
    assert path.read_bytes() == before
    assert torch.equal(load_weights(path).state_dict()["bias"], net.bias)


def test_tensors_that_share_memory_are_written_each_for_itself(tmp_path):
    values = torch.tensor([1.0, 2.0])
    tensors = {**SyncNet(CONFIG).state_dict(), "bias": values[0], "log_scale": values[1]}
    back = load_weights(write_weights("syncnet", CONFIG, tensors, tmp_path / "a.safetensors"))
    assert (back.bias, back.log_scale) == (1, 2)
