"""A style bank: codes of many styles of one model, by name, in one file (`inference.bank_file`)."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from PIL import Image

from din_jax.data.decoding import resize_crop, resized_shape, save_image
from din_jax.files import write_atomically
from din_jax.inference.bank_file import FORMAT, KINDS, THUMBNAIL, BankError, BankFile, check_name
from din_jax.style_code import AnyCode, StyleCode
from din_jax.weights.checked import wrong_numbers
from din_jax.weights.errors import listed, one_line

SUFFIX = ".safetensors"
NEAREST = 4  # names that a message offers


class _Row(NamedTuple):
    """What the bank holds of one style: arrays without a batch axis, by their names in the file."""

    arrays: dict[str, np.ndarray]

    def part(self, name: str) -> np.ndarray:
        return self.arrays[name]


class _Stored(NamedTuple):
    """The same in an open file, read when asked for."""

    file: BankFile
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
        file = BankFile(path)
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
        path = Path(path).expanduser()
        if path.suffix.lower() != SUFFIX or dtype not in ("float16", "float32"):
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
        check_name(name)
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
        path, names = Path(path).expanduser(), [self._known(name) for name in names]
        if path.suffix.lower() != SUFFIX:
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
