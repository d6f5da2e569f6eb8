"""Whether encoded pictures are usable, from their header and end, and how the bad are named."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from din_jax.data.decoding import decode_image, look_at, open_header
from din_jax.errors import UserError

_NAMED = 20  # bad files that a message names


def name_bad(bad: Sequence[tuple[str | Path, str]]) -> str:
    """The (path, reason) of bad files as a part of a sentence: names, and why the first is bad."""
    return f"{name_listed([path for path, _ in bad])} (the first: {bad[0][1].rstrip('.')})"


def name_listed(paths: Sequence[str | Path]) -> str:
    """Files as a part of a sentence, as many as have room."""
    names = ", ".join(f"'{path}'" for path in paths[:_NAMED])
    return names + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def why_bad(data: bytes | Path, name: str = "") -> str:
    """'' or the sentence that says why data are no usable picture; reads header and end only.

    A picture whose end does not look right is decoded whole, because some good files carry extra
    bytes there.
    """
    try:
        kind = open_header(data, name)
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
            complete = _looks_complete(file, kind)
        if not complete:
            decode_image(data, name=name)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"'{name or data}' must be readable, but is not ({error.strerror})."
    return ""


def _looks_complete(file: BinaryIO, kind: str | None) -> bool:
    head = file.read(12)
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 16))
    tail = file.read()
    if kind in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail
    if kind == "PNG":
        return b"IEND" in tail
    if kind == "WEBP":
        return int.from_bytes(head[4:8], "little") + 8 <= length
    return False


def size_of(path: str | os.PathLike) -> tuple[int, int]:
    """(width, height) of a picture as it is stored, from its header; (0, 0) if it has none."""
    try:
        return look_at(path)[0]
    except Exception:  # whatever is wrong shows when it is decoded
        return 0, 0


def is_animated(data: bytes | str | os.PathLike) -> bool:
    """Whether a picture has further frames, of which decoding takes the first."""
    try:
        return look_at(data)[1]
    except Exception:
        return False
