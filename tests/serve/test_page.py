"""In a browser: the page over the server shows the pictures of `Stylizer.stylize`."""

import json

import numpy as np
import pytest

from din_jax.data.decoding import decode_image, save_image
from din_jax.tools import page, serve
from tests.page.browser import Page
from tests.page.conftest import browser, exported, runtime, stylizer  # noqa: F401  fixtures
from tests.page.test_use import CONTRAST, PALE

from .serving import drawn, opened, serving


@pytest.fixture(scope="module")
def site(small, browser):  # noqa: F811
    """The page that has no networks, and what serves it."""
    with serving(small.stylizer, small.steps, page=serve.page_files(None)) as served:
        yield served


@pytest.fixture
def shown(site, browser):  # noqa: F811
    found = Page(browser).open(str(site.client.base_url))
    found.set("#size", 256)
    return found.settle()


def scene(site, name, size=(256, 256)):
    from PIL import Image

    data = site.client.get(f"/contents/{name}.png").content
    return np.asarray(Image.fromarray(opened(data)).resize(size, Image.Resampling.BICUBIC))


def test_the_server_paints_what_the_stylizer_does(shown, site, small):
    assert "run by the server 127.0.0.1" in shown.find("#where").text
    assert shown.find("input[value=server]").is_selected()
    assert not shown.find("#painters").is_displayed()  # there is no choice
    content = scene(site, "landscape")
    for name in ("mosaic", "stained glass"):
        shown.tile("styles", name)
        shown.settle()
        expected = small.stylizer.stylize(content, name)
        np.testing.assert_array_equal(shown.picture(), expected)
    shown.set("#strength", 40)
    shown.click("#colors")
    shown.settle()
    expected = small.stylizer.stylize(content, name, strength=0.4, color="luminance")
    np.testing.assert_array_equal(shown.picture(), expected)
    assert site.queue.waiting == 0


def test_own_pictures_and_mixtures_are_painted_there_too(shown, small, tmp_path):
    content, style = drawn(67, 96, 1), drawn(50, 64, 9)
    shown.find("#file").send_keys(str(save_image(tmp_path / "photo.png", content)))
    shown.settle()
    shown.find("#stylefile").send_keys(str(save_image(tmp_path / "painting.png", style)))
    shown.wait(500)
    shown.settle()
    np.testing.assert_array_equal(shown.picture(), small.stylizer.stylize(content, style))
    np.testing.assert_array_equal(shown.picture("before"), content)
    shown.click("#several")
    shown.tile("styles", "mosaic")
    shown.settle()
    shown.set("#sliders label:nth-child(2) input", 50)
    shown.settle()
    expected = small.stylizer.stylize(content, [style, "mosaic"], weights=[1, 0.5])
    assert np.abs(shown.picture().astype(int) - expected).max() <= 1  # weights in decimals


def test_a_region_has_its_own_style(shown, site, small):
    shown.tile("styles", "waves")
    shown.settle()
    shown.click("input[value=region]")
    shown.tile("styles", "mosaic")
    shown.settle()
    whole = shown.picture().astype(int)
    np.testing.assert_array_equal(whole, small.stylizer.stylize(scene(site, "landscape"), "waves"))
    shown.hold(shown.find("#mask"), ["Space"])
    shown.settle()
    found = shown.picture()
    opacity = shown.run(
        "const c = document.getElementById('mask');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        ".filter((_, i) => i % 4 === 3)"
    )
    mask = np.reshape(np.array(opacity, np.uint8), (256, 256))
    expected = small.stylizer.stylize(scene(site, "landscape"), ["mosaic", "waves"], masks=[mask])
    np.testing.assert_array_equal(found, expected)
    assert mask.any() and np.any(found != whole)


def test_a_sentence_of_the_server_is_shown(shown, tmp_path, small, monkeypatch):
    before = shown.picture()
    monkeypatch.setattr(small.stylizer, "stylize", lambda *args, **settings: 1 / 0)
    shown.tile("styles", "mosaic")
    shown.wait(500)
    shown.settle("error")
    assert shown.status().startswith("The server: ") and "its log" in shown.status()
    np.testing.assert_array_equal(shown.picture(), before)


def test_sizes_go_up_to_what_the_server_takes(shown):
    sizes = shown.run("return [...document.getElementById('size').options].map((o) => +o.value)")
    assert max(sizes) == 4096  # three by two: 11 of 24 million pixels; 6144 would be 25
    assert sizes == sorted(sizes)


def test_controls_have_names_and_texts_stand_out(shown):
    shown.run("document.getElementById('progress').hidden = false")
    for element in shown.finds("button, input, select, progress"):
        assert element.accessible_name.strip() or not element.is_displayed()
    assert shown.find("#progress").accessible_name == "How far the server is"
    assert shown.run(PALE, CONTRAST) == []


def test_all_that_is_asked_for_is_asked_of_the_server(shown, site):
    urls = set()
    for entry in shown.driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            if not message["params"]["documentURL"].startswith(("chrome:", "chrome-untrusted:")):
                urls.add(message["params"]["request"]["url"])
    own = str(site.client.base_url)
    assert any("/api/v1/stylize" in url for url in urls)
    assert [url for url in urls if not url.startswith((own, "blob:", "data:"))] == []


def test_a_page_with_networks_offers_both(exported, runtime, small, browser, tmp_path):  # noqa: F811
    folder = tmp_path / "page"
    flags = ["--exported", exported, "--ort", runtime, "--size", 64, "--output", folder]
    page.run(page.parse(list(map(str, flags))))
    files = serve.page_files(str(folder))
    with serving(small.stylizer, small.steps, page=files) as served:
        found = Page(browser).open(str(served.client.base_url))
        assert found.run("return crossOriginIsolated")
        assert found.find("input[value=browser]").is_selected()
        names = [element.accessible_name for element in found.finds("#painters input")]
        assert names == ["In this browser", "On the server"]
        alone = found.picture()
        found.click("input[value=server]")
        found.settle()
        content = decode_image(served.client.get("/contents/landscape.png").content)
        assert content.shape == (64, 64, 3)
        np.testing.assert_array_equal(found.picture(), small.stylizer.stylize(content, "waves"))
        found.click("input[value=browser]")
        found.settle()
        np.testing.assert_array_equal(found.picture(), alone)
