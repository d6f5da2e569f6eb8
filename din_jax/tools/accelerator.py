"""Everything that is to be known of this project on an accelerator, in one run of nine minutes.

    python -m din_jax.tools.accelerator --out FOLDER [--minutes 9] [--rehearse]
    python -m parity.accelerator ...      from a clone: the same beside PyTorch

What the device reaches (copy, triad, matrix products); pictures of 512 x 512 and 3840 x 2160, 1, 8
and 32 at once, in float32 and bfloat16; the forms of every dynamic convolution, forward and with
gradients; a training step of configs/din.py:gpu and its parts. FOLDER/rows.json and rows.md are
written anew after every row, the most important rows first. A run that is cut off, or whose minutes
are over, keeps them, and the same command measures what is missing. What fails, for want of memory
say, is a row that says so. `--rehearse` does all of it in tiny sizes, to see that it works.

Times are medians of a call, from the lower to the upper quartile, in runs of up to 50 calls that do
not wait for each other; contenders that are compared run in turn. Compiling is told apart. GB/s and
TFLOP/s are XLA's own count of bytes and operations of the compiled program over the median, and
their percentages are of what copies and products of that type reached in the same run; "roofline"
is the larger of the two, "model" the multiply-adds of the layers, twice, over the same ceiling.
"""

import argparse
import gc
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from din_jax.command_line import Parser
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory
from din_jax.tools.rows import Row, Rows, Worker, conduct, reason, serve

# Of a case: something of another library's that can be run.
Rivals = Callable[[], Mapping[str, Callable[[Any], Any]]]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of rows.json and rows.md")
    add("--minutes", type=float, default=9.0, help="of everything; the same command goes on")
    add("--limit", type=float, default=150.0, help="seconds of a row, its compilation included")
    add("--rehearse", action="store_true", help="tiny sizes")
    add("--retry", action="store_true", help="measure again what failed")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    if not (flags.minutes > 0 and flags.limit > 0):
        raise UserError("--minutes and --limit must be above 0.")
    return flags


def facts(rehearsal: bool) -> dict[str, Any]:
    """What every row of a file is measured with."""
    import jax

    device = jax.devices()[0]
    found = {
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "rehearsal": rehearsal,
    }
    if device.platform == "gpu" and shutil.which("nvidia-smi"):
        query = "--query-gpu=name,memory.total,driver_version"
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True
        )
        found["card"] = answer.stdout.strip()
    return found


class Bench:
    """The worker's: does a job, keeping what it compiled last for those it is compared with."""

    def __init__(self, rehearsal: bool, rivals: Rivals | None):
        from din_jax.tools import accelerator_plan as plans

        self.sizes = plans.REHEARSAL if rehearsal else plans.FULL
        self.jobs = plans.plan(self.sizes, rivals is not None)
        self.rivals = rivals() if rivals else {}
        self._case: Any = None
        self._made: dict[str, Any] = {}  # of this case, by contender

    def do(self, name: str) -> Row:
        from din_jax.tools import accelerator_cases as cases
        from din_jax.tools.accelerator_plan import ALONE

        job = self.jobs[name]
        if isinstance(job.case, str):
            return cases.ceiling(job.case, self.sizes.ceiling)
        if job.contender not in self.rivals:
            return self._times({"ours": self._ours(job.case, job.contender)})["ours"]
        rival = self.rivals[job.contender](job.case)
        if job.stage == ALONE:
            return self._times({"rival": rival})["rival"] | {"note": "alone"}
        try:
            ours = self._ours(job.case, self._default(job.case))
            found = self._times({"ours": ours, "rival": rival})
        except Exception as error:
            row = self._times({"rival": rival})["rival"]
            return row | {"note": f"alone, din_jax: {reason(error)}"}
        compared = {
            "ours_ms": found["ours"]["ms"],
            "ratio": found["rival"]["ms"] / found["ours"]["ms"],
            "difference": cases.difference(ours, rival),
        }
        return found["rival"] | compared

    def _times(self, contenders: Mapping[str, Any]) -> dict[str, Row]:
        from din_jax.tools.accelerator_cases import times

        return times(contenders, self.sizes.rounds, self.sizes.seconds)

    @staticmethod
    def _default(case: Any) -> str:
        import jax

        from din_jax.tools import accelerator_plan as plans
        from din_jax.tools.bench_cases import Case

        if isinstance(case, Case):
            form = "shift" if jax.default_backend() == "cpu" else "conv"
            return plans.default_operation(case, form)
        return plans.OURS

    def _ours(self, case: Any, contender: str) -> Any:
        from din_jax.tools import accelerator_cases as cases
        from din_jax.tools.accelerator_plan import Training
        from din_jax.tools.bench_cases import Case

        if case != self._case:
            self._case, self._made = case, {}
            gc.collect()  # gives its device memory back before more is asked for
        if contender not in self._made:
            if isinstance(case, Case):
                made = cases.operating(case, contender)
            elif isinstance(case, Training):
                made = cases.training(*case)
            else:
                made = cases.stylizing(case)
            self._made[contender] = made
        return self._made[contender]


def work(flags: argparse.Namespace, rivals: Rivals | None) -> None:
    """The worker.

    Raises:
      UserError: there is no accelerator.
    """
    # Else JAX takes most of the device's memory at once, and leaves another library none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    keep_freed_memory()
    about = facts(flags.rehearse)
    if about["platform"] == "cpu" and not flags.rehearse:
        raise UserError(
            "JAX finds no accelerator here, and the sizes are for one: install jax[cuda] (README), "
            "or take --rehearse."
        )
    bench = Bench(flags.rehearse, rivals)
    versions = {"torch": importlib.metadata.version("torch")} if rivals else {}
    serve(about | versions, bench.do)


def run(
    flags: argparse.Namespace, arguments: Sequence[str], module: str, rivals: Rivals | None
) -> None:
    from din_jax.tools import accelerator_plan as plans
    from din_jax.tools.accelerator_report import line, report

    sizes = plans.REHEARSAL if flags.rehearse else plans.FULL
    jobs = plans.plan(sizes, rivals is not None)
    flags.out.mkdir(parents=True, exist_ok=True)
    rows = Rows(flags.out / "rows.json")
    table = flags.out / "rows.md"

    def start(names: Sequence[str]) -> Worker:
        command = [sys.executable, "-m", module, *arguments, "--worker"]
        return Worker(command, names, flags.out / "log")

    def done(name: str) -> None:
        print(line(name, rows, jobs), flush=True)
        table.write_text(report(rows, jobs), encoding="utf-8")

    tasks = [job.task for job in jobs.values()]
    left = conduct(
        tasks, rows, start, done, minutes=flags.minutes, limit=flags.limit, retry=flags.retry
    )
    text = report(rows, jobs)
    table.write_text(text, encoding="utf-8")
    print(text)
    if left:
        print(f"{len(left)} of {len(tasks)} rows are missing: the same command goes on.")


def main(
    arguments: Sequence[str] | None = None,
    module: str = "din_jax.tools.accelerator",
    rivals: Rivals | None = None,
) -> int:
    """The exit status.

    Args:
      arguments: None takes `sys.argv`.
      module: what the workers start; its main calls this one.
      rivals: called in a worker, gives another library's contenders by name.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def command() -> None:
        flags = parse(arguments)
        if flags.worker:
            work(flags, rivals)
        else:
            run(flags, arguments, module, rivals)

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
