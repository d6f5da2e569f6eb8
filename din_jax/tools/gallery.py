"""Writes a gallery of the included model's pictures: one HTML file that needs nothing beside it.

    din-jax gallery --output gallery.html

Contents and styles are drawn by the program, so that nobody else's picture is on the page: every
content in every style, and every control at work. It fits a phone's screen and a desk's, follows
the reader's choice of a dark or a light page, and says of each picture what it shows.
"""

import argparse
import html
import sys
from collections.abc import Sequence

import numpy as np

from din_jax.command_line import Parser, check_least, require_new
from din_jax.errors import exit_status, loading
from din_jax.memory import keep_freed_memory

SCENES = ("a landscape", "a portrait", "a still life", "a lake", "a town", "solids")
# Number among the drawn styles' families, and what its pictures are of.
STYLES = {
    0: "flowing strokes", 1: "points", 2: "stained glass", 3: "waves", 4: "facets", 6: "dabs",
    7: "marbling", 8: "mosaic", 10: "watercolor",
}  # fmt: skip

LOOKS = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #555; --paper: #fff; --line: #ddd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eee; --soft: #aaa; --paper: #141414; --line: #333; }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem;
  color: var(--ink); background: var(--paper); }
h1 { line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.row { display: grid; gap: .75rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(13rem, 42vw), 1fr)); }
.table { grid-template-columns: repeat(var(--columns), minmax(6rem, 1fr)); overflow-x: auto; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; border-radius: 4px; }
figcaption, footer { font-size: .85rem; color: var(--soft); }
.given img { outline: 3px solid var(--soft); outline-offset: -3px; }
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax gallery")
    add = parser.add_argument
    add("--output", default="runs/gallery.html", help="file to write")
    add("--overwrite", action="store_true", help="replace it if it is there")
    add("--model", default="din_portable", help="name, file or run directory")
    add("--size", type=int, default=256, help="px, side of the pictures painted and shown")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> None:
    check_least(flags, " pixels", size=64)
    require_new(flags.output, flags.overwrite)
    keep_freed_memory()
    with loading():
        from din_jax.files import write_atomically
        from din_jax.inference.cache import keep_programs
        from din_jax.inference.stylizer import Stylizer

    keep_programs()
    stylizer = Stylizer.load(flags.model, batch=1)
    text = gallery(stylizer, flags.size)
    path = write_atomically(flags.output, text)
    print(f"{path}: {text.count('<img ')} pictures, {len(text.encode()) / 1e6:.1f} MB")


def gallery(stylizer, size: int) -> str:
    """The page of a `Stylizer`'s pictures, of `size` px a side, as HTML."""
    from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle
    from din_jax.tools.controls import sections

    contents = dict(zip(SCENES, SyntheticContent(len(SCENES), 3, size), strict=True))
    drawn = SyntheticStyle(max(STYLES) + 1, 0, max(size, 512))
    styles = {name: drawn[number] for number, name in STYLES.items()}
    codes = {name: stylizer.encode_style(picture) for name, picture in styles.items()}
    parts = [
        _section(
            "Styles", "Each is one drawn picture, and known to the model by that alone.",
            [[(picture, name, f"A drawn style: {name}", True) for name, picture in styles.items()]],
            size,
        )
    ]  # fmt: skip
    for scene, content in contents.items():
        row = [(content, "content", f"The drawn content: {scene}", True)]
        for name, code in codes.items():
            row.append((stylizer.stylize(content, code), name, f"{scene} painted as {name}", False))
        parts.append(_section(scene.removeprefix("a ").capitalize(), "", [row], size))
    for control in sections(stylizer, size):
        rows = [
            [
                (picture, caption, f"{control.title}: {caption}", _given(caption, column))
                for column, (picture, caption) in enumerate(cells)
            ]
            for cells in control.rows
        ]
        parts.append(_section(control.title, "", rows, size))
    return _page(parts, stylizer.loaded)


def _given(caption: str, column: int) -> bool:
    """Whether a control was given this picture; "style" is a way to color, too, behind those."""
    return caption.startswith(("content", "mask")) or (caption == "style" and column != 2)


def _section(title: str, text: str, rows: Sequence[Sequence[tuple]], side: int) -> str:
    """A heading and its pictures: (picture, caption, alternative text, whether it was given).

    A single row flows over as many lines as the window asks for; several are a table, in which a
    picture without a caption is a gap.
    """
    columns = max(map(len, rows))
    gap = (None, "", "", False)
    cells = [cell for row in rows for cell in (*row, *[gap] * (columns - len(row)))]
    figures = "\n".join(_figure(*cell, side) for cell in cells)
    text = f"<p>{html.escape(text)}</p>" if text else ""
    table = f' table" style="--columns: {columns}' if len(rows) > 1 else ""
    return (
        f'<section><h2>{html.escape(title)}</h2>{text}\n<div class="row{table}">\n{figures}\n'
        "</div></section>"
    )


def _figure(picture: np.ndarray | None, caption: str, told: str, given: bool, side: int) -> str:
    if not caption:
        return "<span></span>"
    return (
        f"<figure{' class=given' if given else ''}>{_image(picture, told, side)}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _image(picture: np.ndarray, told: str, side: int) -> str:
    from din_jax.evaluation.page import picture as embedded

    return embedded(picture, told[:1].upper() + told[1:], side)


def _page(parts: Sequence[str], loaded) -> str:
    name = html.escape(loaded.source.stem)
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>din_jax: a gallery</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{LOOKS}</style></head><body>
<h1>What the model paints</h1>
<p>Scenes and styles drawn by the program, painted by <b>{name}</b>: one network for all of these
styles, and for any other picture given as one. Framed pictures were given, all others painted.</p>
{body}
<footer><p>Made by <code>din-jax gallery</code> with the model {name}, fingerprint
{html.escape(loaded.fingerprint[:16])}. Nothing on this page was touched up.</p></footer>
</body></html>
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
