"""The statistics encoder learns VGG's statistics first, and the nets read them meanwhile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import STYLE_LAYERS
from din_jax.training.state import batch_stats_of

pytestmark = pytest.mark.slow  # compiles an update with VGG-19 up to relu4_1


@pytest.fixture(scope="module")
def taught(tiny, changed, make_parts):
    return make_parts(
        changed(
            tiny,
            model={"style_feature": "statistics", "net_pool": 1, "levels": 1, "residuals": 0},
            train={"teacher_steps": 1000},
        )
    )


@pytest.fixture(scope="module")
def started(taught):
    """A state after one step: VGG's running statistics are no longer those of step 0."""
    return taught.step(taught.state, taught.batch, taught.vgg, {})[0]


def at(state, step: int):
    return state.replace(step=jnp.asarray(step, jnp.int32))


def encoder_gradient(before, after) -> np.ndarray:
    """From Adam's first moments: m' = 0.9 m + 0.1 g."""

    def mu(state):
        mu = state.opt_state.inner_states["base"].inner_state[0].mu["style_encoder"]
        return jax.tree.map(np.asarray, mu)

    parts = jax.tree.map(lambda new, old: ((new - 0.9 * old) / 0.1).ravel(), mu(after), mu(before))
    return np.concatenate(jax.tree.leaves(parts))


@pytest.mark.parametrize("step", [999, 1000])
def test_painting_losses_never_teach_the_encoder(taught, started, pictures, step):
    # The regression on VGG's statistics does not see the content; the painting losses do.
    state = at(started, step)
    other = {**taught.batch, "content": pictures(5)["content"]}
    results = [taught.step(state, batch, taught.vgg, {}) for batch in (taught.batch, other)]
    assert not np.isclose(results[0][1]["style"], results[1][1]["style"], rtol=1e-3)
    gradients = [encoder_gradient(state, after) for after, _ in results]
    assert np.linalg.norm(gradients[0]) > 0
    np.testing.assert_array_equal(gradients[0], gradients[1])


@pytest.mark.parametrize("step, independent", [(999, True), (1000, False)])
def test_nets_read_the_prediction_only_after_the_teacher(taught, started, step, independent):
    state = at(started, step)
    params = {**state.params}
    params["style_encoder"] = jax.tree.map(lambda x: 0.5 * x, params["style_encoder"])
    painted = [
        taught.step(state.replace(params=p), taught.batch, taught.vgg, {})[1]
        for p in (state.params, params)
    ]
    assert not np.isclose(painted[0]["descriptor"], painted[1]["descriptor"], rtol=1e-3)
    for name in ("content", "style", "kernel_rms/level3"):
        same = np.isclose(painted[0][name], painted[1][name], rtol=1e-6, atol=0)
        assert same == independent, name


def test_encoder_of_a_model_with_feedback_learns_what_was_painted_too(taught, changed, make_parts):
    def seeing(**loss):
        layers = {"style_layers": STYLE_LAYERS, "style_weight": 0.0}
        return make_parts(changed(taught.config, model={"net_feedback": 1}, loss=layers | loss))

    parts = seeing()
    _, metrics = parts.step(parts.state, parts.batch, parts.vgg, {})
    both = metrics["descriptor"] + metrics["descriptor_painted"]
    assert float(metrics["descriptor_painted"]) > 0
    np.testing.assert_allclose(metrics["total"], metrics["content"] + both, rtol=1e-5)
    # The regressions alone leave the content network as it is.
    parts = seeing(content_weight=0.0)
    before, (after, _) = parts.state, parts.step(parts.state, parts.batch, parts.vgg, {})
    for part, moved in (("style_encoder", True), ("encoder", False), ("decoder", False)):
        pairs = zip(*(jax.tree.leaves(x.params[part]) for x in (before, after)), strict=True)
        assert any(bool(jnp.any(a != b)) for a, b in pairs) == moved, part


def test_descriptor_loss_joins_the_total_and_falls(taught):
    state, losses = taught.state, []
    for _ in range(20):
        state, metrics = taught.step(state, taught.batch, taught.vgg, {})
        losses.append(float(metrics["descriptor"]))
        total = metrics["content"] + 10 * metrics["style"] + metrics["descriptor"]
        np.testing.assert_allclose(metrics["total"], total, rtol=1e-5)
    # The running statistics that the target is standardized by settle in the first steps.
    assert losses[-1] < 0.7 * losses[2], losses


def test_running_statistics_of_the_style_move_in_training_alone(taught, started):
    assert float(started.batch_stats["standardize"]["updates"]) == 1
    for training in (True, False):
        model = taught.network.module(started.params, started.batch_stats, {}, training=training)
        features = {
            name: jnp.ones((2, 4, 4, channels))
            for name, channels in zip(
                ("relu1_1", "relu2_1", "relu3_1", "relu4_1"), (64, 128, 256, 512), strict=True
            )
        }
        model.describe(features)
        updates = float(batch_stats_of(model)["standardize"]["updates"])
        assert updates == (2 if training else 1)
