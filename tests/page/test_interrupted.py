"""In a browser: what a user does while the page still does something else."""

import time

import numpy as np

from .browser import SECONDS


def until(page, script):
    """Waits until a JavaScript expression holds."""
    end = time.monotonic() + SECONDS
    while not page.run(f"return {script}"):
        assert time.monotonic() < end, page.status()
        page.wait(100)


def test_a_picture_chosen_while_the_camera_is_on_ends_it(opened):
    opened.tile("contents", "lake")
    opened.wait(500)
    expected = opened.settle().picture()
    before = opened.picture("before")
    opened.click("#camera")
    until(opened, "document.getElementById('status').textContent.includes('ms a frame')")
    assert opened.find("#status").get_attribute("aria-live") == "off"
    opened.tile("contents", "lake")  # most likely while a frame is painted
    opened.wait(1000)
    opened.settle()
    np.testing.assert_array_equal(opened.picture("before"), before)
    np.testing.assert_array_equal(opened.picture(), expected)
    assert opened.find("#camera").get_attribute("aria-pressed") == "false"
    pressed = "return document.querySelector('#contents [aria-pressed=true]')?.textContent.trim()"
    assert opened.run(pressed) == "lake"
    assert opened.find("#status").get_attribute("aria-live") is None


def test_a_camera_stopped_while_the_user_is_asked_stays_off(opened):
    opened.run(
        "const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (wanted) => {"
        "  window.stream = await real(wanted);"
        "  await new Promise((resolve) => setTimeout(resolve, 1500));"
        "  return window.stream;"
        "};"
    )
    try:
        before = opened.picture("before")
        opened.click("#camera")
        opened.click("#camera")
        until(opened, "window.stream?.active === false")  # the light of the camera is off
        opened.settle()
        np.testing.assert_array_equal(opened.picture("before"), before)
        assert opened.find("#camera").get_attribute("aria-pressed") == "false"
    finally:
        opened.run("delete navigator.mediaDevices.getUserMedia")


def test_an_own_style_that_could_not_be_encoded_may_be_tried_again(opened, site):
    """The first job of the encoder is spoilt on its way to the thread."""
    opened.run(
        "window.realPost = Worker.prototype.postMessage;"
        "Worker.prototype.postMessage = function (message, ...rest) {"
        "  if (message.job !== 'encode') return window.realPost.call(this, message, ...rest);"
        "  Worker.prototype.postMessage = window.realPost;"
        "  window.realPost.call(this, { ...message, job: 'none' }, ...rest);"
        "};"
    )
    opened.find("#stylefile").send_keys(str(site.folder / "contents" / "town.png"))
    opened.wait(500)
    opened.settle("error")
    opened.tile("styles", "town")
    opened.wait(500)
    opened.settle()


def test_the_divider_is_dragged_on_the_picture_unless_the_brush_is(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    view = opened.find("#view")
    ActionChains(opened.driver).click_and_hold(view).move_by_offset(60, 0).release().perform()
    width = opened.run("return document.getElementById('before').offsetWidth")
    at = int(opened.run("return document.getElementById('divider').value"))
    assert abs(at - (50 + 100 * 60 / width)) <= 1
    opened.click("input[value=region]")
    ActionChains(opened.driver).click_and_hold(view).move_by_offset(10, 0).release().perform()
    assert int(opened.run("return document.getElementById('divider').value")) == at
