"""Runs on pictures in memory: resumed bit for bit, and held to what they were started with."""

import dataclasses

import jax
import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.training.claims import claim_data, claim_run
from din_jax.training.feed import ResidentFeed
from din_jax.training.loop import Trainer
from din_jax.training.mesh import make_mesh
from din_jax.training.state import variables_of
from din_jax.training.validation import held_out
from din_jax.weights.models import load_model

pytestmark = pytest.mark.slow  # every Trainer compiles its update, or reads it from the cache


def write_pictures(folder, count: int):
    for i in range(count):
        rng = np.random.default_rng(i)
        coarse = rng.integers(0, 256, (6, 7, 3), np.uint8)
        save_image(folder / f"{i}.png", coarse.repeat(8, 0).repeat(8, 1))
    return folder


@pytest.fixture(scope="module")
def config(tiny, changed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pictures = str(write_pictures(folder / "pictures", 9))
    return changed(
        tiny,
        data={
            "content": pictures, "style": pictures, "validation": 3, "resize": 40,
            "resident": True, "kept_crops": 2, "kept_folder": str(folder / "kept"),
        },
        model={"levels": 1, "residuals": 0},
        optim={"average": 0.9},
        train={"steps_per_call": 3, "log_every": 2},
    )  # fmt: skip


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


@pytest.fixture(scope="module")
def halves(config, changed, tmp_path_factory):
    """Two steps, the end of the run, and then two more, for `steps` was raised."""
    run = tmp_path_factory.mktemp("halves")
    first = Trainer(changed(config, train={"steps": 2}), run)
    first.train()
    return run, Trainer(config, run).train(), first


def test_resumed_run_is_the_uninterrupted_one(config, halves, tmp_path):
    trainer = Trainer(config, tmp_path)
    # The programs of the first half; what went on from it made its own.
    trainer._steps, trainer.validate = halves[2]._steps, halves[2].validate
    whole = trainer.train()
    assert int(whole.step) == 4
    assert_equal(whole, halves[1])
    # What is saved for painting is the average, which lags behind the parameters.
    assert jax.tree.all(jax.tree.map(lambda a, p: (a != p).any(), whole.average, whole.params))
    assert whole.variables["params"] is whole.average


def test_what_is_validated_and_painted_with_is_the_average(halves):
    run, state, _ = halves
    assert_equal(variables_of(load_model(run, step=4).model)["params"], state.average)


def test_fresh_crops_follow_from_the_step(config, changed):
    feed = ResidentFeed(changed(config, data={"kept_crops": 0}), make_mesh(), None, {})
    draw = jax.jit(feed.draw)
    first, again, later = (draw(feed.arrays, {}, 0, step) for step in (5, 5, 6))
    assert first["content"].shape == (2, 32, 32, 3) and "targets" not in first
    assert_equal(first, again)
    assert all((first[kind] != later[kind]).any() for kind in ("content", "style"))


def test_each_held_out_pair_counts_once(config):
    ((count, batch),) = held_out(
        dataclasses.replace(config, data=dataclasses.replace(config.data, validation=1))
    )
    assert count == 1 and len(batch["content"]) == jax.device_count()


def make_checkpoint(run):
    (run / "checkpoints" / "2").mkdir(parents=True)


def test_cosine_keeps_its_last_step(config, changed, tmp_path):
    cosine = changed(config, optim={"decay": "cosine"})
    claim_run(tmp_path, cosine)
    make_checkpoint(tmp_path)
    with pytest.raises(UserError, match="train.steps was 4, now 8"):
        claim_run(tmp_path, changed(cosine, train={"steps": 8}))
    constant = changed(cosine, optim={"decay": "constant"})
    claim_run(tmp_path / "constant", constant)
    make_checkpoint(tmp_path / "constant")
    claim_run(tmp_path / "constant", changed(constant, train={"steps": 8}))


def test_a_run_that_is_further_than_asked_is_refused(config, changed, halves):
    with pytest.raises(UserError, match="is at step 4 already, past config.train.steps=1"):
        Trainer(changed(config, train={"steps": 1}), halves[0]).train()


def test_other_pictures_are_noticed(config, changed, tmp_path):
    folder = write_pictures(tmp_path / "pictures", 9)
    data = dataclasses.replace(config.data, content=str(folder))
    claim_data(tmp_path / "run", data)
    make_checkpoint(tmp_path / "run")
    claim_data(tmp_path / "run", data)
    moved = folder.rename(tmp_path / "moved")
    data = dataclasses.replace(data, content=str(moved))
    claim_data(tmp_path / "run", data)
    note = tmp_path / "run" / "data.json"
    good = note.read_text()
    note.write_text(good[:40])
    with pytest.raises(UserError, match="data.json' is damaged: remove it"):
        claim_data(tmp_path / "run", data)
    note.write_text(good)
    write_pictures(moved, 11)
    with pytest.raises(UserError, match="started with 8 content pictures, and there are 9 of"):
        claim_data(tmp_path / "run", data)
