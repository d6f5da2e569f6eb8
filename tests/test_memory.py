"""Memory that is freed stays with the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from din_jax import memory

ROOT = Path(__file__).parents[1]
FAULTS = """
import resource
from din_jax.memory import keep_freed_memory
done = {keep} and keep_freed_memory()
import jax, jax.numpy as jnp
f = jax.jit(lambda x: x + 1)
x = jnp.ones((3072, 3072))
def run(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        f(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
run(10)
print(done, run(20))
"""


def faults(keep):
    """(whether it was done, page faults of 20 calls), results too large for glibc to keep."""
    run = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    done, count = run.stdout.split()
    return done == "True", int(count)


def test_later_calls_find_their_memory_mapped():
    done, kept = faults(True)
    if not done:
        pytest.skip("the C library is not glibc")
    _, given_back = faults(False)
    assert kept < given_back / 4


@pytest.mark.parametrize(
    ("platforms", "plugins", "libtpu", "expected"),
    [
        ("cpu", ("cuda12",), True, False),
        ("", (), False, False),
        ("", ("cuda12",), False, True),
        ("", (), True, True),
        ("cuda,cpu", (), False, True),
    ],
)
def test_an_accelerator_is_seen_without_asking_jax(
    platforms, plugins, libtpu, expected, monkeypatch
):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(memory.importlib.metadata, "entry_points", lambda group: plugins)
    monkeypatch.setattr(memory.importlib.util, "find_spec", lambda name: libtpu or None)
    assert memory._has_accelerator() is expected


def test_a_container_s_limit_counts(tmp_path):
    assert memory._of_container(tmp_path) == float("inf")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 200\ninactive_file 50\n")
    for most, expected in (("max", float("inf")), ("1000", 750), ("200", 0)):
        (tmp_path / "memory.max").write_text(f"{most}\n")
        assert memory._of_container(tmp_path) == expected
    assert 0 < memory.available_bytes() < float("inf")
