"""Milliseconds that the page says a picture took, in headless Chromium, and on what it ran.

python -m tests.page.pace PAGE      PAGE: a folder of din-jax page
"""

import re
import statistics
import sys
import tempfile

from .browser import Page, chromed, serving

SIZES = (256, 512)
STYLES = ("waves", "cubism", "mosaic", "dabs", "stripes", "marbling", "watercolor", "circles")


def main(folder):
    with (
        serving(folder) as server,
        tempfile.TemporaryDirectory() as profile,
        chromed(profile) as driver,
    ):
        page = Page(driver).open(server.url)
        print(page.run("return document.getElementById('runtime').textContent"))
        for size in SIZES:
            page.set("#size", size)
            page.settle()
            taken = []
            for style in STYLES:
                page.tile("styles", style)
                page.settle()
                taken.append(int(re.search(r"in (\d+) ms", page.status())[1]))
            print(f"{size}: median {statistics.median(taken):.0f} ms, {min(taken)}-{max(taken)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
