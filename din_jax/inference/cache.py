"""Compiled programs kept for the next process, in the user's cache.

    $XDG_CACHE_HOME/din_jax/programs, or ~/.cache/din_jax/programs

`DIN_JAX_CACHE=0` turns it off, `JAX_COMPILATION_CACHE_DIR` names another folder, as ever. What lies
there is run as it is, so the folder is the user's alone.
"""

import contextlib
import os
import stat
from pathlib import Path

from din_jax.download import cache_folder

SWITCH = "DIN_JAX_CACHE"
LARGEST = 1 << 30  # bytes; beyond, what was written longest ago is removed
SECONDS = 0.2  # programs that take less to compile are not kept


def keep_programs() -> Path | None:
    """Lets JAX keep what this process compiles; call it before anything is compiled.

    Returns:
      The folder, None where it is turned off or cannot be had.
    """
    import jax

    if os.environ.get(SWITCH, "") in ("0", "off"):
        return None
    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    folder = cache_folder() / "programs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder) or not os.access(folder, os.W_OK):
            return None
        prune(folder)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    return folder


def prune(folder: Path, most: int = LARGEST) -> None:
    """Removes the files written longest ago until the folder has at most `most` bytes."""
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may be at it
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can put a program there."""
    status = folder.stat()
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
