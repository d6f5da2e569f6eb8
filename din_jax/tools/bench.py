"""Times every dynamic convolution in every form.

python -m din_jax.tools.bench [--sizes 64 128 256 512] [--batches 1 8] [--processes 5] [--json]
python -m parity.bench ...      from a clone: the same beside PyTorch

A case is instance norm and a dynamic convolution on [B, S, S, C] with C of the network's level
of that size (32 at 512, 64 at 256, 128 below, for a 512 x 512 picture). Forms:

    vmap     instance norm, then `jax.vmap` over `lax.conv_general_dilated` (the reference)
    fast     instance norm, then the products that `din_jax.ops.dynamic` takes here by itself
    folded   the norm folded into a 1x1 kernel, one product; what inference and training run
    im2col   deformable: the product of all taps at once, with K*K maps in memory
    torch    PyTorch, eager: `F.instance_norm` and the batch as groups of one convolution
    compiled the same under `torch.compile`

All forms of a case are run in turn, everything in several fresh processes one after the other, and
the median, least and largest of the processes' medians given; of one process its median and
quartiles.
`GB/s` and `GMAC/s` are the case's own bytes (map read, map written) and multiply-adds over the
median; their percentages are of what this machine reached in the same run with a copy and with a
square matrix product. XLA's own counts of the compiled program are in the JSON.
"""

import argparse
import dataclasses
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp

from din_jax.command_line import Parser, check_least
from din_jax.errors import exit_status
from din_jax.memory import keep_freed_memory
from din_jax.tools.bench_cases import VARIANTS, Case, Program, jax_programs
from din_jax.tools.processes import add_flag, in_processes, spread

