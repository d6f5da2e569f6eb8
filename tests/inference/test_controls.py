"""Every control for every method: what must hold by its definition, each by an oracle of its own.

A method is a source of codes with its normalizer (`din_jax.methods`), and a transform.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax import methods
from din_jax.errors import UserError
from din_jax.inference.codes import code_shapes, take_codes
from din_jax.ops.normalization import adain
from din_jax.ops.whitening import wct

SIDE = 40  # of all pictures, so that few programs are compiled


def close(a, b, most=1):
    """Equal but for rounding to uint8."""
    assert a.shape == b.shape
    np.testing.assert_allclose(a.astype(int), b.astype(int), atol=most)


@pytest.fixture
def content(image):
    return image(SIDE, SIDE, 1)


@pytest.fixture
def styles(method, image):
    """Two styles as the method takes them."""
    return ["dots", "waves"] if method[0] == "cin" else [image(SIDE, SIDE, k) for k in (12, 13)]


@pytest.fixture
def plain(method, content, styles):
    """The content in each of them, by the engine."""
    engine = method[1].engine
    return [engine.stylize([content], engine.encode_style([style]))[0] for style in styles]


def test_every_method_and_transform_is_among_those_tested(tested_methods):
    assert tested_methods == {*methods.METHODS, *methods.TRANSFORMS[1:]}


def test_a_code_has_the_shapes_that_are_said(method, image):
    model = method[1].loaded.model
    given = jnp.zeros(1, int) if method[0] == "cin" else jnp.zeros((1, 48, 32, 3))
    code = jax.eval_shape(model.encode_style, given)
    found = {
        f"code.{level}.{field}": value.shape[1:]
        for level, part in code.items()
        for field, value in zip(part._fields, part, strict=True)
    }
    assert code_shapes(model) == found


def test_strength_goes_from_the_content_s_own_to_the_style(method, content, styles, plain):
    name, stylizer = method
    paint = stylizer.stylize
    np.testing.assert_array_equal(paint(content, styles[0]), plain[0])
    np.testing.assert_array_equal(paint(content, styles[0], strength=1), plain[0])
    assert np.abs(plain[0].astype(int) - plain[1]).mean() > 1  # the styles differ
    zero = paint(content, styles[0], strength=0)
    np.testing.assert_array_equal(paint(content, styles[1], strength=0), zero)
    if name == "cin":
        np.testing.assert_array_equal(zero, content)
        half = (content.astype(int) + plain[0]) / 2
        np.testing.assert_allclose(paint(content, styles[0], strength=0.5), half, atol=0.51)
    elif name in ("din", "spatial", "deformable"):
        engine = stylizer.engine
        own, code = (engine.encode_style([x]) for x in (content, styles[0]))
        np.testing.assert_array_equal(zero, engine.stylize([content], own)[0])
        quarter = jax.tree.map(lambda a, b: 0.75 * a + 0.25 * b, own, code)
        close(paint(content, styles[0], strength=0.25), engine.stylize([content], quarter)[0])


@pytest.mark.parametrize("name, transfer", [("adain", adain), ("wct", wct)])
def test_strength_of_adain_and_wct_is_their_authors(stylizer_of, name, transfer, image):
    """decoder((1 - a) f(c) + a T(f(c), f(s))), also where the style's size is another."""
    stylizer, content, style = stylizer_of(name), image(SIDE, SIDE, 1), image(SIDE, SIDE, 12)
    model = stylizer.loaded.model

    @jax.jit
    def expected(content, style, a):
        maps = zip(model.encoder(content), model.encoder(style), strict=True)
        mixed = [(1 - a) * x + a * transfer(x, y) for x, y in maps]
        return model.decoder(mixed, [x.shape[1:3] for x in mixed])[0]

    x, y = (np.float32(image)[None] / 255 for image in (content, style))
    for a in (0.0, 0.3):
        picture = 255 * np.clip(expected(x, y, a), 0, 1)
        result = stylizer.stylize(content, style, strength=a)
        np.testing.assert_allclose(result, picture, rtol=0, atol=0.5 + 255e-4)


def test_weights_mix_styles(method, content, styles, plain):
    paint = method[1].stylize
    np.testing.assert_array_equal(paint(content, styles, weights=[1, 0]), plain[0])
    np.testing.assert_array_equal(paint(content, styles, weights=[0, 3]), plain[1])
    close(paint(content, [styles[0]] * 2, weights=[0.3, 0.7]), plain[0])
    equal = paint(content, styles)
    np.testing.assert_array_equal(paint(content, styles, weights=[2, 2]), equal)
    assert all(np.abs(equal.astype(int) - end).mean() > 0.2 for end in plain)


def test_masks_of_one_value_are_weights_and_strengths(method, content, styles, plain):
    """A mask of a value everywhere has the whole content's statistics."""
    paint = method[1].stylize
    ones, half = np.ones((8, 8), np.float32), np.full((5, 9), 0.5)
    np.testing.assert_array_equal(paint(content, styles[:1], masks=[ones]), plain[0])
    np.testing.assert_array_equal(paint(content, styles, masks=[0 * ones, ones]), plain[1])
    np.testing.assert_array_equal(paint(content, styles, masks=[ones]), plain[0])
    mixed = paint(content, styles)
    close(paint(content, styles, masks=[half, half]), mixed)
    close(paint(content, styles, masks=[half]), mixed)  # the rest is the last style's
    close(paint(content, styles, masks=[ones, ones]), mixed)  # what overlaps is shared
    own = paint(content, styles[0], strength=0.5)
    close(paint(content, styles[:1], masks=[half]), own)  # the rest is the content's own
    close(paint(content, styles[:1], masks=[half], strength=0.5),
          paint(content, styles[0], strength=0.25))  # fmt: skip


