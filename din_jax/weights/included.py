"""What comes with the program: a model, and its bank of drawn styles."""

from pathlib import Path

from din_jax.errors import UserError
from din_jax.weights.errors import one_line

ASSETS = Path(__file__).parents[1] / "assets"
INCLUDED = "din_portable"
"""The model that comes with the program."""
INCLUDED_BANK = ASSETS / "styles.safetensors"
"""The drawn styles in that model's codes, tuned on photographs."""


def find_model(path: str | Path) -> Path:
    """The file of an included model by its name, else the path itself.

    Raises:
      UserError: there is neither.
    """
    where = Path(path).expanduser()
    included = {file.stem: file for file in ASSETS.glob("din_*.safetensors")}
    if where.exists() or str(path) not in included:
        if not where.exists() and where.name == str(path) and not where.suffix:
            raise UserError(
                f"there is no model {one_line(path, 80)!r}; give {' or '.join(sorted(included))}, "
                "a .safetensors model file, or the directory of a run."
            )
        return where
    return included[str(path)]
