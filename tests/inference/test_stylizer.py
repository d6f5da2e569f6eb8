"""The user's class: pictures of every kind in and out, and what it does beside the engine."""

import jax
import numpy as np
import pytest
from PIL import Image

import din_jax
from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.inference.pictures import flat_picture
from din_jax.inference.stylizer import Stylizer
from din_jax.layers.normalizers import Moments


@pytest.fixture(scope="module")
def stylizer(loaded):
    return Stylizer(loaded)


@pytest.fixture
def pair(image):
    return image(40, 44, 1), image(40, 40, 2)


@pytest.fixture
def painted(stylizer, pair):
    """What the engine paints."""
    return stylizer.engine.stylize([pair[0]], stylizer.engine.encode_style([pair[1]]))[0]


def test_a_picture_of_any_kind_gives_the_same_picture(stylizer, pair, painted, tmp_path):
    content, style = pair
    path = save_image(tmp_path / "content.png", content)
    style_path = save_image(tmp_path / "style.png", style)
    np.testing.assert_array_equal(stylizer.stylize(content, style), painted)
    for given in (path, str(path), path.read_bytes(), Image.fromarray(content)):
        result = stylizer.stylize(given, style_path)
        assert isinstance(result, Image.Image) and result.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(result), painted)


def test_a_sequence_gives_a_list_in_order_each_of_its_kind(stylizer, pair, painted, image):
    content, style = pair
    other = image(36, 33, 3)
    given = [Image.fromarray(content), other, content]
    first, second, third = stylizer.stylize(given, stylizer.encode_style(style))
    assert isinstance(first, Image.Image) and second.shape == other.shape
    np.testing.assert_array_equal(np.asarray(first), painted)
    np.testing.assert_array_equal(third, painted)


def test_gray_is_painted_in_color(stylizer, pair):
    gray = pair[0][..., 0]
    expected = stylizer.stylize(np.repeat(gray[..., None], 3, 2), pair[1])
    np.testing.assert_array_equal(stylizer.stylize(gray, pair[1]), expected)


def test_a_photograph_that_lies_on_its_side_is_painted_upright(stylizer, pair, painted):
    lying = Image.fromarray(np.rot90(pair[0]))
    lying.getexif()[0x0112] = 6  # to be turned by 90 degrees clockwise
    result = stylizer.stylize(lying, pair[1])
    np.testing.assert_array_equal(np.asarray(result), painted)
    assert not result.getexif().get(0x0112)


def visible_statistics(model, covered, alpha):
    """Of the encoder's maps by NumPy, each pixel counted by its alpha."""
    found = {}
    for level, x in enumerate(model.encoder(np.float32(covered)[None] / 255), 1):
        x = np.asarray(x[0], np.float64)
        share = np.asarray(jax.image.resize(alpha / 255.0, x.shape[:2], "linear"))[..., None]
        share = share / share.sum()
        mean = (share * x).sum((0, 1))
        found[f"level{level}"] = (mean, (share * (x - mean) ** 2).sum((0, 1)))
    return {
        level: Moments(*(np.float32(part)[None] for part in parts))
        for level, parts in found.items()
    }


def test_alpha_is_kept_and_what_is_hidden_does_not_count(stylizer, pair, image):
    content, style = pair
    alpha = np.full((40, 44), 255, np.uint8)
    alpha[:, :15] = 0
    alpha[:, 15] = 100
    mean = [np.average(content[..., i], weights=alpha) for i in range(3)]
    covered = np.where(alpha[..., None] == 0, np.rint(mean).astype(np.uint8), content)
    statistics = [visible_statistics(stylizer.loaded.model, covered, alpha)]
    code = stylizer.encode_style(style)
    (expected,) = stylizer.engine.stylize([covered], code, statistics=statistics)
    masks = [np.full((4, 4), 0.5)] * 2
    for seed in (5, 6):
        hidden = np.where(alpha[..., None] == 0, image(40, 44, seed), content)
        result = stylizer.stylize(np.dstack([hidden, alpha]), style)
        np.testing.assert_array_equal(result[..., 3], alpha)
        np.testing.assert_allclose(result[..., :3].astype(int), expected, atol=1)
    both = stylizer.stylize([content, np.dstack([content, alpha])], style)
    np.testing.assert_array_equal(both[0], stylizer.stylize(content, style))
    np.testing.assert_array_equal(both[1], result)
    in_halves = stylizer.stylize(np.dstack([content, alpha]), [code, code], masks=masks)
    np.testing.assert_allclose(in_halves.astype(int), result, atol=1)
    kept = stylizer.stylize(Image.fromarray(np.dstack([content, alpha])), style)
    assert kept.mode == "RGBA"