def test_strength_by_level(method, content, styles, plain):
    name, stylizer = method
    paint, strengths = stylizer.stylize, {"level1": 0.5, "level3": 0.25}
    if name == "cin":
        with pytest.raises(UserError, match="a table of styles has no code of a content"):
            paint(content, styles[0], levels=strengths)
        return
    np.testing.assert_array_equal(paint(content, styles[0], levels=[1, 1, 1]), plain[0])
    np.testing.assert_array_equal(
        paint(content, styles[0], levels=[0.4] * 3), paint(content, styles[0], strength=0.4)
    )
    result = paint(content, styles[0], levels=strengths)
    np.testing.assert_array_equal(paint(content, styles[0], levels=[0.5, 1, 0.25]), result)
    # With masks, by masks of each level.
    close(paint(content, styles[:1], masks=[np.ones((4, 4))], levels=[0.5, 1, 1]),
          paint(content, styles[0], levels={"level1": 0.5}))  # fmt: skip
    ends = (plain[0], paint(content, styles[0], strength=0))
    assert all(np.abs(result.astype(int) - end).mean() > 0.2 for end in ends)


def test_many_contents_are_painted_as_each_alone(method, content, styles, image):
    paint, other = method[1].stylize, image(SIDE, SIDE, 3)
    options = [{"strength": 0.5}, {"masks": [np.eye(9)]}, {"color": "luminance"}]
    for option in options:
        together = paint([content, other], styles[:1], **option)
        for given, result in zip((content, other), together, strict=True):
            close(result, paint(given, styles[:1], **option))


def test_seamless_results_begin_anywhere(method, content, styles):
    """Of a picture without borders it does not matter where it is cut."""
    name, stylizer = method
    refused = {"deformable": "reads as far as its offsets point", "spatial": "borders of its own"}
    if name in refused:
        with pytest.raises(UserError, match=refused[name]):
            stylizer.stylize(content, styles[0], seamless=True)
        return
    rolled = np.roll(content, (8, 20), (0, 1))
    # Nets read the content's own style from its picture, which has borders.
    options = {"strength": 0.5} if name in ("adain", "wct", "cin") else {}
    whole = stylizer.stylize(content, styles[0], seamless=True, **options)
    moved = stylizer.stylize(rolled, styles[0], seamless=True, **options)
    close(moved, np.roll(whole, (8, 20), (0, 1)))
    plain = stylizer.stylize(content, styles[0], **options)
    assert np.abs(whole.astype(int) - plain).max() > 2


def test_a_code_is_taken_in_the_place_of_a_style(method, content, styles, image):
    stylizer, other = method[1], image(SIDE, SIDE, 3)
    code = stylizer.encode_style(styles)
    both = stylizer.stylize([content, other], code)  # each content its own
    for i, given in enumerate((content, other)):
        close(both[i], stylizer.stylize(given, styles[i]))
        close(both[i], stylizer.stylize(given, take_codes(code, [i])))
    with pytest.raises(UserError, match="1 contents need as many style codes"):
        stylizer.stylize(content, code)
    with pytest.raises(UserError, match="must be one of this model's"):
        stylizer.stylize(content, {"level1": code["level1"]})


def test_each_region_has_its_style_and_statistics(stylizer_of, image):
    """AdaIN by hand, in NumPy: soft masks, the rest of them the content's own maps."""
    stylizer, content = stylizer_of("adain"), image(SIDE, SIDE, 1)
    styles = [image(SIDE, SIDE, k) for k in (12, 13)]
    model = stylizer.loaded.model
    ramp = np.clip(np.linspace(-0.5, 1.5, SIDE), 0, 1) * np.ones((SIDE, 1))
    first, second = (0.8 * ramp).astype(np.float32), (0.5 * (1 - ramp)).astype(np.float32)
    encode = jax.jit(lambda x: list(model.encoder(x)))
    maps, *painted = (
        [np.asarray(y, np.float64)[0] for y in encode(np.float32(x)[None] / 255)]
        for x in (content, *styles)
    )
    styled = []
    for level, x in enumerate(maps):
        # Antialiased halves of ramps along columns: exactly their means of neighbors, at borders
        # of a triangle's width; JAX's own resizing is used, which layers hold against PyTorch.
        small = [np.asarray(jax.image.resize(m, x.shape[:2], "linear")) for m in (first, second)]
        y = (1 - small[0] - small[1])[..., None] * x
        for mask, style in zip(small, painted, strict=True):
            share = (mask / mask.sum())[..., None]
            mean = (share * x).sum((0, 1))
            deviation = np.sqrt((share * (x - mean) ** 2).sum((0, 1)) + 1e-5)
            target = style[level]
            scale, shift = np.sqrt(target.var((0, 1)) + 1e-5), target.mean((0, 1))
            y += mask[..., None] * ((x - mean) / deviation * scale + shift)
        styled.append(jnp.asarray(y, jnp.float32)[None])
    decode = jax.jit(lambda xs: model.decoder(xs, [x.shape[1:3] for x in xs])[0])
    expected = 255 * np.clip(decode(styled), 0, 1)
    result = stylizer.stylize(content, styles, masks=[first, second])
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.5 + 255e-4)


def test_a_style_that_is_a_code_has_no_picture_to_recolor_or_resize(stylizer_of, content, image):
    stylizer = stylizer_of("adain")
    code = stylizer.encode_style(image(SIDE, SIDE, 12))
    with pytest.raises(UserError, match="but this style is a code without one"):
        stylizer.stylize(content, code, color="match")
    with pytest.raises(UserError, match="but this style is a code already"):
        stylizer.stylize(content, code, scale=64)
