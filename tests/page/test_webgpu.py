"""WebGPU as software computes it: slow, hence not chosen; when asked for, the engine's pictures."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image

from .browser import Page, chromed

# Without these headless Chromium offers no adapter on a machine without a graphics processor.
SOFTWARE = "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"
LEVELS = 2  # of 255, as by WebAssembly


@pytest.fixture(scope="module")
def opened(site, tmp_path_factory):
    with chromed(tmp_path_factory.mktemp("profile"), *SOFTWARE, gpu=True) as driver:
        if not driver.execute_async_script(
            "const done = arguments[0];"
            "Promise.resolve(navigator.gpu?.requestAdapter())"
            ".then((adapter) => done(!!adapter), () => done(false));"
        ):
            pytest.skip("this Chromium has no software adapter")
        yield Page(driver)


def runtime(opened):
    return opened.run("return document.getElementById('runtime').textContent")


def test_a_software_adapter_is_not_chosen(opened, site):
    opened.open(site.url)
    assert "WebAssembly" in runtime(opened) and "processor here, which is slower" in runtime(opened)


def test_asked_for_it_paints_the_engines_picture(opened, site, stylizer):
    opened.open(f"{site.url}?runtime=webgpu")
    assert runtime(opened).startswith("Runs on WebGPU.")
    expected = stylizer.stylize(load_image(site.folder / "contents/landscape.png"), "waves")
    found = opened.picture()
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= LEVELS
    assert np.ptp(expected.astype(int)) > 40  # a picture
