"""The styled layer: each method of the family out of it, its mixtures, and statistics given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.codes import (
    LayerCode,
    MapCode,
    channel_code,
    covariance_code,
    identity_code,
    identity_kernel,
    statistics_code,
)
from din_jax.layers.deformation import DeformableTransform
from din_jax.layers.mixtures import Blend, Regions, at_level
from din_jax.layers.normalizers import Instance, Whitening
from din_jax.layers.sources import SOURCES, TRANSFORMS, TableSource, code_statistics
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform, SpatialTransform
from din_jax.methods import METHODS
from din_jax.methods import TRANSFORMS as TRANSFORM_NAMES
from din_jax.ops.forms import default_form
from din_jax.ops.normalization import adain, instance_norm
from din_jax.ops.whitening import covariance_root, wct

C = 4
layer = StyledLayer(Instance(), KernelTransform())
whitening = StyledLayer(Whitening(), KernelTransform())


def normal(seed, *shape, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.fixture
def x():
    return 2 + normal(5, 2, 6, 5, C) @ normal(6, C, C)


@pytest.fixture
def style():
    return normal(7, 2, 7, 8, C) @ normal(8, C, C) - 1


def deformable():
    module = DeformableTransform(C, side=3, rngs=nnx.Rngs(jax.random.key(0, impl="rbg")))
    module.offset_net.kernel[...] = normal(3, *module.offset_net.kernel.shape)
    return module


def kernel_code(seed, side=1, per_group=C):
    return LayerCode(normal(seed, 2, side, side, per_group, C, scale=0.3), normal(seed + 9, 2, C))


def map_code(seed):
    return MapCode(normal(seed, 2, 3, 3, C), normal(seed + 9, 2, 3, 3, C))


# Transform and the code of a seed.
KINDS = {
    "1x1": (KernelTransform(), kernel_code),
    "depthwise": (KernelTransform(), lambda seed: kernel_code(seed, 1, 1)),
    "3x3 dilated": (KernelTransform(2), lambda seed: kernel_code(seed, 3)),
    "spatial": (SpatialTransform(), map_code),
    "deformable": (None, lambda seed: kernel_code(seed, 3)),
}


def of_kind(kind, normalizer=None):
    transform, code = KINDS[kind]
    return StyledLayer(normalizer or Instance(), transform or deformable()), code


def dense(code):
    """The same code as a full kernel."""
    return LayerCode(jnp.eye(C)[None, None, None] * code.kernel, code.bias)


def test_instance_norm_is_the_identity_code(x):
    np.testing.assert_allclose(layer(x, identity_code(2, C)), instance_norm(x), atol=1e-5)


def test_conditional_instance_norm_is_a_row_of_the_table(x):
    table = TableSource(3, C)
    weight, bias = normal(0, 3, C), normal(1, 3, C)
    table.weight_table[...], table.bias_table[...] = weight, bias
    y = layer(x, table(jnp.asarray([2, 0])))
    for i, row in enumerate([2, 0]):
        scale, shift = np.asarray(weight[row]), np.asarray(bias[row])
        expected = np.asarray(instance_norm(x)[i]) * scale + shift
        np.testing.assert_allclose(y[i], expected, atol=1e-5)


def test_a_fresh_table_is_instance_norm_and_refuses_to_guess(x):
    table = TableSource(3, C)
    np.testing.assert_allclose(layer(x, table(jnp.asarray([0, 2]))), instance_norm(x), atol=1e-5)
    code = table(jnp.asarray([3, -1]))
    assert np.isnan(code.kernel).all() and np.isnan(code.bias).all()


def test_adain_is_the_style_s_statistics(x, style):
    code = statistics_code(style)
    np.testing.assert_allclose(layer(x, code), adain(x, style), atol=1e-5)
    np.testing.assert_allclose(layer(x, dense(code)), adain(x, style), atol=1e-5)


def test_wct_is_the_style_s_covariance_behind_whitening(x, style):
    y = whitening(x, covariance_code(style))
    np.testing.assert_allclose(y, wct(x, style), atol=1e-5 * np.abs(y).max())


def test_the_root_of_a_diagonal_covariance_is_adain_s_code(style):
    variance = jnp.eye(C)[None] * jnp.square(statistics_code(style).kernel[:, 0])[:, 0]
    root = covariance_root(variance, 0.0)
    np.testing.assert_allclose(root, dense(statistics_code(style)).kernel[:, 0, 0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_blend_of_codes_is_the_blend_of_their_pictures(kind, x):
    painted, code = of_kind(kind)
    codes, weights = [code(1), code(2)], jnp.asarray([[0.25, 1.0], [0.75, -0.5]])
    y = painted(x, Blend(codes, weights))
    apart = [painted(x, one) for one in codes]
    expected = sum(w[:, None, None, None] * part for w, part in zip(weights, apart, strict=True))
    np.testing.assert_allclose(y, expected, atol=2e-5)
    same_for_all = painted(x, Blend(codes, jnp.asarray([0.3, 0.7])))
    np.testing.assert_allclose(same_for_all, 0.3 * apart[0] + 0.7 * apart[1], atol=2e-5)


@pytest.mark.parametrize("normalizer", [Instance(), Whitening()])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tile_under_given_statistics_is_a_piece_of_the_whole(kind, normalizer, x):
    painted, code = of_kind(kind, normalizer)
    code = code(1)
    if kind == "deformable":  # offsets of zero: else a tile reads as far as they reach
        painted.transform.offset_net.kernel[...] = jnp.zeros((3, 3, C, 18))
    if kind == "spatial":  # maps cover the whole picture: the same everywhere here
        code = MapCode(*(jnp.broadcast_to(v.mean((1, 2), keepdims=True), v.shape) for v in code))
    x = jnp.concatenate([x, x[:, ::-1] * 0.7, x], 2)
    statistics = painted.statistics(x, code)
    np.testing.assert_array_equal(painted(x, code, statistics), painted(x, code))
    tile = painted(x[:, :, 2:-2], code, statistics)
    border = {"3x3 dilated": 2, "deformable": 1}.get(kind, 0)
    inner = slice(border, tile.shape[2] - border)
    whole = painted(x, code)[:, :, 2:-2]
    np.testing.assert_allclose(tile[:, :, inner], whole[:, :, inner], atol=2e-5)


def test_regions_are_painted_by_their_own_style_and_statistics(x):
    codes = [kernel_code(1), kernel_code(2, 1, 1)]
    left = jnp.zeros((2, 6, 5)).at[:, :, :2].set(1.0)
    y = layer(x, Regions(codes, jnp.stack([left, 1 - left])))
    for columns, code in ((slice(0, 2), codes[0]), (slice(2, 5), codes[1])):
        np.testing.assert_allclose(y[:, :, columns], layer(x[:, :, columns], code), atol=2e-5)


def test_a_region_of_everything_is_the_plain_code(x):
    everything = jnp.ones((2, 12, 10))
    codes = [kernel_code(1), kernel_code(2)]
    y = layer(x, Regions(codes, jnp.stack([3 * everything, 0 * everything])))
    np.testing.assert_allclose(y, layer(x, codes[0]), atol=2e-5)


def test_given_statistics_of_regions_are_used(x):
    right = jnp.broadcast_to(jnp.linspace(0, 1, 5), (2, 6, 5))
    mixture = Regions([kernel_code(1), Blend([kernel_code(2), kernel_code(3)], jnp.ones(2) / 2)],
                      jnp.stack([right, 1 - right]))  # fmt: skip
    own = layer.statistics(x, mixture)
    np.testing.assert_allclose(layer(x, mixture, own), layer(x, mixture), atol=1e-6)
    assert np.abs(layer(x, mixture, (own[0], own[0])) - layer(x, mixture)).max() > 0.01


def test_one_code_costs_nothing_more(x):
    """The plain case is the same program as without mixtures: no product, no weight."""
    code = kernel_code(1)
    with default_form("conv"):  # else the trace holds the form of every platform
        text = str(jax.make_jaxpr(layer)(x, code))
        blend = str(jax.make_jaxpr(layer)(x, Blend([code, code], jnp.ones(2) / 2)))
    assert text.count("dot_general") == 1
    assert blend.count("dot_general") == 1


def test_mixtures_of_whole_style_codes_are_taken_apart_by_level():
    one, other = ({"level1": kernel_code(i), "level2": kernel_code(i + 1)} for i in (1, 5))
    nested = Regions([one, Blend([one, other], jnp.ones(2))], jnp.ones((2, 2, 4, 4)))
    at = at_level(nested, "level2")
    assert at.codes[0] is one["level2"] and at.codes[1].codes[1] is other["level2"]


@pytest.mark.parametrize(
    "mixture,words",
    [
        (Blend([kernel_code(1)] * 2, jnp.ones(3)), r"2 codes needs weights \[2\] or \[2, B\]"),
        (Blend([kernel_code(1), kernel_code(2, 3)], jnp.ones(2)), "codes of one kind"),
        (Regions([kernel_code(1)] * 2, jnp.ones((2, 1, 4, 4))), r"need masks \[2, 2, H, W\]"),
    ],
)
def test_a_mixture_that_does_not_fit_is_refused(mixture, words, x):
    with pytest.raises(ValueError, match=words):
        layer(x, mixture)


def test_statistics_of_one_map_are_no_statistics_of_regions(x):
    with pytest.raises(ValueError, match="2 regions need statistics of each"):
        layer(x, Regions([kernel_code(1)] * 2, jnp.ones((2, 2, 4, 4))), Instance().statistics(x))


def test_every_method_has_a_source_and_every_transform_a_name():
    assert set(SOURCES) == set(METHODS) and set(TRANSFORMS) == set(TRANSFORM_NAMES)


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_spread_is_in_units_of_the_distance_from_the_identity(scale):
    """Kernels that have nothing in common but the identity spread by about 1, however small."""
    change = scale * normal(0, 64, 1, 1, C, C)
    code = LayerCode(identity_kernel(1, 1, C, C)[None] + change, jnp.zeros((64, C)))
    found = code_statistics(code)
    np.testing.assert_allclose(found["kernel_spread"], 1, atol=0.05)
    np.testing.assert_allclose(found["kernel_distance"], scale, rtol=0.1)
    same = code_statistics(LayerCode(code.kernel[:1].repeat(3, 0), code.bias[:3]))
    assert same["kernel_spread"] < 1e-6
    blind = code_statistics(channel_code(jnp.ones((2, C)), jnp.zeros((2, C))))
    assert blind["kernel_spread"] == 0
    maps = code_statistics(MapCode(1 + change[:, 0], change[:, 0]))
    np.testing.assert_allclose(maps["kernel_spread"], 1, atol=0.05)
