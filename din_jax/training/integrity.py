"""Checkpoints of a run that are not as they were written are set aside before one is read.

RUN/damaged/STEP/  what has been set aside, whole
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from din_jax.checksums import damage_of
from din_jax.weights.runs import UNSUMMED


def set_damaged_aside(run: Path, say: Callable[[str], Any]) -> str:
    """Moves checkpoints whose SHA256SUMS do not hold to RUN/damaged, and tells each.

    Those of old runs, which have no sums, are left. Nothing is moved where none would be left.

    Returns:
      "", or that all are damaged, in a sentence.
    """
    folder = run / "checkpoints"
    steps = sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit() and p.is_dir())
    found = {step: damage_of(folder / str(step), UNSUMMED) for step in reversed(steps)}
    damaged = {step: damage for step, damage in found.items() if damage}
    if damaged and len(damaged) == len(steps):
        listed = "; ".join(f"step {step}: {damage}" for step, damage in damaged.items())
        return (
            f"every checkpoint of {run} is damaged ({listed}): remove '{folder}' to train anew, or "
            "choose another --workdir."
        )
    good = max(set(steps) - set(damaged), default=0)
    for step, damage in damaged.items():
        place = _free(run / "damaged" / str(step))
        place.parent.mkdir(exist_ok=True)
        (folder / str(step)).rename(place)
        taken = f" Step {good} is taken." if step > good else ""
        damage = f"the checkpoint of step {step} is damaged ({damage})"
        say(f"Warning: {damage}: moved to {place}.{taken}")
    return ""


def _free(path: Path) -> Path:
    """The path, with a number behind it where there is such a folder already."""
    place, number = path, 1
    while place.exists():
        place, number = path.with_name(f"{path.name}.{number}"), number + 1
    return place
