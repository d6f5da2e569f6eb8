"""A network with parts added paints as before, and the new parts learn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import ModelConfig
from din_jax.training.grown import with_blocks, with_feedback
from din_jax.training.state import Network

SMALL = ModelConfig(
    widths=(2, 3, 4), kernel=3, levels=1, net_hidden=2, net_pool=1, net_kernel=1,
    code="adain", style_encoder="content", encoder_norm="batch",
)  # fmt: skip


def variables(network: Network, seed: int) -> dict:
    """No number is zero or one, which would hide that a block is where another was."""
    params, stats = network.init(jax.random.key(seed))
    keys = iter(jax.random.split(jax.random.key(seed), 1000))
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), params)
    return {"params": params, "batch_stats": jax.tree.map(lambda x: x + 0.1, stats)}


def painted(network: Network, params: dict, stats: dict, *, training: bool) -> jax.Array:
    images = jax.random.uniform(jax.random.key(5), (2, 1, 12, 12, 3))
    model = network.module(params, stats, {}, training=training)
    return model.stylize(images[0], model.encode_style(images[1]))


@pytest.mark.parametrize("norm, before", [("batch", 1), ("none", 0)])
def test_deeper_network_paints_as_before_and_its_new_blocks_learn(norm, before):
    config = dataclasses.replace(SMALL, decoder_norm=norm)
    small = Network(dataclasses.replace(config, residuals=before))
    deep = Network(dataclasses.replace(config, residuals=before + 1))
    given, fresh = variables(small, 1), variables(deep, 2)

    grown = with_blocks(given, fresh)

    assert jax.tree.structure(grown) == jax.tree.structure(fresh)

    @jax.jit
    def both(given, grown):
        def loss(params):
            picture = painted(deep, params, grown["batch_stats"], training=True)
            return jnp.sum(picture**2), picture

        (_, now), gradients = jax.value_and_grad(loss, has_aux=True)(grown["params"])
        trained = painted(small, given["params"], given["batch_stats"], training=True), now
        evaluated = [
            painted(network, each["params"], each["batch_stats"], training=False)
            for network, each in ((small, given), (deep, grown))
        ]
        return [trained, evaluated], gradients

    pairs, gradients = both(given, grown)
    for expected, picture in pairs:
        np.testing.assert_allclose(picture, expected, rtol=1e-5, atol=1e-6)
    added = {part: gradients[part]["residuals"][before] for part in ("encoder", "decoder")}
    last = {part: block["second"]["pointwise"] for part, block in added.items()}
    assert np.any(last["encoder"]["norm"]["scale"])
    of_norm = last["decoder"]["norm"]["scale"] if norm == "batch" else None
    assert np.any(last["decoder"]["conv"]["kernel"] if of_norm is None else of_norm)
    # The new blocks' other numbers are as they were drawn.
    for part in added:
        drawn, taken = (x["params"][part]["residuals"][before]["first"] for x in (fresh, grown))
        assert jax.tree.all(jax.tree.map(jnp.array_equal, drawn, taken))


def test_network_that_is_not_deeper_is_given_as_it_is():
    network = Network(SMALL)
    given = variables(network, 1)
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, with_blocks(given, variables(network, 2)), given)
    )


def test_feedback_of_a_trained_network_begins_as_nothing_and_is_then_its_own():
    config = dataclasses.replace(
        SMALL, code="din", style_encoder="mobilenet", style_feature="statistics"
    )
    plain, seeing = Network(config), Network(dataclasses.replace(config, net_feedback=1))
    given, fresh = variables(plain, 1), variables(seeing, 2)
    for nets in fresh["params"]["codes"].values():
        for net in nets.values():  # as drawn, which `variables` has moved
            net["correct"] = jax.tree.map(jnp.zeros_like, net["correct"])

    grown = with_feedback(given, fresh)

    assert jax.tree.structure(grown) == jax.tree.structure(fresh)
    pictures = [
        painted(network, each["params"], each["batch_stats"], training=False)
        for network, each in ((plain, given), (seeing, grown))
    ]
    assert jnp.array_equal(*pictures)
    # What has feedback keeps it.
    again = with_feedback(grown, variables(seeing, 3))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, again, grown))


@pytest.mark.parametrize("other", [{}, {"code": "din", "levels": 2}])
def test_feedback_is_not_pressed_upon_another_kind_of_model(other):
    """Whose caller then says that it does not fit."""
    din = {"code": "din", "style_encoder": "mobilenet", "style_feature": "statistics"}
    seeing = Network(dataclasses.replace(SMALL, **din, net_feedback=1))
    given = variables(Network(dataclasses.replace(SMALL, **(din | other if other else {}))), 1)
    found = with_feedback(given, variables(seeing, 2))
    assert jax.tree.structure(found) == jax.tree.structure(given)
