"""How a face moves while it speaks: phones in, smooth parameters at any frame times out.

Each phone has a target shape. Targets are co-articulated by critically damped second-order filters y'' =
w^2 (x - y) - 2 w y', with a look-ahead that makes the mouth prepare the next phone; consonants that leave
the jaw free borrow most of their opening from the neighbouring vowels. Lip closures (p, b, m) have a faster
filter of their own and multiply the opening, so that the lips really meet. The opening follows which phone
sounds, never how loud it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter, lfiltic

from segtalker.synthetic.phones import SILENCE, VOWELS
from segtalker.synthetic.visemes import SHAPES, Shape
from segtalker.types import Phone

_STEP_S = 0.005
_LOOK_AHEAD_S = 0.035
_REST = Shape(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Style:
    """How one person speaks and moves; drawn once a clip by `random_style`."""

    strength: float = 1.0
    """Factor on opening and width; mumbling below 1."""
    width_strength: float = 1.0
    speed: float = 1.0
    """Factor on the filters' angular frequencies."""
    timing_jitter_s: float = 0.008
    """Standard deviation of each phone border."""
    jaw_noise: float = 0.04
    """Slow random part of the opening while speaking."""
    smile: float = 0.0
    head_motion: float = 1.0
    yaw: float = 0.0
    """Mean head angles, radians."""
    pitch: float = 0.0
    roll: float = 0.0
    blink_interval_s: float = 3.5
    brow_motion: float = 1.0


@dataclass(frozen=True)
class Motion:
    """Parameters [T] at the frame times."""

    opening: NDArray[np.float32]
    """0 lips closed .. about 1.2 wide open."""
    width: NDArray[np.float32]
    """-1 narrow .. 1 spread."""
    protrusion: NDArray[np.float32]
    """0..1 rounded and pushed forward."""
    press: NDArray[np.float32]
    """0..1 lips pressed together (p, b, m)."""
    bite: NDArray[np.float32]
    """0..1 lower lip at the upper teeth (f, v)."""
    tongue: NDArray[np.float32]
    """0..1 tongue tip visible (th, l, n, d, t)."""
    smile: NDArray[np.float32]
    blink: NDArray[np.float32]
    """0 open .. 1 closed eyelids."""
    gaze_x: NDArray[np.float32]
    gaze_y: NDArray[np.float32]
    brow: NDArray[np.float32]
    """-1 frown .. 1 raised."""
    yaw: NDArray[np.float32]
    """Radians, positive turns the face to the right of the picture."""
    pitch: NDArray[np.float32]
    roll: NDArray[np.float32]
    shift_x: NDArray[np.float32]
    """Head translation in face widths."""
    shift_y: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.opening)

    def frame(self, index: int) -> dict[str, float]:
        """The parameters of one frame."""
        return {field.name: float(getattr(self, field.name)[index]) for field in fields(self)}


def random_style(rng: np.random.Generator) -> Style:
    """A speaking style; most people near the middle, some mumbling, some very clear."""
    return Style(
        strength=float(np.clip(rng.normal(0.97, 0.14), 0.65, 1.3)),
        width_strength=float(np.clip(rng.normal(1.0, 0.25), 0.4, 1.6)),
        speed=float(np.clip(rng.normal(1.0, 0.08), 0.85, 1.2)),
        jaw_noise=float(rng.uniform(0.0, 0.05)),
        smile=float(np.clip(rng.normal(0.1, 0.3), -0.4, 0.9)),
        head_motion=float(rng.uniform(0.3, 1.4)),
        yaw=float(np.clip(rng.normal(0.0, 0.16), -0.45, 0.45)),
        pitch=float(np.clip(rng.normal(0.0, 0.07), -0.2, 0.2)),
        roll=float(rng.normal(0.0, 0.05)),
        blink_interval_s=float(rng.uniform(2.0, 6.0)),
        brow_motion=float(rng.uniform(0.3, 1.5)),
    )


def make_motion(phones: Sequence[Phone], times_s: NDArray[np.float64], seed: int, style: Style) -> Motion:
    """Parameters at `times_s` [T] of a person of `style` who speaks `phones`."""
    rng = np.random.default_rng(seed)
    end = max(float(times_s[-1]) if len(times_s) else 0.0, phones[-1].end_s if phones else 0.0) + 0.2
    grid = np.arange(0.0, end, _STEP_S)
    mouth = _mouth(_jittered(phones, style.timing_jitter_s, rng), grid, style, rng)
    curves = {**mouth, **_eyes(grid, style, rng), **_head(grid, mouth["opening"], style, rng)}
    return Motion(
        **{name: np.interp(times_s, grid, curve).astype(np.float32) for name, curve in curves.items()}
    )


