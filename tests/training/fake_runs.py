"""Runs whose compiled functions are fakes, and what they leave."""

import csv
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.training.calls import Steps
from din_jax.training.loop import Trainer
from din_jax.training.measures import COLUMNS


def fake_trainer(tiny, changed, run):
    """A trainer whose compiled functions are fakes: a step counts, a validation is 1."""
    config = changed(
        tiny,
        model={"code": "adain", "style_encoder": "content", "residuals": 0},  # soon traced
        train={"steps": 6, "checkpoint_every": 1, "validate_every": 1},
    )
    trainer = Trainer(config, run)
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


def checkpoints_in_memory():
    """What stands for `Checkpoints` and keeps everything of one run after another."""
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

    return Kept
