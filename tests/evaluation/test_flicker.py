"""Flicker is the noise that is put in, where nothing moves."""

import types

import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.evaluation import steadiness
from din_jax.evaluation.flicker import measure_flicker


def clip(noise, frames=6, seed=0, size=(60, 80), pan=(0, 0)):
    """A drawn scene that moves by `pan`, with noise of a standard deviation in each frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    for t in range(frames):
        u, v = x - t * pan[0], y - t * pan[1]
        scene = 128 + 60 * np.sin(u / 6) * np.cos(v / 5)
        noisy = scene[..., None] + rng.normal(0, noise, (*size, 3))
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def test_flicker_is_the_noise_of_the_difference():
    found = measure_flicker(clip(5.0), clip(2.0, seed=1))
    # Two frames' noise, independent: sqrt(2) of one's; rounding adds 1/12 each.
    assert found.painted == pytest.approx(np.sqrt(2 * (25 + 1 / 12)), rel=0.02)
    assert found.content == pytest.approx(np.sqrt(2 * (4 + 1 / 12)), rel=0.02)
    assert found.still > 0.999 and found.frames == 6
    assert measure_flicker(clip(0), clip(0)).painted == 0


def test_what_moves_in_the_content_does_not_count():
    def moving(frames):
        for t, frame in enumerate(frames):
            frame[:30] = 255 * (t % 2)  # the upper half flashes
            yield frame

    found = measure_flicker(moving(clip(5.0)), moving(clip(2.0, seed=1)))
    assert found.painted == pytest.approx(np.sqrt(50), rel=0.03) and 0.3 < found.still < 0.5


@pytest.mark.parametrize("pan", [(3, 0), (-2, 4)])
def test_a_pan_stands_still_when_it_is_known(pan):
    found = measure_flicker(clip(5.0, pan=pan), clip(2.0, seed=1, pan=pan), pan)
    assert found.painted == pytest.approx(np.sqrt(50), rel=0.03) and found.still > 0.99
    unknown = measure_flicker(clip(5.0, pan=pan), clip(2.0, seed=1, pan=pan))
    assert unknown.still < 0.7


def test_odd_sides_may_be_cut_and_others_may_not():
    cut = (frame[:59, :79] for frame in clip(1.0))
    assert measure_flicker(cut, clip(1.0)).painted > 0
    with pytest.raises(UserError, match="one size"):
        measure_flicker(clip(1.0, size=(60, 40)), clip(1.0))
    with pytest.raises(UserError, match="between frames"):
        measure_flicker(clip(1.0, frames=1), clip(1.0))
    with pytest.raises(UserError, match="leaves nothing"):
        measure_flicker(clip(1.0), clip(1.0), (80, 0))


class Amplifier:
    """Paints like a network that makes strokes of noise: three times what the frame differs by."""

    batch = 4

    def statistics(self, contents, code):
        return [{} for _ in contents]

    def stylize(self, contents, code, *, statistics=None):
        scaled = [128 + 3 * (x.astype(float) - 128) for x in contents]
        return [np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in scaled]


@pytest.mark.parametrize("name", steadiness.CLIPS)
def test_steadied_clips_flicker_less_and_stay_in_place(name):
    draw, pan = steadiness.CLIPS[name]
    frames = list(steadiness.drawn_clip(draw, 2.0, 12))
    assert frames[0].shape == (192, 256, 3) and len(frames) == 12
    stylizer = types.SimpleNamespace(engine=Amplifier())
    stylizer.stylize = lambda given, code: stylizer.engine.stylize(given, code)
    plain, steady = (steadiness.painted_clip(stylizer, None, frames, x) for x in (0, 0.5))
    before, after = (measure_flicker(x, frames, pan) for x in (plain, steady))
    # What the camera passes has moved wherever it is not plain.
    least = 0.8 if name == "pan" else 0.5
    assert before.still == after.still > 0.9 and after.painted < least * before.painted
    assert isinstance(stylizer.engine, Amplifier)
    # What moves is not smeared: no frame is far from its own.
    worst = max(np.abs(a.astype(float) - b).mean() for a, b in zip(plain, steady, strict=True))
    assert worst < 3 * 2.0
