"""Eight simulated devices, and two processes, train like one device.

Exact: the pictures of a batch, and which arrays are split. To float32 rounding: sums over the batch
run in another order, so losses and gradients agree to about 1e-5 of their size.
"""

import csv
import functools
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from din_jax.config import OptimConfig
from din_jax.errors import UserError
from din_jax.training.measures import COLUMNS
from din_jax.training.mesh import local_batch, make_mesh, parameter_path, state_shardings
from din_jax.training.optimizer import make_optimizer
from din_jax.training.state import TrainState

WORKER = Path(__file__).with_name("worker.py")
STOPPED = Path(__file__).with_name("stopped.py")
FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count="


def start(
    out: Path, *arguments: str, worker: Path = WORKER, devices: int = 1, **variables: str
) -> subprocess.Popen:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{FLAGS}{devices}"}
    with open(out / f"log_{'_'.join(arguments)}", "w") as log:
        return subprocess.Popen(
            [sys.executable, str(worker), str(out), *arguments],
            env=environment | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def finish(out: Path, *processes: subprocess.Popen, timeout: float = 600):
    try:
        codes = [process.wait(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    logs = "\n".join(path.read_text()[-3000:] for path in out.glob("log_*"))
    assert not any(codes), logs


def numbers(run: Path) -> dict[tuple[str, str], float]:
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["step"], row["name"]): float(row["value"])
        for row in rows
        if not row["name"].endswith(COLUMNS)
    }


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Callable[[str], Path]:
    """one(name): two steps on the one device of this process, by the same code."""

    @functools.cache
    def train(name: str) -> Path:
        out = tmp_path_factory.mktemp("one")
        runpy.run_path(str(WORKER))["train"](out, name, name)
        return out

    return train


@pytest.fixture(scope="module")
def eight(tmp_path_factory) -> Path:
    """DIN in a layout by rules; test_restored has AdaIN whole on two devices, and split on more."""
    out = tmp_path_factory.mktemp("eight")
    finish(out, start(out, "sharded", devices=8))
    return out


@pytest.mark.slow
def test_eight_devices_train_like_one(one, eight):
    alone, rule = "din", "sharded"
    assert json.loads((eight / f"{rule}.json").read_text())["devices"] == 8
    for name, picture in np.load(one(alone) / f"{alone}_batch.npz").items():
        np.testing.assert_array_equal(np.load(eight / f"{rule}_batch.npz")[name], picture)
    expected, got = numbers(one(alone) / f"run_{alone}"), numbers(eight / f"run_{rule}")
    assert expected.keys() == got.keys() and ("2", "validation/total") in got
    assert_near(got, expected)
    assert_like(dict(np.load(one(alone) / f"{alone}.npz")), dict(np.load(eight / f"{rule}.npz")))


def assert_near(got: dict, expected: dict):
    for (step, name), value in expected.items():
        # `outside` counts values, one of 6144 is 2e-4; a file holds six digits.
        atol = 1e-3 if name.endswith("outside") else 1e-5
        message = f"{name} at step {step}"
        np.testing.assert_allclose(got[step, name], value, rtol=1e-4, atol=atol, err_msg=message)


def assert_like(one: dict[str, np.ndarray], other: dict[str, np.ndarray]):
    assert one.keys() == other.keys()
    moments = {name: x for name, x in one.items() if ".mu" in name}
    largest = max(np.abs(x).max() for x in moments.values())
    for name, x in one.items():
        if ".mu" in name or ".nu" in name:
            scale = largest**2 if ".nu" in name else largest
            np.testing.assert_allclose(other[name], x, rtol=1e-2, atol=1e-4 * scale, err_msg=name)
        elif name.startswith(".batch_stats"):
            np.testing.assert_allclose(other[name], x, rtol=1e-4, atol=1e-5, err_msg=name)
        elif name.startswith(".params"):
            # The second step, the first that moves anything, is 1e-5 long, and 1e-4 for the nets.
            mu = next(m for key, m in moments.items() if key.endswith(name.removeprefix(".params")))
            real = np.abs(mu) > 1e-2 * largest
            np.testing.assert_allclose(other[name][real], x[real], atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_what_the_rules_name_is_split_and_nothing_else(eight):
    split = json.loads((eight / "sharded.json").read_text())["layout"]
    shared = {name for name, (full, part) in split.items() if full != part}
    assert any(".params" in name for name in shared) and any(".nu" in name for name in shared)
    for name, (full, part) in split.items():
        named = "kernel" in name or "bias" in name and "['codes']" in name
        divisible = any(side % 4 == 0 for side in full)
        assert (name in shared) == (named and divisible), name
        assert np.prod(part) == np.prod(full) // (4 if name in shared else 1)


@pytest.mark.slow
def test_two_processes_train_like_one_on_disjoint_pictures(one, tmp_path):
    port = free_port()
    finish(tmp_path, *[start(tmp_path, "adain", port, str(i)) for i in range(2)])
    whole = np.load(one("adain") / "adain_batch.npz")
    parts = [np.load(tmp_path / f"{i}_batch.npz") for i in range(2)]
    for kind in ("content", "style"):
        assert len(whole[kind]) == 8 and all(len(part[kind]) == 4 for part in parts)
        # Every second record each: together the batch that one process reads.
        for i, part in enumerate(parts):
            np.testing.assert_array_equal(part[kind], whole[kind][i::2])
    expected, got = numbers(one("adain") / "run_adain"), numbers(tmp_path / "run")
    assert expected.keys() == got.keys()
    assert_near(got, expected)
    assert (tmp_path / "run/checkpoints/2").is_dir()


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_the_same_step(tmp_path):
    port = free_port()
    processes = [start(tmp_path, port, str(i), worker=STOPPED) for i in range(2)]
    finish(tmp_path, *processes, timeout=300)
    ends = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2)]
    # At the end of its call, and, where it came after the agreement, of the next.
    assert ends[0] == ends[1] == [3, 6]
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["3", "6"]
    steps = [step for step, name in numbers(tmp_path / "run") if name == "train/total"]
    assert steps == list("123456")


