"""Compares this program with a plain PyTorch DIN: the same weights, the same images, both sides.

    python -m parity [--variant din portable] [--size 40 56 --size 33 35] [--brief]
    python -m parity --checkpoint din_jax/assets/din_portable.safetensors
    python -m parity --time [--images 1 8] [--pairs 4] [--processes 5]

Prints the maximum absolute and relative error of every operation, layer, loss, gradient, of a step
of Adam and of training steps in lockstep, in float32 and float64. The exit status is 1 if any is
over its tolerance: operation 1e-5, network and losses 1e-4, gradient 1e-3 relative, in float64
1e-9. Products have the highest precision, as in training; the layers are also compared in JAX's
default, as in inference, on a GPU (TF32) to 100 times the tolerance. Needs PyTorch; no wheel has
this folder, so it is run from a clone.
"""

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from din_jax.command_line import Parser, check_least
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory
from din_jax.tools.processes import add_flag, in_processes, spread

SIZES = ((40, 56), (33, 35))
TIMED_SIZE = (256, 256)
SEED = 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--variant", nargs="+", default=["din"], metavar="NAME", help='or "all"')
    parser.add_argument("--checkpoint", help="model file or run, instead of random weights")
    parser.add_argument("--vgg", default="", help="VGG-19 weights; default: random features")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        action="append",
        metavar=("H", "W"),
        help="of the images, repeatable; float64 and the steps in lockstep take the last",
    )
    parser.add_argument(
        "--precision", nargs="+", default=["float32", "float64"], choices=("float32", "float64")
    )
    parser.add_argument("--steps", type=int, default=50, help="of training in lockstep")
    parser.add_argument("--full", action="store_true", help="the widths that are trained")
    parser.add_argument("--seed", type=int, default=SEED, help="of weights and images")
    parser.add_argument("--brief", action="store_true", help="one line a section, and failures")
    parser.add_argument("--json", action="store_true", help="one JSON object instead")
    parser.add_argument("--time", action="store_true", help="seconds of both sides instead")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--images", type=int, nargs="+", default=[1], help="timed at once")
    parser.add_argument("--pairs", type=int, default=4, help="of a timed training step, 0: none")
    parser.add_argument("--repeats", type=int, default=9, help="of each timing")
    add_flag(parser)
    return parser.parse_args(arguments)


