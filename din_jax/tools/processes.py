"""The same measurement in several fresh processes, and the spread of what they found.

The memory that a program's buffers get can decide its time (docs/SLOW_STATE.md), and a process
tends to keep what it got: many runs in one process say nothing of the next one.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from din_jax.errors import UserError

PROCESSES = 5


class Spread(NamedTuple):
    """The median, least and largest of what the processes found."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def add_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--processes",
        type=int,
        default=PROCESSES,
        help="fresh processes, one after the other, that each measure everything; 1: in this one",
    )


def in_processes(module: str, arguments: Sequence[str], count: int) -> list[dict[str, Any]]:
    """What `python -m module ARGUMENTS --processes 1 --json` prints, `count` times.

    Raises:
      UserError: what a process refused.
      RuntimeError: one failed otherwise; it carries what that wrote.
    """
    command = [sys.executable, "-m", module, *arguments, "--processes", "1", "--json"]
    found = []
    for number in range(count):
        if sys.stderr.isatty():
            print(f"process {number + 1} of {count}", file=sys.stderr)
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode == 2:  # one sentence for the user, as in `errors.exit_status`
            raise UserError(result.stderr.strip().splitlines()[-1].removeprefix("error: "))
        if result.returncode:
            raise RuntimeError(f"process {number + 1} of {count} failed:\n{result.stderr}")
        found.append(json.loads(result.stdout))
    return found
