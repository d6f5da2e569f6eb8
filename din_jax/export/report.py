"""What `din-jax export` says of the files that it wrote."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import onnxruntime

from din_jax.export.model import Row

MEGABYTE = 1e6


def table(rows: Sequence[Row], sides: Sequence[int]) -> str:
    """Rows of text: megabytes, levels of 255 from the engine, style loss, milliseconds."""
    losses = any(row.style_loss is not None for row in rows)
    head = ["", "MB", "largest", "mean", *(["style loss"] if losses else [])]
    cells = [[*head, *(f"ms {side} px" for side in sides)]]
    for row in rows:
        levels = row.difference
        line = [row.name, _cell(row.size and row.size / MEGABYTE, ".2f")]
        line += [_cell(levels and levels.largest, ".2f"), _cell(levels and levels.mean, ".3f")]
        line += [_cell(row.style_loss, ".4f")] if losses else []
        cells.append([*line, *(_cell(row.milliseconds.get(side), ".1f") for side in sides)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([line[0].ljust(widths[0])]
                  + [x.rjust(n) for x, n in zip(line[1:], widths[1:], strict=True)]).rstrip()
        for line in cells
    ]  # fmt: skip
    return "\n".join(
        [*lines, "largest, mean: levels of 255 by which pictures are off the engine's"]
    )


def document(folder: Path, about: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """The same, the files and where they are, as JSON can hold it."""
    return {
        "folder": str(folder),
        "files": [
            {
                "name": row.name,
                "part": row.part,
                "bytes": row.size,
                "levels": row.difference and vars(row.difference),
                "style_loss": row.style_loss,
                "milliseconds": {str(side): taken for side, taken in row.milliseconds.items()},
            }
            for row in rows
        ],
        "description": dict(about),
        "machine": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "processor": platform.machine(),
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
