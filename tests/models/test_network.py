import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.config import ModelConfig
from din_jax.errors import UserError
from din_jax.layers.mixtures import Blend, Regions
from din_jax.models.network import StylizationNetwork
from din_jax.ops.forms import default_form

SMALL = ModelConfig(widths=(2, 3, 4), residuals=1, kernel=3, net_hidden=4)
STATISTICS = {"style_feature": "statistics", "net_pool": 1, "net_kernel": 1}
VARIANTS = {
    "default": {},
    "one level": {"levels": 1},
    "two levels": {"levels": 2},
    "standard convolutions": {"separable": False},
    "batch norm": {"encoder_norm": "batch", "decoder_norm": "batch"},
    "no norm": {"encoder_norm": "none", "decoder_norm": "none"},
    "adain": {"code": "adain", "style_encoder": "content", "encoder_norm": "none"},
    "mobilenet style": {"style_encoder": "mobilenet"},
    "statistics": STATISTICS,
    "mobilenet statistics": {"style_encoder": "mobilenet"} | STATISTICS,
    "vgg19": {"network": "vgg19", "levels": 1, "net_hidden": 1},
    "vgg19 adain": {
        "network": "vgg19",
        "levels": 1,
        "code": "adain",
        "style_encoder": "content",
    },
    "wct": {"code": "wct", "style_encoder": "content", "normalizer": "whitening"},
    "linear": {"code": "linear", "style_encoder": "content", "normalizer": "linear"},
    "table": {"code": "cin", "style_encoder": "none", "styles": ("a", "b", "c")},
    "batch statistics": {"normalizer": "batch"},
    "3x3": {"dynamic_kernel": 3, "dynamic_dilation": 2},
    "depthwise 5x5": {"dynamic_kernel": 5, "dynamic_groups": 0},
    "3x3 statistics": {"dynamic_kernel": 3} | STATISTICS,
    "deformable": {"transform": "deformable", "dynamic_kernel": 3},
    "modulated": {
        "transform": "deformable",
        "dynamic_kernel": 3,
        "dynamic_groups": 0,
        "modulated": True,
    },
    "spatial": {"transform": "spatial", "spatial_grid": 4},
    "johnson": {"separable": False, "levels": 1, "kernel": 9},
}


def abstract(backbone, **changes):
    config = dataclasses.replace(SMALL, **changes)
    return nnx.eval_shape(lambda: StylizationNetwork(config, backbone, rngs=nnx.Rngs(0)))


def make(backbone, **changes):
    """A model in eval mode whose kernels NumPy has drawn: JAX would compile a program for each."""
    rng = np.random.default_rng(0)

    def value(path, shape):
        *_, layer, name = path
        if path[0] == "vgg":
            return backbone.params[layer][name]
        if name == "kernel":
            deviation = np.sqrt(2 / np.prod(shape[:-1]))
            return jnp.asarray(deviation * rng.standard_normal(shape), jnp.float32)
        return np.full(shape, name in ("scale", "var", "variance"), np.float32)

    graph, state = nnx.split(abstract(backbone, **changes))
    leaves = [
        (path, leaf.replace(value(path, leaf.shape))) for path, leaf in nnx.to_flat_state(state)
    ]
    model = nnx.merge(graph, nnx.from_flat_state(leaves))
    model.eval()
    return model


@pytest.fixture(autouse=True)
def plain_convolutions():
    """Programs of one equation per convolution, which compile in half the time; the tests of ops
    hold that the other form equals it."""
    with default_form("conv"):
        yield


def images(seed, shape):
    """Drawn by NumPy: JAX would compile a program for each shape."""
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_output_has_the_size_of_the_content(backbone, variant):
    changes = VARIANTS[variant]
    # The VGG-19 network takes multiples of 8, the others any size.
    vgg = changes.get("network") == "vgg19"
    content, style = ((40, 32), (48, 32)) if vgg else ((33, 39), (35, 32))
    graph, state = nnx.split(abstract(backbone, **changes))
    shapes = [jax.ShapeDtypeStruct((2, *size, 3), jnp.float32) for size in (content, style)]
    if changes.get("code") == "cin":
        shapes[1] = jax.ShapeDtypeStruct((2,), jnp.int32)
    y = jax.eval_shape(lambda state, *pair: nnx.merge(graph, state)(*pair), state, *shapes)
    assert y.shape == (2, *content, 3) and y.dtype == jnp.float32


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_levels_count_from_the_deepest(backbone, levels):
    model = abstract(backbone, levels=levels)
    assert model.levels == tuple(f"level{i}" for i in range(4 - levels, 4))
    assert set(model.codes) == set(model.levels)
    style = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    graph, state = nnx.split(model)
    code = jax.eval_shape(lambda s, x: nnx.merge(graph, s).encode_style(x), state, style)
    assert tuple(code) == model.levels
    for name, layer in code.items():
        c = SMALL.widths[int(name[-1]) - 1]
        assert layer.kernel.shape == (2, 1, 1, c, c) and layer.bias.shape == (2, c)


def test_a_model_with_vgg19_needs_its_weights():
    with pytest.raises(ValueError, match="pass its weights as `vgg`"):
        StylizationNetwork(SMALL, rngs=nnx.Rngs(0))
    nnx.eval_shape(
        lambda: StylizationNetwork(
            dataclasses.replace(SMALL, style_encoder="mobilenet"), rngs=nnx.Rngs(0)
        )
    )


