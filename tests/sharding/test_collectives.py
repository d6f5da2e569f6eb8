"""On a mesh that splits the batch, a forward pass sends nothing between devices.

The gradient sends the sums of parameter gradients and nothing else. Read from compiled programs of
eight simulated devices; `jax.vmap` over convolutions does not even compile there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FLAGS = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
CASES = [
    "layer 1x1", "layer 3x3", "layer group", "layer depthwise", "layer spatial",
    "layer whitening", "layer deformable", "network standard", "network deformable",
]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list[str]]]:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("collectives.py")],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_collectives_that_are_there_are_found(found):
    assert found["control"] == {"forward": ["all-gather"], "backward": ["all-gather"]}
    assert set(found) == {*CASES, "control"}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_forward_pass_sends_nothing(found, case):
    assert found[case]["forward"] == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_gradient_sends_sums_of_parameter_gradients_alone(found, case):
    assert found[case]["backward"] == (["all-reduce"] if case.startswith("network") else [])
