"""Many steps in one call: the same as one after the other, in both of its forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.training.calls import Steps
from din_jax.training.mesh import make_mesh, replicated
from din_jax.training.state import TrainState


def step(state, batch, vgg, frozen, allowed=True):
    """x <- x + batch, unless a number of the batch is not finite."""
    x = state.params["x"] + batch
    good = jnp.isfinite(x).all() & allowed
    new = state.replace(step=state.step + 1, params={"x": x})
    new = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, state)
    return new, {"sum": batch.sum(), "one": jnp.ones(())}


def draw(arrays, taken, i, number):
    return arrays[number] + taken[i]


def start() -> TrainState:
    return TrainState(jnp.zeros((), jnp.int32), {"x": jnp.zeros(2)}, {}, {})


@pytest.fixture(params=[True, False], ids=["loop", "one by one"])
def steps(request):
    return Steps(step, draw, loop=request.param)


def test_steps_follow_each_other_on_their_own_batches(steps):
    arrays, taken = jnp.arange(20.0).reshape(10, 2), jnp.full((3, 2), 0.5)
    state, sums, done = steps(start(), 3, taken, arrays, {}, {})
    np.testing.assert_array_equal(state.params["x"], [0 + 2 + 4 + 1.5, 1 + 3 + 5 + 1.5])
    assert int(state.step) == int(done) == 3
    assert float(sums["sum"]) == 15 + 3 and float(sums["one"]) == 3
    state, sums, done = steps(state, 2, taken, arrays, {}, {})
    np.testing.assert_array_equal(state.params["x"], [7.5 + 6 + 8 + 1, 10.5 + 7 + 9 + 1])
    assert int(state.step) == 5 and int(done) == 2


def test_another_count_is_the_same_program(steps):
    arrays, taken = jnp.ones((10, 2)), jnp.zeros((5, 2))
    state = start()
    for count in (1, 4, 2):
        state, _, _ = steps(state, count, taken, arrays, {}, {})
    assert int(state.step) == 7 and steps.compilations == 1


@pytest.mark.parametrize("loop", [True, False])
def test_a_step_is_traced_once(loop):
    """On a mesh, as a trainer's is: tracing a whole update takes seconds."""
    traced, whole = [], replicated(make_mesh())

    def counted(*arguments, **options):
        traced.append(1)
        return step(*arguments, **options)

    arrays, taken, state = jax.device_put((jnp.ones((10, 2)), jnp.zeros((5, 2)), start()), whole)
    steps = Steps(counted, draw, whole, whole, loop=loop)
    for _ in range(2):
        state, _, _ = steps(state, 2, taken, arrays, {}, {})
    assert int(state.step) == 4 and len(traced) == 1


def test_nothing_happens_after_a_step_that_is_not_finite(steps):
    arrays, taken = jnp.ones((10, 2)).at[2].set(jnp.nan), jnp.zeros((5, 2))
    state, sums, done = steps(start(), 5, taken, arrays, {}, {})
    np.testing.assert_array_equal(state.params["x"], [2, 2])
    assert int(state.step) == int(done) == 2
    assert float(sums["sum"]) == 4 and float(sums["one"]) == 2


def test_what_comes_from_the_host_unasked_is_noticed(steps):
    """By the transfer guard that `conftest.py` holds over every step."""
    arrays, on_the_host = jnp.ones((10, 2)), np.zeros((5, 2), np.float32)
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        steps(start(), 1, on_the_host, arrays, {}, {})
