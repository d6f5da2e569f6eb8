"""How many pairs a second a training step takes, and where its time goes, on this machine.

    python -m din_jax.tools.pace [--config FILE.py[:VARIANT]] [--batch 4] [--crop 128]
                                 [--processes 5] [--json]

In turn, in several fresh processes one after the other: an update as `train.py` runs it, with the
targets of content and style computed in it ("fresh"), with them kept (config.data.kept_crops), and
kept with the factors of products rounded to bfloat16 (config.train.products); and its parts: the
network forward and backward, the optimizer, VGG-19 forward, and forward and backward to the
picture. "of step" is the time over that of the first; MiB is the memory that arguments, results and
temporary arrays take as XLA lays them out. The last column is the part of a square float32 matrix
product's speed that the multiply-adds reach: Winograd's products take fewer than are counted, so
that it can exceed 100 %. VGG-19's weights are random: they decide nothing
here.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from din_jax.command_line import Parser, check_least
from din_jax.config import Config
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory
from din_jax.tools.processes import add_flag, in_processes, spread

DEFAULT = "din:portable"
FRESH = "step, fresh targets"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--config", default=DEFAULT, help="settings of the model and its losses")
    add("--batch", type=int, default=4, help="pairs a step")
    add("--crop", type=int, default=128, help="side of the crops, pixels")
    add("--rounds", type=int, default=5, help="timed runs of each program")
    add_flag(parser)
    add("--json", action="store_true", help="JSON instead of a table")
    flags = parser.parse_args(arguments)
    check_least(flags, batch=1, rounds=1, crop=SMALLEST_SIDE, processes=1)
    if flags.crop % 8:
        raise UserError(f"--crop must be a multiple of 8, not {flags.crop}.")
    return flags


def with_flags(config: Config, batch: int, crop: int) -> Config:
    """The same run at another batch and crop, measured on random features."""
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, crop=crop, style_crop=0, resize=2 * crop),
        train=dataclasses.replace(config.train, batch=batch),
        loss=dataclasses.replace(config.loss, network="random"),
    )


class Part(NamedTuple):
    """A function and its inputs; in which precision its products are, and its multiply-adds."""

    function: Callable
    inputs: tuple
    products: str
    macs: int | None = None


def parts_of(config: Config) -> dict[str, Part]:
    """The steps and their parts, by name; nothing is compiled but what makes their inputs."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from din_jax.evaluation.operations import count_operations
    from din_jax.models.network import VGGBackbone
    from din_jax.models.vgg import vgg_features
    from din_jax.training.objective import Objective, layers_needed
    from din_jax.training.optimizer import make_optimizer
    from din_jax.training.state import Network, create_state
    from din_jax.training.step import make_train_step, to_float
    from din_jax.weights import random_vgg19

    weights = random_vgg19(0, tuple(sorted(layers_needed(config))))
    vgg = jax.tree.map(jnp.asarray, dict(weights.params))
    backbone = VGGBackbone(weights.params, weights.preprocessing)
    uses_vgg = "vgg19" in (config.model.network, config.model.style_encoder)
    network = Network(config.model, backbone if uses_vgg else None)
    frozen = network.frozen()
    objective = Objective.of(config, weights.preprocessing)
    optimizer = make_optimizer(config.optim, config.train.steps)
    average = config.optim.average > 0
    start = jax.jit(lambda key: create_state(network, optimizer, key, average=average))(
        jax.random.key(0)
    )
    shape = (config.train.batch, config.data.crop, config.data.crop, 3)
    rng = np.random.default_rng(0)
    fresh = {kind: jnp.asarray(rng.integers(0, 256, shape, np.uint8)) for kind in
             ("content", "style")}  # fmt: skip
    images = {kind: to_float(x, config.train.compute_dtype) for kind, x in fresh.items()}
    targets = jax.jit(objective.targets)(vgg, images["content"], images["style"])
    kept = fresh | {"targets": targets}

    def painted(params, content, style):
        model = network.module(params, start.batch_stats, frozen, training=True)
        return model.stylize(content, model.encode_style(style))

    def seen(images):
        return vgg_features(vgg, weights.preprocessing, images, config.loss.style_layers)

    def squares(function):
        def total(*inputs):
            return sum(jnp.square(x).mean() for x in jax.tree.leaves(function(*inputs)))

        return jax.grad(total)

    def updated(state, gradient):
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        return optax.apply_updates(state.params, updates), opt_state

    pair = images["content"], images["style"]
    once = count_operations(seen, images["content"]).macs
    # Back to the picture as many again; the network's way back, to its parameters too, twice that.
    both_ways = 3 * count_operations(painted, start.params, *pair).macs
    step = make_train_step(network, objective, optimizer, config)
    afresh = Part(step, (start, fresh, vgg, frozen), "float32", both_ways + 4 * once)
    known = Part(step, (start, kept, vgg, frozen), "float32", both_ways + 2 * once)
    vgg_both = Part(squares(seen), (images["content"],), "float32", 2 * once)
    return {
        FRESH: afresh,
        "step, kept targets": known,
        "step, kept, bfloat16": known._replace(products="bfloat16"),
        "network, both ways": Part(squares(painted), (start.params, *pair), "float32", both_ways),
        "optimizer": Part(updated, (start, start.params), "float32"),
        "VGG-19, forward": Part(seen, (images["content"],), "float32", once),
        "VGG-19, both ways, float32": vgg_both,
        "VGG-19, both ways, bfloat16": vgg_both._replace(products="bfloat16"),
    }


