"""Verdicts follow from intervals, and random features decide nothing."""

import csv
import json
import math

import numpy as np
import pytest

from din_jax.data.decoding import load_image
from din_jax.evaluation.intervals import Interval
from din_jax.evaluation.paper.findings import (
    Claim,
    Result,
    judge,
    judge_alike,
    names_of,
    over_seeds,
    write,
)

CLAIM = Claim("A is better than B.", "Somebody 2020, figure 1")


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.1, 0.3, "confirmed"),
        (-0.3, -0.1, "not confirmed"),
        (-0.1, 0.3, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_a_verdict_is_the_side_of_zero_on_which_the_interval_lies(low, high, found):
    verdict = judge(CLAIM, Interval(0.2, low, high), "B less A", "5 steps")
    assert verdict.found == found and verdict.budget == "5 steps"
    leaning = judge(CLAIM, Interval(0.2, low, high), "B less A", "5 steps", decisive=False)
    assert leaning.found == "undecided" and "only VGG-19 decides" in leaning.reason
    assert (f"lean to '{found}'" in leaning.reason) == (found != "undecided")
    text = verdict.text()
    assert "in our words" in text and f"**{found}**" in text and "Tried with 5 steps." in text


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (-0.2, 0.3, "confirmed"),
        (1.1, 1.4, "not confirmed"),
        (-1.4, -1.1, "not confirmed"),
        (0.5, 1.5, "undecided"),
        (-2.0, 2.0, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_alike_is_an_interval_within_the_margin(low, high, found):
    difference = Interval((low + high) / 2, low, high)
    assert judge_alike(CLAIM, difference, 1.0, "A less B", "5 steps").found == found


def test_seeds_give_students_interval():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        interval = over_seeds(rng.normal(1, 2, 3))
        held += interval.low <= 1 <= interval.high
    assert 0.93 <= held / 1000 <= 0.97
    one = over_seeds([2.0])
    assert one.mean == 2 and math.isnan(one.low)


def test_a_result_is_written_as_picture_numbers_and_text(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    verdict = judge(CLAIM, Interval(1, 0.5, 1.5), "B less A", "5 steps")
    numbers = [{"method": "A", "loss": 1.5}, {"method": "B", "loss": np.float32(math.nan)}]
    paths = write(tmp_path, "fig1", Result("Figure 1", [verdict], numbers, picture, ["A note."]))
    assert [path.name for path in paths] == names_of("fig1")
    np.testing.assert_array_equal(load_image(paths[0]), picture)
    found = json.loads(paths[1].read_text())
    assert found["verdicts"][0]["found"] == "confirmed" and found["numbers"][1]["loss"] is None
    rows = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert rows == [{"method": "A", "loss": "1.5"}, {"method": "B", "loss": ""}]
    text = paths[3].read_text()
    assert "| A | 1.5 |" in text and "- A note." in text and "![fig1](fig1.png)" in text
