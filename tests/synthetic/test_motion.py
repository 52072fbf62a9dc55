import numpy as np
import pytest

from segtalker.synthetic.motion import Style, critically_damped, make_motion, random_style
from segtalker.types import Phone

TIMES = np.arange(50) / 25
STILL = Style(timing_jitter_s=0.0, jaw_noise=0.0)


def phones(*labels_and_seconds):
    result, start = [], 0.0
    for label, seconds in labels_and_seconds:
        result.append(Phone(label, start, start + seconds))
        start += seconds
    return tuple(result)


@pytest.mark.parametrize("closure", ["p", "b", "m"])
def test_lips_close_on_bilabials_between_open_vowels(closure):
    motion = make_motion(
        phones(("aa", 0.3), (closure, 0.08), ("aa", 0.3)), np.array([0.2, 0.345, 0.55]), 0, STILL
    )
    before, during, after = motion.opening
    assert before > 0.7 and after > 0.7
    assert during < 0.1
    assert motion.press[1] > 0.8


def test_a_face_without_speech_keeps_its_mouth_closed():
    assert not make_motion((), TIMES, 0, STILL).opening.any()


def test_open_vowels_open_wider_than_close_ones_and_silence_is_closed():
    motion = make_motion(phones(("aa", 0.4), ("iy", 0.4), ("sil", 0.6)), np.array([0.3, 0.7, 1.3]), 0, STILL)
    assert motion.opening[0] > 2 * motion.opening[1] > 0.2
    assert motion.opening[2] == 0.0


def test_rounded_vowels_protrude_and_spread_ones_widen():
    motion = make_motion(phones(("uw", 0.4), ("iy", 0.4)), np.array([0.25, 0.7]), 0, STILL)
    assert motion.protrusion[0] > 0.7 > 0.3 > motion.protrusion[1]
    assert motion.width[0] < -0.5 < 0.5 < motion.width[1]


def test_a_consonant_borrows_its_opening_from_its_vowels():
    def opening_of_k(vowel):
        spoken = phones((vowel, 0.3), ("k", 0.12), (vowel, 0.3))
        return make_motion(spoken, np.array([0.36]), 0, STILL).opening[0]

    assert opening_of_k("aa") > opening_of_k("uw") + 0.2


def test_the_filter_is_the_critically_damped_oscillator():
    omega, step = 49.0, 0.005
    target = np.where(np.arange(200) > 20, 1.0, 0.0)
    y, speed, expected = 0.0, 0.0, []
    for value in target:
        for _ in range(200):  # explicit Euler, 25 microseconds
            acceleration = omega**2 * (value - y) - 2 * omega * speed
            y, speed = y + speed * step / 200, speed + acceleration * step / 200
        expected.append(y)
    assert np.abs(critically_damped(target, omega) - expected).max() < 0.05
    assert critically_damped(np.full(50, 0.7), omega) == pytest.approx(0.7)


def test_the_seed_decides_everything():
    spoken, style = phones(("m", 0.3), ("ae", 0.5), ("n", 0.5)), random_style(np.random.default_rng(1))
    first, second = (make_motion(spoken, TIMES, 5, style) for _ in range(2))
    other = make_motion(spoken, TIMES, 6, style)
    assert np.array_equal(first.yaw, second.yaw) and np.array_equal(first.opening, second.opening)
    assert not np.array_equal(first.yaw, other.yaw)


def test_head_and_lids_move_smoothly_and_within_range():
    motion = make_motion(phones(("ah", 8.0)), np.arange(200) / 25, 3, Style(blink_interval_s=2.0))
    assert np.abs(np.diff(motion.yaw)).max() < 0.05 and np.abs(motion.yaw).max() < 0.6
    assert motion.blink.min() < 1e-6 and 0.5 < motion.blink.max() <= 1.0
