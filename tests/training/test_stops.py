"""A run stops before a diverged state is saved, and saves before it obeys a signal."""

import csv
import json
import os
import signal
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.data.reader import ImageReader
from din_jax.data.sources import SourceError
from din_jax.errors import INTERRUPTED, UserError, exit_status
from din_jax.training import loop
from din_jax.training.calls import Steps
from din_jax.training.claims import claim_run
from din_jax.training.feed import HostFeed
from din_jax.training.loop import Trainer
from din_jax.training.measures import COLUMNS


@pytest.fixture
def trainer(tiny, changed, tmp_path):
    """A trainer whose compiled functions are fakes: a step counts, a validation is 1."""
    config = changed(
        tiny,
        model={"code": "adain", "style_encoder": "content", "residuals": 0},  # soon traced
        train={"steps": 6, "checkpoint_every": 1, "validate_every": 1},
    )
    trainer = Trainer(config, tmp_path)
    state = trainer.abstract.replace(
        step=jnp.zeros((), jnp.int32),
        params={"x": jnp.zeros(3)},
        batch_stats={},
        opt_state={"x": jnp.zeros(3)},
    )
    trainer.initial_state = lambda: jax.tree.map(jnp.copy, state)  # a run donates its own
    trainer.abstract = state
    trainer.step = lambda state, *_, allowed=True: advance(state, {}, allowed)
    trainer._steps = Steps(lambda *a, **k: trainer.step(*a, **k), trainer.feed.draw)
    trainer.validate = lambda *_: 1.0
    return trainer


def advance(state, changed, allowed):
    """What a step does to its number; `changed` are metrics that are not 1."""
    metrics = {"total": jnp.ones(()), "gradient_norm": jnp.ones(())} | changed
    good = allowed & jnp.isfinite(metrics["total"]) & jnp.isfinite(metrics["gradient_norm"])
    return state.replace(step=state.step + good.astype(jnp.int32)), metrics


def saved_steps(run) -> list[int]:
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir())


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


def test_where_the_input_fails_the_steps_before_it_are_taken_and_saved(
    trainer, changed, tmp_path, monkeypatch
):
    every = {"steps_per_call": 4, "log_every": 4, "validate_every": 4, "checkpoint_every": 4}
    trainer.config = changed(trainer.config, train=every | {"steps": 8})
    trainer.feed.most = 4
    read, pictures = ImageReader.read, []

    def fails(reader, index, **options):
        pictures.append(index)
        if len(pictures) > limit:
            raise SourceError("The store is gone.")
        return read(reader, index, **options)

    monkeypatch.setattr(ImageReader, "read", fails)
    trainer.feed.alone, limit = lambda: None, 26
    with pytest.raises(UserError, match=r"The store is gone. Step \d is saved.") as raised:
        trainer.train()
    (*_, step) = saved_steps(tmp_path)
    assert f"Step {step} " in str(raised.value) and step % 4
    limit = 10**6
    trainer.feed = HostFeed(trainer.config, trainer.mesh)
    trainer.feed.most = 4
    assert int(trainer.train().step) == 8


def test_diverged_parameters_show_in_validation_and_are_not_saved(trainer, tmp_path):
    # The step that breaks the parameters still saw good ones: its own loss is finite.
    trainer.validate = lambda variables, step, reports: float("nan") if step == 1 else 1.0
    with pytest.raises(UserError, match="not finite at step 1.*last good checkpoint is none"):
        trainer.train()
    assert saved_steps(tmp_path) == []


def test_a_run_whose_time_is_up_is_saved_and_goes_on(trainer, changed, tmp_path, capsys):
    config = changed(trainer.config, train={"checkpoint_every": 100, "minutes": 1e-9})
    trainer.config = config
    trainer.train()
    assert saved_steps(tmp_path) == [1]
    assert "Stopped at step 1, saved. The same command goes on" in capsys.readouterr().out
    # Another limit is the same run.
    claim_run(tmp_path, changed(config, train={"minutes": 5.0}))


def test_log_and_table_say_whether_the_input_or_the_step_is_the_slower(trainer, tmp_path, capfd):
    trainer.feed.alone = lambda: 0.5
    trainer.train()
    said = [x for x in capfd.readouterr().out.splitlines() if "pairs/s" in x]
    (line,) = said
    assert line.startswith("step 2: input: 0.5 pairs/s alone") and "input-bound" in line
    with open(tmp_path / "metrics.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if row[1].endswith("pairs_per_second")]
    # The first call compiles: what a step takes is not known from it.
    inputs, steps = (
        [int(row[0]) for row in rows if row[1] == f"train/{name}_pairs_per_second"]
        for name in ("input", "step")
    )
    assert inputs == [1, 2, 3, 4, 5, 6] and steps == [2, 3, 4, 5, 6]


def test_the_time_of_a_run_begins_with_setting_it_up(trainer, changed, tmp_path, monkeypatch):
    trainer.config = changed(trainer.config, train={"checkpoint_every": 100, "minutes": 1.0})
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 61)  # that pictures and weights took
    trainer.train()
    assert saved_steps(tmp_path) == [1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["first validation", "step", "validation"])
