"""A run that stops and goes on equals one that did not; which settings may change meanwhile."""

import csv
import json

import jax
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.loop import Trainer
from din_jax.training.measures import COLUMNS
from din_jax.weights.models import save_model

pytestmark = pytest.mark.slow  # every Trainer compiles its update, or reads it from the cache


@pytest.fixture(scope="module")
def tiny(tiny, changed):
    return changed(tiny, model={"levels": 1, "residuals": 0})


def assert_equal(a, b):
    """Bit for bit, structure included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


def rows(run) -> list[tuple[str, str, str]]:
    """metrics.csv without the one column that a clock decides."""
    with open(run / "metrics.csv", newline="") as file:
        return [tuple(row) for row in csv.reader(file) if not row[1].endswith(COLUMNS)]


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """Four steps at a stretch: the run, its state and its trainer."""
    run = tmp_path_factory.mktemp("whole")
    trainer = Trainer(tiny, run)
    state = trainer.train()
    # Nothing about the arrays changes from the first step to the second, weak types included.
    assert trainer._steps.compilations == trainer.validate.evaluate._cache_size() == 1
    return run, state, trainer


@pytest.fixture(scope="module")
def halves(tiny, changed, whole, tmp_path_factory):
    """Two steps, the end of the run, and then two more, for `steps` was raised."""
    run = tmp_path_factory.mktemp("halves")
    first = Trainer(changed(tiny, train={"steps": 2}), run)
    # The first half has the whole run's programs, what goes on from it makes its own.
    first._steps, first.validate = whole[2]._steps, whole[2].validate
    first.train()
    return run, Trainer(tiny, run).train()


def test_interrupted_run_equals_uninterrupted_run_bit_for_bit(whole, halves):
    assert int(halves[1].step) == 4
    assert_equal(whole[1], halves[1])


def test_interrupted_run_writes_the_same_metrics(whole, halves):
    assert rows(whole[0]) == rows(halves[0])
    steps = [int(row[0]) for row in rows(whole[0]) if row[1] == "train/total"]
    assert steps == [1, 2, 3, 4]
    steps = [int(row[0]) for row in rows(whole[0]) if row[1] == "validation/total"]
    assert steps == [0, 2, 4]


def test_finished_run_started_again_returns_at_once(tiny, whole):
    run, state, _ = whole
    before = rows(run)
    trainer = Trainer(tiny, run)
    trainer._steps = trainer.validate.evaluate = None  # neither is called
    again = trainer.train()
    assert_equal(state, again)
    assert rows(run) == before


def test_other_settings_in_the_same_directory_are_named_and_refused(tiny, changed, whole):
    run = whole[0]
    other = changed(tiny, optim={"learning_rate": 0.5}, model={"net_hidden": 5})
    stored = (run / "config.json").read_text()
    with pytest.raises(UserError) as error:
        Trainer(other, run)
    message = str(error.value)
    assert "optim.learning_rate was 0.001, now 0.5" in message
    assert "model.net_hidden was 4, now 5" in message
    assert "--workdir" in message and "seed" not in message
    assert (run / "config.json").read_text() == stored


def test_start_that_failed_before_a_checkpoint_claims_no_directory(
    tiny, changed, tmp_path, monkeypatch
):
    missing = changed(tiny, loss={"network": "vgg19", "weights": str(tmp_path / "nothing.pth")})
    with pytest.raises(UserError, match="VGG-19"):
        Trainer(missing, tmp_path / "run")
    Trainer(tiny, tmp_path / "run")  # the remedy that the message names
    assert json.loads((tmp_path / "run/config.json").read_text()) == tiny.to_dict()


def test_work_directory_that_is_a_file_is_refused_in_a_sentence(tiny, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="--workdir must be a folder"):
        Trainer(tiny, tmp_path / "run")


def test_initialize_takes_the_parameters_of_a_run_or_a_file(tiny, changed, whole, tmp_path):
    run, state, _ = whole
    file = save_model(tmp_path / "m.safetensors", tiny, state.variables, dtype="float32")
    trainer = Trainer(changed(tiny, train={"initialize": str(run)}), tmp_path / "new")
    fresh = trainer.initial_state()
    assert_equal(fresh.variables, state.variables)
    assert int(fresh.step) == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(fresh.opt_state))
    trainer.config = changed(tiny, train={"initialize": str(file)})
    assert_equal(trainer.initial_state().variables, state.variables)
    trainer.config = changed(tiny, train={"initialize": ""})
    other = trainer.initial_state().params["codes"]["level3"]["weight_net"]["first"]["kernel"]
    assert np.any(other != state.params["codes"]["level3"]["weight_net"]["first"]["kernel"])


def test_initialize_is_asked_for_before_anything_is_made(tiny, changed, tmp_path):
    with pytest.raises(UserError, match="no model 'nosuch'"):
        Trainer(changed(tiny, train={"initialize": "nosuch"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_resumed_needs_no_more_what_it_began_with(tiny, changed, whole, tmp_path):
    file = save_model(tmp_path / "m.safetensors", tiny, whole[1].variables, dtype="float32")
    config = changed(tiny, train={"initialize": str(file), "steps": 1})
    state = Trainer(config, tmp_path / "run").train()
    file.unlink()
    assert_equal(Trainer(config, tmp_path / "run").train().variables, state.variables)


def test_initialize_makes_a_network_deeper(tiny, changed, whole, tmp_path):
    config = changed(tiny, model={"residuals": 1}, train={"initialize": str(whole[0])})
    params = Trainer(config, tmp_path).initial_state().params
    assert not np.any(params["decoder"]["residuals"][0]["second"]["pointwise"]["norm"]["scale"])
    assert np.any(params["decoder"]["residuals"][0]["first"]["pointwise"]["conv"]["kernel"])
    assert_equal(params["decoder"]["output"], whole[1].params["decoder"]["output"])


def test_initialize_refuses_a_model_of_another_shape(tiny, changed, whole, tmp_path):
    config = changed(tiny, model={"net_hidden": 5}, train={"initialize": str(whole[0])})
    with pytest.raises(UserError, match=r"config\.train\.initialize.*other parameters") as error:
        Trainer(config, tmp_path).initial_state()
    assert str(whole[0]) in str(error.value)
