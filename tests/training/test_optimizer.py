"""Two groups of parameters, their rates, schedules and the clip."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from din_jax.config import ModelConfig, OptimConfig
from din_jax.models.network import VGGBackbone
from din_jax.models.vgg import conv_shapes, layers_up_to
from din_jax.ops.preprocessing import TORCHVISION
from din_jax.training.optimizer import make_optimizer, parameter_labels, rate_of, schedule
from din_jax.training.state import Network
from din_jax.training.step import update_average

STATISTICS = {"style_feature": "statistics", "net_pool": 1, "net_kernel": 1}
MODELS = {
    "vgg19": ModelConfig(style_encoder="vgg19"),
    "vgg19, one level": ModelConfig(style_encoder="vgg19", levels=1),
    "vgg19 statistics": ModelConfig(style_encoder="vgg19", **STATISTICS),
    "vgg19 network": ModelConfig(network="vgg19", levels=1),
    "mobilenet": ModelConfig(style_encoder="mobilenet"),
    "mobilenet, one level": ModelConfig(style_encoder="mobilenet", levels=1),
    "mobilenet statistics": ModelConfig(
        style_encoder="mobilenet", encoder_norm="batch", separable=False, **STATISTICS
    ),
    "deformable": ModelConfig(
        style_encoder="mobilenet", transform="deformable", dynamic_kernel=3, dynamic_groups=0
    ),
    "spatial": ModelConfig(style_encoder="mobilenet", transform="spatial"),
    "adain": ModelConfig(code="adain", style_encoder="content"),
    "cin": ModelConfig(code="cin", style_encoder="none", styles=("waves", "mosaic")),
}


def shapes_of(config: ModelConfig):
    """The tree of parameter shapes; no number is drawn."""
    shapes = conv_shapes()
    vgg = {
        name: {
            "kernel": np.broadcast_to(np.float32(0), shapes[name]),
            "bias": np.broadcast_to(np.float32(0), shapes[name][3:]),
        }
        for name in layers_up_to("relu4_1")
    }
    network = Network(config, VGGBackbone(vgg, TORCHVISION))
    return jax.eval_shape(network.init, jax.random.key(0))[0]


@pytest.mark.parametrize("name", MODELS)
def test_dynamic_parameters_are_exactly_those_of_the_nets(name):
    params = shapes_of(MODELS[name])
    labels = parameter_labels(params)
    assert jax.tree.structure(labels) == jax.tree.structure(params)
    for part, tree in labels.items():
        expected = {"dynamic"} if part in ("codes", "deformations") else {"base"}
        assert set(jax.tree.leaves(tree)) <= expected, part
    # Each level has a weight net and a bias net of two convolutions: eight arrays; and an offset
    # net of one. A table has a row for each style in their place.
    levels = 0 if name == "adain" else MODELS[name].levels if "network" not in name else 1
    arrays = {"deformable": 10, "cin": 2}.get(name, 8)
    assert jax.tree.leaves(labels).count("dynamic") == arrays * levels


@pytest.mark.parametrize("name", ["mobilenet", "adain"])
def test_dynamic_parameters_move_ten_times_as_far_as_base_parameters(name):
    params = jax.tree.map(lambda x: jnp.zeros((1,) * len(x.shape)), shapes_of(MODELS[name]))
    optimizer = make_optimizer(OptimConfig(learning_rate=2e-4, warmup=3), steps=100)
    state = optimizer.init(params)
    gradient = jax.tree.map(jnp.ones_like, params)
    update = jax.jit(optimizer.update)
    for _ in range(4):  # steps 0, 1, 2 warm up; step 3 is the first at the full rate
        moved, state = update(gradient, state, params)
    # A constant gradient makes Adam's step the learning rate itself, but for the rounding of its
    # moments, which is the same in both groups: their ratio is exact.
    base = float(moved["encoder"]["conv"]["conv"]["bias"].item())
    np.testing.assert_allclose(base, -2e-4, rtol=1e-4)
    for part, tree in moved.items():
        for leaf in jax.tree.leaves(tree):
            factor = 10 if part == "codes" else 1
            np.testing.assert_allclose(leaf, factor * base, rtol=2e-7)


def test_first_step_of_a_warm_up_moves_nothing():
    params = {"x": jnp.ones(3)}
    optimizer = make_optimizer(OptimConfig(warmup=5), steps=100)
    moved, _ = optimizer.update({"x": jnp.ones(3)}, optimizer.init(params), params)
    assert not moved["x"].any()


@pytest.mark.parametrize("decay", ["constant", "cosine"])
@pytest.mark.parametrize("multiplier", [1.0, 10.0])
def test_schedule_rises_from_zero_to_its_peak(decay, multiplier):
    rate = schedule(OptimConfig(learning_rate=3e-4, warmup=10, decay=decay), 50, multiplier)
    peak = 3e-4 * multiplier
    assert float(rate(0)) == 0
    np.testing.assert_allclose(rate(5), peak / 2, rtol=1e-6)
    np.testing.assert_allclose(rate(10), peak, rtol=1e-6)
    middle, end = (peak, peak) if decay == "constant" else (peak * (1 + 0.01) / 2, peak / 100)
    np.testing.assert_allclose(rate(30), middle, rtol=1e-5)
    np.testing.assert_allclose(rate(50), end, rtol=1e-5)
    np.testing.assert_allclose(rate(1000), end, rtol=1e-5)


@pytest.mark.parametrize("decay", ["constant", "cosine"])
def test_schedule_without_warm_up_starts_at_its_peak(decay):
    rate = schedule(OptimConfig(learning_rate=3e-4, warmup=0, decay=decay), 50)
    np.testing.assert_allclose(rate(0), 3e-4, rtol=1e-6)


def test_cosine_shorter_than_its_warm_up_still_rises():
    rate = schedule(OptimConfig(learning_rate=3e-4, warmup=100, decay="cosine"), 20)
    np.testing.assert_allclose(rate(20), 6e-5, rtol=1e-5)


@pytest.mark.parametrize("clip, norm", [(1.0, 1.0), (0.0, 10.0), (50.0, 10.0)])
def test_clip_bounds_the_norm_over_both_groups_together(clip, norm):
    params = {"codes": {"weight_net": jnp.zeros(4)}, "encoder": {"kernel": jnp.zeros(9)}}
    gradient = {"codes": {"weight_net": jnp.full(4, 4.0)}, "encoder": {"kernel": jnp.full(9, 2.0)}}
    assert float(optax.tree.norm(gradient)) == 10.0
    optimizer = make_optimizer(OptimConfig(clip=clip, b1=0.0), steps=10)
    _, state = optimizer.update(gradient, optimizer.init(params), params)
    # With b1 = 0 Adam's first moment is the gradient that it was given.
    moments = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state) if is_mu(path)]
    assert len(moments) == 2
    np.testing.assert_allclose(optax.tree.norm(moments), norm, rtol=1e-6)


def is_mu(path) -> bool:
    return any(getattr(entry, "name", None) == "mu" for entry in path)


@pytest.mark.parametrize(
    ("decay", "resumed", "says"),
    [
        ("constant", None, "learning rate 0, rising to 0.01 at step 100, then constant"),
        ("constant", 50, "learning rate goes on at 0.005, rising to 0.01 at step 100, then const"),
        ("constant", 700, "learning rate goes on at 0.01, constant"),
        ("cosine", None, "learning rate 0, rising to 0.01 at step 100, by a cosine down to 0.0001"),
        # Half way between the peak and its hundredth.
        ("cosine", 550, "learning rate goes on at 0.00505, by a cosine down to 0.0001 at step 1"),
    ],
)
def test_a_schedule_says_where_it_goes_on(decay, resumed, says):
    config = OptimConfig(learning_rate=0.01, warmup=100, decay=decay)
    assert rate_of(config, 1000, resumed).startswith(says)


def test_the_average_is_the_sum_of_its_parts_by_their_weights():
    values, decay = [3.0, -1.0, 4.0, 10.0, 2.0], 0.3
    average = {"x": jnp.full(2, 7.0)}
    weights = [1.0]  # of the first one, and of each value so far
    for step, value in enumerate(values):
        average = update_average(average, {"x": jnp.full(2, value)}, jnp.int32(step), decay)
        d = min(decay, (1 + step) / (10 + step))
        weights = [w * d for w in weights] + [1 - d]
    expected = np.dot(weights, [7.0, *values])
    np.testing.assert_allclose(average["x"], np.full(2, expected), rtol=1e-6)
    assert update_average({}, {"x": jnp.zeros(2)}, jnp.int32(0), decay) == {}
