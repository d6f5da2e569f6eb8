"""Statistics averaged over time: exactly the recursion, anew from each cut."""

import types

import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference.steady import CUT, SteadyEngine, color_histogram, distance
from din_jax.layers.normalizers import Moments


class FakeEngine:
    """A frame's statistics are its mean; notes what it was asked to paint by."""

    batch = 4

    def __init__(self):
        self.by = []

    def statistics(self, contents, code):
        return [{"level1": Moments(np.float64([[x.mean()]]), np.ones((1, 1)))} for x in contents]

    def stylize(self, contents, code, *, statistics, **options):
        self.by += [float(s["level1"].mean[0, 0]) for s in statistics]
        return list(contents)


def frame(level, seed=0):
    return np.random.default_rng(seed).integers(level, level + 9, (40, 40, 3)).astype(np.uint8)


@pytest.mark.parametrize("batches", [[6], [1, 2, 3], [1] * 6])
def test_it_is_the_exponential_average_whatever_the_batches(batches):
    frames = [frame(100, seed) for seed in range(6)]
    fake = FakeEngine()
    engine = SteadyEngine(fake, 0.75)
    done = 0
    for count in batches:
        engine.stylize(frames[done : done + count], None)
        done += count
    expected = [frames[0].mean()]
    for x in frames[1:]:
        expected.append(0.75 * expected[-1] + 0.25 * x.mean())
    assert fake.by == pytest.approx(expected) and engine.cuts == 0


def test_it_begins_anew_at_a_cut():
    frames = [frame(20), frame(20, 1), frame(200), frame(200, 1)]
    fake = FakeEngine()
    engine = SteadyEngine(fake, 0.9)
    engine.stylize(frames, None)
    assert engine.cuts == 1 and fake.by[2] == frames[2].mean()
    assert fake.by[3] == pytest.approx(0.9 * frames[2].mean() + 0.1 * frames[3].mean())


def test_a_pan_is_no_cut():
    rng = np.random.default_rng(0)
    scene = np.repeat(rng.integers(0, 256, (40, 30, 3)), 8, 1).astype(np.uint8)
    views = [color_histogram(scene[:, x : x + 80]) for x in range(0, 160, 4)]
    assert max(distance(a, b) for a, b in zip(views, views[1:], strict=False)) < CUT / 2
    assert distance(views[0], color_histogram(frame(200))) > CUT
    assert distance(views[0], views[0]) == 0


def test_given_statistics_are_averaged_and_the_rest_is_the_engines():
    fake = FakeEngine()
    engine = SteadyEngine(fake, 0.5)
    given = [{"level1": Moments(np.float64([[x]]), None)} for x in (1, 3)]
    engine.stylize([frame(1)] * 2, None, statistics=given)
    assert fake.by == [1, 2] and engine.batch == 4
    assert isinstance(types.SimpleNamespace(engine=engine).engine.by, list)


def test_keeping_all_is_refused():
    for keep in (1, -0.1, float("nan")):
        with pytest.raises(UserError, match="less than 1"):
            SteadyEngine(FakeEngine(), keep)
