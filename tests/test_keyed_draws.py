"""Random numbers by key and place: uniform, independent, and the same in whatever pieces they are drawn."""

import pytest
import torch
from scipy import stats

from mixtura.components.special.keyed_draws import new_key, uniform

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("key", [0, 1, 2**61 + 12345])
def test_numbers_are_uniform_and_independent_of_their_neighbours(key, dtype):
    u = uniform(key, 0, (200_000,), dtype, CPU).double()
    assert 0 <= u.min() and u.max() < 1
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-4
    for lag in (1, 2, 3, 64):
        assert abs(stats.pearsonr(u[:-lag], u[lag:]).statistic) < 4.5 / len(u) ** 0.5
    pairs = torch.histogramdd(u.view(-1, 2), bins=[16, 16], range=[0.0, 1.0, 0.0, 1.0]).hist
    assert stats.chisquare(pairs.flatten().numpy()).pvalue > 1e-4


def test_keys_next_to_each_other_have_nothing_in_common():
    one, other = (uniform(key, 0, (100_000,), torch.float64, CPU) for key in (41, 42))
    assert abs(stats.pearsonr(one, other).statistic) < 4.5 / len(one) ** 0.5
    keys = {new_key(torch.Generator().manual_seed(seed)) for seed in range(100)}
    assert len(keys) == 100


def test_pieces_are_parts_of_the_whole():
    whole = uniform(3, 0, (1000, 2, 3), torch.float64, CPU)
    pieces = [uniform(3, start, (min(70, 1000 - start), 2, 3), torch.float64, CPU) for start in range(0, 1000, 70)]
    assert torch.equal(torch.cat(pieces), whole)


def test_the_published_generator_gives_these_numbers():
    """The first outputs of SplitMix64 started at 1234567, as its authors' reference prints them."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    u = uniform(1234567, 0, (4,), torch.float64, CPU)
    assert u.tolist() == [(value >> 11) * 2.0**-53 for value in published]
