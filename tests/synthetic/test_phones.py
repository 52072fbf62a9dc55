from itertools import pairwise

from segtalker.synthetic.phones import PHONES, SILENCE, fill_gaps, from_ipa, from_radio, split_phone
from segtalker.synthetic.visemes import SHAPES
from segtalker.types import Phone


def test_ipa_is_read_by_its_longest_symbols():
    assert from_ipa("t͡ʃˈɜːt͡ʃ") == ["ch", "er", "ch"]
    assert from_ipa("aʊ") == ["aw"]
    assert from_ipa("a") + from_ipa("ʊ") == ["ae", "uh"]
    assert from_ipa("bˈɑb.") == ["b", "aa", "b"]


def test_flite_names_become_arpabet_and_unknown_ones_silence():
    assert [from_radio(name) for name in ("pau", "axr", "dx", "aa", "nonsense")] == [
        "sil",
        "er",
        "t",
        "aa",
        "sil",
    ]


def test_every_phone_has_a_mouth_shape():
    assert set(SHAPES) == PHONES


def test_a_symbol_of_two_phones_shares_its_time():
    first, second = split_phone(["ay", "er"], 1.0, 2.0)
    assert (first.label, second.label) == ("ay", "er")
    assert first.start_s == 1.0 and first.end_s == second.start_s and second.end_s == 2.0


def test_gaps_become_silence_and_overlaps_are_cut():
    phones = fill_gaps([Phone("m", 0.5, 1.2), Phone("aa", 1.0, 1.5), Phone("p", 2.0, 9.0)], 3.0)
    assert [phone.label for phone in phones] == [SILENCE, "m", "aa", SILENCE, "p"]
    assert phones[0].start_s == 0.0 and phones[-1].end_s == 3.0
    assert all(a.end_s == b.start_s for a, b in pairwise(phones))


def test_neighbouring_silences_are_one():
    phones = fill_gaps([Phone(SILENCE, 0.0, 0.4), Phone(SILENCE, 0.4, 1.0)], 2.0)
    assert phones == (Phone(SILENCE, 0.0, 2.0),)
