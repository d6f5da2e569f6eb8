"""Folded batch norms: the same function, in fewer steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.inference.fold import fold_batch_norms, round_pointwise
from din_jax.layers.blocks import SeparableBlock
from din_jax.layers.norms import BatchNorm, InstanceNorm


def block(norm: str) -> SeparableBlock:
    """In evaluation, with parameters and running statistics as after a training."""
    made = SeparableBlock(8, 6, norm=norm, rngs=nnx.Rngs(0))
    made.eval()
    rng = np.random.default_rng(0)
    graph, state = nnx.split(made)
    # Variances span two decades; all else has both signs.
    state = {
        path: np.float32(10.0 ** rng.uniform(-1, 1, x.shape))
        if path[-1] == "var"
        else rng.standard_normal(x.shape, np.float32)
        for path, x in nnx.to_flat_state(state)
    }
    return nnx.merge(graph, nnx.from_flat_state(state))


def norms(model: nnx.Module) -> list:
    return [type(m) for _, m in nnx.iter_modules(model) if isinstance(m, BatchNorm | InstanceNorm)]


def run(model: nnx.Module) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((2, 9, 7, 8), np.float32)
    graph, state = nnx.split(model)
    return np.asarray(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, jnp.asarray(x)))


def test_a_folded_model_is_the_same_function_without_batch_norms():
    model = block("batch")
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model)))
    folded = fold_batch_norms(model)
    assert norms(model) == 2 * [BatchNorm] and norms(folded) == []
    expected = run(model)
    assert expected.std() > 1
    np.testing.assert_allclose(run(folded), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # What was given is as it was.
    jax.tree.map(np.testing.assert_array_equal, before, nnx.to_pure_dict(nnx.state(model)))


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_what_depends_on_the_input_stays(norm):
    model = block(norm)
    folded = fold_batch_norms(model)
    assert norms(folded) == norms(model)
    np.testing.assert_array_equal(run(folded), run(model))


def test_products_are_rounded_in_pointwise_convolutions_alone():
    model = block("none")
    rounded = round_pointwise(model, "bfloat16")
    types = {path: str(x.dtype) for path, x in nnx.to_flat_state(nnx.state(rounded))}
    assert types.pop(("pointwise", "conv", "kernel")) == "bfloat16"
    assert set(types.values()) == {"float32"}
    assert str(model.pointwise.conv.kernel.dtype) == "float32"
    expected = run(model)
    error = np.abs(run(rounded) - expected).max() / np.abs(expected).max()
    # 8 bits a factor: not equal, and not far.
    assert 1e-5 < error < 2e-2
