"""A state that is no number is not saved, and a run goes back behind it as often as it may."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.calls import Steps

from .fake_runs import advance, saved_steps, stopping, table


@pytest.mark.parametrize("name", ["total", "gradient_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_training_stops_at_a_number_that_is_none(trainer, tmp_path, name, value):
    def breaks(state, *_, allowed=True):
        number = jnp.where(state.step == 3, value, 1.0)
        return advance(state, {name: number}, allowed)

    trainer.step = breaks
    with pytest.raises(UserError, match="not finite at step 4.*checkpoint is step 3.*lower"):
        trainer.train()
    assert saved_steps(tmp_path) == [2, 3]  # keep_last


def test_the_last_finite_state_of_a_call_survives(trainer, changed, tmp_path):
    trainer.config = changed(
        trainer.config,
        train={"steps_per_call": 6, "log_every": 6, "validate_every": 6, "checkpoint_every": 6},
    )
    trainer.feed.most = 6

    def breaks(state, *_, allowed=True):
        return advance(state, {"total": jnp.where(state.step == 4, jnp.nan, 1.0)}, allowed)

    trainer.step = breaks
    with pytest.raises(UserError, match="not finite at step 5.*checkpoint is step 4"):
        trainer.train()
    assert saved_steps(tmp_path) == [4]


def test_diverged_parameters_show_in_validation_and_are_not_saved(trainer, tmp_path):
    # The step that breaks the parameters still saw good ones: its own loss is finite.
    trainer.validate = lambda variables, step, reports: float("nan") if step == 1 else 1.0
    with pytest.raises(UserError, match="not finite at step 1.*last good checkpoint is none"):
        trainer.train()
    assert saved_steps(tmp_path) == []


def test_a_run_that_diverges_where_it_resumed_validates_it_once(in_memory, trainer, tmp_path):
    def breaks(state, *_, allowed=True):
        return advance(state, {"total": jnp.where(state.step == 3, jnp.nan, 1.0)}, allowed)

    def validating(variables, count, reports):
        reports.scalars(count, "validation", {"total": 1.0})
        return 1.0

    trainer.step, trainer.validate = breaks, validating
    with pytest.raises(UserError, match="not finite at step 4"):
        trainer.train()
    rows = table(tmp_path)
    assert len({row[:2] for row in rows}) == len(rows)


@pytest.fixture
def attempts(trainer, changed):
    """A trainer whose fourth step has a batch that breaks it, until it has been rolled back."""

    def make(breaking: int, rollbacks: int, **every):
        trainer.config = changed(trainer.config, train=every | {"rollbacks": rollbacks})
        feed = SimpleNamespace(arrays={}, iterator=None, close=lambda: None, attempt=0)
        feed.alone = lambda: None
        feed.take = lambda count: ({"attempt": jax.device_put(np.int32(feed.attempt))}, count)

        def step(state, batch, *_, allowed=True):
            breaks = (state.step == 3) & (batch["attempt"] < breaking)
            return advance(state, {"total": jnp.where(breaks, jnp.nan, 1.0)}, allowed)

        trainer.feed = feed
        trainer._steps = Steps(step, lambda arrays, taken, i, number: taken)
        return trainer

    return make


EVERY = {"log_every": 1, "validate_every": 2, "checkpoint_every": 2, "steps": 6}


def test_a_run_goes_back_to_its_last_checkpoint_and_on(in_memory, attempts, tmp_path, capfd):
    whole = attempts(0, 2, **EVERY)
    stopping(whole, tmp_path / "whole")
    trainer = attempts(2, 2, **EVERY)
    trainer.run = tmp_path / "back"
    assert int(trainer.train().step) == 6 and trainer.feed.attempt == 2
    said = capfd.readouterr()
    told = [text for text in (said.out + said.err).splitlines() if "back to step" in text]
    assert len(told) == 2 and "not finite at step 4: back to step 2" in told[0]
    assert "rollback 1 of 2" in told[0] and "rollback 2 of 2" in told[1]
    # The table is that of a run that never left its way.
    assert table(tmp_path / "back") == table(tmp_path / "whole")


def test_rollbacks_end_in_a_sentence(in_memory, attempts):
    trainer = attempts(9, 2, **EVERY)
    with pytest.raises(UserError, match="step 4, after 2 rollbacks; the last good .* is step 3"):
        trainer.train()


def test_without_a_checkpoint_a_run_begins_again(in_memory, attempts):
    trainer = attempts(1, 1, **(EVERY | {"checkpoint_every": 6}))
    assert int(trainer.train().step) == 6 and trainer.feed.attempt == 1


def test_a_validation_that_is_no_number_is_rolled_back_too(in_memory, attempts, capfd):
    trainer = attempts(0, 1, **EVERY)
    found = iter([1.0, 1.0, float("nan"), 1.0, 1.0])
    trainer.validate = lambda *_: next(found)
    assert int(trainer.train().step) == 6 and next(found, None) is None
    said = capfd.readouterr()
    assert "validation loss is not finite at step 4: back to step 2" in said.out + said.err


def test_steps_that_were_skipped_are_told(in_memory, trainer, changed, capfd):
    trainer.config = changed(trainer.config, train={"log_every": 3}, optim={"skip_above": 2.5})

    def step(state, *_, allowed=True):
        skipped = jnp.float32(state.step == 4)
        return advance(state, {"skipped": skipped}, allowed)

    trainer.step = step
    trainer.train()
    said = capfd.readouterr()
    told = [text for text in (said.out + said.err).splitlines() if "steps skipped" in text]
    assert len(told) == 1
    assert "step 6: 1 of 3 steps skipped, for their gradient's norm was above 2.5" in told[0]
