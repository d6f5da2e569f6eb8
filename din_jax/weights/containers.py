"""Named arrays out of the kinds of files that weights come in, told apart by their first bytes."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors

from din_jax.weights.errors import WeightsError, WeightsNotFound
from din_jax.weights.pth import read_pth


def read_arrays(path: str | Path, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch state dict (`.pth`), a safetensors or an npz file.

    Args:
      path: the file; its name and ending do not matter.
      keep: which names to read.

    Raises:
      WeightsNotFound: there is no such file.
      WeightsError: the file is damaged, of another kind, or holds Python objects.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFound(f"there is no file {path} to read weights from; correct the path")
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(b"PK"):
        return read_pth(path, keep) if not _is_npz(path) else _read_npz(path, keep)
    if start.startswith(b"\x80"):
        return read_pth(path, keep)
    if start[8:] == b"{":
        return _read_safetensors(path, keep)
    raise WeightsError(
        f"{path} is none of the kinds of weights read here; give a PyTorch state dict (.pth), "
        "a .safetensors or an .npz file"
    )


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith("data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from error


def _read_npz(path: Path, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: np.asarray(stored[name]) for name in stored.files if keep(name)}
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise _damaged(path, error) from error


def _read_safetensors(path: Path, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    try:
        with safetensors.safe_open(path, framework="numpy") as stored:
            return {name: stored.get_tensor(name) for name in stored.keys() if keep(name)}
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path} is damaged or holds more than arrays ({error}); fetch it again")
