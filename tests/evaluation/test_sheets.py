"""Contact sheets hold every picture at its place, shrunk but not distorted."""

import numpy as np
import pytest

from din_jax.data.sheets import contact_sheet, image_grid, thumbnail
from din_jax.errors import UserError


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_stand_in_their_row_and_column():
    contents = [flat(10, 10, 10), flat(10, 10, 20)]
    styles = [flat(10, 10, 100), flat(10, 10, 110), flat(10, 10, 120)]
    stylized = [[flat(10, 10, 30 + 10 * i + j) for j in range(3)] for i in range(2)]
    sheet = contact_sheet(contents, styles, stylized, cell=10, gap=2)
    assert sheet.shape == (2 + 3 * 12, 2 + 4 * 12, 3) and sheet.dtype == np.uint8
    expected = [[255, 100, 110, 120], [10, 30, 31, 32], [20, 40, 41, 42]]
    for i, row in enumerate(expected):
        for j, value in enumerate(row):
            cell = sheet[2 + 12 * i : 12 + 12 * i, 2 + 12 * j : 12 + 12 * j]
            assert (cell == value).all()
    gaps = np.ones(sheet.shape[:2], bool)
    for i in range(3):
        for j in range(4):
            gaps[2 + 12 * i : 12 + 12 * i, 2 + 12 * j : 12 + 12 * j] = False
    assert (sheet[gaps] == 255).all()


@pytest.mark.parametrize(
    "shape, expected",
    [((100, 50), (20, 10)), ((50, 100), (10, 20)), ((8, 9), (8, 9)), ((1000, 3), (20, 1))],
)
def test_thumbnails_fit_and_keep_their_shape(shape, expected):
    assert thumbnail(flat(*shape, 7), 20).shape == (*expected, 3)


def test_gray_pictures_and_gaps_are_drawn():
    sheet = image_grid([[np.full((4, 6), 9, np.uint8), None], [flat(2, 2, 8)]], cell=8, gap=1)
    assert (sheet[1:5, 1:7] == 9).all() and (sheet == 8).sum() == 12


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="1 contents and 2 styles"):
        contact_sheet([flat(4, 4, 0)], [flat(4, 4, 0)] * 2, [[flat(4, 4, 0)]])
    with pytest.raises(UserError, match="at least one picture"):
        image_grid([])
    with pytest.raises(UserError, match="uint8"):
        thumbnail(np.zeros((4, 4, 3), np.float32))
