"""One HTML file of a table and its pictures, which needs nothing beside it."""

import base64
import html
from collections.abc import Mapping, Sequence

import numpy as np

from din_jax.data.saving import encode_picture
from din_jax.data.sheets import thumbnail
from din_jax.evaluation.summary import (
    COLUMNS,
    WHOLE,
    Row,
    cells_of,
    legend,
    used_columns,
    used_whole,
)

SIDE = 160  # pixels, longest side of a picture on the page
QUALITY = 80  # of JPEG

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: middle; }
th:first-child, td:first-child { text-align: left; }
.numbers tr + tr { border-top: 1px solid #ddd; }
.numbers td small { color: #666; font-size: 11px; font-weight: 400; display: block;
  white-space: nowrap; }
.best { font-weight: 600; }
.wide { overflow-x: auto; }
.pictures td, .pictures th { padding: 2px; text-align: center; font-size: 12px; }
.pictures img { display: block; margin: auto; }
li { color: #444; }
"""


def picture(image: np.ndarray, title: str, side: int = SIDE) -> str:
    """An <img> that holds its picture, uint8 [H, W, 3], as a small JPEG."""
    small = thumbnail(image, side)
    data = base64.b64encode(encode_picture(small, ".jpg", quality=QUALITY)).decode()
    text = html.escape(title, quote=True)
    size = f'width="{small.shape[1]}" height="{small.shape[0]}"'
    return f'<img {size} alt="{text}" title="{text}" src="data:image/jpeg;base64,{data}">'


def numbers_table(rows: Sequence[Row]) -> str:
    """The means with their intervals; the best of a column in bold."""
    names = used_columns(rows)
    whole = used_whole(rows)
    titles = ["program", *(COLUMNS[x].title for x in names), *(WHOLE[x][0] for x in whole)]
    best = {}
    for name in names:
        means = [row.means[name].mean for row in rows]
        best[name] = (np.nanmin if COLUMNS[name].better == "lower" else np.nanmax)(means)
    lines = ["<tr>" + "".join(f"<th>{html.escape(x)}</th>" for x in titles) + "</tr>"]
    for row in rows:
        cells = cells_of(row, names, whole)
        line = f"<td>{html.escape(row.program.name)}</td>"
        for name, text in zip([*names, *[None] * len(whole)], cells, strict=True):
            mean, _, interval = text.partition(" ")
            strong = name and len(rows) > 1 and row.means[name].mean == best[name]
            line += f"<td{' class=best' if strong else ''}>{mean}<small>{interval}</small></td>"
        lines.append(f"<tr>{line}</tr>")
    return '<div class="wide"><table class="numbers">' + "\n".join(lines) + "</table></div>"


def pictures_table(
    pairs: Sequence[tuple[str, str]], columns: Mapping[str, Sequence[np.ndarray | None]]
) -> str:
    """A row per pair (content, style), a column per kind of picture."""
    lines = ["<tr><th></th>" + "".join(f"<th>{html.escape(x)}</th>" for x in columns) + "</tr>"]
    for i, (content, style) in enumerate(pairs):
        line = f"<th>{html.escape(content)}<br>in {html.escape(style)}</th>"
        for title, images in columns.items():
            shown = images[i]
            what = f"{title}: {content} in {style}"
            line += f"<td>{'' if shown is None else picture(shown, what)}</td>"
        lines.append(f"<tr>{line}</tr>")
    return '<div class="wide"><table class="pictures">' + "\n".join(lines) + "</table></div>"


def page(title: str, rows: Sequence[Row], pictures: str, notes: Sequence[str] = ()) -> str:
    """The whole file."""
    sentences = "\n".join(f"<li>{html.escape(x)}</li>" for x in (*legend(rows), *notes))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
{numbers_table(rows)}
<ul>
{sentences}
</ul>
{pictures}
</body></html>
"""
