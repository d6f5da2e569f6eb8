"""What `conftest.py` sets with DIN_STRICT=1 holds: types and ranks are promoted nowhere."""

import os

import jax
import jax.numpy as jnp
import pytest

pytestmark = pytest.mark.skipif(
    os.environ.get("DIN_STRICT") != "1", reason="DIN_STRICT=1 makes promotion an error"
)


def test_types_are_not_promoted():
    with pytest.raises(jax.dtypes.TypePromotionError):
        jnp.ones(2, jnp.bfloat16) + jnp.ones(2)
    assert (jnp.ones(2, jnp.bfloat16) + 1).dtype == jnp.bfloat16


def test_ranks_are_not_promoted():
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((1, 2)) + jnp.ones(2)
