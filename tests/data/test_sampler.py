from __future__ import annotations

import pytest

from segtalker.data.sampler import IndexedSampler
from segtalker.errors import ConfigError


def test_every_epoch_shows_every_sample_once_in_another_order():
    sampler = IndexedSampler(10, 3, seed=4)
    epochs = [[sampler.at(10 * e + k).index for k in range(10)] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_the_shares_of_all_ranks_are_the_global_batch(world_size):
    sampler = IndexedSampler(10, 6, seed=4)
    for step in (0, 1, 7):
        shares = [sampler.batch(step, rank, world_size) for rank in range(world_size)]
        assert [draw for share in shares for draw in share] == sampler.batch(step)


def test_what_is_drawn_for_a_sample_depends_on_seed_epoch_and_index_alone():
    def first(number: int, seed: int, batch: int) -> float:
        return float(IndexedSampler(10, batch, seed).at(number).generator().random())

    assert first(13, 4, 3) == first(13, 4, 5)
    assert len({first(13, 4, 3), first(13, 5, 3), first(14, 4, 3), first(23, 4, 3)}) == 4


def test_a_position_of_other_data_is_refused():
    sampler = IndexedSampler(10, 2, seed=1)
    sampler.advance()
    resumed = IndexedSampler(10, 2, seed=1)
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.position == 2
    with pytest.raises(ConfigError, match="num_samples 10, this run 11"):
        IndexedSampler(11, 2, seed=1).load_state_dict(sampler.state_dict())


def test_a_batch_that_the_workers_cannot_share_is_refused():
    with pytest.raises(ConfigError, match="cannot be shared by 3 workers"):
        IndexedSampler(10, 4, seed=1).batch(0, 0, 3)
