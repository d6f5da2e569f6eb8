"""What safetensors, npz and PyTorch's files have in common, and how the first two are read.

A file gives a table of contents first: names to `Entry`, with the type and shape that it claims.
Numbers are read one array at a time and only when asked, so that whoever knows which shapes belong
there (`din_jax.weights.checked`) decides before memory is spent.
"""

import contextlib
import functools
import io
import math
import re
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors

from din_jax.weights.errors import one_line

MOST_AT_ONCE = 1 << 20  # bytes: of a header, a zip's directory, a pickle, a piece of an array
MOST_ARRAYS = 4096
LONGEST_TEXT = 4096  # characters: of a text in an npz file, of an array's header

# Names of numpy's types; others stay as the file calls them.
SAFETENSORS_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
# A header as numpy writes it for a plain type; read by this alone, not as a Python expression.
NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=]?)([a-zA-Z])(\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \}\s*"
)


class Entry(NamedTuple):
    """An array in a file, as the file describes it; `read` takes its numbers from the disk."""

    dtype: str  # numpy's name of its type; "str" for a text
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    # Those of the first axis from one to before another; only of a kind of file that can.
    rows: Callable[[int, int], np.ndarray] | None = None


class Reader(io.FileIO):
    """A file that gives at most `MOST_AT_ONCE` bytes at a time, whatever a header in it claims."""

    def read(self, size: int = -1) -> bytes:
        size = self.length - self.tell() if size is None or size < 0 else size
        if size > MOST_AT_ONCE:
            raise ValueError("a header in it is longer than any that belongs there")
        return super().read(size)

    @property
    def length(self) -> int:
        here = self.tell()
        end = self.seek(0, io.SEEK_END)
        self.seek(here)
        return end


def entry_of(array: np.ndarray) -> Entry:
    """An array in memory as an `Entry`."""
    return Entry(array.dtype.name, array.shape, lambda: array)


def safetensors_entries(
    path: Path, stack: contextlib.ExitStack
) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays and the metadata of a safetensors file, open as long as `stack` is."""
    with Reader(path) as file:
        file.read(int.from_bytes(file.read(8), "little"))  # refuses a header beyond bounds
    stored = stack.enter_context(safetensors.safe_open(path, framework="numpy"))
    entries = {}
    for name in stored.keys():
        part = stored.get_slice(name)
        dtype = SAFETENSORS_TYPES.get(part.get_dtype(), one_line(part.get_dtype()))
        read = functools.partial(stored.get_tensor, name)
        rows = functools.partial(_rows, part)
        entries[name] = Entry(dtype, tuple(part.get_shape()), read, rows)
    require_few(entries)
    return entries, stored.metadata() or {}


def _rows(part, first: int, last: int) -> np.ndarray:
    return part[first:last]


def npz_entries(archive: zipfile.ZipFile) -> dict[str, Entry]:
    """The arrays of an open npz file."""
    entries = {}
    require_few(archive.infolist())
    for member in archive.infolist():
        with open_member(archive, member) as file:
            start = file.read(8)
            if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
                raise ValueError(f"its member {one_line(member.filename)} is no numpy array")
            size = int.from_bytes(file.read(2 if start[6] == 1 else 4), "little")
            found = NPY_HEADER.fullmatch(file.read(min(size, LONGEST_TEXT)))
            if not found:
                raise ValueError(
                    f"its member {one_line(member.filename)} has a header of no plain array"
                )
            place = file.tell()
        order, kind, length, fortran, sides = found.groups()
        dtype = np.dtype((order + kind + length).decode())
        shape = tuple(int(side) for side in sides.split(b",") if side.strip())
        name = dtype.name
        if dtype.kind == "U":
            name = "str" if dtype.itemsize <= 4 * LONGEST_TEXT else "text beyond bounds"
        read = functools.partial(
            _npz_read, archive, member, place, dtype, shape, fortran == b"True"
        )
        entries[member.filename.removesuffix(".npy")] = Entry(name, shape, read)
    return entries


def _npz_read(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    place: int,
    dtype: np.dtype,
    shape: tuple[int, ...],
    fortran: bool,
) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or member.file_size != place + size:
        raise ValueError(f"its member {one_line(member.filename)} is not as long as its shape")
    with open_member(archive, member) as file:
        file.read(place)
        raw = read_bytes(file, size)
    return raw.view(dtype).reshape(shape, order="F" if fortran else "C")


def open_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, *kinds: int
) -> zipfile.ZipExtFile:
    """A member of a zip, stored or deflated: what else there is takes memory as it likes."""
    if member.compress_type not in (kinds or (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        raise ValueError(
            f"its member {one_line(member.filename)} is compressed in a way that is not read here"
        )
    return archive.open(member)


def read_bytes(file: io.FileIO | zipfile.ZipExtFile, size: int) -> np.ndarray:
    """The next `size` bytes, a piece at a time; at a member's end its checksum is compared."""
    raw, got = np.empty(size, np.uint8), 0
    while got < size:
        piece = file.read(min(size - got, MOST_AT_ONCE))
        if not piece:
            raise ValueError("it ends early")
        raw[got : got + len(piece)] = np.frombuffer(piece, np.uint8)
        got += len(piece)
    return raw


def require_few(entries: Collection) -> None:
    """Refuses more arrays than any network here has: each one costs time before it is looked at."""
    if len(entries) > MOST_ARRAYS:
        raise ValueError(f"it has {len(entries)} entries, more than any network here")
