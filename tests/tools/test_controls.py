"""The sheet of controls: each is asked for, and everything has its place on it."""

import inspect
import types

import numpy as np

from din_jax.inference.stylizer import Stylizer
from din_jax.layers.codes import LayerCode
from din_jax.tools import controls


def test_every_control_is_on_the_sheet():
    asked = set()

    def stylize(content, style, **options):
        inspect.signature(Stylizer.stylize).bind(None, content, style, **options)
        asked.update(options)
        return content

    code = {"level1": LayerCode(np.ones((4, 1, 1, 2, 2)), np.ones((4, 2)))}
    stylizer = types.SimpleNamespace(
        levels=("level1", "level2"), stylize=stylize, encode_style=lambda styles: code,
        styles=("mosaic", "circles"),
    )  # fmt: skip
    sections = list(controls.sections(stylizer, 64))
    assert len(sections[-1].rows) == 2  # a row for each style that the bank has
    settings = set(inspect.signature(Stylizer.stylize).parameters)
    assert asked == settings - {"self", "contents", "style", "tile"}
    sheet = controls.draw_sheet(sections, 120)
    assert sheet.dtype == np.uint8 and sheet.shape[1] < 120 * 9
    assert sheet[:, -6:].min() == 255  # nothing is cut off


def test_a_file_that_cannot_be_is_told_before_anything_is_painted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("din_jax.inference.stylizer.Stylizer.load", None)
    for name, sentence in (
        ("c.gif", "must end in .png, .jpg, .jpeg, .webp, not be"),
        ("folder.png", "folder.png' is a folder; name a file"),
        ("file/c.png", "c.png' cannot be written (Not a directory)"),
    ):
        (tmp_path / "file").touch()
        (tmp_path / "folder.png").mkdir(exist_ok=True)
        assert controls.main(["--output", str(tmp_path / name)]) == 2
        assert sentence in capsys.readouterr().err
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file", "folder.png"]


def test_pebbles_repeat():
    tile = controls.pebbles(96).astype(int)
    inside = np.abs(np.diff(tile, axis=0)).mean()
    for axis in (0, 1):
        edge = np.abs(tile.take(0, axis) - tile.take(-1, axis)).mean()
        assert edge < 1.5 * inside
