"""The update against a slow computation by hand, and what its metrics say."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from din_jax.config import LossConfig
from din_jax.losses import (
    checkerboard,
    content_loss,
    gram_loss,
    gram_matrices,
    style_loss,
    style_statistics,
    total_variation,
)
from din_jax.models.vgg import vgg_features
from din_jax.training.objective import Objective
from din_jax.training.state import batch_stats_of
from din_jax.training.step import make_eval_step, make_train_step, to_float

LAYERS = ("relu1_1", "relu2_1")


@pytest.fixture(scope="module")
def stepped(parts):
    return parts.step(parts.state, parts.batch, parts.vgg, {})


def moments(state) -> dict:
    """Path of each parameter -> Adam's first moment, from whichever group holds it."""
    found = {}
    for group in state.opt_state.inner_states.values():
        for path, leaf in jax.tree_util.tree_leaves_with_path(group.inner_state[0].mu):
            found[jax.tree_util.keystr(path)] = np.asarray(leaf)
    return found


def by_path(tree) -> dict:
    """On the host, where arithmetic is not compiled for each shape."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def slow_loss(parts):
    """params -> (total, {name: loss}), one VGG pass for each layer of each image."""
    content, style = (jnp.asarray(parts.batch[k], jnp.float32) / 255 for k in ("content", "style"))

    def features(images):
        return {
            name: vgg_features(parts.vgg, parts.preprocessing, images, [name])[name]
            for name in LAYERS
        }

    def loss(params):
        model = parts.network.module(params, parts.state.batch_stats, {}, training=True)
        seen, of_style = features(model(content, style)), features(style)
        of_content = content_loss(seen, features(content), ["relu2_1"])["relu2_1"]
        of_statistics = style_loss(
            style_statistics(seen, LAYERS), style_statistics(of_style, LAYERS)
        )
        first, second = of_statistics["relu1_1"], of_statistics["relu2_1"]
        total = of_content + 10 * (first + second) / 2
        return total, {"content/relu2_1": of_content, "style/relu1_1": first,
                       "style/relu2_1": second}  # fmt: skip

    return loss


@pytest.mark.slow
def test_update_is_the_slow_gradient_through_adam_at_the_rate_of_each_group(parts, stepped):
    state, metrics = stepped
    (total, losses), gradient = jax.jit(jax.value_and_grad(slow_loss(parts), has_aux=True))(
        parts.state.params
    )
    np.testing.assert_allclose(metrics["total"], total, rtol=1e-5)
    norm = jax.jit(optax.tree.norm)(gradient)
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-4)
    for name, value in losses.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    slow, mu = by_path(gradient), moments(state)
    assert slow.keys() == mu.keys()
    largest = max(np.abs(g).max() for g in slow.values())
    for name, g in slow.items():
        np.testing.assert_allclose(mu[name] / 0.1, g, rtol=1e-3, atol=1e-6 * largest, err_msg=name)
    # Adam divides a gradient by its own size, so the step is compared from equal gradients.
    old, new = by_path(parts.state.params), by_path(state.params)
    for name, g in mu.items():
        g, rate = g / 0.1, 1e-2 if name.startswith("['codes']") else 1e-3
        # Kingma & Ba 2015 at t = 1, where both moments are those of this gradient alone.
        update = -rate * g / (np.abs(g) + 1e-8)
        np.testing.assert_allclose(new[name] - old[name], update, atol=2e-6, err_msg=name)
    assert int(state.step) == 1


def test_metrics_hold_each_layer_and_add_up(parts, stepped):
    metrics = stepped[1]
    assert {"content/relu2_1", "style/relu1_1", "style/relu2_1", "gradient_norm"} <= set(metrics)
    assert {f"kernel_spread/level{i}" for i in (1, 2, 3)} <= set(metrics)
    np.testing.assert_allclose(metrics["content"], metrics["content/relu2_1"], rtol=1e-6)
    mean = (metrics["style/relu1_1"] + metrics["style/relu2_1"]) / 2
    np.testing.assert_allclose(metrics["style"], mean, rtol=1e-6)
    total = 1.0 * metrics["content"] + 10.0 * metrics["style"]
    np.testing.assert_allclose(metrics["total"], total, rtol=1e-6)


def test_gram_and_variation_join_with_their_weights(parts):
    config = LossConfig(
        content_layers=("relu2_1",), style_layers=LAYERS, content_weight=0.5, style_weight=3.0,
        gram_weight=7.0, variation_weight=11.0, checkerboard_weight=13.0,
    )  # fmt: skip
    objective = Objective(config, parts.preprocessing)
    content, style = (to_float(parts.batch[k], jnp.float32) for k in ("content", "style"))
    stylized = 0.7 * content + 0.3 * style

    @jax.jit
    def losses(vgg, content, style, stylized):
        features = [vgg_features(vgg, parts.preprocessing, x, LAYERS) for x in (stylized, style)]
        grams = (gram_matrices(x, LAYERS) for x in features)
        return objective(vgg, stylized, objective.targets(vgg, content, style)), gram_loss(*grams)

    (total, metrics), by_layer = losses(parts.vgg, content, style, stylized)
    for name, value in by_layer.items():
        np.testing.assert_allclose(metrics[f"gram/{name}"], value, rtol=1e-5)
    np.testing.assert_allclose(metrics["variation"], total_variation(stylized), rtol=1e-6)
    np.testing.assert_allclose(metrics["checkerboard"], checkerboard(stylized, 4), rtol=1e-5)
    by_hand = (
        0.5 * metrics["content"] + 3 * metrics["style"]
        + 7 * metrics["gram"] + 11 * metrics["variation"] + 13 * metrics["checkerboard"]
    )  # fmt: skip
    np.testing.assert_allclose(total, by_hand, rtol=1e-5)
    assert min(metrics[name] for name in ("gram", "variation", "checkerboard")) > 0


def test_no_weight_no_gram_and_no_variation(stepped):
    assert not {"gram", "variation", "checkerboard", "descriptor"} & set(stepped[1])


@pytest.mark.slow
def test_bfloat16_keeps_float32_parameters_and_nearly_the_losses(parts, changed, stepped):
    config = changed(parts.config, train={"compute_dtype": "bfloat16"})
    optimizer = optax.sgd(1e-3)
    step = jax.jit(make_train_step(parts.network, parts.objective, optimizer, config))
    state = parts.state.replace(opt_state=optimizer.init(parts.state.params))
    state, metrics = step(state, parts.batch, parts.vgg, {})
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.variables))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.variables, metrics)))
    # bfloat16 has 8 bits: single activations are off by half a percent.
    for name in ("total", "content", "style"):
        np.testing.assert_allclose(metrics[name], stepped[1][name], rtol=0.05, err_msg=name)


def test_thirty_steps_on_one_batch_lower_the_loss(parts):
    state, totals = parts.state, []
    for _ in range(30):
        state, metrics = parts.step(state, parts.batch, parts.vgg, {})
        totals.append(float(metrics["total"]))
    assert np.isfinite(totals).all()
    assert min(totals[-3:]) < 0.8 * totals[0], totals


def test_batch_statistics_move_in_training_alone(parts, stepped):
    before, after = jax.tree.leaves(parts.state.batch_stats), jax.tree.leaves(
        stepped[0].batch_stats
    )  # fmt: skip
    assert len(before) == len(after) > 0
    assert all((a != b).any() for a, b in zip(before, after, strict=True))

    def evaluated(images):
        model = parts.network.module(
            parts.state.params, parts.state.batch_stats, {}, training=False
        )
        picture = model(images, images)
        return batch_stats_of(model), picture

    kept, _ = jax.jit(evaluated)(to_float(parts.batch["content"], jnp.float32))
    for a, b in zip(before, jax.tree.leaves(kept), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def evaluate(parts):
    return jax.jit(make_eval_step(parts.network, parts.objective, parts.config))


def test_evaluation_reports_a_style_blind_network(parts, evaluate):
    metrics, stylized = evaluate(parts.state.variables, parts.batch, parts.vgg, {})
    assert stylized.shape == (2, 32, 32, 3) and stylized.dtype == jnp.uint8
    assert all(metric.shape == (2,) for metric in metrics.values())
    assert (metrics["output_spread"] > 0).all()
    assert ((0 <= metrics["outside"]) & (metrics["outside"] <= 1)).all()
    assert {f"dead_units/level{i}" for i in (1, 2, 3)} <= set(metrics)
    same = {"content": parts.batch["content"], "style": parts.batch["style"][[0, 0]]}
    metrics, _ = evaluate(parts.state.variables, same, parts.vgg, {})
    assert metrics["output_spread"].max() < 1e-6


def test_evaluation_of_infinite_pictures_is_no_number(parts, evaluate):
    variables = jax.tree.map(lambda x: x, parts.state.variables)
    variables["params"]["decoder"]["output"]["bias"] = jnp.full(3, jnp.inf)
    metrics, _ = evaluate(variables, parts.batch, parts.vgg, {})
    assert np.isnan(metrics["total"]).all()
