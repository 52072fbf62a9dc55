"""Stills of synthetic people, also with one feature of their looks set: directions are fitted to such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segtalker.storage import write_bytes
from segtalker.synthetic.appearance import random_appearance
from segtalker.synthetic.clip import EXACT, perform
from segtalker.synthetic.identity import random_identity
from segtalker.synthetic.motion import random_style
from segtalker.synthetic.render import Renderer
from segtalker.types import Image, Phone

FIRST_PERSON = 20_000
"""Number of the first one: nobody of the corpora."""
_TIMES = np.arange(10) / 25
_PHONES = [Phone("sil", 0.0, 0.1), Phone("aa", 0.1, 0.4)]


def portrait(person: int, side: int = 256, looks: Mapping[str, Any] | None = None) -> Image:
    """A picture [side, side, 3] of the person number `person`, facing the camera with the mouth open.

    looks: fields of `Appearance` in place of the person's own; colours as (r, g, b), 0..1.
    """
    identity = random_identity(person)
    style = replace(random_style(np.random.default_rng((person, 3))), yaw=0.04, head_motion=0.5)
    performance = perform(identity, _PHONES, _TIMES, person, style, EXACT)
    scale = 0.62 * side
    view = np.array([[scale, 0.0, (side - scale) / 2], [0.0, scale, 0.45 * (side - scale)]])
    given: dict[str, Any] = {
        name: np.array(value, np.float32) if isinstance(value, tuple) else value
        for name, value in (looks or {}).items()
    }
    look = replace(random_appearance(person), **given)
    renderer = Renderer(performance, resolution=round(scale), look=look)
    return renderer.picture(int(performance.opening.argmax()), view, side, side)


def write_portraits(
    folder: Path | str, count: int, looks: Mapping[str, Any] | None = None, first: int = FIRST_PERSON
) -> Path:
    """Pictures of people number `first` and those after as `PERSON.png` in a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(first, first + count):
        picture = cv2.cvtColor(portrait(person, looks=looks), cv2.COLOR_RGB2BGR)
        write_bytes(folder / f"{person}.png", cv2.imencode(".png", picture)[1].tobytes())
    return folder
