"""A network made deeper paints as before, and its new blocks learn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import ModelConfig
from din_jax.training.grown import with_blocks
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


def painted(network: Network, given: dict, *, training: bool) -> jax.Array:
    images = jax.random.uniform(jax.random.key(5), (2, 1, 12, 12, 3))
    model = network.module(given["params"], given["batch_stats"], {}, training=training)
    return model.stylize(images[0], model.encode_style(images[1]))


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("before", [0, 1])
def test_deeper_network_paints_as_before_and_its_new_blocks_learn(norm, before):
    config = dataclasses.replace(SMALL, decoder_norm=norm)
    small = Network(dataclasses.replace(config, residuals=before))
    deep = Network(dataclasses.replace(config, residuals=before + 2))
    given, fresh = variables(small, 1), variables(deep, 2)

    grown = with_blocks(given, fresh)

    assert jax.tree.structure(grown) == jax.tree.structure(fresh)
    for training in (False, True):
        np.testing.assert_array_equal(
            painted(deep, grown, training=training), painted(small, given, training=training)
        )
    kept = grown["params"]["decoder"]["residuals"][before]["first"]
    assert jax.tree.all(
        jax.tree.map(
            jnp.array_equal, kept, fresh["params"]["decoder"]["residuals"][before]["first"]
        )
    )

    def loss(params):
        return jnp.sum(painted(deep, {**grown, "params": params}, training=True) ** 2)

    def sizes(params, part: str, number: int):
        return jax.tree.map(
            jnp.linalg.norm, params[part]["residuals"][number]["second"]["pointwise"]
        )

    gradients = jax.grad(loss)(grown["params"])
    for part, of_norm in (("encoder", True), ("decoder", norm == "batch")):
        for number in (before, before + 1):
            found = sizes(gradients, part, number)
            assert found["norm"]["scale"] if of_norm else found["conv"]["kernel"]


def test_network_that_is_not_deeper_is_given_as_it_is():
    network = Network(SMALL)
    given = variables(network, 1)
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, with_blocks(given, variables(network, 2)), given)
    )
