"""Trains the tiny model on whatever devices this process has, and saves what it got.

python worker.py OUT RULE,RULE          writes OUT/RULE.json (layout), .npz (state) and _batch.npz
python worker.py OUT RULE PORT PROCESS  one of two processes: OUT/PROCESS.json and _batch.npz
"""

import functools
import json
import runpy
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from din_jax.config import Config  # noqa: E402
from din_jax.data.pairs import make_batches  # noqa: E402
from din_jax.models.style_encoders import MAP_CHANNELS, MobileNetFeatures  # noqa: E402
from din_jax.ops.forms import default_form  # noqa: E402
from din_jax.training.loop import Trainer  # noqa: E402
from din_jax.weights import choose  # noqa: E402

TINY = runpy.run_path(str(ROOT / "tests/training/tiny.py"))["TINY"]


LAYOUTS = {
    # Two groups of four: in each, every kernel lies once; the nets' biases too.
    "sharded": {"fsdp": 4, "shard": ["kernel$", r"^codes\..*bias$"]},
}


def settings(rule: str) -> Config:
    """Two steps of eight pairs, in the midst of a warm-up.

    Adam moves a parameter whose gradient is rounding alone (a bias before batch norm) by the full
    learning rate in any direction: a small rate keeps that from hiding real differences.
    """
    values = TINY.to_dict()
    values["optim"]["warmup"] = 100
    values["model"]["residuals"] = 0
    values["train"] |= {"steps": 2, "batch": 8, "validate_every": 2}
    if rule == "adain":  # without style encoder and nets, a loss of one layer: compiled soonest
        values["model"] |= {"code": "adain", "style_encoder": "content", "levels": 1}
        values["loss"] |= {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
    else:
        values["train"] |= LAYOUTS.get(rule, {})
    return Config.from_dict(values)


def share_random_features():
    """The loss network of a seed, made once for all trainers of this process."""
    choose.random_vgg19 = functools.cache(choose.random_vgg19)


def flat(tree) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def layout(tree) -> dict[str, tuple[list[int], list[int]]]:
    """Path -> (shape of the array, shape of the part on one device)."""
    return {
        jax.tree_util.keystr(path): (list(x.shape), list(x.addressable_shards[0].data.shape))
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


# Two narrow blocks of the style encoder in the place of five, to the same stride.
@mock.patch.multiple(MobileNetFeatures, CHANNELS=(8, 8, MAP_CHANNELS), STRIDES=(2, 2, 2))
def train(out: Path, rule: str, name: str):
    trainer = Trainer(settings(rule), out / "run" if name.isdigit() else out / f"run_{name}")
    first = next(iter(make_batches(
        trainer.config.data, 8 // jax.process_count(), trainer.config.seed,
        shard_index=jax.process_index(), shard_count=jax.process_count(),
    )))  # fmt: skip
    steps = trainer._steps

    def guarded(*arguments):
        # Nothing comes from the host unasked, nor moves from device to device before the step.
        with jax.transfer_guard("disallow"):
            return steps(*arguments)

    trainer._steps = guarded
    with default_form("conv"):  # compiled in half the time; test_collectives has the others
        state = trainer.train()
    result = {"devices": jax.device_count(), "layout": layout(state)}
    (out / f"{name}.json").write_text(json.dumps(result))
    np.savez(out / f"{name}_batch.npz", **first)
    if jax.process_count() == 1:
        np.savez(out / f"{name}.npz", **flat(state))


if __name__ == "__main__":
    share_random_features()
    folder, rules = Path(sys.argv[1]), sys.argv[2].split(",")
    if len(sys.argv) > 3:
        port, process = sys.argv[3], int(sys.argv[4])
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
        train(folder, rules[0], str(process))
        jax.distributed.shutdown()
    else:
        for each in rules:
            train(folder, each, each)
