"""Several processes of one run on this machine: the way to try on a laptop what a pod does."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import din_jax

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PERIOD = 0.1  # s between two looks at the processes


def commands(arguments: Sequence[str], count: int) -> list[list[str]]:
    """`count` command lines that train together by the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [sys.executable, "-m", "din_jax.tools.train", *arguments]
    together = [f"--coordinator=127.0.0.1:{port}", f"--processes={count}"]
    return [[*start, *together, f"--process={i}"] for i in range(count)]


def environment() -> dict[str, str]:
    """Ours, with the CPU as the device unless something else is asked for."""
    paths = [str(Path(din_jax.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {
        "JAX_PLATFORMS": "cpu", **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))
    }  # fmt: skip


def run(lines: Sequence[Sequence[str]]) -> int:
    """Runs all command lines at once until all have ended; the exit status.

    The first one's output is shown; signals are passed on to all. When one fails, the others, which
    would wait for it, are killed, and it is told which one it was.
    """
    with contextlib.ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile()) for _ in lines]
        processes = [_start(line, errors[i] if i else None) for i, line in enumerate(lines)]
        stack.callback(_end, processes)
        stack.enter_context(_passing_on(processes))
        while True:
            failed = [i for i, process in enumerate(processes) if process.poll()]
            if failed:
                return _tell(failed[0], processes[failed[0]].returncode, errors[failed[0]])
            if all(process.returncode == 0 for process in processes):
                return 0
            time.sleep(PERIOD)


def _start(line: Sequence[str], errors: IO | None) -> subprocess.Popen:
    # A session of its own: Ctrl-C comes to all of them from here, once.
    return subprocess.Popen(
        line, env=environment(), start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if errors else None, stderr=errors,
    )  # fmt: skip


@contextlib.contextmanager
def _passing_on(processes: Sequence[subprocess.Popen]) -> Iterator[None]:
    def send(number: int, frame):
        for process in processes:
            process.send_signal(number)

    before = {number: signal.signal(number, send) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(processes: Sequence[subprocess.Popen]):
    for process in processes:
        process.kill()  # one that has ended is left alone
    for process in processes:
        process.wait()


def _tell(number: int, status: int, errors: IO) -> int:
    """Says what the first process, whose output is seen, has not; the exit status."""
    if status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    else:
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
        how = f"ended with {status}" + (f" ({lines[-1].removeprefix('error: ')})" if lines else "")
    if number or status < 0:
        print(
            f"error: process {number} {how}, so that the others are ended too; the same command "
            "goes on from the last checkpoint.",
            file=sys.stderr,
        )
    return status if status > 0 else 128 - status
