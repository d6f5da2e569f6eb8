"""The engine gives what the plain module gives, whatever the sizes, order and batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference import Engine, join_codes, take_codes

COMPILED = {}


def plain(loaded, content, style):
    """The module called directly on one pair of uint8 images; float values in about [0, 1]."""
    content, style = (jnp.asarray(x, jnp.float32)[None] / 255 for x in (content, style))
    key = id(loaded.model)
    if key not in COMPILED:
        COMPILED[key] = jax.jit(loaded.model.__call__)  # eager, each operation would compile
    return np.asarray(COMPILED[key](content, style))[0]


def assert_same_picture(picture, expected):
    """Equal after rounding, but for values so close to a half that float32 cannot tell."""
    assert picture.dtype == np.uint8 and picture.shape == expected.shape
    exact = 255 * np.clip(expected.astype(np.float64), 0, 1)
    np.testing.assert_allclose(picture, exact, rtol=0, atol=0.5 + 255e-4)


def test_mixed_sizes_equal_the_plain_network_one_by_one(loaded, image):
    engine = Engine(loaded, batch=2, style_size=0)
    shapes = [(37, 43), (45, 34), (37, 43), (37, 43)]
    contents = [image(*shape, seed) for seed, shape in enumerate(shapes)]
    styles = [image(40, 33, 10), image(33, 40, 11), image(40, 33, 12), image(40, 33, 13)]
    code = engine.encode_style(styles)
    pictures, outside = engine.stylize_measured(contents, code)
    for picture, share, content, style in zip(pictures, outside, contents, styles, strict=True):
        expected = plain(loaded, content, style)
        assert_same_picture(picture, expected)
        assert share == pytest.approx(((expected < 0) | (expected > 1)).mean(), abs=1e-3)
    assert outside.max() > 0.01
    # The test can tell styles apart only if they show.
    other = plain(loaded, contents[0], styles[2])
    assert np.abs(other - plain(loaded, contents[0], styles[0])).mean() > 0.02


def test_a_picture_does_not_depend_on_its_batch(loaded, image):
    contents = [image(33, 36, seed) for seed in range(3)]
    styles = [image(40, 40, seed) for seed in range(3, 6)]
    together = Engine(loaded, batch=4)
    code = together.encode_style(styles)
    apart = Engine(loaded, batch=1)
    for i, picture in enumerate(together.stylize(np.stack(contents), code)):
        alone = apart.stylize([contents[i]], apart.encode_style([styles[i]]))[0]
        assert np.abs(picture.astype(int) - alone).max() <= 1
        assert (picture != alone).mean() < 0.01


def test_one_code_serves_all_contents(loaded, image):
    engine = Engine(loaded, batch=2)
    contents = [image(33, 36, seed) for seed in range(3)]
    code = engine.encode_style([image(40, 40, 7)])
    shared = engine.stylize(contents, code)
    repeated = engine.stylize(contents, take_codes(code, [0, 0, 0]))
    for a, b in zip(shared, repeated, strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_images_are_reflected_and_cut_back(loaded, image):
    engine = Engine(loaded, style_size=0)
    content, style = image(16, 40, 1), image(20, 17, 2)
    larger = np.pad(content, ((0, 16), (0, 0), (0, 0)), mode="reflect")
    style_larger = np.pad(style, ((0, 12), (0, 15), (0, 0)), mode="reflect")
    pictures, outside = engine.stylize_measured([content], engine.encode_style([style]))
    expected = plain(loaded, larger, style_larger)[:16]
    assert_same_picture(pictures[0], expected)
    # The share is that of the picture, not of the border that was cut off.
    assert outside[0] == pytest.approx(((expected < 0) | (expected > 1)).mean(), abs=1e-3)


def test_buckets_save_compilations_and_change_nothing(loaded, image):
    """Neither borders nor statistics: the decoder of this model has instance norms."""
    engine = Engine(loaded, bucket=32)
    contents = [image(40, 50, 1), image(33, 64, 4)]
    style = image(40, 40, 5)
    code = engine.encode_style([style])
    pictures, outside = engine.stylize_measured(contents, code)
    assert engine.compilations == 2
    for content, picture, share in zip(contents, pictures, outside, strict=True):
        expected = plain(loaded, content, style)
        assert_same_picture(picture, expected)
        assert share == pytest.approx(((expected < 0) | (expected > 1)).mean(), abs=1e-3)


@pytest.mark.parametrize(
    "shape, style_size, expected",
    [
        ((80, 120), None, (40, 60)),  # the trained size, 40
        ((30, 20), None, (60, 40)),
        ((40, 77), None, (40, 77)),
        ((80, 120), 0, (80, 120)),
        ((80, 121), 64, (64, 97)),
        ((600, 4000), 40, (40, 267)),
        # Longer than eight squares: as many pixels as they have, or as much when 32 px wide.
        ((100, 1600), 40, (32, 400)),
        ((16, 50_000), 40, (32, 400)),
        ((4000, 2000), 0, (2896, 1448)),
    ],
)
def test_styles_take_the_trained_size_and_keep_their_shape(
    loaded, image, shape, style_size, expected
):
    engine = Engine(loaded, style_size=style_size)
    prepared = engine.prepare_style(image(*shape))
    assert prepared.shape == (*expected, 3)
    np.testing.assert_array_equal(engine.prepare_style(prepared), prepared)


def test_codes_are_taken_and_joined_in_order(loaded, image):
    engine = Engine(loaded)
    styles = [image(40, 40, seed) for seed in range(2)]
    first, second = (engine.encode_style([style]) for style in styles)
    both = join_codes([first, second])
    again = take_codes(both, [1, 0, 1])
    for level in both:
        for x, *parts in zip(again[level], second[level], first[level], second[level], strict=True):
            np.testing.assert_array_equal(x, np.concatenate(parts))


def test_codes_that_are_taken_whole_are_not_copied(loaded, image):
    """Indexing takes JAX a millisecond for each array, and every picture is painted by a code."""
    code = Engine(loaded).encode_style([image(40, 40), image(40, 40, 1)])
    whole, turned = take_codes(code, [0, 1]), take_codes(code, [1, 0])
    for level in code:
        for x, y, z in zip(code[level], whole[level], turned[level], strict=True):
            assert y is x
            np.testing.assert_array_equal(z, x[::-1])


def test_a_vgg_network_keeps_sizes_that_eight_does_not_divide(loaded_vgg, image):
    content, style = image(33, 36, 1), image(32, 32, 2)
    engine = Engine(loaded_vgg)
    picture = engine.stylize([content], engine.encode_style([style]))[0]
    padded = np.pad(content, ((0, 7), (0, 4), (0, 0)), mode="reflect")
    assert_same_picture(picture, plain(loaded_vgg, padded, style)[:33, :36])


def test_wrong_input_is_one_sentence(loaded, image):
    engine = Engine(loaded)
    code = take_codes(engine.encode_style([image(40, 40)]), [0, 0])
    with pytest.raises(UserError, match="3 contents need as many style codes, .* not 2"):
        engine.stylize([image(40, 40)] * 3, code)
    with pytest.raises(UserError, match="at least one style image"):
        engine.encode_style([])
    for options, match in (
        ({"batch": 0}, "batch and cache"),
        ({"bucket": 12}, "bucket must be"),
        ({"style_size": 8}, "style size must be"),
        ({"style_size": 10**5}, "style size must be 32 to 4096 px"),
        ({"dtype": "float16"}, "float32, bfloat16, not 'float16'"),
        ({"devices": []}, "devices must name"),
        ({"memory": 0}, "memory must be"),
        ({"products": "float16"}, "products must be float32 or bfloat16"),
    ):
        with pytest.raises(UserError, match=match):
            Engine(loaded, **options)


def test_a_table_s_styles_are_painted_by_name_or_number(known, image):
    assert known.styles == ("waves", "glass", "dots")
    named = known.encode_style(["dots", "waves"])
    for a, b in zip(jax.tree.leaves(named), jax.tree.leaves(known.encode_style([2, 0])),
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    content = image(40, 44)
    dots, waves = known.stylize([content] * 2, named)
    assert np.abs(dots.astype(int) - waves).max() > 0


@pytest.mark.parametrize("given", [["sand"], [3], [-1], [np.zeros((40, 40, 3), np.uint8)], []])
def test_a_style_that_the_table_has_not_is_refused(known, given):
    with pytest.raises(UserError, match="trained on, waves, glass, dots: give|at least one style"):
        known.encode_style(given)


def test_bfloat16_paints_nearly_the_same(loaded, image):
    content, style = image(36, 40, 1), image(40, 40, 2)
    exact, short = (Engine(loaded, dtype=dtype) for dtype in ("float32", "bfloat16"))
    code = short.encode_style([style])
    for a, b in zip(*map(jax.tree.leaves, (code, exact.encode_style([style]))), strict=True):
        np.testing.assert_array_equal(a, b)
    pictures = [engine.stylize([content], code)[0].astype(int) for engine in (exact, short)]
    assert 0 < np.abs(np.subtract(*pictures)).mean() < 0.05 * pictures[0].std()


def test_a_style_may_have_a_size_of_its_own(loaded, image):
    engine, style = Engine(loaded), image(60, 70)
    own = engine.encode_style([style], size=60)
    other = Engine(loaded, style_size=60).encode_style([style])
    for a, b in zip(*map(jax.tree.leaves, (own, other)), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(UserError, match="style size must be"):
        engine.encode_style([style], size=8)
    with pytest.raises(UserError, match="style size must be 32 to 4096 px, or 0"):
        engine.encode_style([style], size=100_000)
