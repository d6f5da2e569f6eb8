"""Styles are read by the network's own function, and little is compiled for a new size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.inference.engine import Engine
from tests.export.models import small_model


@pytest.mark.parametrize(
    ("settings", "programs"),
    [
        ({"net_feedback": 1}, 3),  # two that read, one that makes codes of what was read
        ({"style_feature": "relu4_1"}, 2),
    ],
)
def test_codes_are_the_networks_and_nets_are_compiled_once(settings, programs):
    model = small_model(**settings)
    engine = Engine(model, style_size=0)
    rng = np.random.default_rng(0)
    sizes = [(40, 56), (64, 48)]
    styles = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    found = engine.encode_style(styles)
    assert engine.compilations == programs
    for i, style in enumerate(styles):
        expected = model.model.encode_style(jnp.asarray(style[None], jnp.float32) / 255)
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours[i], theirs[0], rtol=1e-4, atol=1e-4)
