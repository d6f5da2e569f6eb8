"""Crops drawn on the device against Pillow's, and what their keys decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from din_jax.data.crops import jitter_colors as jitter_on_host
from din_jax.data.decoding import resize_crop, resized_shape
from din_jax.data.resident import Pictures
from din_jax.training.draw import Cropper, PictureArrays, draw_crops, jitter_colors, resized_sizes

SIZES = np.asarray([(48, 64), (70, 48), (30, 41)], np.int32)  # the last is enlarged
CROPPER = Cropper(32, (32, 48), flip=False)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    starts = np.concatenate([[0], np.cumsum(SIZES.prod(1))[:-1]]).astype(np.int32)
    return Pictures(np.concatenate([x.reshape(-1, 3) for x in images]), starts, SIZES)


@pytest.fixture(scope="module")
def arrays(pictures):
    return PictureArrays(*map(jnp.asarray, (pictures.pixels, pictures.starts, pictures.sizes)))


@pytest.fixture(scope="module")
def cut():
    return jax.jit(CROPPER.cut)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("short, at", [(32, 0.0), (32, 1.0), (41, 0.5), (48, 0.3), (48, 1.0)])
def test_crops_are_pillows(pictures, arrays, cut, index, short, at):
    image = Image.fromarray(pictures[index])
    shape = resized_shape(*image.size, short)
    resized = resized_sizes(arrays.sizes[index], jnp.float32(short))
    assert tuple(resized) == shape[::-1]
    left, top = (int(at * (n - 32)) for n in shape)
    ours = cut(arrays, index, jnp.asarray([top, left], jnp.float32), resized)
    theirs = resize_crop(image, shape, (left, top), (32, 32))
    # Pillow rounds to whole levels after each of two passes.
    np.testing.assert_allclose(ours, theirs.astype(np.float32), atol=1.5)


def test_jitter_is_the_hosts(pictures):
    key, strength = jax.random.key(3), 0.8
    factors = np.asarray(jax.random.uniform(key, (3,)))

    class Draws:
        def random(self, count, dtype):
            return factors.astype(dtype)

    host = jitter_on_host(pictures[0], strength, Draws())
    ours = jitter_colors(jnp.asarray(pictures[0], jnp.float32), strength, key)
    np.testing.assert_allclose(np.clip(np.round(ours), 0, 255), host, atol=1)


def test_key_decides_everything_and_pictures_of_a_batch_differ(arrays):
    cropper = Cropper(32, (32, 48), flip=True, jitter=0.4)
    draw = jax.jit(lambda indices, keys: draw_crops(arrays, cropper, indices, keys))
    indices = jnp.zeros(8, jnp.int32)
    first = draw(indices, jax.random.split(jax.random.key(0), 8))
    assert first.shape == (8, 32, 32, 3) and first.dtype == jnp.uint8
    np.testing.assert_array_equal(first, draw(indices, jax.random.split(jax.random.key(0), 8)))
    assert len({bytes(np.asarray(crop)) for crop in first}) == 8
    assert (first != draw(indices, jax.random.split(jax.random.key(1), 8))).any()


def test_mirrored_half_of_the_time(arrays):
    plain, mirroring = Cropper(32, (40, 40), flip=False), Cropper(32, (40, 40), flip=True)
    keys = jax.random.split(jax.random.key(0), 64)
    indices = jnp.zeros(64, jnp.int32)
    one, two = (
        np.asarray(jax.jit(lambda i, k, c=c: draw_crops(arrays, c, i, k))(indices, keys))
        for c in (plain, mirroring)
    )
    same = np.asarray([(a == b).all() for a, b in zip(one, two, strict=True)])
    turned = np.asarray([(a == b[:, ::-1]).all() for a, b in zip(one, two, strict=True)])
    assert (same ^ turned).all() and 20 <= turned.sum() <= 44