def _mouth(
    phones: Sequence[Phone], grid: NDArray[np.float64], style: Style, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    targets = np.tile(np.array(_REST.values()), (len(grid), 1))
    shapes = _borrow_from_vowels([_with_pause(phone) for phone in phones], phones)
    for phone, (first, last) in zip(phones, shapes, strict=True):
        start, stop = np.searchsorted(grid, (phone.start_s, phone.end_s))
        middle = start + int(0.5 * (stop - start))
        targets[start:middle], targets[middle:stop] = first.values(), last.values()
    ahead = round(_LOOK_AHEAD_S / _STEP_S)
    targets = np.concatenate([targets[ahead:], np.repeat(targets[-1:], ahead, axis=0)])
    opening = critically_damped(targets[:, 0], 49.0 * style.speed)
    width, protrusion = (critically_damped(targets[:, k], 40.0 * style.speed) for k in (1, 2))
    close = targets[:, 3] > 0.5
    margin = round(0.012 / _STEP_S)
    close = np.convolve(close, np.ones(2 * margin + 1), "same") > 0
    press = np.clip(1.25 * critically_damped(close.astype(float), 78.0 * style.speed) - 0.08, 0.0, 1.0)
    bite = np.clip(
        1.15 * critically_damped(np.where(targets[:, 3] < -0.5, 1.0, 0.0), 65.0 * style.speed), 0, 1
    )
    tongue = critically_damped(targets[:, 4], 60.0)
    slow = _smooth_noise(len(grid), 0.25, rng) * style.jaw_noise
    opening = np.maximum(0.0, opening * style.strength + slow * np.minimum(1.0, 4.0 * opening))
    opening = np.where(opening < 0.02, 0.0, opening) * (1.0 - press) * (1.0 - 0.75 * bite)
    return {
        "opening": opening,
        "width": width * style.width_strength,
        "protrusion": protrusion,
        "press": press,
        "bite": bite,
        "tongue": tongue,
        "smile": style.smile + 0.12 * _smooth_noise(len(grid), 0.8, rng),
    }


def _jittered(phones: Sequence[Phone], spread_s: float, rng: np.random.Generator) -> list[Phone]:
    """Move every border by N(0, spread) seconds, at most a third of the shorter phone beside it."""
    if not phones:
        return []
    borders = np.array([phone.start_s for phone in phones] + [phones[-1].end_s], np.float64)
    room = np.diff(borders) / 3
    limit = np.minimum(room[1:], room[:-1])
    borders[1:-1] += np.clip(rng.normal(0.0, spread_s, len(limit)), -limit, limit)
    return [Phone(p.label, a, b) for p, a, b in zip(phones, borders, borders[1:], strict=False)]


def _with_pause(phone: Phone) -> tuple[Shape, Shape]:
    first, last = SHAPES[phone.label]
    if phone.label == SILENCE and phone.end_s - phone.start_s < 0.18:  # a breath does not close the mouth
        return Shape(0.1, 0.0, 0.0, 0.0, 0.0, 0.6), Shape(0.1, 0.0, 0.0, 0.0, 0.0, 0.6)
    return first, last


def _borrow_from_vowels(
    shapes: list[tuple[Shape, Shape]], phones: Sequence[Phone]
) -> list[tuple[Shape, Shape]]:
    """Mix each weak shape with the nearest vowels before and after it (within two phones)."""
    result = []
    for i, (first, last) in enumerate(shapes):
        before = next(
            (shapes[j][1] for j in range(i - 1, max(-1, i - 3), -1) if phones[j].label in VOWELS), None
        )
        after = next(
            (shapes[j][0] for j in range(i + 1, min(len(shapes), i + 3)) if phones[j].label in VOWELS), None
        )
        near = [shape for shape in (before, after) if shape is not None]
        if phones[i].label in VOWELS or not near:
            result.append((first, last))
        else:
            result.append((first.mixed(near), last.mixed(near)))
    return result


def critically_damped(target: NDArray[np.float64], omega: float) -> NDArray[np.float64]:
    """Follow `target` [T], sampled every 5 ms, by two equal real poles; at rest at its first value."""
    pole = np.exp(-omega * _STEP_S)
    b, a = [(1 - pole) ** 2], [1.0, -2 * pole, pole**2]
    state = lfiltic(b, a, y=[target[0], target[0]], x=[target[0]])
    return lfilter(b, a, target, zi=state)[0]


def _eyes(
    grid: NDArray[np.float64], style: Style, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    blink = np.zeros(len(grid))
    time = rng.uniform(0.2, style.blink_interval_s)
    while time < grid[-1]:
        rise, fall = rng.uniform(0.05, 0.08), rng.uniform(0.1, 0.18)
        phase = np.where(grid < time, (grid - time) / rise, (grid - time) / fall)
        blink = np.maximum(blink, np.cos(np.clip(phase, -1, 1) * np.pi / 2) ** 2)
        time += max(0.6, rng.exponential(style.blink_interval_s))
    jumps = np.cumsum(rng.random(len(grid)) < _STEP_S / 1.1)  # a new fixation about every 1.1 s
    points = rng.normal(0.0, 0.3, (jumps[-1] + 1, 2))
    gaze = gaussian_filter1d(points[jumps], 3.0, axis=0)
    brow = style.brow_motion * 0.35 * _smooth_noise(len(grid), 0.35, rng)
    return {"blink": blink, "gaze_x": gaze[:, 0], "gaze_y": 0.6 * gaze[:, 1], "brow": np.clip(brow, -1, 1.2)}


def _head(
    grid: NDArray[np.float64], opening: NDArray[np.float64], style: Style, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    def wander(amplitude: float) -> NDArray[np.float64]:
        slow, quick = _smooth_noise(len(grid), 0.9, rng), _smooth_noise(len(grid), 0.22, rng)
        return style.head_motion * amplitude * (slow + 0.25 * quick)

    nod = 0.015 * style.head_motion * gaussian_filter1d(opening, 30.0) * rng.choice((-1.0, 1.0))
    return {
        "yaw": style.yaw + wander(0.07),
        "pitch": style.pitch + wander(0.04) + nod,
        "roll": style.roll + wander(0.03),
        "shift_x": wander(0.03),
        "shift_y": wander(0.02),
    }


def _smooth_noise(length: int, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise [length] of unit variance that changes over about `seconds`."""
    sigma = seconds / _STEP_S
    margin = int(3 * sigma)
    noise = gaussian_filter1d(rng.standard_normal(length + 2 * margin), sigma)[margin : margin + length]
    return noise * np.sqrt(2.0 * np.sqrt(np.pi) * sigma)
