"""Files from a network: kept in the user's cache, bounded, fetched by one process at a time."""

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from din_jax.files import leftovers

TIMEOUT_SECONDS = 30.0  # for one answer of the server, not for the whole file
CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/din_jax`, or `~/.cache/din_jax`; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "din_jax"


def fetch(url: str, partial: Path, digest: Any, timeout: float, most: int | None = None) -> str:
    """Streams `url` into the file `partial`; the hexadecimal digest of its bytes.

    Args:
      url: whose file.
      partial: what is written; the caller removes it if this raises, and compares the digest.
      digest: a new one of `hashlib`.
      timeout: seconds for one answer of the server.
      most: bytes after which it is given up; None: any number.

    Raises:
      OSError: there is no answer, or it ends early or is too long.
      http.client.HTTPException, ValueError: it is no answer, or `url` no address.
    """
    from tqdm import tqdm  # where nothing is downloaded it need not be installed

    got = 0
    request = urllib.request.Request(url, headers={"User-Agent": "din_jax"})
    title = url.rpartition("/")[2][:60]
    with (
        urllib.request.urlopen(request, timeout=timeout) as answer,
        partial.open("wb") as file,
    ):
        length = answer.headers.get("Content-Length")
        total = int(length) if length else None
        # disable=None: no progress bar where standard error is not a terminal.
        with tqdm(total=total, unit="B", unit_scale=True, desc=title, disable=None) as bar:
            while chunk := answer.read(CHUNK_BYTES):
                got += len(chunk)
                if most is not None and got > most:
                    raise OSError(f"the server sends more than the {most} bytes of the file")
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    if total is not None and got < total:
        raise OSError(f"the connection ended after {got} of {total} bytes")
    return digest.hexdigest()


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Lets one process at a time download `target`; the others wait and then find the file."""
    try:
        import fcntl
    except ImportError:  # Windows: each process downloads, and the rename keeps that safe
        yield
        return
    with target.with_suffix(".lock").open("w") as file:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX)
            # Whoever left a partial file was killed: nobody else is downloading now.
            for stale in leftovers(target):
                stale.unlink(missing_ok=True)
        yield
