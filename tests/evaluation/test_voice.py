"""When the speech of a pair is silent, and what its labels say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segtalker.errors import DataError
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.voice import hear
from segtalker.synthetic.video import write_wav

PROTOCOL = EvalProtocol()


def tone(path: Path, spans: list[tuple[float, float]], seconds: float = 4.0) -> Path:
    """A tone during the spans, silence between them."""
    time = np.arange(round(16000 * seconds)) / 16000
    loud = sum(((time >= first) & (time < last)).astype(float) for first, last in spans)
    write_wav(path, (0.5 * loud * np.sin(2 * np.pi * 200 * time)).astype(np.float32))
    return path


def test_silence_is_told_from_the_loudness_without_its_ends(tmp_path):
    voice = hear(tone(tmp_path / "a.wav", [(0.0, 1.0), (3.0, 4.0)]), None, 100, PROTOCOL, tmp_path)
    assert voice.silent is not None and voice.spoken is not None
    silent = np.flatnonzero(voice.silent) / 25
    assert silent.min() == pytest.approx(1.1, abs=0.05) and silent.max() == pytest.approx(2.9, abs=0.05)
    assert voice.spoken[:25].all() and voice.spoken[76:].all() and not (voice.spoken & voice.silent).any()


def test_a_silent_file_is_silent_throughout(tmp_path):
    voice = hear(tone(tmp_path / "a.wav", []), None, 100, PROTOCOL, tmp_path)
    assert voice.silent is not None and voice.silent.all() and not voice.spoken.any()


def test_without_sound_nobody_knows(tmp_path):
    voice = hear(None, None, 100, PROTOCOL, tmp_path)
    assert voice.speech is None and voice.silent is None


def test_labels_say_which_frames_are_which_phone(tmp_path):
    labels = tmp_path / "a.json"
    phones = [["sil", 0, 1], ["b", 1, 1.2], ["aa", 1.2, 2], ["sil", 2, 3]]
    labels.write_text(json.dumps({"fps": 50, "phones": phones, "opening": list(range(100))}))
    voice = hear(tone(tmp_path / "a.wav", [(1, 2)], 3), labels, 75, PROTOCOL, tmp_path)
    assert np.flatnonzero(voice.silent).tolist() == [*range(3, 23), *range(53, 73)]
    assert np.flatnonzero(voice.closed).tolist() == list(range(25, 30))
    assert np.flatnonzero(voice.vowel).tolist() == list(range(30, 50))
    assert np.flatnonzero(voice.spoken).tolist() == list(range(25, 50))
    assert voice.opening[:3].tolist() == [0, 2, 4] and np.isnan(voice.opening[50:]).all()


def test_labels_that_are_none_are_told(tmp_path):
    labels = tmp_path / "a.json"
    labels.write_text("{}")
    with pytest.raises(DataError, match=r"a\.json: not labels"):
        hear(None, labels, 75, PROTOCOL, tmp_path)