def test_signal_at_any_moment_leaves_a_checkpoint(
    trainer, changed, tmp_path, capsys, number, moment
):
    trainer.config = changed(trainer.config, train={"checkpoint_every": 100})
    call = trainer._steps
    at = {"first validation": 0, "step": 2, "validation": 2}[moment]

    def stepping(state, *rest):
        result = call(state, *rest)
        if moment == "step" and int(result[0].step) == at:
            os.kill(os.getpid(), number)
        return result

    def validating(variables, count, reports):
        if "validation" in moment and count == at:
            os.kill(os.getpid(), number)
        return 1.0

    trainer._steps, trainer.validate = stepping, validating
    handler = signal.getsignal(number)
    stopped = int(trainer.train().step)
    assert saved_steps(tmp_path) == [stopped]
    assert stopped == (at if moment == "step" else at + 1)
    assert f"Stopped at step {stopped}, saved. The same command goes on" in capsys.readouterr().out
    assert signal.getsignal(number) == handler


def test_a_second_ctrl_c_stops_at_once_and_saves_nothing(trainer, tmp_path, capsys):
    def stepping(*_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainer._steps = stepping
    handler = signal.getsignal(signal.SIGINT)
    try:
        assert exit_status(trainer.train) == INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, handler)
    assert saved_steps(tmp_path) == []
    said = capsys.readouterr()
    assert "once more to stop at once" in said.out and said.err.count("stopped by Ctrl-C") == 1


@pytest.fixture
def in_memory(monkeypatch):
    """Checkpoints in memory: those of orbax take longer to write than all the rest."""
    runs: dict = {}

    class Kept:
        def __init__(self, run, config):
            self.saved = runs.setdefault(run, {})

        def latest(self):
            return max(self.saved, default=None)

        def save(self, state, iterator, loss, reports):
            self.saved[int(state.step)] = jax.tree.map(np.array, state), json.dumps(reports)

        def restore(self, abstract, iterator):
            return jax.tree.map(jnp.asarray, self.saved[self.latest()][0])

        def reports(self):
            return json.loads(self.saved[self.latest()][1])

        def wait(self):
            pass

        look = settle = close = wait

    monkeypatch.setattr(loop, "Checkpoints", Kept)


def table(run) -> list[tuple[str, ...]]:
    """metrics.csv without the one column that a clock decides."""
    with open(run / "metrics.csv", newline="") as file:
        return [tuple(row) for row in csv.reader(file) if not row[1].endswith(COLUMNS)]


def stopping(trainer, run, *stops: int):
    """Trains in `run` to the end, with a signal in each call that reaches one of `stops`."""
    trainer.run = run
    call = trainer._steps
    for stop in (*stops, None):

        def stepping(state, *rest, stop=stop):
            result = call(state, *rest)
            if int(result[0].step) == stop:
                signal.raise_signal(signal.SIGINT)
            return result

        trainer._steps, trainer._stop = stepping, False
        assert int(trainer.train().step) == (stop or trainer.config.train.steps)
    trainer._steps = call


def test_a_run_stopped_anywhere_leaves_the_table_of_one_that_was_not(
    in_memory, trainer, changed, tmp_path
):
    every = {"log_every": 4, "validate_every": 5, "checkpoint_every": 6, "steps": 13}
    trainer.config = changed(trainer.config, train=every | {"keep_last": 20})

    def step(state, *_, allowed=True):
        # Thirds and tenths: means that a sum in another order would round otherwise.
        return advance(state, {"total": 0.1 + 1 / (3.0 + jnp.float32(state.step))}, allowed)

    def validating(variables, count, reports):
        reports.scalars(count, "validation", {"total": count / 7})
        return 1.0

    trainer.step, trainer.validate = step, validating
    trainer.feed = SimpleNamespace(
        take=lambda count: ({}, count), arrays={}, iterator=None, close=lambda: None, attempt=0,
        alone=lambda: None,
    )  # fmt: skip
    trainer._steps = Steps(lambda *a, **k: trainer.step(*a, **k), lambda *_: {})
    stopping(trainer, tmp_path / "whole")
    whole = table(tmp_path / "whole")
    assert [int(step) for step, name, _ in whole if name == "train/total"] == [4, 8, 12, 13]
    assert len({row[:2] for row in whole}) == len(whole)  # no row twice
    # Within a row and again, where a checkpoint or a validation is due anyway, at a row's end.
    stopping(trainer, tmp_path / "cut", 2, 3, 5, 6, 7, 8, 12)
    assert table(tmp_path / "cut") == whole
    # An end that is raised is a stop like another; one that is not keeps its rows.
    trainer.config = changed(trainer.config, train={"steps": 10})
    stopping(trainer, tmp_path / "raised")
    ended = table(tmp_path / "raised")
    stopping(trainer, tmp_path / "raised")
    assert table(tmp_path / "raised") == ended and ended[-1][0] == "10"
    trainer.config = changed(trainer.config, train={"steps": 13})
    stopping(trainer, tmp_path / "raised")
    assert table(tmp_path / "raised") == whole


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