def require_torch() -> None:
    """PyTorch is here.

    Raises:
      UserError: says how to get it.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            "The comparison needs PyTorch, which is not installed: run `make parity`, or "
            "`pip install torch==2.13.0` and then this again."
        )


def check(flags: argparse.Namespace) -> None:
    """Settings that the networks can take."""
    from parity.variants import VARIANTS

    unknown = [name for name in flags.variant if name not in (*VARIANTS, "all")]
    if unknown:
        raise UserError(
            f"--variant names models of {', '.join(VARIANTS)} or all, not {', '.join(unknown)}."
        )
    for size in flags.size or ():
        if min(size) < SMALLEST_SIDE:
            raise UserError(
                f"--size takes a height and width from {SMALLEST_SIDE} pixels up, not "
                f"{size[0]} {size[1]}."
            )
    check_least(flags, steps=1, repeats=1, processes=1, threads=0)
    timed = (*flags.images, flags.pairs)
    if min(timed) < 0 or max(timed) == 0:
        raise UserError("--images and --pairs take numbers from 0 up, not all 0.")


def models(flags: argparse.Namespace) -> Iterator[tuple[Any, dict, Any]]:
    """(config, variables as numpy, VGG-19) of each model to compare."""
    import jax
    import numpy as np

    from din_jax.models.vgg import layers_up_to
    from din_jax.training.state import variables_of
    from din_jax.weights import load_vgg19, random_vgg19, require_layers
    from din_jax.weights.models import load_model
    from parity.pair import random_variables
    from parity.variants import VARIANTS, run, variant

    weights = load_vgg19(flags.vgg) if flags.vgg else random_vgg19(flags.seed)
    require_layers(weights, ["relu4_1"])
    needed = tuple(layers_up_to("relu4_1"))
    params = {name: weights.params[name] for name in needed}
    weights = dataclasses.replace(weights, params=params, layers=needed)
    if flags.checkpoint:
        loaded = load_model(flags.checkpoint, vgg=flags.vgg)
        m = loaded.config.model
        if m.code not in ("din", "adain") or m.normalizer != "instance":
            raise UserError(
                "The PyTorch reference has DIN and AdaIN behind instance norm; the model in "
                f"{flags.checkpoint} has code={m.code!r} behind {m.normalizer!r}."
            )
        variables = jax.tree.map(np.asarray, variables_of(loaded.model))
        yield run(str(flags.checkpoint), loaded.config.model), variables, weights
        return
    for name in VARIANTS if "all" in flags.variant else flags.variant:
        config = variant(name, flags.full or flags.time)
        yield config, random_variables(config, flags.seed), weights


def compare(flags: argparse.Namespace) -> Iterator[Any]:
    """All rows, as they are computed."""
    from parity.choices import compare_choices
    from parity.forward import compare_forward
    from parity.measure import in_default_precision, precision
    from parity.operations import compare_operations
    from parity.pair import make_pair, random_batch
    from parity.training import compare_training

    sizes = [tuple(size) for size in flags.size or SIZES]
    for dtype in flags.precision:
        with precision(dtype):
            yield from compare_operations(dtype, flags.seed)
    for config, variables, weights in models(flags):
        for dtype in flags.precision:
            with precision(dtype):
                pair = make_pair(config, variables, weights, dtype)
                for size in sizes if dtype == "float32" else sizes[-1:]:
                    section = f"{config.name}, 2 images of {size[0]}x{size[1]}, {dtype}"
                    batch = random_batch(size, 2, flags.seed)
                    yield from compare_forward(pair, batch, f"{section}: layers")
                    if dtype == "float32" and size == sizes[-1]:
                        yield from in_default_precision(
                            lambda pair=pair, batch=batch, section=section: compare_forward(
                                pair, batch, f"{section}, JAX's default precision: layers"
                            )
                        )
                    steps = flags.steps if size == sizes[-1] else 1
                    yield from compare_training(pair, size, flags.seed, section, steps)
    yield from compare_choices(weights, flags.seed)


def timings(flags: argparse.Namespace) -> Iterator[Any]:
    """Timings of every model."""
    from parity.pair import make_pair
    from parity.timing import compare_times

    for config, variables, weights in models(flags):
        pair = make_pair(config, variables, weights, "float32")
        for size in [tuple(size) for size in flags.size or (TIMED_SIZE,)]:
            # The training step once, with the first number of images.
            for images, pairs in zip_longest(flags.images, [flags.pairs], fillvalue=0):
                for timing in compare_times(pair, size, images, pairs, flags.repeats):
                    yield timing._replace(name=f"{config.name}: {timing.name}")


def facts(flags: argparse.Namespace) -> dict[str, Any]:
    """What a report must say of the machine and the programs."""
    import jax

    from parity.timing import cores, torch_on

    # Beside another program's load, a second thread of PyTorch's waits more than it computes.
    threads = cores() if flags.time else 1
    return {
        "jax": jax.__version__,
        "torch": torch_on(threads),
        "device": jax.devices()[0].device_kind,
        "torch threads": threads,
        "weights": flags.checkpoint or f"random, seed {flags.seed}",
        "vgg19": flags.vgg or "random features",
    }


def line(row: Any) -> str:
    """One comparison as text."""
    held = "" if row.tolerance is None else f"{row.tolerance:8.0e}"
    mark = "" if row.passed else "  OVER"
    return f"  {row.absolute:9.2e}  {row.relative:9.2e}  {held:>8}  {row.name}{mark}"


def print_rows(rows: Iterator[Any], brief: bool) -> list[Any]:
    """Prints sections as they come; all rows."""
    print("   absolute   relative      held")
    found: list[Any] = []
    section: list[Any] = []

    def close() -> None:
        if brief and section:
            worst = max(section, key=lambda row: row.error / (row.tolerance or math.inf))
            print(f"{section[0].section}: {len(section)} comparisons; the worst:")
            for row in [worst, *(row for row in section if not row.passed and row is not worst)]:
                print(line(row), flush=True)

    for row in rows:
        if not section or row.section != section[0].section:
            close()
            section = []
            if not brief:
                print(row.section)
        section.append(row)
        found.append(row)
        if not brief:
            print(line(row), flush=True)
    close()
    return found


def run(flags: argparse.Namespace, arguments: Sequence[str]) -> int:
    require_torch()
    check(flags)
    if flags.time and flags.processes > 1:
        found = in_processes("parity", arguments, flags.processes)
        return _report_times(merge_times(found), flags.json)
    keep_freed_memory()
    if flags.threads and hasattr(os, "sched_setaffinity"):
        # Before JAX starts its threads: XLA takes one per core that it may run on.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: flags.threads])
    import jax

    with jax.default_matmul_precision("highest"):
        if flags.time:
            return _report_times(merge_times([_times(flags)]), flags.json)
        about = facts(flags)
        if not flags.json:
            print(", ".join(f"{name} {value}" for name, value in about.items()))
        rows = compare(flags)
        rows = list(rows) if flags.json else print_rows(rows, flags.brief)
    over = [row for row in rows if not row.passed]
    if flags.json:
        listed = [dataclasses.asdict(row) | {"passed": row.passed} for row in rows]
        print(json.dumps({"facts": about, "rows": listed, "passed": not over}, indent=2))
    else:
        held = sum(row.tolerance is not None for row in rows)
        print(f"{held} comparisons held to a tolerance, {len(over)} over it")
    return 1 if over else 0


def _times(flags: argparse.Namespace) -> dict[str, Any]:
    """The timings of this process."""
    about = facts(flags)  # sets PyTorch's threads
    found = [{**timing._asdict(), "ratio": timing.ratio} for timing in timings(flags)]
    return {"facts": about, "timings": found}


def merge_times(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Those of several: the medians of theirs, each with the ends as NAME_low and NAME_high."""
    merged = []
    for of_one in zip(*(one["timings"] for one in found), strict=True):
        row = {"name": of_one[0]["name"]}
        for key in ("ours", "theirs", "ratio"):
            row[key], row[f"{key}_low"], row[f"{key}_high"] = spread([x[key] for x in of_one])
        merged.append(row)
    return {"facts": found[0]["facts"], "timings": merged}


def _report_times(report: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(report, indent=2))
        return 0
    print(", ".join(f"{name} {value}" for name, value in report["facts"].items()))
    print("        din_jax s          PyTorch s             ratio")
    for row in report["timings"]:
        cells = [
            f"{row[key]:{form}} ({row[key + '_low']:{form}}-{row[key + '_high']:{form}})"
            for key, form in (("ours", ".3f"), ("theirs", ".3f"), ("ratio", ".2f"))
        ]
        print(f"{cells[0]:>19} {cells[1]:>19} {cells[2]:>16}  {row['name']}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Prints the report; the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return exit_status(lambda: run(parse(arguments), arguments))


if __name__ == "__main__":
    sys.exit(main())
