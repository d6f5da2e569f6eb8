"""Training with a table of known styles: each batch teaches the rows of its own styles."""

import jax
import numpy as np
import pytest

from din_jax.training.step import make_eval_step
from din_jax.training.validation import held_out

STYLES = tuple(f"SyntheticStyle {i}" for i in range(3))
TABLE = {"code": "cin", "style_encoder": "none", "styles": STYLES}


@pytest.fixture(scope="module")
def config(tiny, changed):
    return changed(tiny, model=TABLE, data={"resize": 48, "validation": 4})


@pytest.fixture(scope="module")
def table(config, make_parts, pictures):
    """The parts of a run, and a batch of the styles 2 and 0."""
    made = make_parts(config)
    made.batch = pictures(0) | {"style_number": np.asarray([2, 0], np.int32)}
    return made


@pytest.mark.slow
def test_a_step_moves_the_rows_of_its_styles_alone(table):
    # draw_state fills arrays by name; a table starts as plain normalization.
    codes = jax.tree.map(lambda x: x + 1, table.state.params["codes"])
    state = table.state.replace(params=table.state.params | {"codes": codes})
    after, metrics = table.step(state, table.batch, table.vgg, {})
    assert np.isfinite(metrics["total"]) and "descriptor" not in metrics
    for name, level in after.params["codes"].items():
        for key, rows in level.items():
            moved = np.abs(np.asarray(rows) - codes[name][key]).max(1)
            assert (moved > 0).tolist() == [True, False, True], (name, key)


@pytest.mark.slow
def test_evaluation_paints_by_number(table):
    evaluate = jax.jit(make_eval_step(table.network, table.objective, table.config))
    metrics, stylized = evaluate(table.state.variables, table.batch, table.vgg, {})
    assert np.isfinite(metrics["total"]).all() and stylized.shape == (2, 32, 32, 3)
    assert not any(name.startswith("dead_units") for name in metrics)
    unknown = table.batch | {"style_number": np.asarray([0, 3], np.int32)}
    total = evaluate(table.state.variables, unknown, table.vgg, {})[0]["total"]
    assert np.isnan(total).tolist() == [False, True]


def test_held_out_pairs_carry_their_style_numbers(config):
    ((count, batch),) = held_out(config)
    assert count == 4
    assert set(batch["style_number"]) <= {0, 1, 2} and len(batch["style"]) == 4
