"""Rows of numbers of several methods, and what training minimizes, pair by pair."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.ruler import Numbers


def number_rows(found: Mapping[str, Numbers]) -> list[dict[str, Any]]:
    """Per method the mean of each number, and the interval of content and style loss."""
    rows = []
    for name, numbers in found.items():
        bootstrap = CrossedBootstrap(*numbers["style_loss"].shape)
        row: dict[str, Any] = {"method": name}
        for number, values in numbers.items():
            interval = bootstrap.interval(values)
            row[number] = interval.mean
            if number in ("content_loss", "style_loss"):
                row |= {f"{number} low": interval.low, f"{number} high": interval.high}
        rows.append(row)
    return rows


def total(bench: Bench, numbers: Numbers) -> np.ndarray:
    """Content loss + weight x style loss of each pair, [contents, styles]: what is minimized."""
    loss = bench.base.loss
    return loss.content_weight * numbers["content_loss"] + loss.style_weight * numbers["style_loss"]
