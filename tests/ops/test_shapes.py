"""Arrays that do not fit are refused by name; batches without a map and mixed types are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax import ops

MAP = (2, 8, 8, 4)
NOT_A_MAP = r"Maps are \[B, H, W, C\], not of shape .*x\[None\]"
FLOAT = "float type, not int32: convert"
# Of one map each, and whether it has to be of a float type.
OF_A_MAP = {
    "adaptive_average_pool": (lambda x: ops.adaptive_average_pool(x, 2), True),
    "adain": (lambda x: ops.adain(x, x), True),
    "Affine": (ops.Affine(jnp.zeros((1, 4))), True),
    "gram_matrix": (ops.gram_matrix, True),
    "instance_affine": (ops.instance_affine, True),
    "instance_norm": (ops.instance_norm, True),
    "max_pool": (ops.max_pool, False),
    "mean_and_covariance": (ops.mean_and_covariance, True),
    "mean_and_std": (ops.mean_and_std, True),
    "mean_and_variance": (ops.mean_and_variance, True),
    "reflect_pad": (lambda x: ops.reflect_pad(x, 1), False),
    "resize_map": (lambda x: ops.resize_map(x, 3, 3), False),
    "style_swap": (lambda x: ops.style_swap(x, x), True),
    "upsample_bilinear": (ops.upsample_bilinear, True),
    "upsample_nearest": (ops.upsample_nearest, False),
    "wct": (lambda x: ops.wct(x, x), True),
}


def zeros(*shapes, kind=jnp.float32):
    return [jax.ShapeDtypeStruct(shape, kind) for shape in shapes]


@pytest.mark.parametrize("name", OF_A_MAP)
def test_one_picture_without_a_batch_is_refused(name):
    function, floats = OF_A_MAP[name]
    with pytest.raises(ValueError, match=NOT_A_MAP):
        jax.eval_shape(function, *zeros(MAP[1:]))
    with pytest.raises(ValueError, match=NOT_A_MAP):  # nor a batch of them by vmap
        jax.eval_shape(jax.vmap(function), *zeros(MAP))
    whole = zeros(MAP, kind=jnp.int32)
    if not floats:
        jax.eval_shape(function, *whole)
        return
    with pytest.raises(ValueError, match=FLOAT):
        jax.eval_shape(function, *whole)


def test_whole_numbers_are_no_maps_of_convolutions():
    kernel = jnp.full((3, 3, 4, 4), 0.5)  # as whole numbers 0
    with pytest.raises(ValueError, match=FLOAT):
        ops.conv2d(jnp.ones(MAP, jnp.int32), kernel)


@pytest.mark.parametrize("function", [ops.mean_and_variance, ops.mean_and_covariance])
@pytest.mark.parametrize(
    "shape", [(2, 8, 1), (2, 1, 1), (2, 8, 7), (3, 8, 8), (8, 8), (2, 8, 8, 1)]
)
def test_weights_are_one_for_every_pixel(function, shape):
    with pytest.raises(ValueError, match=r"\[B, H, W\] = \(2, 8, 8\), not"):
        jax.eval_shape(function, *zeros(MAP, shape))


@pytest.mark.parametrize("function", [ops.adain, ops.wct])
@pytest.mark.parametrize("style", [(2, 8, 8, 1), (2, 5, 6, 3), (3, 8, 8, 4)])
def test_styles_of_other_channels_or_batches_are_refused(function, style):
    with pytest.raises(ValueError, match=r"one number of channels.*\(2, 8, 8, 4\) and"):
        jax.eval_shape(function, *zeros(MAP, style))


@pytest.mark.parametrize("function", [ops.adain, ops.wct])
def test_one_style_serves_the_whole_batch(rng, function):
    content, style = (jnp.asarray(rng.normal(size=(b, 5, 6, 3)), jnp.float32) for b in (2, 1))
    repeated = function(content, jnp.concatenate([style, style]))
    np.testing.assert_allclose(function(content, style), repeated, atol=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [
        {"mean": (3, 4)},
        {"mean": (4,)},
        {"mean": (2, 1)},
        {"mean": (2, 4), "scale": (2, 1)},
        {"mean": (2, 4), "matrix": (3, 4, 4)},
        {"mean": (2, 4), "matrix": (4, 4)},
    ],
)
def test_affine_maps_of_other_sizes_are_refused(shapes):
    affine = ops.Affine(**{name: jnp.ones(shape) for name, shape in shapes.items()})
    wrong = list(shapes)[-1]
    for side in (1, 3):
        kernel = jnp.ones((2, side, side, 4, 4))
        for call in (affine, lambda x, k=kernel: ops.normalized_dynamic_conv(x, affine, k)):
            with pytest.raises(ValueError, match=f"The {wrong} of an affine map of x"):
                jax.eval_shape(call, *zeros(MAP))


@pytest.mark.parametrize("function", [ops.covariance_root, ops.inverse_covariance_root])
def test_what_is_no_covariance_is_refused(function):
    for shape in ((4, 4), (2, 4, 3)):
        with pytest.raises(ValueError, match=r"Covariances are \[B, C, C\], not"):
            jax.eval_shape(function, *zeros(shape))
    with pytest.raises(ValueError, match="float32 or wider, not bfloat16: convert"):
        jax.eval_shape(function, *zeros((2, 4, 4), kind=jnp.bfloat16))


EMPTY = {
    "conv2d 3x3, im2col": (ops.conv2d, ((8, 8, 3), (3, 3, 3, 16))),
    "conv2d 5x5, few channels": (ops.conv2d, ((8, 8, 3), (5, 5, 3, 4))),
    "conv2d 9x9, few channels": (ops.conv2d, ((36, 12, 3), (9, 9, 3, 32))),
    "mean_and_covariance": (lambda x, _: ops.mean_and_covariance(x)[1], ((8, 8, 4), ())),
    "weighted covariance": (
        lambda x, _: ops.mean_and_covariance(x, jnp.ones(x.shape[:3]))[1], ((8, 8, 4), ()),
    ),
    "wct": (lambda x, _: ops.wct(x, x), ((8, 8, 4), ())),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_without_maps_gives_one_without_maps(name):
    function, (x, other) = EMPTY[name]
    some, none = zeros((2, *x), other), zeros((0, *x), other)
    expected = jax.eval_shape(function, *some).shape

    def both(*inputs):
        y, pull = jax.vjp(function, *inputs)
        return y, pull(y)

    y, gradients = jax.eval_shape(both, *none)
    assert y.shape == (0, *expected[1:])
    assert [gradient.shape for gradient in gradients] == [v.shape for v in none]


def by_numpy(name, content, style):
    axes = {"axis": (1, 2), "keepdims": True}
    if name == "spatial_affine":
        return content * style + style
    y = (content - content.mean(**axes)) / np.sqrt(content.var(**axes) + 1e-5)
    return y * np.sqrt(style.var(**axes) + 1e-5) + style.mean(**axes)


@pytest.mark.parametrize("name", ["adain", "spatial_affine"])
@pytest.mark.parametrize("wide", [0, 1])
def test_a_float64_map_beside_a_float32_one_is_not_rounded(rng, name, wide):
    with jax.enable_x64(True):
        pair = [
            jnp.asarray(rng.normal(3, 2, (2, 5, 5, 3)), jnp.float64 if i == wide else jnp.float32)
            for i in range(2)
        ]
        arguments = pair if name == "adain" else [*pair, pair[1]]
        y = getattr(ops, name)(*arguments)
        assert y.dtype == pair[0].dtype
        expected = by_numpy(name, *(np.asarray(x, np.float64) for x in pair))
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 if wide else 1e-12)


@pytest.mark.parametrize("kinds", [(jnp.float64, jnp.float32), (jnp.float32, jnp.float64)])
@pytest.mark.parametrize("name", ["style_swap", "wct"])
def test_maps_of_two_float_types_are_taken(rng, name, kinds):
    """As those of one type, where what is float32 is so exactly."""
    with jax.enable_x64(True):
        pair = [jnp.asarray(rng.normal(size=(2, 6, 5, 3)), kind) for kind in kinds]
        y = getattr(ops, name)(*pair)
        assert y.dtype == kinds[0]
        expected = getattr(ops, name)(*(x.astype(jnp.float64) for x in pair))
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12 if y.dtype == "f8" else 1e-5)
