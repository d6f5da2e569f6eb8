"""Where the exported form of a model is: a folder of `din-jax export`, or the user's cache."""

import hashlib
import sys
from pathlib import Path

from din_jax.errors import UserError, loading
from din_jax.lite.folder import DESCRIPTION, FORMAT
from din_jax.weights.find import cache_folder
from din_jax.weights.included import find_model


def exported_folder(model: str, storage: str = "") -> Path:
    """A folder of ONNX files of a model; those of a model file are made once, and kept.

    Making them takes JAX and onnx, painting with them neither.

    Args:
      model: such a folder, the name of an included model, or a model file.
      storage: of the weights that are needed; "" is float16.

    Raises:
      UserError: there is none, or it is of a kind that is not exported.
    """
    path = find_model(model)
    if (path / DESCRIPTION).is_file():
        return path
    if not path.is_file():
        raise UserError(
            f"'{model}' is neither a folder of din-jax export nor a model file: export it first, "
            "or name an included model."
        )
    storage = storage or "float16"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    version = FORMAT.rpartition(" ")[2]
    folder = cache_folder() / "exported" / f"{digest[:32]}-{version}-{storage}"
    if not (folder / DESCRIPTION).is_file():
        print(f"note: exporting '{model}' to ONNX, once ({folder}).", file=sys.stderr)
        _export(path, folder, storage)
    return folder


def _export(path: Path, folder: Path, storage: str) -> None:
    with loading():
        from din_jax.export.folder import bank_of, write_folder
        from din_jax.export.model import Exported
        from din_jax.inference.cache import keep_programs
        from din_jax.weights.models import load_model

    keep_programs()
    loaded = load_model(path)
    exported = Exported(loaded, ["onnx"], [storage])
    write_folder(folder, loaded, exported.onnx, {}, bank_of(loaded))
