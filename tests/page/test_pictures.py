"""In a browser: the page's pictures are the engine's, with every control."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image, save_image
from din_jax.inference.color import keep_chroma
from din_jax.inference.stylizer import Stylizer
from din_jax.tools import page
from din_jax.weights.included import INCLUDED, INCLUDED_BANK
from din_jax.weights.models import load_model
from tests.export.models import export_quickly

from .browser import Page, chromed, serving
from .conftest import drawn

LEVELS = 2  # of 255: weights and codes in float16, another order of sums


def equal(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= LEVELS
    assert np.ptp(expected.astype(int)) > 40  # a picture


@pytest.fixture
def given(opened, tmp_path):
    """The page with a picture of an odd size and its pixels; after `settle`, painted."""

    def give(rows=67, columns=96, seed=1, selector="#file"):
        picture = drawn(rows, columns, seed)
        opened.find(selector).send_keys(str(save_image(tmp_path / f"p{seed}.png", picture)))
        opened.settle()
        return picture

    return give


@pytest.mark.parametrize("shape", [(67, 96), (131, 45), (64, 64), (20, 33)], ids=str)
def test_a_picture_is_the_engines(opened, given, stylizer, shape):
    picture = given(*shape)
    for style in ("dots", "glass"):
        opened.tile("styles", style)
        opened.settle()
        equal(opened.picture(), stylizer.stylize(picture, style))
    np.testing.assert_array_equal(opened.picture("before"), picture)


def test_a_drawn_picture_is_there_at_once(opened, site, stylizer):
    scene = load_image(site.folder / "contents/landscape.png")
    equal(opened.picture(), stylizer.stylize(scene, "waves"))
    assert "64 x 64 px in " in opened.status() and opened.status().endswith(" ms.")
    opened.tile("contents", "still_life")
    opened.settle()
    equal(
        opened.picture(),
        stylizer.stylize(load_image(site.folder / "contents/still_life.png"), "waves"),
    )


def test_a_mixture_is_the_engines(opened, given, stylizer):
    picture = given()
    opened.click("#several")
    opened.tile("styles", "dots")
    opened.tile("styles", "glass")
    opened.settle()
    sliders = "#sliders label:nth-child({}) input"
    for i, value in enumerate((20, 80, 100)):
        opened.set(sliders.format(i + 1), value)
    opened.settle()
    names = [name.text for name in opened.finds("#sliders .name")]
    assert names == ["waves", "dots", "glass"]
    expected = stylizer.stylize(picture, names, weights=[0.2, 0.8, 1.0])
    equal(opened.picture(), expected)
    assert np.abs(expected - stylizer.stylize(picture, names).astype(int)).max() > LEVELS
    for i in range(3):
        opened.set(sliders.format(i + 1), 0)
    opened.settle("error")
    assert "sliders are at zero" in opened.status()


def test_strength_and_colors_are_the_engines(opened, given, stylizer):
    picture = given()
    opened.set("#strength", 35)
    opened.settle()
    weak = stylizer.stylize(picture, "waves", strength=0.35)
    equal(opened.picture(), weak)
    assert np.abs(weak - stylizer.stylize(picture, "waves").astype(int)).max() > LEVELS
    opened.set("#strength", 100)
    opened.click("#colors")
    opened.settle()
    equal(opened.picture(), stylizer.stylize(picture, "waves", color="luminance"))
    # To the level given the same painted picture.
    opened.click("#colors")
    opened.settle()
    painted = opened.picture()
    opened.click("#colors")
    opened.settle()
    difference = opened.picture().astype(int) - keep_chroma(picture, painted)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("shape", [(40, 44), (30, 700), (450, 430)], ids=str)
def test_a_style_of_ones_own_is_the_engines(opened, given, stylizer, shape):
    picture = given()
    style = given(*shape, seed=7, selector="#stylefile")
    assert opened.run("return document.querySelector('#styles button').textContent") == "p7"
    equal(opened.picture(), stylizer.stylize(picture, style))


def test_a_region_has_its_own_style(opened, given):
    given()
    first = opened.picture()
    opened.click("input[value=region]")
    opened.tile("styles", "glass")
    opened.set("#brush", 30)
    mask = opened.find("#mask")
    opened.hold(mask, ["ArrowLeft"] * 4 + [" "])
    opened.settle()
    blended = opened.picture()
    opened.click("input[value=whole]")
    opened.tile("styles", "glass")
    opened.settle()
    second = opened.picture()
    rows, columns = np.mgrid[:67, :96]
    distance = np.hypot(rows + 0.5 - 33.5, columns + 0.5 - 0.3 * 96) / (0.15 * 96)
    np.testing.assert_array_equal(blended[distance > 1.1], first[distance > 1.1])
    assert np.abs(blended.astype(int) - second)[distance < 0.45].max() <= 1
    share = np.clip(2 - 2 * distance, 0, 1)[..., None]
    assert np.abs(blended - ((1 - share) * first + share * second)).max() <= 16
    edge = (distance > 0.6) & (distance < 0.9)
    assert np.any(blended[edge] != first[edge]) and np.any(blended[edge] != second[edge])
    opened.click("input[value=region]")
    opened.click("#clear")
    opened.settle()
    np.testing.assert_array_equal(opened.picture(), second)


@pytest.mark.slow
def test_the_included_models_picture_is_the_engines(runtime, tmp_path):
    loaded = load_model(INCLUDED)
    stylizer = Stylizer(loaded, bank=INCLUDED_BANK, bucket=0)
    folder = export_quickly(loaded, tmp_path / "exported", stylizer.bank)
    flags = ["--exported", folder, "--ort", runtime, "--size", 70, "--output", tmp_path / "page"]
    page.run(page.parse(list(map(str, flags))))
    with serving(tmp_path / "page") as server, chromed(tmp_path / "profile") as driver:
        opened = Page(driver).open(server.url)
        scene = load_image(tmp_path / "page/contents/landscape.png")
        for style in list(stylizer.bank)[:3]:
            opened.tile("styles", style)
            opened.settle()
            equal(opened.picture(), stylizer.stylize(scene, style))
