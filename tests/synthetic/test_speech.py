from itertools import pairwise

import numpy as np
import pytest

from segtalker.synthetic import engines
from segtalker.synthetic.acoustics import normalise_level, scramble_loudness
from segtalker.synthetic.engines import Delivery, Spoken, SynthesiserMissing, synthesize
from segtalker.synthetic.phones import PHONES, SILENCE, VOWELS
from segtalker.synthetic.speech import (
    SAMPLE_RATE,
    SpeechConfig,
    make_utterance,
    resample,
    shorten_tract,
    trim,
)
from segtalker.synthetic.text import passage, sentence
from segtalker.synthetic.voices import HELD_OUT_VOICES, TRAIN_VOICES, UNSEEN_VOICES, Voice
from segtalker.types import Phone

HIBARI = UNSEEN_VOICES[0][0]


@pytest.fixture(scope="module")
def utterance():
    return make_utterance(HIBARI, 3, SpeechConfig(min_s=2.0, max_s=3.0))


def test_sentences_follow_the_seed_and_have_no_empty_slot():
    rng = np.random.default_rng
    assert passage(rng(1), 20) == passage(rng(1), 20) != passage(rng(2), 20)
    assert all("{" not in sentence(rng(seed)) for seed in range(300))


def test_held_out_voices_are_never_trained_on():
    train, held_out, unseen = (
        {voice.key for group in groups for voice in group}
        for groups in (TRAIN_VOICES, HELD_OUT_VOICES, UNSEEN_VOICES)
    )
    assert not train & held_out and not (train | held_out) & unseen
    assert {voice.engine for group in TRAIN_VOICES for voice in group}.isdisjoint({"hibari"})


def test_phones_cover_the_utterance_without_gaps(utterance):
    phones = utterance.phones
    assert phones[0].start_s == 0.0 and phones[-1].end_s == pytest.approx(utterance.duration_s)
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(phones))
    assert {phone.label for phone in phones} <= PHONES
    assert 2.0 <= utterance.duration_s <= 3.7


def test_aligned_vowels_are_louder_than_silences(utterance):
    def level(labels):
        parts = [
            utterance.samples[int(p.start_s * SAMPLE_RATE) : int(p.end_s * SAMPLE_RATE)]
            for p in utterance.phones
            if p.label in labels
        ]
        return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))

    assert level(VOWELS) > 5 * level({SILENCE})


def test_the_same_seed_says_the_same(utterance):
    again = make_utterance(HIBARI, 3, SpeechConfig(min_s=2.0, max_s=3.0))
    assert np.array_equal(again.samples, utterance.samples) and again.phones == utterance.phones


def test_trimming_pads_with_silence_and_cuts_phones(utterance):
    longer, shorter = trim(utterance, 5.0), trim(utterance, 1.0)
    assert longer.duration_s == 5.0 and longer.phones[-1].label == SILENCE
    assert shorter.duration_s == 1.0 and shorter.phones[-1].end_s == 1.0


def test_scrambling_loudness_lifts_nasals_and_lowers_vowels():
    samples = np.full(SAMPLE_RATE * 2, 0.1, np.float32)
    phones = tuple(Phone("m" if i % 2 else "aa", 0.1 * i, 0.1 * i + 0.1) for i in range(20))
    middle = (np.arange(20) * 0.1 + 0.05) * SAMPLE_RATE
    gains = np.stack(
        [
            scramble_loudness(samples, phones, 1.0, np.random.default_rng(s))[middle.astype(int)]
            for s in range(30)
        ]
    )
    assert gains[:, 1::2].mean() > 1.5 * gains[:, ::2].mean()
    assert np.array_equal(scramble_loudness(samples, phones, 0.0, np.random.default_rng(0)), samples)


def test_level_is_normalised_and_silence_left_alone():
    tone = np.sin(np.arange(16000) * 0.1).astype(np.float32) * 1e-2
    level = np.sqrt(np.mean(normalise_level(tone, -20.0) ** 2))
    assert 20 * np.log10(level) == pytest.approx(-20.0, abs=0.3)
    assert not normalise_level(np.zeros(100, np.float32)).any()


def test_a_missing_engine_names_the_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "")
    engines._need.cache_clear()
    with pytest.raises(SynthesiserMissing, match="make system-deps"):
        synthesize(Voice("flite", "slt"), ["Hello."], Delivery())
    engines._need.cache_clear()


def test_a_shorter_vocal_tract_raises_all_frequencies_and_keeps_phones_in_place():
    rate = 16000
    tone = np.sin(2 * np.pi * 500 * np.arange(rate) / rate).astype(np.float32)
    tone[: rate // 2] = 0.0
    spoken = Spoken(tone, rate, (Phone("sil", 0.0, 0.5), Phone("aa", 0.5, 1.0)))
    short = shorten_tract(spoken, 1.25)
    heard = resample(short)
    assert len(heard) == pytest.approx(rate / 1.25, abs=2)
    start = int(short.phones[1].start_s * rate)
    assert np.abs(heard[: start - 100]).max() < 0.05 < np.abs(heard[start + 100 : start + 200]).max()
    spectrum = np.abs(np.fft.rfft(heard[start:]))
    assert np.fft.rfftfreq(len(heard) - start, 1 / rate)[spectrum.argmax()] == pytest.approx(625, abs=5)
    assert shorten_tract(spoken, 1.0) is spoken
    odd = Spoken(tone, 22050, spoken.phones)
    assert shorten_tract(odd, 1.0) is odd


@pytest.mark.corpus
@pytest.mark.parametrize("voice", [group[0] for group in TRAIN_VOICES + HELD_OUT_VOICES], ids=lambda v: v.key)
def test_every_engine_says_where_its_phones_are(voice):
    if voice.engine == "piper":
        pytest.importorskip("piper", reason="the extra 'corpus' is not installed")
    (spoken,) = synthesize(voice, ["Bob, may Pam pop by?"], Delivery(speed=1.1, pitch=0.9))
    labels = [phone.label for phone in spoken.phones if phone.label != SILENCE]
    assert labels[0] == "b" and labels.count("p") + labels.count("b") + labels.count("m") >= 7
    assert spoken.phones[-1].end_s == pytest.approx(len(spoken.samples) / spoken.rate, abs=0.35)
    assert np.abs(spoken.samples).max() > 0.02
