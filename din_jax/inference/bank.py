"""A style bank: codes of many styles of one model in one file, by name.

The file is safetensors with one array per part, a row per style, so that thousands are opened at
once and one is read alone:

    names                   uint8, UTF-8, one name a line
    thumbnails              uint8 [N, 64, 64, 3]
    code.LEVEL.kernel       float16 or float32 [N, ...], a row is what a code holds of one style
    code.LEVEL.bias         likewise

and in its metadata the format, the kind of code, and the fingerprint and name of the model: codes
of one model mean nothing to another.
"""

import contextlib
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from PIL import Image

from din_jax.data.decoding import resize_crop, resized_shape, save_image
from din_jax.errors import UserError
from din_jax.files import write_atomically
from din_jax.style_code import AnyCode, LayerCode, MapCode, StyleCode
from din_jax.weights.checked import FLOATS, wrong_numbers
from din_jax.weights.containers import Entry, safetensors_entries
from din_jax.weights.errors import listed, one_line
from din_jax.weights.opening import refusing

FORMAT = "din_jax style bank 1"
SUFFIX = ".safetensors"
THUMBNAIL = 64  # pixels, side
LONGEST_NAME = 100  # characters
MOST_STYLES = 1 << 20
LARGEST_CODE = 1 << 26  # bytes that one style's row of one array may take
KINDS: dict[str, type] = {"kernel": LayerCode, "map": MapCode}
NEAREST = 4  # names that a message offers


class BankError(UserError):
    """A style bank that is missing, damaged or of another model, or a name that it has not."""


class _Row(NamedTuple):
    """What the bank holds of one style: arrays without a batch axis, by their names in the file."""

    arrays: dict[str, np.ndarray]

    def part(self, name: str) -> np.ndarray:
        return self.arrays[name]


class _Stored(NamedTuple):
    """The same in an open file, read when asked for."""

    file: "_File"
    index: int

    def part(self, name: str) -> np.ndarray:
        return self.file.row(name, self.index)


