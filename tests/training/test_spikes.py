"""A loss far above the usual is told, and never a flood of it."""

import pytest

from din_jax.training.spikes import ABOVE, FIRST, KEPT, Spikes


def told(losses) -> dict[int, str]:
    spikes = Spikes()
    said = {step: spikes.add(step, loss) for step, loss in enumerate(losses)}
    return {step: text for step, text in said.items() if text}


@pytest.mark.parametrize("place", [FIRST, FIRST + 40, 3 * KEPT])
def test_a_spike_is_told_with_its_step_and_what_was_usual(place):
    losses = [10.0 + step % 3 for step in range(4 * KEPT)]  # their median is 11
    losses[place] = 11 * ABOVE + 1
    (step, text), *rest = told(losses).items()
    assert step == place and f"step {place}: a spike of the loss, 34 where 11 was" in text
    assert not rest


def test_noise_a_start_and_a_level_that_stays_are_no_spikes():
    assert not told([10.0 + 18 * (step % 2) for step in range(200)])
    assert not told([1000.0 / (1 + step) for step in range(200)])
    assert not told([1.0] * (FIRST - 1) + [100.0])
    # A new level is told until it is the usual one.
    raised = told([10.0] * KEPT + [100.0] * 10 * KEPT)
    assert raised and max(raised) < 2 * KEPT


def test_of_many_spikes_the_doublings_are_told():
    losses = [10.0 if step % 4 else 99.0 for step in range(FIRST, 8 * KEPT)]
    said = list(told([10.0] * FIRST + losses).values())
    assert [int(text.rpartition(" ")[2]) for text in said] == [1, 2, 4, 8, 16, 32, 64]
