"""A batch in parts is the batch; a step that spikes changes nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.accumulation import accumulated
from din_jax.training.mesh import local_batch


def gradients(params, stats, batch):
    """Of a mean over pairs; the statistics count the calls, and remember the last mean."""

    def loss(params):
        each = jnp.square(batch["x"] @ params["w"] - batch["deep"]["y"])
        return each.mean(), {"total": each.mean()}

    gradient, metrics = jax.grad(loss, has_aux=True)(params)
    return gradient, metrics, {"calls": stats["calls"] + 1, "mean": batch["x"].mean()}


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_the_mean_of_the_parts_is_the_gradient_of_the_whole(parts):
    rng = np.random.default_rng(0)
    # Small whole numbers, whose sums no order rounds.
    x, y, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((12, 3), (12,), (3,)))
    batch, stats = {"x": x, "deep": {"y": y}}, {"calls": jnp.int32(0), "mean": jnp.float32(0)}
    function = jax.jit(accumulated(gradients, parts))
    gradient, metrics, after = function({"w": w}, stats, batch)
    errors = x @ w - y
    np.testing.assert_allclose(gradient["w"], 2 * errors @ x / 12, rtol=1e-6)
    np.testing.assert_allclose(metrics["total"], np.square(errors).mean(), rtol=1e-6)
    assert int(after["calls"]) == parts
    # Every parts-th pair makes a part, so that each device holds its share of every one.
    np.testing.assert_allclose(after["mean"], x[parts - 1 :: parts].mean(), rtol=1e-5)


def test_one_part_is_the_function_itself():
    assert accumulated(gradients, 1) is gradients


def test_devices_and_parts_divide_the_batch(monkeypatch, tiny, changed):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert local_batch(24, 3) == 24
    with pytest.raises(UserError, match=r"batch \(20\) must be .* 4 devices, in 2 parts each\."):
        local_batch(20, 2)
    with pytest.raises(UserError, match=r"accumulate \(3\) must divide the batch \(2\)\."):
        changed(tiny, train={"accumulate": 3})


@pytest.mark.slow
def test_a_step_in_parts_is_the_step_and_one_that_spikes_changes_its_number_alone(
    tiny, changed, make_parts, pictures
):
    model = {"code": "adain", "style_encoder": "content", "encoder_norm": "instance",
             "levels": 1, "residuals": 0}  # fmt: skip
    loss = {"content_layers": ("relu1_1",), "style_layers": ("relu1_1",)}
    config = changed(tiny, model=model, loss=loss, optim={"skip_above": 1e9})
    whole = make_parts(config)
    batch = pictures(0, count=4)
    state, metrics = whole.step(whole.state, batch, whole.vgg, {})
    norm = float(metrics["gradient_norm"])
    assert float(metrics["skipped"]) == 0 and int(state.step) == 1
    split = dataclasses.replace(config.train, batch=4, accumulate=2)
    split = dataclasses.replace(config, train=split)
    parts = make_parts(changed(split, optim={"skip_above": norm / 2}))
    same, skipped = parts.step(parts.state, batch, parts.vgg, {})
    for name in ("total", "content", "style", "style/relu1_1", "gradient_norm"):
        np.testing.assert_allclose(skipped[name], metrics[name], rtol=1e-5, err_msg=name)
    assert float(skipped["skipped"]) == 1
    expected = parts.state.replace(step=jnp.int32(1))
    jax.tree.map(np.testing.assert_array_equal, same, expected)
    kept = jax.tree.map(np.array_equal, state.params, same.params)
    assert not all(jax.tree.leaves(kept))
