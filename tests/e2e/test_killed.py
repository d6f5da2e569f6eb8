"""kill -9 at twenty moments of a run leaves no trace in it: what it ends with is bit for bit what
an uninterrupted run ends with, and so is its table.

    DIN_LONG_TESTS=1 python -m pytest -s tests/e2e/test_killed.py

Half of the kills come while a checkpoint is being written, two while a run is starting, the others
anywhere. Minutes on one core: they run with DIN_LONG_TESTS=1 only.
"""

import contextlib
import csv
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from din_jax.data.decoding import save_image
from din_jax.training.measures import COLUMNS
from din_jax.weights.runs import flatten, read_checkpoint

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 80, 2
MOMENTS = ["writing"] * 10 + ["starting"] * 2 + ["anywhere"] * 8
# Without nets, style encoder and residual blocks: the quickest to compile. Rows of the table are
# means over steps of several checkpoints, so that a resumed run has to know the open one.
SETTINGS = (
    "model.code=adain", "model.style_encoder=content", "model.residuals=0", f"train.steps={STEPS}",
    f"train.checkpoint_every={EVERY}", "train.log_every=3", "train.validate_every=5",
    "optim.average=0.9",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("DIN_LONG_TESTS") != "1", reason="set DIN_LONG_TESTS=1"),
]


def start(run: Path, settings: tuple[str, ...]) -> subprocess.Popen:
    command = [sys.executable, "train.py", "--config", str(ROOT / "tests/training/tiny.py")]
    with open(f"{run}.log", "w") as log:
        return subprocess.Popen(
            [*command, "--workdir", str(run), *(f"--config.{each}" for each in settings)],
            cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def log_of(run: Path) -> str:
    return Path(f"{run}.log").read_text()[-3000:]


def checkpoints(run: Path) -> tuple[int, list[str]]:
    """The newest step that is whole, -1 for none, and the names of what is being written."""
    names = []
    with contextlib.suppress(FileNotFoundError):
        names = os.listdir(run / "checkpoints")
    steps = [int(name) for name in names if name.isdigit()]
    return max(steps, default=-1), [name for name in names if "orbax-checkpoint-tmp" in name]


def wait_until(condition, run: Path, process: subprocess.Popen):
    deadline = time.monotonic() + 1200
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, log_of(run)
        time.sleep(0.003)


def kill(run: Path, settings, moment: str, starting: float, rng: random.Random) -> bool:
    """Starts the run and kills it at a moment; whether a checkpoint was being written then."""
    # What an earlier kill left of a write is gone once the run has begun to step.
    left = set(checkpoints(run)[1])
    process = start(run, settings)
    try:
        if moment == "starting":
            time.sleep(rng.uniform(0, starting))
        elif moment == "writing":
            wait_until(lambda: set(checkpoints(run)[1]) - left, run, process)
            time.sleep(rng.uniform(0, 0.1))
        else:
            wanted = checkpoints(run)[0] + EVERY * rng.randint(1, 2)
            wait_until(lambda: checkpoints(run)[0] >= wanted, run, process)
            time.sleep(rng.uniform(0, 0.5))
        assert process.poll() is None, f"done before the kill: {log_of(run)}"
    finally:
        process.kill()
        process.wait()
    return bool(set(checkpoints(run)[1]) - left)


def table(run: Path) -> list[list[str]]:
    """metrics.csv without what a clock decides."""
    with open(run / "metrics.csv", newline="") as file:
        return [row for row in csv.reader(file) if not row[1].endswith(COLUMNS)]


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Everything that a checkpoint holds of the state: variables, parameters, optimizer."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        item = (folder / "train").absolute()
        tree = checkpointer.metadata(item).item_metadata.tree
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        train = checkpointer.restore(item, args=ocp.args.PyTreeRestore(restore_args=kinds))
    leaves = jax.tree_util.tree_leaves_with_path(train)
    return flatten(read_checkpoint(folder)) | {
        f"train{jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves
    }


def position(folder: Path) -> dict[str, bytes]:
    """Where the input stands, file by file."""
    return {path.name: path.read_bytes() for path in (folder / "input").glob("*.json")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(9):
        coarse = np.random.default_rng(i).integers(0, 256, (6, 7, 3), np.uint8)
        save_image(folder / f"{i}.png", coarse.repeat(8, 0).repeat(8, 1))
    return folder


DATA = {
    "grain": ("data.threads=2",),
    "resident": ("data.resident=True", "data.kept_crops=2", "train.steps_per_call=4"),
}


@pytest.mark.parametrize("data", DATA)
def test_twenty_kills_leave_the_run_as_it_would_have_been(tmp_path, pictures, data):
    given = (f"data.content={pictures}", f"data.style={pictures}", "data.validation=3")
    settings = (*SETTINGS, *given, *DATA[data], f"data.kept_folder={tmp_path / 'kept'}")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process, began = start(whole, settings), time.monotonic()
    wait_until((whole / "metrics.csv").exists, whole, process)
    starting = time.monotonic() - began
    assert process.wait(1200) == 0, log_of(whole)

    rng = random.Random(2026)
    moments = rng.sample(MOMENTS, len(MOMENTS))
    steps, writing = [], 0
    for moment in moments:
        writing += kill(killed, settings, moment, starting, rng)
        steps.append(checkpoints(killed)[0])
    print(f"\n{data}: {len(moments)} kills, {writing} within a write; newest steps {steps}")
    assert start(killed, settings).wait(1200) == 0, log_of(killed)

    assert table(killed) == table(whole) and len(table(whole)) > STEPS
    expected, got = (arrays(run / "checkpoints" / str(STEPS)) for run in (whole, killed))
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    ends = [position(run / "checkpoints" / str(STEPS)) for run in (whole, killed)]
    assert ends[0] == ends[1] and bool(ends[0]) == (data == "grain")
    assert checkpoints(killed)[1] == [] and not (killed / "damaged").exists()
    assert writing >= 5 and len(set(steps)) >= 5
