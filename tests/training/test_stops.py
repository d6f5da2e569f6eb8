"""A run saves before it obeys a signal, a clock or an input that fails."""

import csv
import os
import signal
import time
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from din_jax.data.reader import ImageReader
from din_jax.data.sources import SourceError
from din_jax.errors import INTERRUPTED, UserError, exit_status
from din_jax.training.calls import Steps
from din_jax.training.claims import claim_run
from din_jax.training.feed import HostFeed

from .fake_runs import advance, saved_steps, stopping, table


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
