"""PyTorch's `.pth` files, read without PyTorch.

Two layouts exist. Since PyTorch 1.6 a file is a zip archive, uncompressed: `NAME/data.pkl` is the
pickled state dict, `NAME/data/KEY` the raw numbers of each storage, `NAME/byteorder` their order.
Before, and in torchvision's published VGG-19, it is a sequence of pickles (magic number, protocol
version, facts about the system, state dict, list of storage keys), and after them each storage
in the order of that list: an int64 element count, then the numbers, both little-endian.
Source: torch/serialization.py (`_save`, `_legacy_save`).
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from din_jax.weights.errors import WeightsError
from din_jax.weights.pickled import (
    PICKLE_ERRORS,
    RestrictedUnpickler,
    Storage,
    named_tensors,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


def read_pth(path: str | Path, keep: Callable[[str], bool] = lambda name: True) -> dict:
    """The tensors of a PyTorch state dict, in either layout; nothing in the file is executed.

    Args:
      path: the file.
      keep: which names to read; the numbers of the others stay on the disk.

    Returns:
      Name to array, in the file's own shapes and types (bfloat16 as ml_dtypes' type).

    Raises:
      WeightsError: the file is truncated, changed, not a PyTorch state dict, or its pickle asks
        for anything but tensors.
    """
    path = Path(path)
    with path.open("rb") as file:
        read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_legacy
        file.seek(0)
        try:
            return read(file, keep)
        except WeightsError as error:
            raise WeightsError(f"{path} was refused: {error}") from None
        except (*PICKLE_ERRORS, zipfile.BadZipFile, OSError) as error:
            raise WeightsError(
                f"{path} is damaged or not a PyTorch state dict ({error}); fetch it again"
            ) from error


def _read_zip(file: BinaryIO, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        pickles = [n for n in names if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("a zip archive without one data.pkl in its top folder")
        folder = pickles[0].removesuffix("/data.pkl")
        order = b"little"
        if f"{folder}/byteorder" in names:
            order = _member(archive, f"{folder}/byteorder", 16)
        if order not in (b"little", b"big"):
            raise ValueError(f"its byte order is {order!r}")
        pickled = _member(archive, pickles[0])
        root = RestrictedUnpickler(io.BytesIO(pickled)).load()
        built = {}
        for name, tensor in named_tensors(root, keep).items():
            stored = tensor.storage
            dtype = stored.dtype.newbyteorder("<" if order == b"little" else ">")
            bytes_expected = (stored.start + stored.size) * dtype.itemsize
            raw = _member(archive, f"{folder}/data/{stored.key}", bytes_expected)
            built[name] = tensor.build(np.frombuffer(raw, dtype)).astype(stored.dtype)
        return built


def _member(archive: zipfile.ZipFile, name: str, most: int | None = None) -> bytes:
    info = archive.getinfo(name)
    # PyTorch never compresses; a compressed member could be small here and huge in memory.
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its member {name} is compressed")
    if most is not None and info.file_size > most:
        raise ValueError(f"its member {name} has {info.file_size} bytes, at most {most} expected")
    return archive.read(info)


def _read_legacy(file: BinaryIO, keep: Callable[[str], bool]) -> dict[str, np.ndarray]:
    if RestrictedUnpickler(file).load() != LEGACY_MAGIC:
        raise ValueError("its first number is not PyTorch's")
    if RestrictedUnpickler(file).load() != LEGACY_VERSION:
        raise ValueError("its protocol version is unknown")
    RestrictedUnpickler(file).load()  # facts about the system that wrote it
    unpickler = RestrictedUnpickler(file)
    tensors = named_tensors(unpickler.load(), keep)
    keys = RestrictedUnpickler(file).load()
    places = _walk_storages(file, keys, unpickler.storages)
    built = {}
    for name, tensor in tensors.items():
        numbers = _read_numbers(file, tensor.storage, *places[tensor.storage.key])
        built[name] = tensor.build(numbers)
    return built


def _walk_storages(
    file: BinaryIO, keys: list, dtypes: dict[str, np.dtype]
) -> dict[str, tuple[int, int]]:
    """Key of each storage to its place (bytes from the start) and its number of elements."""
    places = {}
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    for key in keys:
        file.seek(here)
        count = int.from_bytes(file.read(8), "little", signed=True)
        size = count * dtypes[str(key)].itemsize
        if count < 0 or here + 8 + size > end:
            raise ValueError(f"it ends after {end} bytes, inside storage {key}")
        places[str(key)] = (here + 8, count)
        here += 8 + size
    return places


def _read_numbers(file: BinaryIO, storage: Storage, place: int, count: int) -> np.ndarray:
    file.seek(place)
    raw = file.read(count * storage.dtype.itemsize)
    return np.frombuffer(raw, storage.dtype.newbyteorder("<")).astype(storage.dtype)
