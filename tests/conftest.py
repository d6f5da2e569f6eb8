"""Shared by all tests: one device, a compilation cache, and the real data where it lies."""

import gc
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Set before jax is imported. Tests share compiled programs between workers, between the commands
# that they start and between runs: also the small ones, most of which a Trainer or an engine anew
# would compile anew, and a program is read in a fifth of the time.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What compiles in a sixth of the time, before it runs a moment: LLVM without optimization, XLA
# without MLIR and without cutting a program into parts. The tests of compiled code ask for what
# users get (`din_jax.tools.masked_loads`), `make parity` compares it (XLA_FLAGS=).
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1",
)
# Workers share the cores: threads of their own, in XLA's pools and in BLAS, wait for each other.
os.environ.setdefault("PJRT_NPROC", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is promoted or broadcast unasked is an error, also in the commands that tests start.
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import pytest  # noqa: E402

from din_jax.memory import keep_freed_memory  # noqa: E402

keep_freed_memory()


def pytest_collection_finish():
    """Modules live to the end: the collector need not walk them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real weights and images (data sets that are not part of the project)."""
    path = Path(os.environ.get("DIN_JAX_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("real weights and images are not here; set DIN_JAX_SHARED_DATA to their folder")
    return path
