"""The file of a style bank: described and checked as a whole, its rows read one at a time.

It is safetensors with one array per part, a row per style, so that thousands are opened at once and
one is read alone:

    names                   uint8, UTF-8, one name a line
    thumbnails              uint8 [N, 64, 64, 3]
    code.LEVEL.kernel       float16 or float32 [N, ...], a row is what a code holds of one style
    code.LEVEL.bias         likewise

and in its metadata the format, the kind of code, and the fingerprint and name of the model: codes
of one model mean nothing to another.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from din_jax.errors import UserError
from din_jax.style_code import LayerCode, MapCode
from din_jax.weights.checked import FLOATS, wrong_numbers
from din_jax.weights.containers import Entry, safetensors_entries
from din_jax.weights.errors import one_line
from din_jax.weights.opening import refusing

FORMAT = "din_jax style bank 1"
THUMBNAIL = 64  # pixels, side
LONGEST_NAME = 100  # characters
MOST_STYLES = 1 << 20
LARGEST_CODE = 1 << 26  # bytes that one style's row of one array may take
KINDS: dict[str, type] = {"kernel": LayerCode, "map": MapCode}


class BankError(UserError):
    """A style bank that is missing, damaged or of another model, or a name that it has not."""


class BankFile:
    """An open bank."""

    def __init__(self, path: Path):
        self.path = path
        self._stack = contextlib.ExitStack()
        with refusing(path, BankError):
            entries, metadata = safetensors_entries(path, self._stack)
            if metadata.get("format") != FORMAT:
                raise BankError(
                    f"'{path}' is a safetensors file but holds no {FORMAT}; give a file that this "
                    "program made."
                )
            self.fingerprint = one_line(metadata.get("fingerprint", ""), 64)
            self.model = one_line(metadata.get("model", ""), 80)
            self.kind = metadata.get("code", "")
            if self.kind not in KINDS:
                raise ValueError(f"its kind of code, {one_line(self.kind, 40)!r}, is unknown")
            self._entries = entries
            self.names = _read_names(entries)
            self.shapes = _code_shapes(entries, len(self.names), self.kind)

    def row(self, name: str, index: int) -> np.ndarray:
        with refusing(self.path, BankError):
            row = self._entries[name].rows(index, index + 1)[0]
            if wrong := wrong_numbers(row):
                raise ValueError(f"{name} of '{self.names[index]}' holds {wrong}")
            return row


def _read_names(entries: Mapping[str, Entry]) -> list[str]:
    """Held to the rules of `add`: a name becomes a file's name, and is printed."""
    described = entries["names"]
    if described.dtype != "uint8" or len(described.shape) != 1:
        raise ValueError("its names are no text")
    if described.shape[0] > MOST_STYLES * 16:
        raise ValueError("its names are longer than any bank's")
    names = described.read().tobytes().decode().split("\n")
    if len(names) > MOST_STYLES or len(set(names)) < len(names):
        raise ValueError("its names are too many, or not each its own")
    for name in names:
        if problem := wrong_name(name):
            raise ValueError(f"a name in it {problem}: {one_line(name, 40)}")
    return names


def _code_shapes(
    entries: Mapping[str, Entry], styles: int, kind: str
) -> dict[str, tuple[int, ...]]:
    """Shapes of a style's parts by name; every array is as the format says."""
    shapes = {}
    axes = {"kernel": {"kernel": 4, "bias": 1}, "map": {"kernel": 3, "bias": 3}}[kind]
    for name, entry in entries.items():
        if name == "names":
            continue
        part, _, rest = name.partition(".")
        level, _, field = rest.partition(".")
        if name == "thumbnails":
            fits = entry.dtype == "uint8" and entry.shape[1:] == (THUMBNAIL, THUMBNAIL, 3)
        else:
            fits = part == "code" and level.startswith("level") and field in axes
            fits = fits and entry.dtype in FLOATS and len(entry.shape) == axes[field] + 1
            fits = fits and int(np.prod(entry.shape[1:], dtype=object)) * 8 <= LARGEST_CODE
            shapes[name] = entry.shape[1:]
        if not fits or entry.shape[0] != styles:
            raise ValueError(f"{one_line(name, 60)} in it is none of a bank's parts")
    levels = {name.split(".")[1] for name in shapes}
    expected = {f"code.{level}.{field}" for level in levels for field in axes}
    if "thumbnails" not in entries or not levels or set(shapes) != expected:
        raise ValueError("parts of it are missing")
    return shapes


def check_name(name: object) -> None:
    """Raises BankError, with what it must be instead, for what is no name of a style."""
    if problem := wrong_name(name):
        raise BankError(f"the name of a style {problem}, not {one_line(name, 80)!r}.")


def wrong_name(name: object) -> str:
    """'', or what a name must be instead."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters"
    if not name.isprintable() or name != name.strip() or name.startswith((".", "-")):
        return "must be one printable line that begins with neither a dot nor a dash"
    if set(name) & set('/\\:*?"<>|'):
        return 'must hold none of / \\ : * ? " < > |'
    return ""
