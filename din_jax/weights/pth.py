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

import numpy as np

from din_jax.weights.containers import (
    MOST_AT_ONCE,
    Entry,
    Reader,
    open_member,
    read_bytes,
    require_few,
)
from din_jax.weights.pickled import Storage, named_tensors, unpickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


def is_archive(archive: zipfile.ZipFile) -> bool:
    """Whether a zip holds a state dict, and not the arrays of an npz file."""
    return any(name.endswith("data.pkl") for name in archive.namelist())


def entries(file: Reader, archive: zipfile.ZipFile | None) -> dict[str, Entry]:
    """The tensors of a PyTorch state dict, in either layout; nothing in the file is executed.

    Args:
      file: at its start.
      archive: the file as a zip archive; None for the older layout.

    Returns:
      Name to array, in the file's own shapes and types (bfloat16 as ml_dtypes' type).

    Raises:
      Exception: the file is truncated, changed, not a state dict, or its pickle asks for anything
        but tensors; what is raised depends on where that shows.
    """
    return _zip_entries(archive) if archive else _legacy_entries(file)


def _zip_entries(archive: zipfile.ZipFile) -> dict[str, Entry]:
    names = set(archive.namelist())
    pickles = [n for n in names if n.endswith("/data.pkl") and n.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError("a zip archive without one data.pkl in its top folder")
    folder = pickles[0].removesuffix("/data.pkl")
    order = b"little"
    if f"{folder}/byteorder" in names:
        order = _member(archive, f"{folder}/byteorder", 16).tobytes()
    if order not in (b"little", b"big"):
        raise ValueError(f"its byte order is {order!r}")
    pickled = _member(archive, pickles[0], MOST_AT_ONCE)

    def read(storage: Storage) -> np.ndarray:
        dtype = storage.dtype.newbyteorder("<" if order == b"little" else ">")
        most = (storage.start + storage.size) * dtype.itemsize
        raw = _member(archive, f"{folder}/data/{storage.key}", most)
        return raw.view(dtype).astype(storage.dtype)

    tensors = named_tensors(unpickle(io.BytesIO(pickled.tobytes())).root)
    require_few(tensors)
    return {name: tensor.entry(read) for name, tensor in tensors.items()}


def _member(archive: zipfile.ZipFile, name: str, most: int) -> np.ndarray:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"its member {name[-80:]} is longer than its pickle says")
    # PyTorch never compresses.
    with open_member(archive, info, zipfile.ZIP_STORED) as file:
        return read_bytes(file, info.file_size)


def _legacy_entries(file: Reader) -> dict[str, Entry]:
    start = io.BytesIO(file.read(MOST_AT_ONCE))
    magic, version, _facts, root, keys = (unpickle(start) for _ in range(5))
    if type(magic.root) is not int or magic.root != LEGACY_MAGIC:
        raise ValueError("its first number is not PyTorch's")
    if type(version.root) is not int or version.root != LEGACY_VERSION:
        raise ValueError("its protocol version is unknown")
    tensors = named_tensors(root.root)
    require_few(tensors)
    places = _walk_storages(file, start.tell(), keys.root, root.storages)

    def read(storage: Storage) -> np.ndarray:
        place, count = places[storage.key]
        file.seek(place)
        raw = read_bytes(file, count * storage.dtype.itemsize)
        return raw.view(storage.dtype.newbyteorder("<")).astype(storage.dtype)

    return {name: tensor.entry(read) for name, tensor in tensors.items()}


def _walk_storages(
    file: Reader, here: int, keys: list, dtypes: dict[str, np.dtype]
) -> dict[str, tuple[int, int]]:
    """Key of each storage to its place (bytes from the start) and its number of elements."""
    places = {}
    end = file.length
    if type(keys) is not list or not all(type(key) is str and key in dtypes for key in keys):
        raise ValueError("its list of storages does not fit its tensors")
    for key in keys:
        file.seek(here)
        count = int.from_bytes(file.read(8), "little", signed=True)
        size = count * dtypes[key].itemsize
        if count < 0 or here + 8 + size > end:
            raise ValueError(f"it ends after {end} bytes, inside storage {key[:80]}")
        places[key] = (here + 8, count)
        here += 8 + size
    return places