class StyleBank(Mapping[str, StyleCode]):
    """Names to style codes, in the order they were added; `bank[name]` is a code of one style.

    Args:
      fingerprint: of the model whose codes these are (`LoadedModel.fingerprint`).
      model: what the model is called, for messages.
    """

    def __init__(self, fingerprint: str, model: str = ""):
        self.fingerprint = fingerprint
        self.model = model
        self._rows: dict[str, _Row | _Stored] = {}
        self._kind = ""
        self._shapes: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, path: str | Path) -> "StyleBank":
        """Opens a file of `save`; each style is read when it is asked for.

        Raises:
          BankError: there is none, or it is damaged or no bank.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise BankError(f"there is no style bank '{path}'; correct the path.")
        file = _File(path)
        bank = cls(file.fingerprint, file.model)
        bank._kind, bank._shapes = file.kind, file.shapes
        bank._rows = {name: _Stored(file, i) for i, name in enumerate(file.names)}
        return bank

    def save(self, path: str | Path, *, dtype: str = "float16") -> Path:
        """Writes all styles as one file, complete or not at all; an existing one is replaced.

        float16 halves the size at a relative error of at most 2^-11.

        Raises:
          BankError: another suffix or type, no style, or a number beyond float16.
        """
        path = Path(path)
        if path.suffix != SUFFIX or dtype not in ("float16", "float32"):
            raise BankError(
                f"a style bank is written to a {SUFFIX} file as float16 or float32, not to "
                f"'{path}' as {dtype}."
            )
        if not self._rows:
            raise BankError("a style bank without a style is not written; add one first.")
        with np.errstate(over="ignore"):  # an overflow is named below
            arrays = {
                name: np.stack([row.part(name) for row in self._rows.values()]).astype(
                    np.uint8 if name == "thumbnails" else dtype
                )
                for name in ["thumbnails", *self._shapes]
            }
        wrong = [name for name, array in arrays.items() if wrong_numbers(array)]
        if wrong:
            raise BankError(
                f"every number of a style bank must be finite as {dtype}, but those of "
                f"{listed(wrong)} are not; save it as float32."
            )
        arrays["names"] = np.frombuffer("\n".join(self._rows).encode(), np.uint8)
        metadata = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "model": self.model,
            "code": self._kind,
        }
        return write_atomically(path, safetensors.numpy.save(arrays, metadata=metadata))

    def add(self, name: str, code: StyleCode, picture: np.ndarray | None = None) -> None:
        """Adds a style; one of that name is replaced.

        Args:
          name: one line without slashes, at most 100 characters.
          code: of one style, by this bank's model.
          picture: uint8 [H, W, 3], of which a thumbnail is kept; None leaves it gray.

        Raises:
          BankError: another name, or a code of several styles or of another shape than the bank's.
        """
        if problem := _wrong_name(name):
            raise BankError(f"the name of a style {problem}, not {one_line(name, 80)!r}.")
        arrays, kinds = {}, set()
        for level, part in code.items():
            kinds |= {kind for kind, known in KINDS.items() if isinstance(part, known)}
            for field, value in zip(part._fields, map(np.asarray, part), strict=True):
                if len(value) != 1:
                    raise BankError(
                        f"a style bank takes one style at a time, not {len(value)} as '{name}'."
                    )
                arrays[f"code.{level}.{field}"] = value[0].astype(np.float32)
        shapes = {key: value.shape for key, value in arrays.items()}
        if len(kinds) != 1 or self._rows and (kinds, shapes) != ({self._kind}, self._shapes):
            raise BankError(
                f"the code of '{name}' has other parts or shapes than those in the bank, so it is "
                "of another model; start a bank of its own."
            )
        arrays["thumbnails"] = thumbnail(picture)
        (self._kind,), self._shapes = kinds, shapes
        self._rows[name] = _Row(arrays)

    def remove(self, name: str) -> None:
        """Removes a style.

        Raises:
          BankError: there is none of that name; the nearest are named.
        """
        del self._rows[self._known(name)]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> StyleCode:
        """The code of one style, float32, batch 1.

        Raises:
          BankError: there is none of that name (the nearest are named), or its row is damaged.
        """
        row = self._rows[self._known(name)]
        code: dict[str, dict] = {}
        for key in self._shapes:
            _, level, field = key.split(".")
            code.setdefault(level, {})[field] = row.part(key).astype(np.float32)[None]
        kind: type[AnyCode] = KINDS[self._kind]
        return {level: kind(**fields) for level, fields in sorted(code.items())}

    def thumbnail(self, name: str) -> np.ndarray:
        """The style's picture, uint8 [64, 64, 3]."""
        return self._rows[self._known(name)].part("thumbnails")

    def search(self, text: str, most: int = 10) -> list[str]:
        """The names nearest to a text: those that hold its words first, then similar ones."""
        return nearest_names(text, self._rows, most)

    def export(self, names: Sequence[str], path: str | Path) -> Path:
        """Some of the styles as a bank of their own, or their thumbnails as pictures.

        Args:
          names: which, in order.
          path: a .safetensors file, or a folder, into which NAME.png is written for each.
        """
        path, names = Path(path), [self._known(name) for name in names]
        if path.suffix != SUFFIX:
            for name in names:  # a name holds no slash
                save_image(path / f"{name}.png", self.thumbnail(name))
            return path
        part = StyleBank(self.fingerprint, self.model)
        part._kind, part._shapes = self._kind, self._shapes
        part._rows = {name: self._rows[name] for name in names}
        return part.save(path)

    def require_model(self, fingerprint: str, model: str) -> None:
        """Raises BankError, by name, unless the codes are those of the model."""
        if fingerprint != self.fingerprint:
            raise BankError(
                f"the style bank is of the model '{self.model}' ({self.fingerprint[:8]}...), not "
                f"of '{model}' ({fingerprint[:8]}...), and codes of one model mean nothing to "
                "another; encode the styles' pictures with this one."
            )

    def require_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raises BankError unless rows have these shapes (`code.LEVEL.kernel` and so on)."""
        if self._rows and dict(shapes) != self._shapes:
            raise BankError(
                "the style bank is damaged, for its codes have not the shapes that its model "
                "takes; make it anew."
            )

    def _known(self, name: str) -> str:
        if name in self._rows:
            return name
        near = self.search(str(name), NEAREST)
        hint = f"the nearest are {', '.join(near)}" if near else "it is empty"
        raise BankError(f"the bank has no style {one_line(name, 80)!r}; {hint}.")


def nearest_names(text: str, names: Sequence[str] | Mapping[str, object], most: int) -> list[str]:
    """At most `most` of the names, the nearest to a text first."""
    wanted = text.casefold()
    words = wanted.replace("-", " ").replace("_", " ").split()
    folded = {name: name.casefold() for name in names}
    holding = [name for name, low in folded.items() if all(word in low for word in words)]
    # Whole name first, then names that begin so, then the rest in the order they stand.
    holding.sort(key=lambda name: (folded[name] != wanted, not folded[name].startswith(wanted)))
    others = {folded[name]: name for name in folded if name not in set(holding)}
    similar = difflib.get_close_matches(wanted, others, most, 0.0 if not holding else 0.5)
    return [*holding, *(others[low] for low in similar)][:most]


def thumbnail(picture: np.ndarray | None) -> np.ndarray:
    """The centered square of a uint8 picture [H, W, 3] at 64 x 64 px; gray for None."""
    if picture is None:
        return np.full((THUMBNAIL, THUMBNAIL, 3), 128, np.uint8)
    height, width = picture.shape[:2]
    resized = resized_shape(width, height, THUMBNAIL)
    corner = tuple((side - THUMBNAIL) // 2 for side in resized)
    box = (THUMBNAIL, THUMBNAIL)
    return resize_crop(Image.fromarray(picture), resized, corner, box, smooth=True)


class _File:
    """An open bank: described and checked as a whole, its rows read one at a time."""

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
        if problem := _wrong_name(name):
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


def _wrong_name(name: object) -> str:
    """'', or what a name must be instead."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters"
    if not name.isprintable() or name != name.strip() or name.startswith((".", "-")):
        return "must be one printable line that begins with neither a dot nor a dash"
    if set(name) & set('/\\:*?"<>|'):
        return 'must hold none of / \\ : * ? " < > |'
    return ""
