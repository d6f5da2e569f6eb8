"""A folder served as any static server does, and headless Chromium that shows it."""

import base64
import contextlib
import functools
import http.server
import io
import re
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

SECONDS = 240  # for anything in a browser, on a machine that does other things, too


class Handler(http.server.SimpleHTTPRequestHandler):
    """Remembers what was asked for."""

    def do_GET(self):
        self.server.paths.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(folder):
    """Serves a folder on loopback; gives the server, whose `paths` are what was asked for."""
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.paths = []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def chromium(profile, *arguments, gpu=False):
    """A driver of headless Chromium with a profile of its own; skips where there is none.

    With `gpu` it may have a graphics process.
    """
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("chromium and chromedriver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
        *([] if gpu else ["--disable-gpu"]),
        "--force-device-scale-factor=1", "--force-color-profile=srgb", "--window-size=1280,1100",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--user-data-dir={profile}", *arguments,
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = selenium.ChromeService(executable_path=driver)
    found = selenium.Chrome(options=options, service=service)
    found.set_page_load_timeout(SECONDS)
    found.set_script_timeout(SECONDS)
    return found


@contextlib.contextmanager
def chromed(profile, *arguments, gpu=False):
    """`chromium`, ended with the block."""
    driver = chromium(profile, *arguments, gpu=gpu)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page in a browser, by what a user does and sees."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url):
        self.driver.get(url)
        self.settle()
        return self

    def reset(self):
        """As when it was opened, with the first drawn picture."""
        self.run(
            "const $ = (id) => document.getElementById(id);"
            "if ($('several').checked) $('several').click();"
            "if ($('colors').checked) $('colors').click();"
            "$('clear').click();"
            "document.querySelector('input[value=whole]').click();"
        )
        self.set("#strength", 100)
        self.set("#divider", 0)
        self.set("#size", 512)
        self.tile("styles", "waves")
        self.tile("contents", "landscape")
        self.wait(500)
        return self.settle()

    def settle(self, state="ready"):
        """Waits until it has painted what is chosen."""
        from selenium.webdriver.support.ui import WebDriverWait

        # Twice, with time between for a wish that a control has only just told.
        for _ in range(2):
            WebDriverWait(self.driver, SECONDS).until(
                lambda _: self.run("return document.body?.dataset.state") in (state, "error")
            )
            self.wait(250)
        found = self.run("return document.body.dataset.state")
        assert found == state, self.status()
        return self

    def wait(self, milliseconds):
        """Lets the page go on for so long."""
        self.driver.execute_async_script("setTimeout(arguments[1], arguments[0])", milliseconds)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def finds(self, selector):
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def hold(self, element, keys):
        """Presses keys, one after the other, on an element."""
        from selenium.webdriver.common.keys import Keys

        element.send_keys(
            "".join(getattr(Keys, re.sub("(?!^)(?=[A-Z])", "_", key).upper(), key) for key in keys)
        )

    def status(self):
        return self.run("return document.getElementById('status').textContent")

    def click(self, selector):
        self.run("arguments[0].click()", self.find(selector))

    def tile(self, group, name):
        """Presses the tile of a name."""
        self.run(
            "[...document.getElementById(arguments[0]).querySelectorAll('button')]"
            ".find((tile) => tile.textContent.trim() === arguments[1]).click()",
            group,
            name.replace("_", " "),
        )

    def set(self, selector, value):
        """Gives an input a value as a user does."""
        self.run(
            "const [input, value] = arguments; input.value = value;"
            "input.dispatchEvent(new Event('input', { bubbles: true }));"
            "input.dispatchEvent(new Event('change', { bubbles: true }));",
            self.find(selector),
            value,
        )

    def picture(self, canvas="painted"):
        """uint8 [H, W, 3] of a canvas."""
        url = self.run(
            "return document.getElementById(arguments[0]).toDataURL('image/png')", canvas
        )
        data = base64.b64decode(url.partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
