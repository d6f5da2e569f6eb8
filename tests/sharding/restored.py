"""Goes on with runs in the layouts given, two steps in each, on the devices of this process.

python restored.py OUT RUN:FSDP:STEPS,RUN:FSDP:STEPS

trains each OUT/RUN to STEPS with config.train.fsdp=FSDP, and writes OUT/RUN_STEPS.npz, the state
then, and where it was resumed OUT/RUN_STEPS_from.npz, that which it began with.
"""

import dataclasses
import json
import runpy
import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from din_jax.ops.forms import default_form  # noqa: E402
from din_jax.training.checkpoints import Checkpoints  # noqa: E402
from din_jax.training.loop import Trainer  # noqa: E402

PROGRAMS = {}  # by layout, so that the second run in it compiles none
WORKER = runpy.run_path(str(Path(__file__).with_name("worker.py")))


def go_on(out: Path, run: str, fsdp: int, steps: int):
    config = WORKER["settings"]("adain")
    train = dataclasses.replace(
        config.train, steps=steps, fsdp=fsdp, shard=("kernel$",), validate_every=2
    )
    trainer = Trainer(dataclasses.replace(config, train=train), out / run)
    programs = PROGRAMS.setdefault(fsdp, (trainer._steps, trainer.validate))
    trainer._steps, trainer.validate = programs
    checkpoints = Checkpoints(out / run, trainer.config)
    if checkpoints.latest() is not None:
        state = checkpoints.restore(trainer.abstract, trainer.feed.iterator)
        np.savez(out / f"{run}_{steps}_from.npz", **WORKER["flat"](state))
    checkpoints.close()
    with default_form("conv"):
        state = trainer.train()
    np.savez(out / f"{run}_{steps}.npz", **WORKER["flat"](state))
    split = sorted(name for name, (whole, part) in WORKER["layout"](state).items() if whole != part)
    (out / f"{run}_{steps}.json").write_text(
        json.dumps({"devices": jax.device_count(), "split": split})
    )


if __name__ == "__main__":
    WORKER["share_random_features"]()
    for each in sys.argv[2].split(","):
        name, *numbers = each.split(":")
        go_on(Path(sys.argv[1]), name, *map(int, numbers))