# Of a case: functions without arguments that run it, by the name of their form.
Forms = Callable[[Case], dict[str, Callable]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One form of one case; times in milliseconds.

    `low` and `high` are quartiles of one process's runs, or the ends of several processes' medians.
    """

    variant: str
    size: int
    batch: int
    channels: int
    direction: str
    form: str
    median: float
    low: float
    high: float
    multiply_adds: int
    bytes: int
    xla_flops: float | None
    xla_bytes: float | None


def measure(
    programs: dict[str, Program], rounds: int, budget: float = math.inf
) -> dict[str, list[float]]:
    """Milliseconds of each program, all run once in turn per round, after one to warm up.

    A program that would take more than `budget` seconds in all is run fewer times, and one that
    alone takes longer only that once, to warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    wanted = {}
    for number in range(rounds + 1):
        for name, program in programs.items():
            if number > wanted.get(name, rounds):
                continue
            start = time.perf_counter()
            program.run()
            seconds = time.perf_counter() - start
            if not number:
                wanted[name] = int(min(rounds, budget / seconds))
            if number or not wanted[name]:
                times[name].append(1e3 * seconds)
    return times


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """(lower quartile, median, upper quartile); of one value itself."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ceilings(rounds: int) -> dict[str, float]:
    """What this machine reaches: bytes/s of a copy (read and written), multiply-adds/s of a
    2048^3 float32 matrix product; the best of the rounds."""
    copy = jax.jit(lambda x: x + 1)
    x = jnp.zeros((8, 512, 512, 32))
    product = jax.jit(jnp.matmul)
    a = jnp.ones((2048, 2048))
    programs = {
        "copy": Program(lambda: jax.block_until_ready(copy(x))),
        "product": Program(lambda: jax.block_until_ready(product(a, a))),
    }
    best = {name: min(times) / 1e3 for name, times in measure(programs, rounds).items()}
    return {"bytes": 2 * x.nbytes / best["copy"], "multiply_adds": 2048**3 / best["product"]}


def run_case(case: Case, rounds: int, budget: float, others: Forms | None) -> list[Row]:
    """Every form of a case, in turn."""
    programs = jax_programs(case)
    if others is not None:
        programs |= {name: Program(run) for name, run in others(case).items()}
    c, v = case.channels, case.what
    moved = 2 * 4 * case.batch * case.size**2 * c
    passes = 3 if case.direction == "both" else 1  # gradients to map and kernel are one more each
    rows = []
    for name, times in measure(programs, rounds, budget).items():
        low, median, high = quartiles(times)
        rows.append(
            Row(
                case.variant, case.size, case.batch, c, case.direction, name, median, low, high,
                passes * v.multiply_adds(case.batch, case.size, c), passes * moved,
                programs[name].flops, programs[name].bytes,
            )
        )  # fmt: skip
    return rows


HEADER = (
    f"{'variant':14} {'map':>16} {'direction':9} {'form':8} {'median ms':>9} {'from-to':>15} "
    f"{'ratio':>6} {'GB/s':>6} {'%':>4} {'GMAC/s':>7} {'%':>4}"
)


def format_rows(rows: Sequence[Row], limits: dict[str, float]) -> str:
    """The lines of one case; `ratio` is the median over that of "torch", or of the first form."""
    medians = {row.form: row.median for row in rows}
    base = medians.get("torch", rows[0].median)
    lines = []
    for r in rows:
        shape = f"{r.batch}x{r.size}x{r.size}x{r.channels}"
        bandwidth, speed = 1e3 * r.bytes / r.median, 1e3 * r.multiply_adds / r.median
        lines.append(
            f"{r.variant:14} {shape:>16} {r.direction:9} {r.form:8} {r.median:9.2f} "
            f"{f'{r.low:.2f}-{r.high:.2f}':>15} {r.median / base:6.2f} "
            f"{bandwidth / 1e9:6.1f} {100 * bandwidth / limits['bytes']:4.0f} "
            f"{speed / 1e9:7.1f} {100 * speed / limits['multiply_adds']:4.0f}"
        )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME")
    add("--sizes", nargs="+", type=int, default=[64, 128, 256, 512])
    add("--batches", nargs="+", type=int, default=[1, 8])
    add("--rounds", type=int, default=7, help="timed runs of each form")
    add("--budget", type=float, default=10.0, help="seconds of a form, beyond them fewer rounds")
    add("--forward", action="store_true", help="without the gradients")
    add_flag(parser)
    add("--json", action="store_true", help="JSON instead of a table")
    flags = parser.parse_args(arguments)
    check_least(flags, sizes=8, batches=1, rounds=1, processes=1)
    return flags


def cases(flags: argparse.Namespace) -> Iterator[Case]:
    for batch in flags.batches:
        for size in flags.sizes:
            for variant in flags.variants:
                for direction in ("forward",) if flags.forward else ("forward", "both"):
                    yield Case(variant, size, batch, direction)


def run(flags: argparse.Namespace, others: Forms | None = None) -> None:
    """The measurement in this process."""
    keep_freed_memory()
    limits = ceilings(flags.rounds)
    if not flags.json:
        print_head(limits)
    rows: list[Row] = []
    for case in cases(flags):
        found = run_case(case, flags.rounds, flags.budget, others)
        rows += found
        if not flags.json:
            print(format_rows(found, limits), flush=True)
    if flags.json:
        print_json({"device": str(jax.devices()[0]), "ceilings": limits}, rows)


def run_in_processes(flags: argparse.Namespace, arguments: Sequence[str], module: str) -> None:
    """The measurement in several, and what they agree on."""
    found = in_processes(module, arguments, flags.processes)
    limits = {name: max(one["ceilings"][name] for one in found) for name in found[0]["ceilings"]}
    rows = merge([[Row(**row) for row in one["rows"]] for one in found])
    if flags.json:
        print_json({"device": found[0]["device"], "ceilings": limits}, rows)
        return
    print_head(limits)
    for _, of_case in itertools.groupby(rows, key=lambda r: dataclasses.astuple(r)[:5]):
        print(format_rows(list(of_case), limits))


def merge(found: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of several processes, in the same order each, to rows of their medians."""
    merged = []
    for rows in zip(*found, strict=True):
        median, low, high = spread([row.median for row in rows])
        merged.append(dataclasses.replace(rows[0], median=median, low=low, high=high))
    return merged


def print_head(limits: dict[str, float]) -> None:
    print(
        f"ceilings: copy {limits['bytes'] / 1e9:.1f} GB/s, matrix product "
        f"{limits['multiply_adds'] / 1e9:.1f} GMAC/s; ratio is to torch, or to the first form"
    )
    print(HEADER)


def print_json(about: dict, rows: Sequence[Row]) -> None:
    print(json.dumps(about | {"rows": [dataclasses.asdict(row) for row in rows]}, indent=1))


def main(
    arguments: Sequence[str] | None = None,
    module: str = "din_jax.tools.bench",
    others: Forms | None = None,
) -> int:
    """The exit status.

    Args:
      arguments: None takes `sys.argv`.
      module: what the processes start; its main calls this one.
      others: forms of a case that are not this program's.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def command() -> None:
        flags = parse(arguments)
        if flags.processes == 1:
            run(flags, others)
        else:
            run_in_processes(flags, arguments, module)

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
