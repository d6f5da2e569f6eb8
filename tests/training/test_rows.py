"""A new style's row trained alone: all else stands bit for bit (Dumoulin et al. 2017)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.rows import only_rows, rows_alone, with_rows
from din_jax.training.step import style_input

STYLES = ("old", "new", "older")
TABLE = {"code": "cin", "style_encoder": "none", "styles": STYLES}
ONLY = {"only_styles": ("new",)}


@pytest.fixture(scope="module")
def config(tiny, changed):
    return changed(tiny, model=TABLE, train=ONLY, optim={"average": 0.9})


@pytest.mark.slow
def test_everything_but_the_row_stands_bit_for_bit(config, make_parts, pictures):
    parts = make_parts(config)
    # Batches count the styles that are trained: number 0 is row 1.
    batch = pictures(0) | {"style_number": np.zeros(2, np.int32)}
    rng = np.random.default_rng(0)

    def moved(x):
        return x + jnp.asarray(rng.uniform(0.1, 1, x.shape), x.dtype)

    state = parts.state
    params = state.params | {"codes": jax.tree.map(moved, state.params["codes"])}
    stats = jax.tree.map(moved, state.batch_stats)
    state = state.replace(params=params, batch_stats=stats, average=jax.tree.map(jnp.array, params))
    after = state
    for _ in range(2):
        after, metrics = parts.step(after, batch, parts.vgg, {})
    assert np.isfinite(metrics["total"]) and int(after.step) == 2
    assert jax.tree.leaves(after.batch_stats), "running statistics are there to stand"
    changed = []
    for kept in ("params", "average", "batch_stats"):
        pairs = zip(
            jax.tree_util.tree_leaves_with_path(getattr(state, kept)),
            jax.tree.leaves(getattr(after, kept)),
            strict=True,
        )
        for (path, before), now in pairs:
            same = np.asarray(before) == np.asarray(now)
            name = path[-1].key
            if name in ("weight_table", "bias_table"):
                assert same[[0, 2]].all(), (kept, path)
                changed.append(not same[1].any())
            else:
                assert same.all(), (kept, path)
    assert len(changed) == 12 and all(changed), "both tables of three levels, and their averages"


def test_the_model_is_asked_for_the_row_that_a_batch_counts(config, changed):
    batch = {"style_number": np.zeros(2, np.int32)}
    np.testing.assert_array_equal(style_input(batch, None, config), [1, 1])
    all_of_them = changed(config, train={"only_styles": ()})
    np.testing.assert_array_equal(style_input(batch, None, all_of_them), [0, 0])
    assert all_of_them.trained_styles == STYLES and config.trained_styles == ("new",)
    assert rows_alone(all_of_them) is None


def test_without_rows_all_is_new():
    new, old = {"a": jnp.ones(2)}, {"a": jnp.zeros(2)}
    assert only_rows(new, old, None) is new


def test_tables_grow_by_name_and_begin_at_the_mean():
    table = jnp.asarray([[1.0, 2.0], [3.0, 6.0]])
    params = {"codes": {"level3": {"weight_table": table}}, "decoder": {"kernel": table}}
    grown = with_rows({"params": params, "batch_stats": {}}, ("a", "b"), ("b", "c", "a"))["params"]
    found = grown["codes"]["level3"]["weight_table"]
    np.testing.assert_array_equal(found, [[3, 6], [2, 4], [1, 2]])
    np.testing.assert_array_equal(grown["decoder"]["kernel"], table)


@pytest.mark.parametrize("only", [("nobody",), ("new", "new")])
def test_styles_that_the_table_has_not_are_refused(only, tiny, changed):
    with pytest.raises(UserError, match=r"only_styles must be styles of config\.model\.styles"):
        changed(tiny, model=TABLE, train={"only_styles": only})
