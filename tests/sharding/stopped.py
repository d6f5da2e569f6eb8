"""One of two processes that train together, of which the second is told to stop, twice.

python stopped.py OUT PORT PROCESS   writes OUT/PROCESS.json, the steps at which its runs ended

The loop, its feed, its checkpoints and its collectives are the real ones; the step is the mean of
the batch of both processes, so that one of them alone waits in it without end.
"""

import json
import os
import runpy
import signal
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parents[2]))

from din_jax.training import loop  # noqa: E402
from din_jax.training.calls import Steps  # noqa: E402
from din_jax.training.mesh import replicated  # noqa: E402

SETTINGS = runpy.run_path(str(Path(__file__).with_name("worker.py")))["settings"]


def step(state, batch, vgg, frozen, allowed=True):
    mean = batch["content"].astype(jnp.float32).mean() + state.params["x"].sum()
    return state.replace(step=state.step + jnp.asarray(allowed, jnp.int32)), {"total": mean}


def make_trainer(run: Path, steps: int) -> loop.Trainer:
    values = SETTINGS("adain").to_dict()
    values["train"] |= {"steps": steps, "checkpoint_every": 100, "validate_every": 100}
    trainer = loop.Trainer(loop.Config.from_dict(values), run)
    whole = replicated(trainer.mesh)
    state = trainer.abstract.replace(
        step=jnp.zeros((), jnp.int32), params={"x": jnp.zeros(3)}, batch_stats={},
        opt_state={"x": jnp.zeros(3)},
    )  # fmt: skip
    trainer.abstract = jax.device_put(state, whole)
    trainer.initial_state = lambda: jax.tree.map(jnp.copy, trainer.abstract)
    trainer.validate = lambda *_: 1.0
    trainer._steps = Steps(step, trainer.feed.draw, whole, whole)
    return trainer


def ending(trainer: loop.Trainer, at: int, *, late: bool) -> int:
    """Trains, with a signal to the second process after a step, or `late`, after its agreement."""
    steps, agreed, reached = trainer._steps, loop.on_any_process, 0

    def interrupt(when: bool):
        if when and reached == at and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGINT)

    def stepping(state, *rest):
        nonlocal reached
        result = steps(state, *rest)
        reached = int(result[0].step)
        interrupt(not late)
        return result

    def agreeing(flag: bool) -> bool:
        result = agreed(flag)
        interrupt(late)
        return result

    trainer._steps, loop.on_any_process = stepping, agreeing
    try:
        return int(trainer.train().step)
    finally:
        loop.on_any_process = agreed


if __name__ == "__main__":
    out, port, process = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
    ends = [ending(make_trainer(out / "run", 20), 3, late=False)]
    ends.append(ending(make_trainer(out / "run", 20), 5, late=True))
    (out / f"{process}.json").write_text(json.dumps(ends))
    jax.distributed.shutdown()
