"""Files of weights, told apart by their first bytes and opened without trust in any of them."""

import contextlib
import functools
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from din_jax.errors import UserError
from din_jax.weights import pth
from din_jax.weights.containers import Entry, Reader, npz_entries, safetensors_entries
from din_jax.weights.errors import WeightsError, WeightsNotFound, one_line

TO_SAFETENSORS = (
    'python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in '
    "torch.load('FILE.pth', weights_only=True).items()}, 'FILE.safetensors')\""
)


@contextlib.contextmanager
def open_weights(
    path: str | Path, pickles: Mapping[str, str] | None = None
) -> Iterator[dict[str, Entry]]:
    """The arrays of a safetensors or an npz file, or of a PyTorch state dict (`.pth`).

    Args:
      path: the file; its name and ending do not matter.
      pickles: the PyTorch files that are read, SHA-256 to what each is called; None reads any.
        Either way nothing in a file is run (`din_jax.weights.pickled`).

    Yields:
      Names to entries, which can be read until the block ends.

    Raises:
      WeightsNotFound: there is no such file.
      WeightsError: the file is damaged, of another kind, or holds more than arrays; reading an
        entry raises it too.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFound(f"there is no file {path} to read weights from; correct the path")
    with contextlib.ExitStack() as stack:
        with refusing(path):
            entries = _entries(path, pickles, stack)
        yield {name: _guarded(entry, path) for name, entry in entries.items()}


def _entries(
    path: Path, pickles: Mapping[str, str] | None, stack: contextlib.ExitStack
) -> dict[str, Entry]:
    file = stack.enter_context(Reader(path))
    start = file.read(9)
    file.seek(0)
    if start[8:] == b"{":
        return safetensors_entries(path, stack)[0]
    archive = stack.enter_context(zipfile.ZipFile(file)) if start.startswith(b"PK") else None
    if archive and not pth.is_archive(archive):
        return npz_entries(archive)
    if not archive and not start.startswith(b"\x80"):
        raise WeightsError(
            f"{path} is none of the kinds of weights read here; give a .safetensors or .npz file, "
            "or a PyTorch state dict (.pth)"
        )
    if pickles is not None and sha256_of(path) not in pickles:
        raise WeightsError(
            f"{path} is a PyTorch file{_other_than(pickles)}, and pickles that "
            f"are not known by their SHA-256 are not read here; save it anew: {TO_SAFETENSORS}"
        )
    return pth.entries(file, archive)


def _other_than(pickles: Mapping[str, str]) -> str:
    return f" other than {', '.join(pickles.values())}" if pickles else ""


@contextlib.contextmanager
def refusing(path: Path, kind: type[UserError] = WeightsError) -> Iterator[None]:
    """Turns whatever reading a file raises into one sentence."""
    try:
        yield
    except UserError:
        raise
    # Damage shows in many ways: zipfile alone raises seven kinds of errors.
    except Exception as error:
        raise kind(
            f"{path} is damaged or holds more than arrays ({one_line(error)}); fetch it again"
        ) from error


def _guarded(entry: Entry, path: Path) -> Entry:
    def read():
        with refusing(path):
            return entry.read()

    return entry._replace(read=read)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; one that has not changed is not read a second time."""
    facts = path.stat()
    return _sha256(path, facts.st_ino, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, *_facts: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
