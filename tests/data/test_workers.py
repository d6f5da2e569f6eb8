"""A run that is killed leaves no process behind that decodes its pictures."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Draws pictures in one worker process, whose number it prints, and waits.
PROGRAM = """
import multiprocessing, time
from din_jax.config import DataConfig
from din_jax.data.pairs import make_batches
if __name__ == "__main__":
    config = DataConfig(resize=32, crop=32, validation=2, threads=1, prefetch=2, workers=1)
    batches = iter(make_batches(config, 1, 0))
    next(batches)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
def test_workers_end_with_a_run_that_is_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        workers = [int(word) for word in process.stdout.readline().split()]
        assert workers and all(map(alive, workers))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    end = time.monotonic() + 30
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(alive, workers))
