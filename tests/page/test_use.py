"""In a browser: keyboard, labels, contrast, a phone's width, the camera, no network, one origin."""

import json
import time

import numpy as np
import pytest

from din_jax.data import load_image

from .browser import SECONDS, Page, chromed, serving

CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3
# The contrast of each text with the ground behind it, of those below a bound.
PALE = """
const luminance = (color) => {
  const part = color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255);
  const [r, g, b] = part.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$|transparent/.test(color)) return color;
  }
  return "rgb(255, 255, 255)";
};
return [...document.querySelectorAll("body *")]
  .filter((e) => !e.disabled && e.checkVisibility())
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => {
    const pair = [getComputedStyle(e).color, ground(e)];
    const [low, high] = pair.map(luminance).sort((a, b) => a - b);
    return [e.textContent.trim().slice(0, 30), (high + 0.05) / (low + 0.05)];
  })
  .filter(([, contrast]) => contrast < arguments[0]);
"""


def tab(page, most=60):
    """Where the Tab key leads, from the top: ids, values or texts."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    # The next stop is looked for behind the element that last had the focus.
    page.run(
        "document.body.tabIndex = -1; document.body.focus();"
        "document.body.removeAttribute('tabindex')"
    )
    stops, seen = [], []
    for _ in range(most):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        # By its place: two tiles may have one name, as styles of one file name do.
        place, stop = page.run(
            "const e = document.activeElement;"
            "return [[...document.querySelectorAll('*')].indexOf(e), e === document.body ? ''"
            " : e.id || e.value || e.textContent.trim()]"
        )
        if not stop or place in seen:
            break
        seen.append(place)
        stops.append(stop)
    return stops


def test_every_control_is_reached_and_works_by_keys(opened):
    from selenium.webdriver.common.keys import Keys

    stops = tab(opened)
    for name in ("divider", "download", "camera", "landscape", "file", "size", "strength"):
        assert name in stops
    assert {"several", "colors", "stylefile", "waves", "dots", "glass"} <= set(stops)
    before = opened.picture()
    dots = opened.run(
        "return [...document.querySelectorAll('#styles button')]"
        ".find((tile) => tile.textContent.trim() === 'dots')"
    )
    dots.send_keys(Keys.ENTER)
    opened.settle()
    assert dots.get_attribute("aria-pressed") == "true"
    assert np.any(opened.picture() != before)
    opened.find("input[value=whole]").send_keys(Keys.ARROW_RIGHT)
    assert opened.find("#mask").is_displayed() and "brush" in tab(opened)
    opened.find("#divider").send_keys(Keys.END)
    assert opened.find("#divider").get_attribute("aria-valuetext") == "all before"


def test_every_control_has_a_name_and_a_role(opened):
    opened.click("#several")
    opened.click("input[value=region]")
    opened.settle()
    controls = opened.run(
        "return [...document.querySelectorAll('button, input, select, canvas')]"
        ".filter((e) => e.checkVisibility() && !e.closest('button *'))"
    )
    assert len(controls) > 20
    for element in controls:
        assert element.accessible_name.strip(), element.get_attribute("outerHTML")[:200]
    assert opened.find("#status").aria_role == "status"
    assert opened.run("return document.documentElement.lang") == "en"
    ids = opened.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened.click("input[value=region]")
    opened.click("#several")
    opened.settle()
    assert opened.run(PALE, 25) != []  # the reader reads
    assert opened.run(PALE, CONTRAST) == []
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_phone_needs_no_scrolling_sideways(opened):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.click("input[value=region]")
    opened.click("#several")
    opened.settle()
    wide = opened.run(
        "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && e.getBoundingClientRect().right > 360).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert opened.run("return document.documentElement.scrollWidth") <= 360
    opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_divider_shows_before_and_after(opened):
    opened.set("#divider", 50)
    shown = opened.run("return getComputedStyle(document.getElementById('before')).clipPath")
    assert shown.split()[1] == "50%"
    box = "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
    line = opened.run(box + "return b.left + b.width / 2", "line")
    assert line == pytest.approx(opened.run(box + "return b.left + b.width / 2", "before"), abs=1)


def test_what_is_downloaded_is_what_is_shown(opened, tmp_path):
    allow = {"behavior": "allow", "downloadPath": str(tmp_path)}
    opened.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
    opened.click("#download")
    path = tmp_path / "landscape--waves.png"
    end = time.monotonic() + SECONDS
    while not path.is_file() and time.monotonic() < end:
        opened.wait(200)
    np.testing.assert_array_equal(load_image(path), opened.picture())


def test_what_is_no_picture_is_a_sentence(opened, tmp_path):
    (tmp_path / "no.png").write_text("no picture")
    before = opened.picture()
    opened.find("#file").send_keys(str(tmp_path / "no.png"))
    opened.wait(1000)
    opened.settle("error")
    assert "no picture" in opened.status()
    np.testing.assert_array_equal(opened.picture(), before)


def test_the_camera_is_painted_until_it_is_stopped(opened):
    opened.set("#size", 256)
    opened.settle()
    opened.click("#camera")
    end = time.monotonic() + SECONDS
    while "ms a frame" not in opened.status() and time.monotonic() < end:
        opened.wait(200)
    assert "256 x 192 px" in opened.status()
    assert opened.find("#camera").get_attribute("aria-pressed") == "true"
    opened.click("#camera")
    opened.settle()
    assert opened.picture().shape == (192, 256, 3)
    assert np.ptp(opened.picture("before").astype(int)) > 40
    assert opened.find("#camera").get_attribute("aria-pressed") == "false"


def test_nothing_leaves_the_origin(opened, site):
    """What the browser has asked for since it was started; and another server cannot be asked."""
    asked = []
    for entry in opened.driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] != "Network.requestWillBeSent":
            continue
        # The browser's own pages, such as the empty one that it starts with, are left out.
        if not message["params"]["documentURL"].startswith(("chrome:", "chrome-untrusted:")):
            asked.append(message["params"]["request"])
    urls = {request["url"] for request in asked}
    assert any(url.startswith(site.url) for url in urls)
    assert [url for url in urls if not url.startswith((site.url, "blob:", "data:"))] == []
    assert {request["method"] for request in asked} == {"GET"}
    with serving(site.folder) as other:
        ask = (
            "const [url, done] = arguments;"
            "fetch(url, { mode: 'no-cors' }).then(() => done('asked'), () => done('refused'))"
        )
        assert opened.driver.execute_async_script(ask, other.url) == "refused"
        # A thread has its own policy, from the service worker.
        ask = (
            "const [url, done] = arguments;"
            "const text = `fetch('${url}', { mode: 'no-cors' }).then("
            "() => postMessage('asked'), () => postMessage('refused'))`;"
            "const worker = new Worker(URL.createObjectURL(new Blob([text])));"
            "worker.onmessage = (event) => done(event.data)"
        )
        assert opened.driver.execute_async_script(ask, other.url) == "refused"
        assert other.paths == []


def test_it_works_without_a_server_after_the_first_time(exported, site, tmp_path):
    """In a browser of its own, with threads from the service worker, and an own style as well."""
    with chromed(tmp_path / "profile") as driver:
        with serving(site.folder) as server:
            page = Page(driver).open(server.url)
            assert page.run("return crossOriginIsolated")
            end = time.monotonic() + SECONDS
            while page.run("return document.body.dataset.offline") != "true":
                assert time.monotonic() < end
                page.wait(200)
            first = page.picture()
        page.open(server.url)  # which has ended
        np.testing.assert_array_equal(page.picture(), first)
        scene = str(site.folder / "contents" / "lake.png")
        page.find("#stylefile").send_keys(scene)
        page.wait(1000)
        page.settle()
        assert np.any(page.picture() != first)
