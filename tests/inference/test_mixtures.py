"""Blends, regions and given statistics through the engine: what the layers make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference import Engine, take_codes
from din_jax.inference.codes import checked_mixture, code_count
from din_jax.layers.mixtures import Blend, Regions


@pytest.fixture(scope="module")
def engine(loaded):
    return Engine(loaded, batch=1, style_size=0)


@pytest.fixture
def codes(engine, image):
    return [engine.encode_style([image(40, 40, seed)]) for seed in (11, 12)]


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_blend_of_one_code_is_that_code(engine, codes, image):
    contents = [image(36, 40, 1), image(36, 40, 2)]
    plain = engine.stylize(contents, codes[0])
    assert_equal(engine.stylize(contents, Blend(codes, [1.0, 0.0])), plain)
    per_picture = Blend(codes, np.asarray([[1.0, 0.0], [0.0, 1.0]]))
    mixed = engine.stylize(contents, per_picture)
    np.testing.assert_array_equal(mixed[0], plain[0])
    np.testing.assert_array_equal(mixed[1], engine.stylize(contents[1:], codes[1])[0])
    half = engine.stylize(contents[:1], Blend(codes, [0.5, 0.5]))[0].astype(int)
    ends = [engine.stylize(contents[:1], code)[0] for code in codes]
    assert all(np.abs(half - end).mean() > 1 for end in ends)


def test_regions_are_those_of_each_picture(engine, codes, image):
    contents = [image(36, 40, 1), image(36, 40, 2)]
    masks = np.zeros((2, 2, 10, 10), np.float32)
    masks[0, 0, :, :5], masks[0, 1, :5] = 1, 1
    masks[1] = 1 - masks[0]
    together = engine.stylize(contents, Regions(codes, masks))
    for i, content in enumerate(contents):
        alone = engine.stylize([content], Regions(codes, masks[:, i : i + 1]))
        np.testing.assert_array_equal(together[i], alone[0])
    everything = np.stack([np.ones((1, 4, 4)), np.zeros((1, 4, 4))])
    whole = engine.stylize(contents, Regions(codes, everything))
    for a, b in zip(whole, engine.stylize(contents, codes[0]), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize("masked", [False, True])
def test_own_statistics_given_back_change_nothing_and_others_do(engine, codes, image, masked):
    contents = [image(36, 40, 1), image(36, 40, 2), image(36, 40, 3)]
    mask = np.linspace(0, 1, 8, dtype=np.float32) * np.ones((1, 8, 1), np.float32)
    code = Regions(codes, np.stack([mask, 1 - mask])) if masked else codes[0]
    statistics = engine.statistics(contents, code)
    assert all(x.shape[0] == 1 for x in jax.tree.leaves(statistics))
    own = engine.stylize(contents, code, statistics=statistics)
    for a, b in zip(own, engine.stylize(contents, code), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
    other = engine.stylize(contents[:1], code, statistics=statistics[1:2])[0]
    assert np.abs(other.astype(int) - own[0]).mean() > 0.5


def test_statistics_are_the_network_s(engine, codes, image):
    content = image(36, 40, 1)
    found = engine.statistics([content], codes[0])[0]
    features = jax.jit(engine.loaded.model.encode_content)(jnp.asarray(content)[None] / 255)
    for name, x in features.items():
        flat = np.asarray(x[0], np.float64).reshape(-1, x.shape[-1])
        np.testing.assert_allclose(found[name].mean[0], flat.mean(0), atol=1e-5)
        np.testing.assert_allclose(found[name].variance[0], flat.var(0), rtol=1e-4, atol=1e-6)


def test_running_statistics_are_given_per_picture(known, image):
    found = known.statistics([image(36, 40, 1), image(36, 40, 2)], known.encode_style([1]))
    assert [x["level1"].mean.shape[0] for x in found] == [1, 1]


def test_parts_for_all_pictures_serve_each(codes):
    masks = np.ones((2, 3, 4, 4), np.float32) * np.arange(1, 4).reshape(3, 1, 1)
    mixture = Regions((codes[0], Blend(codes, np.ones(2, np.float32))), masks)
    assert code_count(mixture) == 3
    taken = take_codes(mixture, [2, 0])
    np.testing.assert_array_equal(taken.masks, masks[:, [2, 0]])
    assert taken.codes[0]["level1"].bias.shape[0] == 2
    assert_equal(taken.codes[1].codes[1]["level2"].bias, codes[1]["level2"].bias.repeat(2, 0))


@pytest.mark.parametrize(
    "mixture, words",
    [
        (lambda a, b: Blend([a, b], [1.0]), "2 styles need 2 finite weights"),
        (lambda a, b: Blend([a, b], [1.0, np.nan]), "2 finite weights"),
        (lambda a, b: Blend([a, b], np.ones((2, 2))), "3 contents need .* not 2"),
        (lambda a, b: Regions([a], np.ones((1, 4, 4))), "masks .1, pictures, H, W."),
        (lambda a, b: Regions([a], np.zeros((1, 1, 4, 4))), "in no mask"),
        (lambda a, b: Regions([a], -np.ones((1, 1, 4, 4))), "not negative"),
        (lambda a, b: Blend([Regions([a], np.ones((1, 1, 4, 4)))], [1.0]), "not masks again"),
        (lambda a, b: {"level1": a["level1"]}, "levels level1, level2, level3, not level1"),
        (lambda a, b: [a, b], "not list: encode"),
    ],
)
def test_a_mixture_that_does_not_fit_is_one_sentence(engine, codes, mixture, words):
    with pytest.raises(UserError, match=words):
        checked_mixture(mixture(*codes), engine.loaded.model.levels, 3)


def test_statistics_of_too_few_contents_are_refused(engine, codes, image):
    with pytest.raises(UserError, match="2 contents need the statistics of each, not 1"):
        engine.stylize([image(36, 40)] * 2, codes[0], statistics=[{}])
