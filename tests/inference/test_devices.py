"""A batch over several devices gives what one device gives; so do the pieces of a picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPT = """
import runpy, sys
import jax, numpy as np
from din_jax.config import Config
from din_jax.inference import Engine
from din_jax.ops.forms import default_form

tests = runpy.run_path(sys.argv[1])
settings = tests["TINY"] | {"encoder_norm": "batch"}
config = Config.from_dict({"model": settings, "data": {"crop": 40, "resize": 40}})
loaded = tests["make_loaded"](config)
rng = np.random.default_rng(0)
contents = [rng.integers(0, 256, (h, 40, 3), np.uint8) for h in (36, 40, 33)]
large = rng.integers(0, 256, (150, 40, 3), np.uint8)
assert len(jax.devices()) == 4
pictures = []
with default_form("conv"):
    for devices in (None, jax.devices()[:2]):
        engine = Engine(loaded, batch=3, bucket=40, devices=devices)
        assert engine.batch == (4 if devices else 3)
        code = engine.encode_style(contents[:1])
        painted = engine.stylize(contents, code) + engine.stylize([large], code, tile=104)
        pictures.append(painted)
for a, b in zip(*pictures):
    assert a.shape == b.shape and a.std() > 8
    assert np.abs(a.astype(int) - b).max() <= 1, np.abs(a.astype(int) - b).max()
print("equal")
"""


@pytest.mark.slow
def test_two_devices_paint_like_one():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(HERE / "conftest.py")],
        cwd=HERE.parents[1],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "equal", run.stderr[-3000:]
