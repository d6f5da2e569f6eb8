import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.padding import reflect_pad
from din_jax.ops.preprocessing import CAFFE, TORCHVISION
from din_jax.ops.resizing import (
    adaptive_average_pool,
    max_pool,
    upsample_bilinear,
    upsample_nearest,
)


@pytest.mark.parametrize("rows,columns", [(0, 0), (1, 1), (2, 3), (4, 0), (0, 5), (4, 5)])
def test_reflect_pad_is_numpys(rng, rows, columns):
    x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    expected = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(jax.jit(lambda x: reflect_pad(x, rows, columns))(x), expected)


def test_reflect_pad_takes_one_number_for_both_directions(rng):
    x = rng.normal(size=(1, 4, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(reflect_pad(x, 2), reflect_pad(x, 2, 2))


@pytest.mark.parametrize("rows,columns", [(5, 1), (1, 6), (9, 9)])
def test_reflect_pad_refuses_a_map_not_larger_than_the_padding(rows, columns):
    message = f"by {rows} x {columns} needs a map larger than that, not 5 x 6: give a larger image"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda x: reflect_pad(x, rows, columns), jax.ShapeDtypeStruct((1, 5, 6, 1), "float32")
        )


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 2)])
def test_bilinear_upsampling_is_jax_image_resize(rng, size):
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    expected = jax.image.resize(x, (2, 2 * size[0], 2 * size[1], 3), "bilinear")
    np.testing.assert_allclose(jax.jit(upsample_bilinear)(x), expected, atol=1e-6)


def test_bilinear_upsampling_is_pytorchs(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
        scale_factor=2,
        mode="bilinear",
        align_corners=False,
    )
    np.testing.assert_allclose(
        upsample_bilinear(x), expected.numpy().transpose(0, 2, 3, 1), atol=1e-6
    )


def test_nearest_upsampling_repeats_pixels(rng):
    x = rng.normal(size=(2, 3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(upsample_nearest(x), x.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 3)])
def test_max_pool_takes_the_largest_of_each_block(rng, size):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    h, w = size[0] // 2, size[1] // 2
    blocks = x[:, : 2 * h, : 2 * w].reshape(2, h, 2, w, 2, 3)
    np.testing.assert_array_equal(jax.jit(max_pool)(x), blocks.max((2, 4)))


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (4, 3), (2, 1), (5, 4)])
def test_adaptive_pool_averages_pytorchs_bins(rng, reference, size):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    targets = [(4, 4), (4, 3), (1, 1)]
    pooled = jax.jit(lambda x: [adaptive_average_pool(x, *target) for target in targets])(x)
    for y, target in zip(pooled, targets, strict=True):
        np.testing.assert_allclose(y, reference.pool(x, *target), atol=1e-6)


def test_adaptive_pool_to_the_same_size_changes_nothing(rng):
    x = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(adaptive_average_pool(x, 4), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: reflect_pad(x, 1, 2),
        upsample_bilinear,
        upsample_nearest,
        lambda x: adaptive_average_pool(x, 2, 5),
    ],
)
def test_gradients_of_linear_ops_are_their_transpose(rng, function):
    # <f(x), y> = <x, f^T(y)>, with f as a matrix built column by column.
    shape = (1, 3, 4, 2)
    columns = np.eye(24, dtype=np.float32).reshape(24, *shape[1:])
    matrix = np.asarray(jax.jit(function)(columns)).reshape(24, -1)
    size = jax.eval_shape(function, jnp.zeros(shape)).shape
    weights = rng.normal(size=size).astype(np.float32)
    gradient = jax.jit(lambda w: jax.vjp(function, jnp.zeros(shape))[1](w)[0])(weights)
    np.testing.assert_allclose(gradient.ravel(), matrix @ weights.ravel(), atol=1e-5)


def test_max_pool_gradient_matches_finite_differences(rng, reference):
    # Distinct values, farther apart than the step: no ties.
    x = rng.permutation(30).reshape(1, 5, 6, 1) / 10
    weights = rng.normal(size=(1, 2, 3, 1))

    def slow(x):
        return (weights * x[:, :4].reshape(1, 2, 2, 3, 2, 1).max((2, 4))).sum()

    gradient = jax.jit(jax.grad(lambda x: (weights * max_pool(x)).sum()))(
        jnp.asarray(x, jnp.float32)
    )
    np.testing.assert_allclose(gradient, reference.slopes(slow, x), atol=1e-5)


def test_max_pool_shares_the_gradient_of_a_tie():
    gradient = jax.jit(jax.grad(lambda x: max_pool(x).sum()))(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_allclose(gradient.sum(), 1)


def test_caffe_preprocessing_gives_blue_first_bytes_less_the_mean():
    red = jnp.asarray([[[[1.0, 0.0, 0.0]]]])
    np.testing.assert_allclose(CAFFE(red).ravel(), [-103.939, -116.779, 255 - 123.68], rtol=1e-6)


def test_torchvision_preprocessing_standardizes_red_first():
    y = TORCHVISION(jnp.asarray([[[[0.485, 0.456, 0.406 + 0.225]]]]))
    np.testing.assert_allclose(y.ravel(), [0, 0, 1], atol=1e-6)
