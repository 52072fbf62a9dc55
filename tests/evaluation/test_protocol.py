"""A protocol is read back as it was saved, and refuses what cannot be measured."""

from __future__ import annotations

import pytest
import yaml

from segtalker.config import parse_config, to_yaml
from segtalker.errors import ConfigError
from segtalker.evaluation.protocol import EvalProtocol


def test_a_saved_protocol_is_the_same_protocol():
    protocol = EvalProtocol(size=128, metrics=("image", "expert"), crop="own")
    again = parse_config(EvalProtocol, yaml.safe_load(to_yaml(protocol)))
    assert again == protocol and again.key == protocol.key != EvalProtocol().key


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"metrics": ["psnr"]}, "unknown 'psnr'; there are sync"),
        ({"rate": 30}, "25 frames a second only"),
        ({"size": 32}, "at least 64"),
        ({"margin": 3.0}, "margin lies in"),
        ({"max_frames": -1}, "not negative"),
        ({"crop": "none"}, "crop"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(values: dict[str, object], reason: str):
    with pytest.raises(ConfigError, match=reason):
        parse_config(EvalProtocol, values)
