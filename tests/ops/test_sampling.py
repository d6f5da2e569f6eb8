import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.sampling import bilinear_sample

sample = jax.jit(bilinear_sample)  # one program instead of thirty


def slow_sample(x, positions):
    """Dai et al. 2017, eq. 3 and 4 in float64: every pixel of the map by its hat functions."""
    x, positions = np.asarray(x, np.float64), np.asarray(positions, np.float64)
    rows, columns = np.arange(x.shape[1]), np.arange(x.shape[2])
    values = np.zeros((*positions.shape[:-1], x.shape[-1]))
    for index in np.ndindex(positions.shape[:-1]):
        y, z = positions[index]
        hat_y = np.maximum(0, 1 - np.abs(y - rows))
        hat_x = np.maximum(0, 1 - np.abs(z - columns))
        values[index] = np.einsum("i,j,ijc->c", hat_y, hat_x, x[index[0]])
    return values


def off_pixels(rng, low, high, shape):
    """Coordinates at least 1/16 of a pixel from a whole one, where the map has no slope."""
    return rng.integers(8 * low, 8 * high, shape) / 8 + 1 / 16


def test_values_equal_the_formula_inside_at_and_beyond_the_border(rng):
    x = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    free = rng.uniform(-3, 9, (2, 40, 2))
    whole = np.stack(np.meshgrid(np.arange(-3, 9), np.arange(-3, 10)), -1).reshape(1, -1, 2)
    positions = np.concatenate([free, np.repeat(whole, 2, 0)], 1).astype(np.float32)
    y = jax.jit(bilinear_sample)(x, positions)
    assert y.shape == (2, len(positions[0]), 3) and y.dtype == jnp.float32
    np.testing.assert_allclose(y, slow_sample(x, positions), atol=1e-5)


def test_a_value_fades_out_over_one_pixel_beyond_the_border():
    x = jnp.full((1, 1, 1, 1), 8.0)
    coordinates = [-np.inf, -1e30, -1.0, -0.75, -0.5, 0.0, 0.25, 0.75, 1.0, 1e30, np.inf]
    expected = [0, 0, 0, 2, 4, 8, 6, 2, 0, 0, 0]
    for axis in range(2):
        positions = np.zeros((1, len(coordinates), 2), np.float32)
        positions[0, :, axis] = coordinates
        np.testing.assert_array_equal(sample(x, positions)[0, :, 0], expected)


def test_whole_positions_inside_give_the_pixels_themselves(rng):
    x = rng.normal(size=(1, 3, 4, 2)).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij"), -1)[None]
    np.testing.assert_array_equal(sample(x, grid.astype(np.float32)), x)


def test_a_position_that_is_not_a_number_gives_none(rng):
    x = rng.normal(size=(1, 3, 4, 2)).astype(np.float32)
    positions = np.array([[[np.nan, 1], [1, np.nan], [1, 1]]], np.float32)
    np.testing.assert_array_equal(np.isnan(sample(x, positions))[0, :, 0], [1, 1, 0])


@pytest.mark.parametrize("far", [-50.0, -1.0, 3.0, 50.0])
def test_a_point_outside_reads_nothing_of_a_map_that_is_no_number(far):
    x = jnp.full((1, 3, 4, 2), jnp.nan)
    positions = jnp.asarray([[[far, far], [far, 1.0], [1.0, far + (far == 3)], [1.0, 1.0]]])
    value, pull = jax.vjp(sample, x, positions)
    np.testing.assert_array_equal(np.isnan(value)[0, :, 0], [0, 0, 0, 1])
    np.testing.assert_array_equal(value[:, :3], 0)
    np.testing.assert_array_equal(pull(jnp.ones_like(value))[1][:, 0], 0)


def test_a_pixel_that_is_no_number_is_read_where_it_has_a_weight():
    x = jnp.ones((1, 3, 4, 1)).at[0, 0, 0].set(jnp.inf)
    positions = jnp.asarray([[[0, 0], [0.5, 0.5], [-0.5, 0], [0, 1], [1, 0], [2, 3]]], jnp.float32)
    np.testing.assert_array_equal(sample(x, positions)[0, :, 0], 3 * [np.inf] + 3 * [1])


