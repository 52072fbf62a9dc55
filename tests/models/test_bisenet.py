from __future__ import annotations

import numpy as np
import torch
from torch import nn

from segtalker.models.frozen.bisenet import BiSeNet, BiSeNetConfig
from segtalker.parsing.bisenet import BiSeNetParser
from segtalker.regions import merge_raw
from tests.weights.convert import official_faces


def test_the_layout_is_that_of_the_published_file():
    with torch.device("meta"):
        network = BiSeNet(BiSeNetConfig())
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found == official_faces.bisenet()
    assert len(found) == 191
    assert sum(p.numel() for p in network.parameters()) == 13_300_416


def test_all_three_heads_answer_at_the_size_of_the_input():
    with torch.no_grad():
        outputs = BiSeNet(BiSeNetConfig()).eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(output.shape) for output in outputs] == [(1, 19, 64, 96)] * 3


class Halves(nn.Module):
    """Answers as BiSeNet does: hair above, cloth below; keeps what it was shown."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.shown = images
        logits = torch.zeros(1, 19, *images.shape[2:])
        logits[:, 17, :256], logits[:, 16, 256:] = 1, 1
        return logits, -logits, -logits


def test_the_parser_shows_the_network_what_it_was_trained_on_and_takes_the_first_head():
    network = Halves()
    crop = np.full((64, 64, 3), (255, 0, 51), np.uint8)
    parsed = BiSeNetParser(network).parse(crop, np.zeros((468, 2), np.float32))
    assert network.shown.shape == (1, 3, 512, 512)
    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225])
    torch.testing.assert_close(network.shown.amin(dim=(0, 2, 3)), expected)
    torch.testing.assert_close(network.shown.amax(dim=(0, 2, 3)), expected)
    assert (parsed.raw[:32] == 17).all() and (parsed.raw[32:] == 16).all()
    np.testing.assert_array_equal(parsed.region_map, merge_raw(parsed.raw))
    assert parsed.matte.min() == 1


def test_without_a_matte_the_person_is_what_is_not_background():
    network = nn.Module()
    network.forward = lambda images: (torch.eye(19)[None, :, :1, None].expand(1, 19, 512, 512),) * 3
    parsed = BiSeNetParser(network).parse(np.zeros((16, 16, 3), np.uint8), np.zeros((468, 2), np.float32))
    assert not parsed.raw.any() and not parsed.matte.any()
    matte = np.full((16, 16), 0.5, np.float32)
    parsed = BiSeNetParser(network).parse(
        np.zeros((16, 16, 3), np.uint8), np.zeros((468, 2), np.float32), matte
    )
    assert (parsed.matte == 0.5).all()
