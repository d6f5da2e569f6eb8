"""The gallery: one file, every picture told in words, nothing from elsewhere."""

import base64
import html.parser
import io
import re
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from din_jax.layers.codes import LayerCode
from din_jax.tools import gallery


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page():
    """Of a stylizer that paints everything one color, so that painted and given differ."""
    code = {"level1": LayerCode(np.ones((4, 1, 1, 2, 2)), np.ones((4, 2)))}
    stylizer = types.SimpleNamespace(
        levels=("level1", "level2"),
        stylize=lambda content, style, **options: np.full_like(content, 7),
        encode_style=lambda styles: code,
        styles=("mosaic",),
        loaded=types.SimpleNamespace(source=Path("a<b.safetensors"), fingerprint="0123" * 16),
    )
    return gallery.gallery(stylizer, 64)


@pytest.fixture(scope="module")
def tags(page):
    reader = Tags()
    reader.feed(page)
    assert not reader.open
    return reader.found


def test_every_picture_is_in_the_file_and_told_in_words(page, tags):
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    told = [attributes["alt"] for attributes in pictures]
    scenes, styles = len(gallery.SCENES), len(gallery.STYLES)
    assert len(pictures) > styles + scenes * (1 + styles) + 40
    assert all(len(text) > 3 for text in told)
    assert "A town painted as stained glass" in told and "A drawn style: waves" in told
    assert all(x["src"].startswith("data:image/jpeg;base64,") for x in pictures)
    assert "http" not in page and "a&lt;b" in page and "a<b" not in page


def test_a_frame_is_around_what_was_given_alone(tags):
    """The fake's pictures are of one color, which nothing that is given to it is."""
    framed, plain = [], []
    for tag, attributes in tags:
        if tag == "figure":
            framed.append(attributes.get("class") == "given")
        if tag == "img":
            data = base64.b64decode(attributes["src"].partition(",")[2])
            plain.append(np.ptp(np.asarray(Image.open(io.BytesIO(data)))) == 0)
    assert any(framed) and framed == [not x for x in plain]


def test_rows_of_a_control_stay_rows(page):
    """Four styles mixed: six columns, the first and last empty but for the corners."""
    section = page.split("<h2>Interpolation of four styles</h2>")[1].split("</section>")[0]
    cells = re.findall("<(figure|span)", section)
    assert 'class="row table" style="--columns: 6"' in section and len(cells) == 4 * 6
    assert [i for i, cell in enumerate(cells) if cell == "span"] == [6, 11, 12, 17]


def test_it_is_readable_on_a_phone(page, tags):
    metas = [attributes for tag, attributes in tags if tag == "meta"]
    assert any("width=device-width" in x.get("content", "") for x in metas)
    assert ("html", {"lang": "en"}) in tags


def test_a_file_that_is_there_is_left(tmp_path, capsys):
    there = tmp_path / "gallery.html"
    there.write_text("mine")
    assert gallery.main(["--output", str(there)]) == 2
    assert "is there already" in capsys.readouterr().err and there.read_text() == "mine"
    assert gallery.main(["--output", str(tmp_path), "--overwrite"]) == 2
    assert "is a folder; name a file" in capsys.readouterr().err
    assert gallery.main(["--size", "8"]) == 2
