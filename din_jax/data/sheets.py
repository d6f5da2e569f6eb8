"""Sheets of pictures: styles across the top, contents down the side; numpy and Pillow only."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from din_jax.errors import UserError

CELL = 192  # pixels, longest side of a picture on a sheet
GAP = 4  # pixels between pictures
PAPER = 255  # gray level of the ground

Row = Sequence[np.ndarray | None]


def thumbnail(image: np.ndarray, cell: int = CELL) -> np.ndarray:
    """The picture shrunk to fit cell x cell pixels, aspect ratio kept; a smaller one as it is.

    uint8 [H, W, 3] (or [H, W] gray) -> uint8 [h, w, 3], h and w at least 1.
    """
    if image.dtype != np.uint8:
        raise UserError(f"a sheet is made of uint8 pictures, not {image.dtype}; convert first.")
    picture = Image.fromarray(image).convert("RGB")
    scale = cell / max(picture.size)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture)


def image_grid(rows: Sequence[Row], *, cell: int = CELL, gap: int = GAP) -> np.ndarray:
    """Rows of pictures on white paper, each centered in its cell; None leaves a cell empty.

    Args:
      rows: uint8 [H, W, 3] pictures of any sizes; rows may differ in length.
      cell: pixels, no picture is drawn larger; cells take the size of the largest in their column
        and row.
      gap: pixels around cells.

    Returns:
      uint8 [H, W, 3].
    """
    small = [[None if x is None else thumbnail(x, cell) for x in row] for row in rows]
    columns = max((len(row) for row in small), default=0)
    if columns == 0:
        raise UserError("a sheet needs at least one picture, but there is none.")
    cells = [[*row, *[None] * (columns - len(row))] for row in small]
    shapes = [[(0, 0) if x is None else x.shape[:2] for x in row] for row in cells]
    heights = [max(height for height, _ in row) for row in shapes]
    widths = [max(row[j][1] for row in shapes) for j in range(columns)]
    size = [sum(sides) + gap * (len(sides) + 1) for sides in (heights, widths)]
    sheet = np.full((*size, 3), PAPER, np.uint8)
    top = gap
    for row, height in zip(cells, heights, strict=True):
        left = gap
        for picture, width in zip(row, widths, strict=True):
            if picture is not None:
                h, w = picture.shape[:2]
                y, x = top + (height - h) // 2, left + (width - w) // 2
                sheet[y : y + h, x : x + w] = picture
            left += width + gap
        top += height + gap
    return sheet


def contact_sheet(
    contents: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    stylized: Sequence[Row],
    *,
    cell: int = CELL,
    gap: int = GAP,
) -> np.ndarray:
    """Every content (down the side) in every style (across the top), as one uint8 picture.

    Args:
      contents: R pictures.
      styles: C pictures.
      stylized: R rows of C pictures; None where there is none.
      cell: pixels, longest side of a picture on the sheet.
      gap: pixels around cells.

    Raises:
      UserError: the numbers of rows and columns do not fit.
    """
    if len(stylized) != len(contents) or any(len(row) != len(styles) for row in stylized):
        raise UserError(
            f"{len(contents)} contents and {len(styles)} styles need as many rows and columns, "
            f"not {[len(row) for row in stylized]}."
        )
    rows = [[content, *row] for content, row in zip(contents, stylized, strict=True)]
    return image_grid([[None, *styles], *rows], cell=cell, gap=gap)
