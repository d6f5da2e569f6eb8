"""Activations that are computed anew are not kept, and give the same update."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.layers.recomputing import recomputing


def kept_bytes(parts) -> int:
    """What the way forward keeps for the way back, beside the parameters."""
    pictures = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    state = parts.state
    targets = jax.eval_shape(parts.objective.targets, parts.vgg, pictures, pictures)

    def backward(params, content, style, targets):
        def loss(params, content, style):
            with recomputing(parts.config.train.recompute):
                model = parts.network.module(params, state.batch_stats, {}, training=True)
                stylized = model.stylize(content, model.encode_style(style))
            return parts.objective(parts.vgg, stylized, targets)[0]

        return jax.vjp(loss, params, content, style)[1]

    held = jax.eval_shape(backward, state.params, pictures, pictures, targets)
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(held))


def test_what_is_computed_anew_is_not_kept(tiny, changed, make_parts):
    kept, less = (
        kept_bytes(make_parts(changed(tiny, train={"recompute": anew}))) for anew in (False, True)
    )
    assert less < kept / 2


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_step_that_computes_anew_is_the_step(tiny, changed, make_parts, norm):
    model = {"code": "adain", "style_encoder": "content", "levels": 1, "encoder_norm": norm}
    found = []
    for anew in (False, True):
        config = changed(tiny, model=model, loss={"gram_weight": 1.0}, train={"recompute": anew})
        parts = make_parts(config)
        found.append(parts.step(parts.state, parts.batch, parts.vgg, {}))
    (state, metrics), (same, others) = found
    assert metrics.keys() == others.keys()
    for name, value in metrics.items():
        np.testing.assert_allclose(others[name], value, rtol=1e-5, err_msg=name)
    # The first moments of Adam are the gradient, the statistics those of the batch, taken once.
    for tree, other in ((state.opt_state, same.opt_state), (state.batch_stats, same.batch_stats)):
        largest = max((np.abs(x).max() for x in jax.tree.leaves(tree) if x.ndim), default=0)
        for (path, x), y in zip(
            jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(other), strict=True
        ):
            name = jax.tree_util.keystr(path)
            np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5 * largest, err_msg=name)
