"""Small pictures made on the spot."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def encode(array, kind: str = "PNG", **options) -> bytes:
    """A picture file's bytes from an array or a Pillow image."""
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def flat_folder(tmp_path):
    """Makes a folder of one-color PNGs; picture i has the color (i, 2 * i, 255 - i)."""

    def make(name: str, count: int, size: tuple[int, int] = (20, 24)) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for i in range(count):
            pixels = np.broadcast_to(np.array([i, 2 * i, 255 - i], np.uint8), (*size, 3))
            (folder / f"{i}.png").write_bytes(encode(np.ascontiguousarray(pixels)))
        return folder

    return make


@pytest.fixture(name="encode")
def encode_fixture():
    return encode


class ListSource(list):
    """Records in a list: the least that is a source."""

    def name(self, index):
        return f"item {index}"


@pytest.fixture
def list_source():
    return ListSource


@pytest.fixture
def truncated_jpeg() -> bytes:
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    return data[: int(0.6 * len(data))]
