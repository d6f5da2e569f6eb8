"""A folder that `din-jax export` wrote, read without trust: files from anywhere.

The description is short JSON; a file in it is a name in the folder, no larger than networks here
are, and has the digest that the description says.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from din_jax.errors import UserError
from din_jax.inference.bank import StyleBank
from din_jax.weights.errors import one_line

DESCRIPTION = "model.json"
FORMAT = "din_jax export 1"
STORAGES = ("float32", "float16", "int8")
MOST_DESCRIBED = 1 << 16  # bytes of the description
MOST_STORED = 1 << 28  # bytes of a network
LARGEST_SIDE = 4096  # px, of styles as they are encoded
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
Made = TypeVar("Made")


class Exported:
    """An exported model's files.

    Args:
      folder: where they are.
      storage: of weights: "float32", "float16" or "int8"; "" is the smallest that paints within a
        few levels of 255, float16, or what there is.

    Attributes:
      name: of the model.
      fingerprint: of the model; banks belong to it.
      levels: of its styled layers.
      style_size: px, short side of styles while they are encoded.
      storage: chosen.

    Raises:
      UserError: there is no such folder, or it is damaged or holds no ONNX files.
    """

    def __init__(self, folder: str | Path, storage: str = ""):
        self.folder = Path(folder).expanduser()
        about = self._description()
        try:
            if about["format"] != FORMAT:
                raise ValueError(f"it is no {FORMAT}")
            self.name = one_line(about["model"], 80)
            self.fingerprint = one_line(about["fingerprint"], 64)
            self.levels = tuple(sorted(about["levels"]))
            self.shapes = {
                f"code.{level}.{field}": tuple(int(n) for n in about["levels"][level][field])
                for level in self.levels
                for field in ("kernel", "bias")
            }
            self.style_size = int(about["style_size"])
            if not self.levels or not 0 <= self.style_size <= LARGEST_SIDE:
                raise ValueError("its levels or sizes are none")
            self._bank = about.get("bank", "")
            self._files: dict[str, dict] = about["onnx"]
            content = self._files.get("content", {})
            stored = [x for x in ("float16", "float32", "int8") if x in content]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(error) from error
        if not stored or storage and storage not in stored:
            have = ", ".join(stored) or "none"
            raise UserError(
                f"'{self.folder}' has no ONNX files of {storage or 'any'} weights (it has {have}): "
                "export them with din-jax export."
            )
        self.storage = storage or stored[0]

    @property
    def has_encoder(self) -> bool:
        """Whether pictures can be encoded, besides the styles of the bank."""
        return self.storage in self._files.get("style", {})

    def network(self, part: str, make: Callable[[bytes], Made]) -> Made:
        """What `make` makes of the file of a half, "content" or "style".

        Raises:
          UserError: it is missing or damaged.
        """
        try:
            entry = self._files[part][self.storage]
            data = self._read(entry["file"], MOST_STORED)
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                raise ValueError(f"{entry['file']} is not what was exported")
            return make(data)
        except UserError:
            raise
        except Exception as error:  # ONNX Runtime says in many ways that a file is none
            raise self._damaged(error) from error

    def bank(self) -> StyleBank:
        """The styles that were exported with the model; empty where there were none.

        Raises:
          BankError: it is damaged, or another model's.
        """
        if not self._bank:
            return StyleBank(self.fingerprint, self.name)
        return self.checked(StyleBank.load(self._path(self._bank)))

    def checked(self, bank: StyleBank) -> StyleBank:
        """The bank, if it is this model's; else BankError."""
        bank.require_model(self.fingerprint, self.name)
        bank.require_shapes(self.shapes)
        return bank

    def _description(self) -> dict[str, Any]:
        if not (self.folder / DESCRIPTION).is_file():
            raise UserError(
                f"there is no exported model in '{self.folder}': make one with din-jax export."
            )
        try:
            return json.loads(self._read(DESCRIPTION, MOST_DESCRIBED))
        except (ValueError, RecursionError) as error:
            raise self._damaged(error) from error

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._damaged(f"{one_line(name, 60)!r} is no name of a file in it")
        return self.folder / name

    def _read(self, name: str, most: int) -> bytes:
        path = self._path(name)
        if not path.is_file():
            raise self._damaged(f"{name} is missing")
        with path.open("rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise self._damaged(f"{name} is larger than any of its kind")
        return data

    def _damaged(self, why: object) -> UserError:
        return UserError(
            f"the exported model in '{self.folder}' is damaged ({one_line(why)}); export it again."
        )
