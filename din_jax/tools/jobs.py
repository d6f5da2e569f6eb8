"""What `din-jax stylize` has to paint: a job for each output, known by all that it is made of."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from din_jax.data.inputs import Input, Style
from din_jax.data.outputs import digest, stamp
from din_jax.data.video import is_video
from din_jax.tools.painting import Job, Painter, Stylizer


def plan(
    inputs: Sequence[Input],
    names: Sequence[Sequence[str]],
    groups: Sequence[tuple[int, ...]],
    painter: Painter,
    *,
    steady: float = 0.0,
    **made_by: Any,
) -> list[Job]:
    """A job for each input and each group of styles, in order.

    Args:
      inputs: contents.
      names: outputs' names, a row for each input.
      groups: numbers of the styles of each output of a row.
      painter: whose styles and controls they are.
      steady: of videos, as of `Painter.run_clips`.
      made_by: what else decides how an output looks.
    """
    made_by |= {"painter": painter.key()}
    keys = [_key_of(style, painter.stylizer) for style in painter.styles]
    jobs = []
    for source, row in zip(inputs, names, strict=True):
        content = [hashlib.sha256(painter.stdin).hexdigest()]
        content = content if source.path is None else stamp(source.path)
        for group, name in zip(groups, row, strict=True):
            styles = [keys[i] for i in group]
            own = {"suffix": Path(name).suffix, "steady": steady if is_video(source.path) else 0}
            made_of = digest(content=content, styles=styles, **own, **made_by)
            jobs.append(Job(source, group, name, made_of))
    return jobs


def _key_of(style: Style, stylizer: Stylizer) -> str:
    """Tells a style from others; of a bank's by its code, which another bank has otherwise."""
    if not isinstance(style.given, str) or style.given not in stylizer.bank:
        return style.key
    found = hashlib.sha256(style.key.encode())
    for _, layer in sorted(stylizer.bank[style.given].items()):
        for part in layer:
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()
