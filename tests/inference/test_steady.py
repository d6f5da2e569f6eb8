"""Statistics averaged over time: exactly the recursion, anew from each cut."""

import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference.steady import CUT, SteadyEngine, color_histogram, distance
from din_jax.layers.normalizers import Moments


class FakeEngine:
    """A frame's statistics are its mean; notes what it was asked to paint, and by what."""

    batch = 4

    def __init__(self):
        self.by, self.frames = [], []

    def statistics(self, contents, code):
        return [moments(x.mean()) for x in contents]

    def stylize(self, contents, code, *, statistics, **options):
        self.by += [float(s["level1"].mean[0, 0]) for s in statistics]
        self.frames += contents
        return list(contents)


def moments(mean):
    return {"level1": Moments(np.float64([[mean]]), np.ones((1, 1)))}


def frame(level, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    scene = level + 2 * np.sin(np.arange(40) / 4)[:, None, None] + np.zeros((40, 40, 3))
    return np.rint(scene + rng.normal(0, noise, scene.shape)).astype(np.uint8)


def steadied(frames, keep, batches=(), **options):
    fake = FakeEngine()
    engine = SteadyEngine(fake, keep)
    done = 0
    for count in batches or [len(frames)]:
        engine.stylize(frames[done : done + count], None, **options)
        done += count
    return fake, engine


@pytest.mark.parametrize("batches", [[6], [1, 2, 3], [1] * 6])
def test_statistics_are_the_exponential_average_whatever_the_batches(batches):
    frames = [frame(100 + seed / 4, seed, noise=2) for seed in range(6)]
    fake, engine = steadied(frames, 0.75, batches)
    seen = [x.mean() for x in fake.frames]
    expected = [seen[0]]
    for mean in seen[1:]:
        expected.append(0.75 * expected[-1] + 0.25 * mean)
    assert fake.by == pytest.approx(expected) and engine.cuts == 0
    again, _ = steadied(frames, 0.75)
    np.testing.assert_array_equal(again.frames, fake.frames)


def test_noise_of_what_stands_still_is_averaged():
    frames = [frame(100, seed, noise=4) for seed in range(60)]
    fake, _ = steadied(frames, 0.9)
    last = np.stack(fake.frames[-20:]) - frame(100).astype(float)
    # sum of (1 - k)^2 k^2n; the weight is a little less than k where noise looks like movement.
    expected = 4 * np.sqrt(0.1 / 1.9)
    assert expected < last.std() < 1.4 * expected and abs(last.mean()) < 0.1


def test_what_moves_is_as_it_is_in_its_frame():
    frames = [frame(100, seed, noise=2) for seed in range(10)]
    for t, picture in enumerate(frames):
        picture[8:32, 2 + t : 20 + t] = 220
    fake, _ = steadied(frames, 0.9)
    for t in range(1, 10):
        # The column that the box has just reached, and the one that it has just left.
        for column in (19 + t, 1 + t):
            np.testing.assert_array_equal(
                fake.frames[t][14:26, column], frames[t][14:26, column], f"{t} {column}"
            )


def test_all_begins_anew_at_a_cut():
    frames = [frame(20, 0, 2), frame(20, 1, 2), frame(200, 2, 2), frame(200, 3, 2)]
    for before, after in zip(frames[:2], frames[2:], strict=True):
        after[:12] = np.minimum(before[:12] + 1, 255)  # what both scenes have is no less cut
    fake, engine = steadied(frames, 0.9)
    assert engine.cuts == 1 and fake.by[2] == frames[2].mean()
    np.testing.assert_array_equal(fake.frames[2], frames[2])
    assert fake.by[3] == pytest.approx(0.9 * frames[2].mean() + 0.1 * fake.frames[3].mean())


def test_keeping_nothing_changes_nothing():
    frames = [frame(100, seed, 3) for seed in range(3)]
    fake, _ = steadied(frames, 0)
    np.testing.assert_array_equal(fake.frames, frames)
    assert fake.by == pytest.approx([x.mean() for x in frames])


def test_a_pan_is_no_cut():
    rng = np.random.default_rng(0)
    scene = np.repeat(rng.integers(0, 256, (40, 30, 3)), 8, 1).astype(np.uint8)
    views = [color_histogram(scene[:, x : x + 80]) for x in range(0, 160, 4)]
    assert max(distance(a, b) for a, b in zip(views, views[1:], strict=False)) < CUT / 2
    assert distance(views[0], color_histogram(frame(200))) > CUT
    assert distance(views[0], views[0]) == 0


def test_given_statistics_are_averaged_and_the_rest_is_the_engines():
    fake, engine = steadied([frame(1)] * 2, 0.5, statistics=[moments(1), moments(3)])
    assert fake.by == [1, 2] and engine.batch == 4


def test_keeping_all_is_refused():
    for keep in (1, -0.1, float("nan")):
        with pytest.raises(UserError, match="less than 1"):
            SteadyEngine(FakeEngine(), keep)
