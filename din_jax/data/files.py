"""Finding picture files in folders."""

import os
import re
from pathlib import Path

from din_jax.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""Pillow's names of the formats that are read; whatever else a file holds, it is not opened."""

IMAGE_SUFFIXES = tuple(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .ppm .pgm .pbm .pnm".split()
)


# How the files begin; of those with other suffixes, only what no other kind of file begins with
# (a raw photograph is a TIFF, and a text may start with "P1 ").
_SIGNATURE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP", re.DOTALL)
_BARE_SIGNATURE = re.compile(rb"BM.{4}\0{4}|II\*\0|MM\0\*|P[1-6]\s", re.DOTALL)


class BadImageError(UserError):
    """A file or byte string that is not a usable picture; the message is one sentence."""


class UnreachableError(BadImageError):
    """A picture whose store has not answered, however often it was asked."""


class MissingImageError(UserError, FileNotFoundError):
    """A picture or a folder of pictures that is not there."""


def list_images(folder: str | os.PathLike) -> list[Path]:
    """All picture files below `folder`, found recursively, in natural order (2 before 10).

    Chosen by suffix (IMAGE_SUFFIXES, any case), those with another or none by their first bytes;
    hidden files and folders are left out; linked folders are followed, each real folder once, so
    that loops end. The order depends on names alone.

    Raises:
        MissingImageError: no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise MissingImageError(f"a folder of pictures is needed, but '{root}' {what}.")
    found, seen = [], {os.path.realpath(root)}
    for here, folders, files in os.walk(root, followlinks=True):
        keep = []
        for name in sorted(folders, key=natural_key):
            real = os.path.realpath(os.path.join(here, name))
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                keep.append(name)
        folders[:] = keep
        found += [
            Path(here, name)
            for name in files
            if not name.startswith(".") and _is_image(os.path.join(here, name))
        ]
    return sorted(found, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def _is_image(path: str) -> bool:
    suffix = os.path.splitext(path)[1].lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    if not os.path.isfile(path):  # opening a pipe would wait for its other end
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return bool(_SIGNATURE.match(head) or (not suffix and _BARE_SIGNATURE.match(head)))


def natural_key(name: str) -> tuple:
    """Sort key that orders numbers in names by value; ties (case, leading zeros) by the name."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
