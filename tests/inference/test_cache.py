"""Programs that one process compiles are there for the next, in a folder of the user's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from din_jax.inference import cache

ROOT = Path(__file__).parents[2]
SCRIPT = """
from din_jax.inference.cache import keep_programs
folder = keep_programs()
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8)))
print(folder, sum(name.endswith("cache_hits") for name in hits))
"""


def start(home, **variables):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMP", "JAX_PERSIST"))}
    environment = clean | {"XDG_CACHE_HOME": str(home), "JAX_PLATFORMS": "cpu"} | variables
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, check=True,
                         capture_output=True, text=True)  # fmt: skip
    folder, hits = run.stdout.split()
    return folder, int(hits)


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    folder = tmp_path / "din_jax" / "programs"
    assert start(tmp_path) == (str(folder), 0)
    found, hits = start(tmp_path)
    assert found == str(folder) and hits > 0
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)  # anybody could put a program there
    assert start(tmp_path) == ("None", 0)


@pytest.mark.parametrize("switch", ["0", "off"])
def test_it_can_be_turned_off(tmp_path, switch, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(cache.SWITCH, switch)
    assert cache.keep_programs() is None and not list(tmp_path.iterdir())


def test_the_oldest_make_room(tmp_path):
    for i in range(4):
        path = tmp_path / str(i)
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    cache.prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
