"""Several processes as users start them: equal to one, stopped together, ended together.

Minutes on one core: they run with DIN_LONG_TESTS=1 only.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from din_jax.tools.cluster import GONE_AFTER
from din_jax.training.measures import COLUMNS
from din_jax.weights.runs import read_checkpoint

ROOT = Path(__file__).parents[2]
# Without nets and style encoder: the quickest to compile.
ADAIN = ("--config.model.code=adain", "--config.model.style_encoder=content")
ADAIN += ("--config.train.batch=4", "--config.optim.warmup=100")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("DIN_LONG_TESTS") != "1", reason="set DIN_LONG_TESTS=1"),
]


def start(run: Path, *arguments: str, log: str = "log") -> subprocess.Popen:
    command = [sys.executable, "train.py", "--config", f"{ROOT / 'tests/training/tiny.py'}:long"]
    with open(run.parent / log, "w") as file:
        return subprocess.Popen(
            [*command, *ADAIN, "--workdir", str(run), *arguments],
            cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip


def numbers(run: Path) -> dict[tuple[str, str], float]:
    with open(run / "metrics.csv", newline="") as file:
        rows = [(row["step"], row["name"], row["value"]) for row in csv.DictReader(file)]
    return {(step, name): float(x) for step, name, x in rows if not name.endswith(COLUMNS)}


def wait_for_a_step(run: Path, process: subprocess.Popen, step: str = "2"):
    deadline = time.monotonic() + 1200
    while not (run / "metrics.csv").exists() or (step, "train/total") not in numbers(run):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


SPLIT = ("--config.train.fsdp=2", "--config.train.shard=kernel$")


@pytest.mark.parametrize("count,layout", [(2, ()), (4, ()), (2, SPLIT)])
def test_local_processes_train_like_one(tmp_path, count, layout):
    few = ("--config.train.steps=3", "--config.train.validate_every=3")
    one, several = tmp_path / "one", tmp_path / "several"
    for run, more in ((one, ()), (several, (f"--local_processes={count}", *layout))):
        process = start(run, *few, *more)
        assert process.wait(1800) == 0, (tmp_path / "log").read_text()[-3000:]
    said = (tmp_path / "log").read_text()
    assert f"new run, {count} cpu device(s)" in said and said.count("Finished step 3") == 1
    expected, got = numbers(one), numbers(several)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-4, atol=1e-5, err_msg=str(key))
    arrays = [read_checkpoint(run / "checkpoints" / "3") for run in (one, several)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        # Of a rate of 1e-5 a step, Adam's sign of a gradient that is rounding alone.
        np.testing.assert_allclose(arrays[1][name], array, rtol=1e-4, atol=6e-5, err_msg=name)


def test_a_signal_to_the_launcher_stops_all_saved(tmp_path):
    run = tmp_path / "run"
    process = start(run, "--local_processes=2", "--config.train.steps=100000")
    wait_for_a_step(run, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 0, (tmp_path / "log").read_text()[-3000:]
    (step,) = (int(path.name) for path in (run / "checkpoints").iterdir())
    assert f"Stopped at step {step}, saved." in (tmp_path / "log").read_text()


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_ends_within_the_bound(tmp_path, victim):
    run = tmp_path / "run"
    port = 20_000 + os.getpid() % 20_000 + victim
    together = (f"--coordinator=127.0.0.1:{port}", "--processes=2")
    processes = [
        start(run, *together, f"--process={i}", "--config.train.steps=100000", log=f"log{i}")
        for i in range(2)
    ]
    try:
        wait_for_a_step(run, processes[0])
        processes[victim].kill()
        began = time.monotonic()
        assert processes[1 - victim].wait(GONE_AFTER + 20) != 0
        assert time.monotonic() - began < GONE_AFTER + 5
    finally:
        for process in processes:
            process.kill()
    said = (tmp_path / f"log{1 - victim}").read_text()
    assert f"error: process {victim} is gone, so that this one ends too" in said
    assert "Traceback" not in said and "***" not in said and "Fatal Python" not in said
