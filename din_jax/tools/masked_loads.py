"""Counts the masked loads in what XLA on CPU compiles from a function (docs/SLOW_STATE.md).

A masked load reads some lanes of a vector and skips others. LLVM makes them where a loop chooses
what to read by index; the skipped lanes then may point anywhere, and where that memory is not
mapped the processor takes up to a hundred times as long. So what this package runs holds none.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

MASKED = re.compile(r"call .*@llvm\.masked\.(?:load|gather|expandload)\.")
# What XLA on CPU does unless XLA_FLAGS say otherwise.
DEFAULTS = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
KERNEL = re.compile(r"\.([^.]+?)(?:_kernel_module)?\.ir-with-opt\.ll$")


def masked_loads(function: Callable[..., Any], *inputs: Any) -> dict[str, int]:
    """How many masked loads each kernel of the compiled function holds, those without left out.

    Reads LLVM's optimized code, which XLA writes out when asked, as it is by default, whatever
    XLA_FLAGS say. Depends on the processor: without AVX2 or more there are none. The kernels are
    the same at every size at which the function takes the same form.

    Args:
      function: of arrays, traced and compiled anew; nothing is computed.
      *inputs: pytrees of arrays or `jax.ShapeDtypeStruct`.

    Returns:
      Name of the kernel, usually that of a fusion, to a number.
    """
    # A program out of a cache would be written out no more: its key does not hold the folder.
    cached = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        with tempfile.TemporaryDirectory() as folder:
            # A new function object, so that no earlier trace of another form is reused.
            lowered = jax.jit(lambda *args: function(*args)).lower(*inputs)
            lowered.compile(compiler_options=DEFAULTS | {"xla_dump_to": folder})
            kernels = {path: path.read_text() for path in Path(folder).glob("*.ir-with-opt.ll")}
            assert any(Path(folder).iterdir()), "XLA wrote nothing out"
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
        compilation_cache.reset_cache()
    counts = {KERNEL.search(path.name)[1]: len(MASKED.findall(s)) for path, s in kernels.items()}
    return {name: count for name, count in counts.items() if count}
