"""A folder of exported files, and `model.json`, which says what is in it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError
from din_jax.export.onnx_files import OnnxFile
from din_jax.files import write_atomically
from din_jax.inference.bank import StyleBank
from din_jax.inference.codes import code_shapes
from din_jax.inference.engine import Engine
from din_jax.inference.pictures import LARGEST_STYLE, LONGEST_STYLE
from din_jax.weights.included import INCLUDED_BANK
from din_jax.weights.models import LoadedModel

FORMAT = "din_jax export 1"
DESCRIPTION = "model.json"
BANK = "styles.safetensors"


def bank_of(loaded: LoadedModel, path: str | Path = "") -> StyleBank | None:
    """The styles that go with a model: of a file, of its table, or those of the program.

    Raises:
      UserError: a file that is no bank, or another model's.
    """
    name = loaded.source.stem
    if path:
        bank = StyleBank.load(path)
        bank.require_model(loaded.fingerprint, name)
        bank.require_shapes(code_shapes(loaded.model))
        return bank
    if loaded.config.model.styles:
        bank, engine = StyleBank(loaded.fingerprint, name), Engine(loaded)
        for style in loaded.config.model.styles:
            bank.add(style, engine.encode_style([style]))
        return bank
    included = StyleBank.load(INCLUDED_BANK)
    return included if included.fingerprint == loaded.fingerprint else None


def require_free(folder: Path, overwrite: bool) -> None:
    """Raises UserError if a model has been exported there, unless it is to be replaced."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file; give a folder as --output.")
    if not overwrite and (folder / DESCRIPTION).exists():
        raise UserError(
            f"'{folder}' holds an exported model already; give another --output, or replace it "
            "with --overwrite."
        )


def write_folder(
    folder: Path,
    loaded: LoadedModel,
    onnx: Sequence[OnnxFile],
    others: Mapping[str, Mapping[str, bytes]],
    bank: StyleBank | None,
) -> dict[str, Any]:
    """Writes all files, the description last.

    Args:
      folder: where.
      loaded: the model.
      onnx: its ONNX files.
      others: data by part, of the formats whose names are what files end in.
      bank: styles that go with it.

    Returns:
      What the description holds.
    """
    shapes = code_shapes(loaded.model)
    about: dict[str, Any] = {
        "format": FORMAT,
        "model": loaded.source.stem,
        "fingerprint": loaded.fingerprint,
        "levels": {
            level: {x: list(shapes[f"code.{level}.{x}"]) for x in ("kernel", "bias")}
            for level in loaded.model.levels
        },
        "smallest_side": SMALLEST_SIDE,
        "style_size": loaded.config.data.resize,
        "longest_style": LONGEST_STYLE,
        "largest_style": LARGEST_STYLE,
        "onnx": {},
    }
    for file in onnx:
        levels = {"largest": file.difference.largest, "mean": file.difference.mean}
        entry = _written(folder / file.name, file.data) | {"levels": levels}
        about["onnx"].setdefault(file.part, {})[file.storage] = entry
    for kind, files in others.items():
        about[kind] = {part: _written(folder / f"{part}.{kind}", x) for part, x in files.items()}
    if bank is not None:
        bank.save(folder / BANK)
        about["bank"] = BANK
    write_atomically(folder / DESCRIPTION, json.dumps(about, indent=2) + "\n")
    return about


def _written(path: Path, data: bytes) -> dict[str, Any]:
    write_atomically(path, data)
    return {
        "file": path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
