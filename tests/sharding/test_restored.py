"""A run that goes on with eight devices, two and one, split and whole, is the run of one device.

Exact: what is restored. To float32 rounding: what is trained on from the same state, since sums
over the batch run in another order.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from din_jax.training.measures import COLUMNS

WORKER = Path(__file__).with_name("restored.py")
FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count="
# Devices and, for each layout on them, the run, how many hold a parameter together, and until
# which step.
FIRST, MOVES = (8, "moved:8:2"), ((2, "moved:1:4,moved:2:6"), (1, "moved:1:8,single:1:4"))


def call(out: Path, devices: int, layouts: str):
    done = subprocess.run(
        [sys.executable, str(WORKER), str(out), layouts],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{FLAGS}{devices}"},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("restored")
    call(out, *FIRST)
    shutil.copytree(out / "moved", out / "single")
    for move in MOVES:
        call(out, *move)
    return out


def state(out: Path, name: str) -> dict[str, np.ndarray]:
    return dict(np.load(out / f"{name}.npz"))


@pytest.mark.slow
def test_what_is_restored_is_what_was_saved(out):
    for before, after in ((2, 4), (4, 6), (6, 8)):
        saved, restored = state(out, f"moved_{before}"), state(out, f"moved_{after}_from")
        assert saved.keys() == restored.keys()
        for name, array in saved.items():
            np.testing.assert_array_equal(restored[name], array, err_msg=name)
    layouts = [json.loads((out / f"moved_{step}.json").read_text()) for step in (2, 4, 6, 8)]
    assert [layout["devices"] for layout in layouts] == [8, 2, 2, 1]
    assert [bool(layout["split"]) for layout in layouts] == [True, False, True, False]
    assert any(".mu" in name for name in layouts[0]["split"])


def numbers(run: Path) -> dict[tuple[str, str], float]:
    with open(run / "metrics.csv", newline="") as file:
        rows = [(row["step"], row["name"], row["value"]) for row in csv.DictReader(file)]
    return {(step, name): float(x) for step, name, x in rows if not name.endswith(COLUMNS)}


@pytest.mark.slow
def test_it_trains_on_like_one_device(out):
    """Two steps on two devices of what eight have saved, against the same two on one."""
    expected, got = numbers(out / "single"), numbers(out / "moved")
    assert expected.keys() <= got.keys() and ("4", "validation/total") in expected
    for key, value in expected.items():
        # `outside` counts values, one of 6144 is 2e-4; a file holds six digits.
        atol = 1e-3 if key[1].endswith("outside") else 1e-5
        np.testing.assert_allclose(got[key], value, rtol=1e-5, atol=atol, err_msg=str(key))
    one, other = state(out, "single_4"), state(out, "moved_4")
    assert one.keys() == other.keys()
    moments = {name: x for name, x in one.items() if ".mu" in name}
    largest = max(np.abs(x).max() for x in moments.values())
    for name, x in moments.items():
        np.testing.assert_allclose(other[name], x, atol=1e-4 * largest, err_msg=name)
    moved = 0
    for name, x in one.items():
        if not name.startswith(".params"):
            continue
        # Adam moves a parameter whose gradient is rounding alone by as much in any direction.
        mu = next(m for key, m in moments.items() if key.endswith(name.removeprefix(".params")))
        real = np.abs(mu) > 1e-2 * largest
        moved += real.sum()
        np.testing.assert_allclose(other[name][real], x[real], rtol=0, atol=1e-5, err_msg=name)
    assert moved > 100
