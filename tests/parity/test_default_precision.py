"""The layers are also held in the precision that inference runs with."""

import jax
import jax.numpy as jnp
import pytest

from parity import measure
from parity.measure import Row


def says_highest() -> bool:
    """Whether a product that is compiled now would have the highest precision."""
    return "HIGHEST" in jax.jit(lambda x: x @ x).lower(jnp.ones((2, 2))).as_text()


@pytest.mark.parametrize(("backend", "held"), [("cpu", 1e-4), ("gpu", 1e-2)])
def test_rows_are_computed_in_the_default_and_held_as_the_backend_can(monkeypatch, backend, held):
    seen = []

    def rows():
        seen.append(says_highest())
        yield Row("a", "held", 1e-3, 1e-3, 1e-3, 1e-4)
        yield Row("a", "told", 1.0, 1.0, 1.0, None)

    monkeypatch.setattr(measure.jax, "default_backend", lambda: backend)
    with jax.default_matmul_precision("highest"):
        of, told = measure.in_default_precision(rows)
        assert says_highest()
    assert seen == [False]
    assert of.tolerance == pytest.approx(held) and of.passed == (backend == "gpu")
    assert told.tolerance is None
