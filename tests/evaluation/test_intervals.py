"""Intervals over contents x styles hold the true mean as often as they say."""

import math

import numpy as np
import pytest

from din_jax.evaluation.intervals import CrossedBootstrap


def drawn(rng, contents, styles, of_content, of_style, of_pair):
    """Values of a crossed design whose true mean is 3."""
    rows = rng.normal(0, of_content, (contents, 1))
    columns = rng.normal(0, of_style, (1, styles))
    return 3 + rows + columns + rng.normal(0, of_pair, (contents, styles))


@pytest.mark.parametrize(
    ("shape", "spreads"),
    [((20, 13), (1.0, 1.0, 0.5)), ((40, 6), (0.1, 1.0, 0.5)), ((6, 40), (1.0, 0.1, 0.5))],
)
def test_nineteen_of_twenty_intervals_hold_the_true_mean(shape, spreads):
    rng = np.random.default_rng(0)
    trials, held, naive = 400, 0, 0
    for trial in range(trials):
        values = drawn(rng, *shape, *spreads)
        interval = CrossedBootstrap(*shape, draws=400, seed=trial).interval(values)
        held += interval.low <= 3 <= interval.high
        # What pairs taken for independent would say.
        half = 1.96 * values.std(ddof=1) / math.sqrt(values.size)
        naive += abs(values.mean() - 3) <= half
    assert 0.92 <= held / trials <= 0.985
    assert naive / trials < 0.75


def test_pairs_alone_are_told_no_less_certainly_than_they_are():
    """Where contents and styles do not matter the bootstrap is too wide, by at most sqrt(3)."""
    rng = np.random.default_rng(1)
    widths = []
    for trial in range(50):
        interval = CrossedBootstrap(20, 20, draws=400, seed=trial).interval(
            drawn(rng, 20, 20, 0, 0, 1)
        )
        widths.append((interval.high - interval.low) / (2 * 1.96 / 20))
    assert 1.0 < np.mean(widths) < 2.0


def test_the_mean_is_of_what_is_there_and_a_single_side_does_not_vary():
    values = np.array([[1.0, np.nan, 3.0]])
    one = CrossedBootstrap(1, 3).interval(values)
    assert one.mean == 2 and one.low < 2 < one.high
    single = CrossedBootstrap(1, 1).interval(np.array([[5.0]]))
    assert single.mean == 5 and math.isnan(single.low) and not single.excludes_zero
    constant = CrossedBootstrap(4, 3).interval(np.full((4, 3), 2.0))
    assert (constant.low, constant.mean, constant.high) == (2, 2, 2) and constant.excludes_zero
    assert math.isnan(CrossedBootstrap(2, 2).interval(np.full((2, 2), np.nan)).mean)
    with pytest.raises(ValueError, match=r"of \(2, 2\) pairs, not \(2, 3\)"):
        CrossedBootstrap(2, 2).interval(np.zeros((2, 3)))


def test_pictures_without_a_pair_take_no_part():
    """Whatever the grid, it is as if they had never been given."""
    values = np.full((30, 20), np.nan)
    values[4, 7] = 0.5
    alone = CrossedBootstrap(30, 20).interval(values)
    assert alone.mean == 0.5 and math.isnan(alone.high) and not alone.excludes_zero
    values[[4, 9, 20], [7, 2, 11]] = 0.5, 0.7, 0.9  # one content for each of three styles
    few = np.full((3, 3), np.nan)
    few[[0, 1, 2], [1, 0, 2]] = 0.5, 0.7, 0.9
    assert CrossedBootstrap(30, 20).interval(values) == CrossedBootstrap(3, 3).interval(few)


def test_the_same_seed_gives_the_same_interval_and_differences_are_paired():
    rng = np.random.default_rng(2)
    hard = drawn(rng, 12, 9, 2, 2, 0.1)
    bootstrap = CrossedBootstrap(12, 9)
    assert bootstrap.interval(hard) == CrossedBootstrap(12, 9).interval(hard)
    # A shift by a tenth of what contents and styles spread, at every pair.
    difference = bootstrap.interval(hard + 0.2 + rng.normal(0, 0.1, hard.shape) - hard)
    assert difference.excludes_zero and difference.low < 0.2 < difference.high
    assert not bootstrap.interval(hard - hard.mean()).excludes_zero