@pytest.mark.parametrize("variant", ["default", "statistics"])
def test_known_features_of_the_style_give_the_same_code(backbone, variant):
    model = make(backbone, **VARIANTS[variant])
    style = images(1, (2, 32, 32, 3))

    @nnx.jit
    def both(model, style):
        return model.encode_style(style), model.code(model.describe(model.vgg(style)))

    computed, shared = both(model, style)
    for a, b in zip(jax.tree.leaves(computed), jax.tree.leaves(shared), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "variant",
    ["default", "no norm", "batch norm", "mobilenet statistics", "3x3", "spatial", "wct"],
)
def test_the_style_changes_the_output_and_each_image_stands_alone(backbone, variant):
    model = make(backbone, **VARIANTS[variant])
    run = nnx.jit(lambda model, content, style: model(content, style))
    one, another = images(0, (2, 33, 36, 3))
    bright, dark = images(1, (2, 32, 32, 3)) ** jnp.asarray([1.0, 4.0])[:, None, None, None]
    first = run(model, jnp.stack([one, one]), jnp.stack([bright, dark]))
    assert np.isfinite(first).all()
    assert np.abs(first[0] - first[1]).max() > 1e-4
    # Other neighbors and another place in the batch change nothing.
    second = run(model, jnp.stack([another, one]), jnp.stack([dark, bright]))
    np.testing.assert_allclose(second[1], first[0], atol=1e-5)


def parameters(module):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(nnx.state(module, nnx.Param)))


def test_parameters_of_the_papers_network():
    config = ModelConfig(style_encoder="mobilenet", net_hidden=64, net_pool=4, net_kernel=3)
    model = nnx.eval_shape(lambda: StylizationNetwork(config, rngs=nnx.Rngs(0)))
    # Per level: 2 nets of 3x3 512-64 and 3x3 64-C*C or 64-C, with biases.
    first = 512 * 64 * 9 + 64
    expected = sum(2 * first + (64 * 9 + 1) * (c * c + c) for c in (32, 64, 128))
    assert parameters(model.codes) == expected
    assert round(expected / 1e6, 1) == 14.3
    # With 1x1 kernels the largest of these convolutions has 1.0 M.
    small = dataclasses.replace(config, net_kernel=1)
    model = nnx.eval_shape(lambda: StylizationNetwork(small, rngs=nnx.Rngs(0)))
    assert round(parameters(model.codes["level3"].weight_net.last) / 1e6, 1) == 1.1


def test_vgg19_weights_are_not_among_the_parameters(backbone):
    with_vgg, without = abstract(backbone), abstract(None, style_encoder="mobilenet")
    own = parameters(without) - parameters(without.style_encoder)
    assert parameters(with_vgg) == own


def test_rows_of_the_table_are_styles(backbone):
    model = make(backbone, **VARIANTS["table"])
    rng = np.random.default_rng(0)
    for source in model.codes.values():
        source.weight_table[...] = jnp.asarray(rng.normal(1, 1, source.weight_table.shape))
    content = images(0, (1, 32, 32, 3)).repeat(3, 0)
    run = nnx.jit(lambda model, content, numbers: model(content, numbers))
    y = np.asarray(run(model, content, jnp.asarray([2, 0, 2])))
    np.testing.assert_array_equal(y[0], y[2])
    assert np.abs(y[0] - y[1]).max() > 1e-3
    assert np.isnan(run(model, content, jnp.asarray([0, 3, -1]))[1:]).all()
    with pytest.raises(UserError, match="knows its styles by number"):
        model.encode_style(content)


def test_mixtures_and_statistics_go_through_the_whole_model(backbone):
    model = make(backbone, **VARIANTS["adain"])
    content = images(0, (1, 32, 36, 3))
    styles = [images(i, (1, 32, 32, 3)) ** i for i in (1, 4)]

    @nnx.jit
    def paint(model, content, *styles):
        one, other = (model.encode_style(style) for style in styles)
        blend = Blend([one, other], jnp.asarray([0.3, 0.7]))
        by_hand = jax.tree.map(lambda a, b: 0.3 * a + 0.7 * b, one, other)
        masks = jnp.stack([jnp.ones((1, 16, 18)), jnp.zeros((1, 16, 18))])
        whole = Regions([one, other], masks)
        given = model.content_statistics(content, one)
        return [
            (model.stylize(content, blend), model.stylize(content, by_hand)),
            (model.stylize(content, whole), model.stylize(content, one)),
            (model.stylize(content, one, given), model.stylize(content, one)),
        ], model.stylize(content, one, model.content_statistics(0.5 * content, one))

    pairs, otherwise = paint(model, content, *styles)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert np.abs(otherwise - pairs[2][1]).max() > 0.01


def test_a_tile_under_the_whole_s_statistics_is_a_piece_of_its_picture(backbone):
    """Of a network without instance norms of its own, as far as its receptive field is there."""
    changes = {"encoder_norm": "batch", "decoder_norm": "batch"} | VARIANTS["mobilenet style"]
    model = make(backbone, **changes)
    content, style = images(0, (1, 32, 96, 3)), images(1, (1, 32, 32, 3))
    content = content * jnp.linspace(0.2, 1, 96)[None, None, :, None]

    @nnx.jit
    def paint(model, content, style):
        code = model.encode_style(style)
        tile, given = content[:, :, 32:], model.content_statistics(content, code)
        return [
            model.stylize(content, code)[:, :, 32:],
            model.stylize(tile, code, given),
            model.stylize(tile, code),
        ]

    whole, tile, alone = (np.asarray(y)[:, :, 32:] for y in paint(model, content, style))
    np.testing.assert_allclose(tile, whole, atol=1e-4 * np.abs(whole).max())
    assert np.abs(alone - whole).max() > 0.01 * np.abs(whole).max()
