"""The memory of this machine: how much is left, and the C allocator's settings for CPUs.

XLA asks the C library for all memory of a call at once and gives it back after. glibc hands large
pieces back to the system, so that every call begins on pages that the kernel has yet to map and to
clear: 71,000 page faults for one picture of 512 x 512, where kept memory leaves 3,800.
"""

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import math
import os
import platform
from pathlib import Path

# From malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_STEP = 64 << 20  # bytes by which the heap grows


def keep_freed_memory() -> bool:
    """Lets this process keep what it frees for its next call.

    A picture of 512 x 512 then takes 0.22 s instead of 0.31 on two cores (docs/RESULTS.md).

    Acts under glibc on machines whose JAX has no accelerator, and only before JAX has started a
    backend: call it first. The process stays as large as it ever was.

    Returns:
      Whether it was done.
    """
    if platform.libc_ver()[0] != "glibc" or _has_accelerator():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Nothing by mmap, nothing trimmed, and one arena: those of threads trim by a rule of their own.
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1, _TOP_PAD: _STEP, _ARENA_MAX: 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())


def _has_accelerator() -> bool:
    """Whether JAX may start another backend than its CPU's; asking JAX would start one."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms != "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return bool(plugins) or importlib.util.find_spec("libtpu") is not None


def available_bytes() -> int:
    """Memory that a new allocation can have without swapping: of this machine, or its container."""
    return min(_of_machine(), _of_container())


def _of_machine() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # Elsewhere all that is there: too much is told, never too little.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_container(folder: Path = Path("/sys/fs/cgroup")) -> int | float:
    """What a control group (version 2) leaves, file pages that can be dropped included."""
    try:
        most = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        cached = dict(line.split() for line in lines)["inactive_file"]
        return max(most - used + int(cached), 0)
    except (OSError, ValueError, KeyError):  # none, "max", or another version
        return math.inf
