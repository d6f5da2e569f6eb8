"""Pictures in memory: those of the source, no larger than training needs, within bounds."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from din_jax.config import DataConfig
from din_jax.data.decoding import decode_image, save_image
from din_jax.data.resident import load_pictures
from din_jax.errors import UserError

SIZES = ((40, 60), (48, 48), (90, 64), (33, 120))  # rows, columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i, (rows, columns) in enumerate(SIZES):
        image = rng.integers(0, 256, (rows // 4 + 1, columns // 4 + 1, 3), np.uint8)
        image = image.repeat(4, 0).repeat(4, 1)[:rows, :columns]
        save_image(folder / f"{i}.png", image)
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return DataConfig(
        content=str(folder), style=str(folder), content_validation=str(folder), resize=48, crop=32
    )


def test_pictures_keep_their_pixels_unless_they_are_larger_than_needed(config, folder):
    pictures = load_pictures(config, "content")
    assert len(pictures) == 4
    for i, (rows, columns) in enumerate(SIZES):
        expected = decode_image(folder / f"{i}.png")
        if min(rows, columns) <= 48:
            np.testing.assert_array_equal(pictures[i], expected)
        else:
            short = Image.fromarray(expected).resize((48, 68), Image.Resampling.BILINEAR)
            assert abs(pictures[i].astype(int) - np.asarray(short)).max() <= 1


def test_a_bad_picture_is_replaced_and_counted(config, folder, tmp_path, caplog):
    bad = shutil.copytree(folder, tmp_path / "bad")
    data = bytearray((bad / "1.png").read_bytes())
    data[100:140] = bytes(40)  # its header and its end are whole
    (bad / "1.png").write_bytes(data)
    pictures = load_pictures(dataclasses.replace(config, content=str(bad)), "content")
    assert len(pictures) == 4 and "1 of 4 pictures could not be decoded" in caplog.text
    np.testing.assert_array_equal(pictures[1], pictures[2])


def test_digest_tells_pixels_and_shapes_apart(config):
    pictures = load_pictures(config, "content")
    assert pictures.digest() == load_pictures(config, "content").digest()
    other = pictures.pixels.copy()
    other[0, 0] ^= 1
    assert dataclasses.replace(pictures, pixels=other).digest() != pictures.digest()
    turned = dataclasses.replace(pictures, sizes=pictures.sizes[:, ::-1].copy())
    assert turned.digest() != pictures.digest()


def test_pictures_that_do_not_fit_are_refused_before_all_are_decoded(config):
    with pytest.raises(UserError, match=r"config\.data\.resident.*MiB.*lower config\.data\.resize"):
        load_pictures(config, "content", limit=10_000)


def test_neither_grain_nor_tfds_is_needed_and_no_pytorch_is_imported(folder):
    program = f"""
import sys
for name in ("grain", "tensorflow_datasets", "array_record"):
    sys.modules[name] = None
from din_jax.config import DataConfig
from din_jax.data.resident import load_pictures
import din_jax.training.loop
config = DataConfig(content={str(folder)!r}, resize=48, crop=32, validation=0)
print(len(load_pictures(config, "content")))
assert "torch" not in sys.modules, "PyTorch, which takes seconds"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "4" and done.returncode == 0, done.stderr