def compile_part(part: Part) -> Any:
    """The part as a `bench_cases.Program`."""
    import jax

    from din_jax.tools.bench_cases import compile_program

    with jax.default_matmul_precision(part.products):
        return compile_program(part.function, *part.inputs)


def measured(flags: argparse.Namespace) -> dict[str, Any]:
    """{"device", "peak", "rows": [{"part", "ms", "macs"}]} of this process."""
    keep_freed_memory()
    import jax

    from din_jax.tools.bench import ceilings, measure
    from din_jax.tools.config_files import read_config_file

    parts = parts_of(with_flags(read_config_file(flags.config), flags.batch, flags.crop))
    programs = {name: compile_part(part) for name, part in parts.items()}
    rows = [
        {
            "part": name,
            "ms": statistics.median(times),
            "macs": parts[name].macs,
            "memory": programs[name].memory,
        }
        for name, times in measure(programs, flags.rounds).items()
    ]
    peak = ceilings(flags.rounds)["multiply_adds"]
    return {"device": str(jax.devices()[0]), "peak": peak, "batch": flags.batch, "rows": rows}


def merge(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several processes measured: medians of theirs, from "low" to "high".

    "faster" is the median of a step's ratios to that with fresh targets, each within one process.
    """
    rows = []
    for i, of_part in enumerate(zip(*(one["rows"] for one in found), strict=True)):
        median, low, high = spread([row["ms"] for row in of_part])
        row = of_part[0] | {"ms": median, "low": low, "high": high}
        if row["part"].startswith("step"):
            ratios = [one["rows"][0]["ms"] / one["rows"][i]["ms"] for one in found]
            row["faster"] = statistics.median(ratios)
        rows.append(row)
    return found[0] | {"peak": max(one["peak"] for one in found), "rows": rows}


def table(found: dict[str, Any]) -> str:
    head = f"{'part':27} {'median ms':>9} {'from-to':>13} {'of step':>7} {'MiB':>7}"
    lines = [f"{head} {'pairs/s':>8} {'faster':>7} {'%':>5}"]
    for row in found["rows"]:
        ends = f"{row['low']:.0f}-{row['high']:.0f}"
        faster = f"{row['faster']:.2f}" if "faster" in row else ""
        share = f"{1e5 * row['macs'] / row['ms'] / found['peak']:.0f}" if row["macs"] else ""
        pairs = 1e3 * found["batch"] / row["ms"]
        memory = f"{row['memory'] / 2**20:.0f}" if row["memory"] else ""
        of_step = row["ms"] / found["rows"][0]["ms"]
        line = f"{row['part']:27} {row['ms']:9.1f} {ends:>13} {of_step:7.0%} {memory:>7}"
        line += f" {pairs:8.2f} {faster:>7} {share:>5}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def run(arguments: Sequence[str]) -> None:
    flags = parse(arguments)
    if flags.processes == 1:
        found = merge([measured(flags)])
    else:
        found = merge(in_processes("din_jax.tools.pace", arguments, flags.processes))
    print(json.dumps(found, indent=1) if flags.json else table(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return exit_status(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
