"""Grouping, padding, and the bounded memory of compiled programs."""

import jax.extend.backend
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference.batching import CompiledCache, batches_by, check_images, fill_up
from din_jax.inference.pictures import pad_to_multiple


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_batches_hold_every_index_once_with_equal_keys(batch):
    keys = np.random.default_rng(0).integers(0, 4, 30).tolist()
    groups = list(batches_by(keys, batch))
    assert sorted(i for group in groups for i in group) == list(range(30))
    for group in groups:
        assert len(group) <= batch and len({keys[i] for i in group}) == 1
    fewest = sum(-(-keys.count(key) // batch) for key in set(keys))
    assert len(groups) == fewest


@pytest.mark.parametrize(
    "count, batch, size", [(2, 8, 2), (3, 8, 4), (5, 8, 8), (1, 1, 1), (5, 6, 6), (3, 3, 3)],
)
def test_batches_are_filled_to_a_power_of_two_or_the_limit(count, batch, size):
    filled = fill_up(list(range(10, 10 + count)), batch)
    assert filled[:count] == list(range(10, 10 + count)) and len(filled) == size
    assert set(filled[count:]) <= {10 + count - 1}


@pytest.mark.parametrize("shape", [(40, 56), (41, 32), (3, 100), (1, 1), (64, 64)])
@pytest.mark.parametrize("multiple", [1, 8, 32])
def test_padding_mirrors_below_and_right(shape, multiple):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    padded = pad_to_multiple(image, multiple, 32)
    for new, old in zip(padded.shape, shape, strict=False):
        assert new >= max(old, 32) and new % multiple == 0 and new - max(old, 32) < multiple
    # Reflection without repeating the border has period 2 (n - 1).
    rows, columns = np.mgrid[: padded.shape[0], : padded.shape[1]]
    indices = []
    for index, side in ((rows, shape[0]), (columns, shape[1])):
        period = max(2 * (side - 1), 1)
        index = index % period
        indices.append(np.minimum(index, period - index) if side > 1 else 0 * index)
    np.testing.assert_array_equal(padded, image[indices[0], indices[1]])


def test_cache_compiles_once_per_shape_and_forgets_the_least_used():
    cache = CompiledCache(lambda x, scale: x.sum() * scale["s"].astype(x.dtype), limit=2)
    scale = {"s": np.float32(2)}

    def call(size):
        assert cache(jnp.ones(size), scale) == 2 * size

    for size in (3, 4, 3, 4, 3):
        call(size)
    assert cache.compilations == 2
    call(5)  # drops 4, the one used longest ago
    call(3)
    assert cache.compilations == 3
    call(4)
    assert cache.compilations == 4
    assert cache(jnp.ones(4, jnp.bfloat16), scale) == 8
    assert cache.compilations == 5


def test_forgotten_programs_are_freed():
    """Counted by the runtime: what `jax.jit` itself remembers would hold them."""
    cache = CompiledCache(lambda x: jnp.tanh(x).sum(), limit=2)
    backend = jax.extend.backend.get_backend()
    counts = []
    for size in range(1, 9):
        cache(np.zeros(size, np.float32))
        counts.append(len(backend.live_executables()))
    assert counts[-1] <= counts[1]


@pytest.mark.parametrize(
    "images",
    [
        [],
        [np.zeros((8, 8, 3), np.float32)],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 4), np.uint8)],
        [np.zeros((8, 0, 3), np.uint8)],
        [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)],
    ],
)
def test_what_is_no_image_is_refused(images):
    with pytest.raises(UserError, match="content image"):
        check_images(images, "content")
