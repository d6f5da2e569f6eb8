"""PyTorch's side of the run for accelerators: the same case, the same numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

from din_jax.tools.accelerator import Bench  # noqa: E402
from din_jax.tools.accelerator_plan import EAGER  # noqa: E402
from parity.accelerator import contenders  # noqa: E402

ROOT = Path(__file__).parents[2]
BLOCKED = "grain", "tensorflow_datasets", "array_record", "ml_collections", "tensorboardX"


@pytest.fixture(scope="module")
def bench():
    return Bench(True, contenders)


def test_its_modules_load_where_data_and_config_libraries_are_missing():
    program = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None  # an import of it raises
from parity.accelerator import contenders
import parity.pair, parity.bench_cases, parity.reference.stylizer
print(sorted(contenders()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "['torch', 'torch, channels_last', 'torch.compile']\n", done.stderr


@pytest.mark.parametrize("way", ["forward", "forward+backward"])
def test_an_operation_is_timed_in_turn_with_ours(bench, way):
    row = bench.do(f"depthwise 3x3 1x8x8x128, {way}, float32: {EAGER}")
    assert row["ratio"] == pytest.approx(row["ms"] / row["ours_ms"])
    assert 0 < row["low"] <= row["ms"] <= row["high"] and row["difference"] is None


def test_what_we_cannot_do_leaves_pytorch_alone(bench, monkeypatch):
    def refuse(case, contender):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(bench, "_ours", refuse)
    row = bench.do(f"depthwise 3x3 1x8x8x128, forward, float32: {EAGER}")
    assert row["note"] == "alone, din_jax: out of memory" and row["ms"] > 0 and "ratio" not in row


@pytest.mark.slow
@pytest.mark.parametrize("contender", [EAGER, "torch, channels_last"])
def test_the_pictures_are_the_same(bench, contender):
    row = bench.do(f"stylize 48x40, batch 2, float32: {contender}")
    assert row["difference"] < 1e-4 and row["ratio"] > 0
