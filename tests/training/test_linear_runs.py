"""The linear transformation learns: a few steps of the tiny run with both of its halves."""

import dataclasses

import jax
import numpy as np
import pytest

from din_jax.training.optimizer import parameter_labels

LINEAR = {
    "code": "linear",
    "style_encoder": "content",
    "normalizer": "linear",
    "encoder_norm": "none",
    "decoder_norm": "none",
    "linear_rank": 3,
}


@pytest.mark.slow
def test_a_few_steps_teach_both_halves(tiny, changed, make_parts):
    config = changed(tiny, model=LINEAR, optim={"warmup": 0})
    parts = make_parts(config)
    labels = parameter_labels(parts.state.params)
    for half in ("codes", "normalizers"):
        net = labels[half]["level3"]["net"]
        assert set(jax.tree.leaves(net["weight_net"])) == {"dynamic"}
        assert net["in_basis"] == net["out_basis"] == "base"
    # `draw_state` leaves at zero what is no kernel: the bases would have no gradient.
    rng = np.random.default_rng(1)

    def drawn(path, x):
        if path[-1].key not in ("in_basis", "out_basis"):
            return x
        return jax.numpy.asarray(rng.normal(0, 0.5, x.shape), x.dtype)

    params = jax.tree_util.tree_map_with_path(drawn, parts.state.params)
    state = first = dataclasses.replace(parts.state, params=params)
    totals = []
    for _ in range(8):
        state, metrics = parts.step(state, parts.batch, parts.vgg, {})
        totals.append(float(metrics["total"]))
    assert np.isfinite(totals).all() and totals[-1] < totals[0]
    assert float(metrics["kernel_spread/level3"]) > 0, "two styles, two matrices"
    for half in ("codes", "normalizers"):
        for level in ("level1", "level2", "level3"):
            before, after = (s.params[half][level] for s in (first, state))
            moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
            assert all(jax.tree.leaves(moved)), (half, level, moved)
