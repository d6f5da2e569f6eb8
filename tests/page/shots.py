"""Screenshots of a page in headless Chromium, less its line of milliseconds: docs/page.jpg, and a
phone's to look at.

python -m tests.page.shots PAGE docs/page.jpg phone.png      PAGE: a folder of din-jax page
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from .browser import Page, chromed, serving

DESKTOP, PHONE = (1240, 930), (360, 780)
LARGEST = 150_000  # bytes


def shot(page, size):
    """The page on a screen of that many pixels, as a Pillow image."""
    width, height = size
    settings = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", settings)
    page.wait(400)
    return Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")


def save_small(image, path):
    """A JPEG of at most LARGEST bytes."""
    for quality in range(90, 30, -5):
        image.save(path, quality=quality, optimize=True)
        if Path(path).stat().st_size <= LARGEST:
            return


def main(folder, desktop, phone):
    with (
        serving(folder) as server,
        tempfile.TemporaryDirectory() as profile,
        chromed(profile) as driver,
    ):
        page = Page(driver).open(server.url)
        page.tile("styles", "cubism")
        page.settle()
        page.set("#divider", 38)
        # Milliseconds on the machine that takes the pictures are no one else's: left out of them.
        page.run("document.getElementById('status').hidden = true")
        save_small(shot(page, DESKTOP), desktop)
        page.click("#several")
        page.click("input[value=region]")
        shot(page, PHONE).save(phone)
        page.run("window.scrollTo(0, 700)")
        shot(page, PHONE).save(Path(phone).with_stem(f"{Path(phone).stem}-below"))


if __name__ == "__main__":
    main(*sys.argv[1:])
