"""Where the time of stylization goes, part by part, on this machine.

    python -m din_jax.tools.profile [--checkpoint MODEL] [--size 512] [--batch 1]
                                    [--products float32] [--processes 5] [--json]

Every part of the network of `configs/din.py`, as the engine runs it, is compiled and run by itself,
all in turn, and beside them the whole; that in several fresh processes one after the other, of
whose medians the median, least and largest are given. GMAC counts multiply-adds; GMAC/s over the
percentage of what a square matrix product reaches in the same run; MB is the memory between input
and output. The parts' sum differs from the whole by what fusing across their borders saves or
costs.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from din_jax.command_line import Parser, check_least
from din_jax.config import PRODUCTS
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory
from din_jax.tools.processes import add_flag, in_processes, spread


class Part(NamedTuple):
    """A function of (state, *inputs), its inputs, its multiply-adds and temporary memory."""

    function: Callable
    inputs: tuple
    macs: int
    megabytes: float


def parts(model: Any, size: tuple[int, int], batch: int) -> tuple[dict[str, Part], Any]:
    """Every part of `model.stylize` by name, "whole" last, and the model's state.

    Raises:
      UserError: the model is not the lightweight network.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from din_jax.evaluation.operations import count_operations
    from din_jax.ops.resizing import upsample_bilinear

    if model.encoder is None:
        raise UserError("the parts are those of the lightweight network; this model is VGG-19's.")
    graph, state = nnx.split(model)
    found: dict[str, Part] = {}

    def add(name: str, function: Callable, *inputs: Any) -> Any:
        def run(state, *inputs):
            return function(nnx.merge(graph, state), *inputs)

        compiled = jax.jit(run).lower(state, *inputs).compile()
        macs = count_operations(run, state, *inputs).macs
        temporary = compiled.memory_analysis().temp_size_in_bytes / 1e6
        found[name] = Part(compiled, inputs, macs, temporary)
        return compiled(state, *inputs)

    def cut(x: Any, like: Any) -> Any:
        return x[:, : like.shape[1], : like.shape[2]]

    rng = np.random.default_rng(0)
    content, style = (
        jnp.asarray(rng.random((batch, *sides, 3)), jnp.float32) for sides in (size, (256, 256))
    )
    code = jax.jit(lambda state, x: nnx.merge(graph, state).encode_style(x))(state, style)

    def residuals(blocks: Any, x: Any) -> Any:
        for block in blocks:
            x = block(x)
        return x

    level1 = add("encoder.conv", lambda m, x: m.encoder.conv(4 * (x - 0.5)), content)
    level2 = add("encoder.down1", lambda m, x: m.encoder.down1(x), level1)
    level3 = add("encoder.down2", lambda m, x: m.encoder.down2(x), level2)
    level3 = add("encoder.residuals", lambda m, x: residuals(m.encoder.residuals, x), level3)
    styled = {}
    for name, x in (("level1", level1), ("level2", level2), ("level3", level3)):
        if name in model.levels:
            styled[name] = add(name, lambda m, x, c, n=name: m.paint(n, x, c), x, code[name])
    x = add("decoder.residuals", lambda m, x: residuals(m.decoder.residuals, x), styled["level3"])
    for number, like in ((1, level2), (2, level1)):
        name = f"level{3 - number}"
        x = add(f"upsample{number}", lambda m, x, y=like: cut(upsample_bilinear(x), y), x)
        x = add(f"decoder.up{number}", lambda m, x, n=number: getattr(m.decoder, f"up{n}")(x), x)
        x = x + styled[name] if name in styled else x
    add("decoder.output", lambda m, x: m.decoder.output(x) + 0.5, x)
    add("whole", lambda m, x, c: m.stylize(x, c), content, code)
    return found, state


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", default="din_portable", help="included model, model file or run directory")
    add("--vgg", default="", help="VGG-19 weights, for a model that contains one")
    add("--size", type=int, default=512, help="of the pictures, in pixels")
    add("--batch", type=int, default=1, help="pictures at once")
    add("--products", default=PRODUCTS[0], choices=PRODUCTS, help="of its 1x1 convolutions")
    add("--rounds", type=int, default=9, help="timed runs of each part")
    add_flag(parser)
    add("--json", action="store_true", help="JSON instead of a table")
    flags = parser.parse_args(arguments)
    check_least(flags, size=SMALLEST_SIDE, batch=1, rounds=1, processes=1)
    return flags


def measured(flags: argparse.Namespace) -> dict[str, Any]:
    """{"device", "peak", "rows": [{"part", "ms", "macs", "megabytes"}]}, "whole" last."""
    keep_freed_memory()
    import jax

    from din_jax.inference.fold import for_inference
    from din_jax.tools.bench import ceilings, measure
    from din_jax.tools.bench_cases import Program
    from din_jax.weights.models import load_model

    model = for_inference(load_model(flags.checkpoint, vgg=flags.vgg).model, flags.products)
    found, state = parts(model, (flags.size, flags.size), flags.batch)
    programs = {
        name: Program(lambda p=part: jax.block_until_ready(p.function(state, *p.inputs)))
        for name, part in found.items()
    }
    peak = ceilings(flags.rounds)["multiply_adds"]
    rows = [
        {
            "part": name,
            "ms": statistics.median(times),
            "macs": found[name].macs,
            "megabytes": found[name].megabytes,
        }
        for name, times in measure(programs, flags.rounds).items()
    ]
    return {"device": str(jax.devices()[0]), "peak": peak, "rows": rows}


def merge(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several processes measured: "ms" the median of theirs, from "low" to "high"."""
    rows = []
    for of_part in zip(*(with_sum(one["rows"]) for one in found), strict=True):
        median, low, high = spread([row["ms"] for row in of_part])
        rows.append(of_part[0] | {"ms": median, "low": low, "high": high})
    peak = max(one["peak"] for one in found)
    return {"device": found[0]["device"], "peak": peak, "rows": rows}


def with_sum(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all parts, their sum and the whole, of those of all parts and the whole."""
    *of_parts, whole = [row for row in rows if row["part"] != "sum of parts"]
    total = {key: sum(row[key] for row in of_parts) for key in ("ms", "macs")}
    # Parts run one after the other: the largest is what is needed.
    total["megabytes"] = max(row["megabytes"] for row in of_parts)
    return [*of_parts, {"part": "sum of parts", **total}, whole]


def run(arguments: Sequence[str]) -> None:
    flags = parse(arguments)
    if flags.processes == 1:
        found = merge([measured(flags)])
    else:
        found = merge(in_processes("din_jax.tools.profile", arguments, flags.processes))
    if flags.json:
        print(json.dumps(found, indent=1))
        return
    head = f"{'part':18} {'median ms':>9} {'from-to':>13} {'GMAC':>7} {'GMAC/s':>7} {'%':>4}"
    print(f"{head} {'MB':>6}")
    for row in found["rows"]:
        speed = 1e3 * row["macs"] / row["ms"]
        ends = f"{row['low']:.1f}-{row['high']:.1f}"
        print(
            f"{row['part']:18} {row['ms']:9.1f} {ends:>13} {row['macs'] / 1e9:7.3f} "
            f"{speed / 1e9:7.1f} {100 * speed / found['peak']:4.0f} {row['megabytes']:6.0f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return exit_status(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