def test_styles_that_are_transparent_lie_on_white(image):
    style = image(40, 40, 2)
    alpha = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (40, 1))
    layer = Image.fromarray(np.dstack([style, alpha]))
    white = Image.alpha_composite(Image.new("RGBA", (40, 40), "white"), layer).convert("RGB")
    np.testing.assert_allclose(flat_picture(layer, "a style"), np.asarray(white), atol=1)


def test_scale_is_the_short_side_of_the_style(stylizer, pair, image):
    content, style = pair[0], image(60, 90, 4)
    small = np.asarray(Image.fromarray(style).resize((48, 32), Image.Resampling.BICUBIC))
    expected = stylizer.engine.stylize([content], stylizer.engine.encode_style([small], size=0))[0]
    np.testing.assert_array_equal(stylizer.stylize(content, style, scale=32), expected)
    code = stylizer.encode_style(style, size=32)
    np.testing.assert_array_equal(stylizer.stylize(content, code), expected)


def test_many_styles_are_encoded_in_order(stylizer, pair, image):
    styles = [image(40, 40, 2), image(40, 52, 7), image(40, 40, 8)]
    together = stylizer.encode_style(styles)
    for i, style in enumerate(styles):
        alone = stylizer.encode_style(style)
        for level in alone:
            np.testing.assert_allclose(together[level].bias[i], alone[level].bias[0], atol=1e-5)


@pytest.mark.parametrize(
    "content, options, sentence",
    [
        ([], {}, "a content picture is needed, but the sequence given for it is empty"),
        (np.zeros((40, 40, 3)), {}, r"a content picture must be .*, but is float64 \[40, 40, 3\]"),
        (np.zeros((40, 40, 2), np.uint8), {}, r"uint8 \[40, 40, 2\]"),
        (5, {}, "a content picture must be"),
        (None, {"strength": 1.5}, "strength must be a strength from 0 to 1, not '1.5'"),
        (None, {"strength": float("nan")}, "strength must be"),
        (None, {"levels": {"level4": 1}}, "styled at level1, level2, level3, and not at level4"),
        (None, {"levels": [1, 1]}, "one strength each for level1, level2, level3, not 2"),
        (None, {"color": "blue"}, "color must be style, luminance, match, not 'blue'"),
        (None, {"weights": [1, 1]}, "1 styles need 1 weights"),
        (None, {"weights": [-1]}, "a sum above 0"),
        (None, {"masks": [], "weights": [1]}, "give one of the two"),
        (None, {"masks": []}, "1 styles need 1 mask"),
        (None, {"masks": [np.full((4, 4), 2.0)]}, "must lie in 0..1, not 2..2"),
        (None, {"masks": [np.full((4, 4), np.nan)]}, "must lie in 0..1"),
        (None, {"masks": [np.zeros((4, 4, 3), np.uint8)]}, "a mask must be an array"),
        (None, {"scale": 16}, "scale must be 32 to 4096 px, or 0 for the pictures' own size"),
        (None, {"scale": 10**6}, "scale must be 32 to 4096 px"),
        (None, {"feather": -1}, "feather must be 0 px or more"),
    ],
)
def test_wrong_input_is_one_sentence(stylizer, pair, content, options, sentence):
    with pytest.raises(UserError, match=sentence):
        stylizer.stylize(pair[0] if content is None else content, pair[1], **options)


def test_an_unknown_model_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="no model 'din_portible'; give din_portable, a .safetens"):
        Stylizer.load("din_portible")


def test_the_package_offers_what_users_take():
    assert din_jax.Stylizer is Stylizer
    with pytest.raises(AttributeError, match="no attribute 'Styliser'"):
        din_jax.Styliser  # noqa: B018
