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
LAYERS = [
    "layer 1x1", "layer 3x3", "layer group", "layer depthwise", "layer spatial",
    "layer whitening", "layer deformable",
]  # fmt: skip
NETWORKS = ["network standard", "network deformable"]


@pytest.mark.slow
def test_a_gradient_sends_sums_of_parameter_gradients_and_nothing_else_is_sent():
    """One test, so that one worker compiles the programs, once."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("collectives.py")],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    # What would be seen is seen.
    assert found.pop("control") == {"forward": ["all-gather"], "backward": ["all-gather"]}
    layers = {case: {"forward": [], "backward": []} for case in LAYERS}
    networks = {case: {"forward": [], "backward": ["all-reduce"]} for case in NETWORKS}
    assert found == layers | networks
