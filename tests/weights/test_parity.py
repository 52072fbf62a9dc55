"""A published file, imported and loaded, gives the numbers of its equations: within 1e-4 in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segtalker.models.discriminator import Discriminator
from segtalker.models.speech_encoder import SpeechEncoder
from segtalker.models.stylegan2 import Generator
from segtalker.weights.checkpoint import load_weights, read_weights
from segtalker.weights.importing import import_file
from tests.models.avhubert_reference import reference as avhubert_reference
from tests.weights import published, stylegan2_reference
from tests.weights.convert import official
from tests.weights.inversion_reference import below

SIZE, DIM, MAPPING = 32, 12, 3
WIDTHS = {"size": SIZE, "base": 256, "most": 16}


def generator_file(layout: str, path: Path) -> dict[str, torch.Tensor]:
    """Write a checkpoint as it is published; returns the tensors of its average."""
    checkpoint = published.stylegan2(layout, DIM, MAPPING, **WIDTHS)
    if layout == "port":
        torch.save(checkpoint, path)
    else:
        published.write_nvidia(path, checkpoint)
    return checkpoint["g_ema" if layout == "port" else "G_ema"]


@torch.no_grad()
@pytest.mark.parametrize("layout", ["port", "nvidia"])
def test_the_generator_paints_what_its_equations_say(layout: str, tmp_path: Path):
    average = generator_file(layout, tmp_path / "net")
    done = import_file(tmp_path / "net", out=tmp_path / "generator.safetensors")
    net = load_weights(done.path, "generator")
    assert isinstance(net, Generator) and net.cfg.num_layers == 8
    w = stylegan2_reference.doubles(average)
    codes = torch.randn(8, DIM, generator=torch.Generator().manual_seed(0))
    expected = stylegan2_reference.generate(w, codes.double().numpy(), SIZE, layout)
    error = (net(codes[None, None])[0] - torch.from_numpy(expected)).abs().max()
    assert error < 1e-4 and np.abs(expected).max() > 0.5

    z = torch.randn(DIM, generator=torch.Generator().manual_seed(1))
    expected = stylegan2_reference.mapped(w, z.double().numpy(), MAPPING, layout)
    assert (net.style(z[None])[0] - torch.from_numpy(expected)).abs().max() < 1e-4 * np.abs(expected).max()
    mean = torch.ones(DIM) if layout == "port" else average["mapping.w_avg"]
    assert torch.equal(read_weights(done.path, "generator")[1]["latent_avg"], mean)


@torch.no_grad()
@pytest.mark.parametrize("layout", ["port", "nvidia"])
def test_the_discriminator_judges_as_its_equations_say(layout: str, tmp_path: Path):
    generator_file(layout, tmp_path / "net")
    done = import_file(tmp_path / "net", "discriminator", tmp_path / "d.safetensors")
    net = load_weights(done.path, "discriminator")
    assert isinstance(net, Discriminator)
    pictures = torch.randn(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    if layout == "port":
        values = official.drawn(official.port_discriminator(**WIDTHS), 3)
    else:  # the same network under the other names, in the order of its blocks
        values = official.drawn(official.nvidia_discriminator(**WIDTHS), 3)
        values = stylegan2_reference.by_port_names(values, SIZE)
    w = stylegan2_reference.doubles(values)
    expected = torch.from_numpy(stylegan2_reference.judge(w, pictures.double().numpy(), SIZE))
    assert (net(pictures)[:, 0] - expected).abs().max() < 1e-4 and expected.std() > 1e-3


def speech_file(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    """Write an AV-HuBERT checkpoint of a small size; returns its tensors by their own names."""
    sizes = {"dim": 24, "ffn": 40, "layers": 2, "tokens": 10, "kernel": 6, "groups": 4}
    checkpoint = published.avhubert(heads=3, prefix=prefix, scale=0.3, **sizes)
    torch.save(checkpoint, path)
    return below(prefix, checkpoint["model"])


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "encoder.w2v_model."])
def test_the_audio_path_hears_what_its_equations_say(prefix: str, tmp_path: Path):
    values = speech_file(tmp_path / "base_vox_iter5.pt", prefix)
    done = import_file(tmp_path / "base_vox_iter5.pt", out=tmp_path / "speech.safetensors")
    net = load_weights(done.path, "speech")
    assert isinstance(net, SpeechEncoder)
    tokens = torch.randn(9, 10, generator=torch.Generator().manual_seed(0))
    expected = avhubert_reference(values, tokens, 3)
    assert (net.context(tokens[None])[0] - expected).abs().max() < 1e-4 and expected.std() > 0.1