def test_batch_that_the_devices_do_not_divide_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert local_batch(16) == 16
    with pytest.raises(UserError, match=r"config\.train\.batch \(12\).*multiple of the 8 devices"):
        local_batch(12)


def test_processes_share_the_batch(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert local_batch(16) == 8


SHAPES = {
    "small": (8, 8), "odd": (1001, 1001), "largest": (64, 4096), "second": (64, 4097),
}  # fmt: skip


def specs(monkeypatch, rules=(), devices: int = 8) -> dict[str, tuple]:
    mesh = make_mesh()
    sizes = property(lambda self: {"data": 1, "fsdp": devices})
    monkeypatch.setattr(type(mesh), "shape", sizes, raising=False)
    shapes = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in SHAPES.items()}
    return {name: tuple(s.spec) for name, s in state_shardings(mesh, shapes, rules).items()}


def test_without_rules_large_arrays_are_split_where_they_can_be(monkeypatch):
    large = {"small": (), "odd": (), "largest": (None, "fsdp"), "second": ("fsdp",)}
    assert specs(monkeypatch) == large
    assert set(specs(monkeypatch, devices=1).values()) == {()}
    named = specs(monkeypatch, ("^small$", "larg"))
    assert named == large | {"small": (None, "fsdp"), "second": ()}


def test_a_rule_that_names_nothing_is_refused(monkeypatch):
    with pytest.raises(UserError, match="config.train.shard: 'kernal' is found in .* 'largest'"):
        specs(monkeypatch, ("odd", "kernal"))


def test_moments_have_the_path_of_their_parameter():
    params = {"encoder": {"0": {"kernel": np.zeros(2)}}, "codes": {"weight_net": np.zeros(3)}}
    for method in ("adam", "muon"):
        optimizer = make_optimizer(OptimConfig(clip=1.0, method=method), 10)
        state = TrainState(np.zeros(()), params, {"encoder": {"mean": 0}}, optimizer.init(params))
        found = [parameter_path(k) for k, _ in jax.tree_util.tree_leaves_with_path(state)]
        # Of each parameter: itself and Adam's two moments.
        assert {name: found.count(name) for name in found if name} == {
            "encoder.0.kernel": 3, "codes.weight_net": 3
        }  # fmt: skip


def test_the_axis_divides_the_devices():
    with pytest.raises(UserError, match=r"config.train.fsdp \(3\) must divide .* is 1\."):
        make_mesh(3)
