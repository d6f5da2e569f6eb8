"""What `conftest.py` sets holds: types and ranks are promoted nowhere in the suite."""

import jax
import jax.numpy as jnp
import pytest


def test_types_are_not_promoted():
    with pytest.raises(jax.dtypes.TypePromotionError):
        jnp.ones(2, jnp.bfloat16) + jnp.ones(2)
    assert (jnp.ones(2, jnp.bfloat16) + 1).dtype == jnp.bfloat16


def test_ranks_are_not_promoted():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((1, 2)) + jnp.ones(2)
