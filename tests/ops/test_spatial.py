import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops import spatial
from din_jax.ops.dynamic import dynamic_instance_norm

# One program instead of tens.
resize_map = jax.jit(spatial.resize_map, static_argnums=(1, 2))
spatial_instance_norm = jax.jit(spatial.spatial_instance_norm)


def test_every_position_has_its_own_weight_and_bias(rng, reference):
    x, weight, bias = (rng.normal(1, 2, (2, 5, 6, 3)).astype(np.float32) for _ in range(3))
    expected = reference.normalize(x) * weight + bias
    np.testing.assert_allclose(spatial_instance_norm(x, weight, bias), expected, atol=1e-5)


def test_constant_maps_are_a_depthwise_dynamic_convolution(rng):
    x = rng.normal(1, 2, (2, 5, 6, 3)).astype(np.float32)
    weight, bias = (rng.normal(size=(2, 1, 1, 3)).astype(np.float32) for _ in range(2))
    expected = jax.jit(dynamic_instance_norm)(x, weight[:, None], bias[:, 0, 0])
    for size in (1, 4, 9):
        maps = [np.broadcast_to(v, (2, size, size, 3)) for v in (weight, bias)]
        np.testing.assert_allclose(spatial_instance_norm(x, *maps), expected, atol=1e-5)


@pytest.mark.parametrize("target", [(9, 14), (3, 7), (2, 20), (6, 5)])
def test_resizing_keeps_a_ramp_in_the_middle_and_the_range(target):
    rows, columns = np.mgrid[:6, :5].astype(np.float32)
    maps = np.stack([(rows + 0.5) / 6, (columns + 0.5) / 5], -1)[None]
    y = np.asarray(resize_map(maps, *target))[0]
    for axis, n, own in ((0, target[0], 6), (1, target[1], 5)):
        line = y[..., axis].mean(1 - axis)
        exact = (np.arange(n) + 0.5) / n
        middle = (exact > 1.01 / min(own, n)) & (exact < 1 - 1.01 / min(own, n))
        np.testing.assert_allclose(line[middle], exact[middle], atol=1e-5)
        assert (np.diff(line) >= 0).all() and 0 <= line[0] and line[-1] <= 1


def test_no_position_of_a_larger_map_is_lost(rng):
    maps = rng.normal(size=(1, 32, 32, 1)).astype(np.float32)
    slopes = jax.jit(jax.grad(lambda m: resize_map(m, 5, 5).sum()))(maps)
    assert (np.abs(slopes) > 1e-4).all()


def test_the_type_of_the_map_is_kept(rng):
    x = jnp.asarray(rng.normal(size=(1, 4, 4, 2)), jnp.bfloat16)
    maps = jnp.ones((1, 2, 2, 2))
    assert spatial_instance_norm(x, maps, maps).dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (1, 4, 4, 2), (1, 4, 3)])
def test_maps_that_do_not_fit_are_refused(shape):
    x, maps, wrong = (
        jax.ShapeDtypeStruct(sizes, jnp.float32) for sizes in ((1, 8, 8, 3), (1, 4, 4, 3), shape)
    )
    with pytest.raises(ValueError, match="adaptive weight .* must be"):
        jax.eval_shape(spatial_instance_norm, x, wrong, maps)
    with pytest.raises(ValueError, match="adaptive bias .* must be"):
        jax.eval_shape(spatial_instance_norm, x, maps, wrong)
