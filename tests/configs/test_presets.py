"""Presets that are named with a folder or a picture: what of it becomes a style."""

import numpy as np
import pytest
from PIL import Image

from din_jax.config import Config
from din_jax.configs import cin, johnson, ulyanov
from din_jax.errors import UserError


@pytest.fixture
def paintings(tmp_path):
    for name in ("wave.png", "night.jpg"):
        Image.fromarray(np.full((32, 40, 3), len(name) * 9, np.uint8)).save(tmp_path / name)
    return tmp_path


def styles(preset, variant):
    return Config.from_dict(preset.get_config(str(variant)).to_dict()).model.styles


def test_every_usable_picture_of_a_folder_is_a_style(paintings, caplog):
    (paintings / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    assert styles(cin, paintings) == ("night", "wave")
    assert "1 of 3 files" in caplog.text and "broken.jpg" in caplog.text


def test_two_pictures_of_one_name_are_told_by_their_files(paintings):
    (paintings / "more").mkdir()
    again = paintings / "more" / "wave.png"
    again.write_bytes((paintings / "wave.png").read_bytes())
    with pytest.raises(UserError, match=r"wave\.png.* one name, 'wave': rename one"):
        cin.get_config(str(paintings))


@pytest.mark.parametrize("preset", [johnson, ulyanov])
def test_a_picture_is_a_style_or_says_why_not(paintings, preset):
    assert styles(preset, paintings / "wave.png") == ("wave",)
    Image.new("RGB", (8, 8)).save(paintings / "icon.png")
    with pytest.raises(UserError, match=r"icon\.png.*16"):
        preset.get_config(str(paintings / "icon.png"))