def test_gradients_match_finite_differences(rng, reference):
    x = rng.normal(size=(2, 3, 4, 2))
    positions, weights = off_pixels(rng, -2, 5, (2, 6, 2)), rng.normal(size=(2, 6, 2))

    def fast(x, positions):
        return (weights.astype(np.float32) * bilinear_sample(x, positions)).sum()

    inputs = [jnp.asarray(v, jnp.float32) for v in (x, positions)]
    to_x, to_positions = jax.jit(jax.grad(fast, (0, 1)))(*inputs)
    slow = reference.slopes(lambda v: (weights * slow_sample(v, positions)).sum(), x)
    np.testing.assert_allclose(to_x, slow, atol=1e-5)
    slow = reference.slopes(lambda v: (weights * slow_sample(x, v)).sum(), positions)
    np.testing.assert_allclose(to_positions, slow, atol=1e-5)


def test_the_slope_at_a_whole_position_is_that_to_the_right_and_below():
    x = jnp.asarray([[1.0, 3.0], [6.0, 10.0]])[None, :, :, None]
    positions = jnp.asarray([[[0.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [-2.0, 0.0], [2.0, 2.0]]])
    slope = jax.jit(jax.grad(lambda p: bilinear_sample(x, p).sum()))(positions)
    # (1, 1) is the last pixel: beyond it 0. At -1 the map begins, at 2 it has ended.
    np.testing.assert_array_equal(slope[0], [[5, 2], [1, 0], [-10, -10], [0, 0], [0, 0]])


def test_every_point_that_reads_a_pixel_adds_to_its_gradient():
    x = jnp.zeros((1, 2, 2, 1))
    positions = jnp.full((1, 1000, 2), 0.5)
    to_x = jax.jit(jax.grad(lambda x: bilinear_sample(x, positions).sum()))(x)
    np.testing.assert_array_equal(to_x, np.full((1, 2, 2, 1), 250.0))


def test_groups_read_at_points_of_their_own(rng):
    x = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    positions = rng.uniform(-1, 5, (2, 3, 4, 3, 2)).astype(np.float32)
    y = jax.jit(bilinear_sample, static_argnums=2)(x, positions, 3)
    assert y.shape == (2, 3, 4, 6)
    for g in range(3):
        part = slice(2 * g, 2 * g + 2)
        expected = slow_sample(x[..., part], positions[..., g, :])
        np.testing.assert_allclose(y[..., part], expected, atol=1e-5)


def test_one_point_per_map(rng):
    x = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    positions = np.array([[1.5, 2.25], [0.5, -0.5]], np.float32)
    np.testing.assert_allclose(
        sample(x, positions), slow_sample(x, positions[:, None])[:, 0], atol=1e-5
    )


def test_bfloat16_maps_keep_positions_exact_and_round_once(rng):
    x = jnp.asarray(rng.normal(size=(1, 3, 300, 2)), jnp.bfloat16)
    positions = np.stack([np.full(50, 1.0), rng.uniform(256, 299, 50)], -1)[None].astype(np.float32)
    y = sample(x, positions)
    assert y.dtype == jnp.bfloat16
    expected = slow_sample(np.asarray(x, np.float64), positions)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=2**-8, atol=1e-5)
    to_x, to_positions = jax.jit(
        jax.grad(lambda x, p: bilinear_sample(x, p).sum().astype(jnp.float32), (0, 1))
    )(x, positions)
    assert to_x.dtype == jnp.bfloat16 and to_positions.dtype == jnp.float32


@pytest.mark.parametrize(
    "x,positions,groups,message",
    [
        ((2, 3, 4), (2, 5, 2), 1, r"takes x \[B, H, W, C\].*not shapes \(2, 3, 4\)"),
        ((2, 3, 4, 6), (2, 5, 3), 1, r"positions \[B, ..., 2\].*\(2, 5, 3\)"),
        ((2, 3, 4, 6), (3, 5, 2), 1, "2 maps but positions for 3: give positions for every map"),
        ((2, 3, 4, 6), (2, 5, 4, 2), 4, "4 groups do not divide the 6 channels: choose a divisor"),
        ((2, 3, 4, 6), (2, 5, 2, 2), 3, r"positions are \[B, ..., 3, 2\], not \(2, 5, 2, 2\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, positions, groups, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda a, b: bilinear_sample(a, b, groups),
            *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, positions)),
        )


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.int32])
def test_positions_with_few_digits_are_refused(kind):
    with pytest.raises(ValueError, match="float32 or wider, not .*: convert them"):
        bilinear_sample(jnp.zeros((1, 2, 2, 1)), jnp.zeros((1, 2), kind))
