"""Codes fitted to their pictures: what is minimized, what stays as it is, what is refused."""

import dataclasses
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.inference.engine import Engine
from din_jax.models.vgg import vgg_features
from din_jax.training.tuning import Tuner, Tuning, loss_of
from din_jax.weights import vgg19_of
from din_jax.weights.models import load_model, save_model
from din_jax.weights.torch_names import model_shapes

TINY = runpy.run_path(str(Path(__file__).with_name("tiny.py")))["TINY"]
QUICK = Tuning(rate=2e-2, batch=2, crops=8)


def arrays_of(config):
    rng = np.random.default_rng(3)
    return {
        name: 1 + 0.1 * np.abs(rng.standard_normal(shape))
        if name.endswith(("scale", "var"))
        else rng.standard_normal(shape) / 3
        for name, shape in model_shapes(config.model).items()
    }


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    return load_model(save_model(path, TINY, arrays_of(TINY), dtype="float32"))


@pytest.fixture(scope="module")
def engine(loaded):
    return Engine(loaded, style_size=0, batch=1)


@pytest.fixture(scope="module")
def tuner(loaded):
    return Tuner(loaded, tuning=QUICK)


@pytest.fixture(scope="module")
def style():
    return np.random.default_rng(5).integers(0, 256, (40, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def code(engine, style):
    return engine.encode_style([style])


@pytest.fixture(scope="module")
def tuned(tuner, style, code):
    return tuner(style, code, 40)


def test_tuning_lowers_the_loss_on_contents_that_it_did_not_see(tuned):
    assert tuned.improved
    assert tuned.after["total"] < 0.9 * tuned.before["total"]


def test_what_it_reports_is_the_loss_of_the_pictures_that_the_engine_paints(
    loaded, tuner, style, code, tuned
):
    """By numpy, over one crop at a time; the engine rounds pictures to 8 bits."""
    config = TINY.loss
    vgg = vgg19_of(TINY, {*config.content_layers, *config.style_layers})
    layers = sorted({*config.content_layers, *config.style_layers})

    def features(picture):
        images = jnp.asarray(picture[None], jnp.float32) / 255
        found = vgg_features(vgg.params, vgg.preprocessing, images, layers)
        return {name: np.asarray(x[0], np.float64) for name, x in found.items()}

    def difference(a, b):
        axes = (0, 1)
        return ((a.mean(axes) - b.mean(axes)) ** 2 + (a.std(axes) - b.std(axes)) ** 2).mean()

    engine = Engine(loaded, style_size=0, batch=1)
    aim = features(style)
    for found, by in ((tuned.before, code), (tuned.after, tuned.code)):
        losses = []
        for content in tuner._crops[-1]:
            (painted,) = engine.stylize([content], by)
            own, other = features(painted), features(content)
            losses.append((
                np.mean([((own[k] - other[k]) ** 2).mean() for k in config.content_layers]),
                np.mean([difference(own[k], aim[k]) for k in config.style_layers]),
            ))  # fmt: skip
        content_loss, style_loss = np.mean(losses, 0)
        np.testing.assert_allclose(found["content"], content_loss, rtol=0.01)
        np.testing.assert_allclose(found["style"], style_loss, rtol=0.01)
        total = content_loss + config.style_weight * style_loss
        np.testing.assert_allclose(found["total"], total, rtol=0.01)


def test_the_model_and_the_given_code_stay_as_they_are(loaded, engine, style, code, tuned):
    again = engine.encode_style([style])
    jax.tree.map(np.testing.assert_array_equal, again, code)
    assert jax.tree.map(np.shape, tuned.code) == jax.tree.map(np.shape, code)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(tuned.code))
    assert any(
        (a != b).any() for a, b in zip(*map(jax.tree.leaves, (tuned.code, code)), strict=True)
    )


def test_a_code_that_gains_nothing_is_given_back(loaded, style, code):
    found = Tuner(loaded, tuning=dataclasses.replace(QUICK, rate=0.0))(style, code, 2)
    assert not found.improved and found.before == found.after
    assert found.code is code


def test_the_style_weight_is_the_losses(loaded, style, code, tuned):
    other = Tuner(loaded, style_weight=0.0, tuning=QUICK)(style, code, 40)
    assert other.after["content"] < tuned.after["content"]
    for losses in other[1:]:
        np.testing.assert_allclose(losses["total"], losses["content"], rtol=1e-6)


def test_programs_of_styles_of_other_sizes_are_not_kept(tuner, engine):
    for height in (33, 34, 35):
        style = np.random.default_rng(height).integers(0, 256, (height, 40, 3), np.uint8)
        tuner(style, engine.encode_style([style]), 1)
    assert tuner._style_targets._cache_size() == 1


def test_the_losses_of_every_step_are_told(tuner, style, code):
    told = []
    tuner(style, code, 3, lambda step, losses: told.append((step, set(losses))))
    assert told == [(i, {"content", "style", "total"}) for i in range(3)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"code": "adain", "style_encoder": "content"},
        {"transform": "spatial", "spatial_grid": 4},
        {"transform": "deformable", "dynamic_kernel": 3},
    ],
    ids=["din", "adain", "spatial", "deformable"],
)
def test_small_steps_lower_the_loss_of_what_they_saw_in_every_method(changes, style, tmp_path):
    config = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, **changes))
    path = save_model(tmp_path / "other.safetensors", config, arrays_of(config), dtype="float32")
    loaded = load_model(path)
    code = Engine(loaded, style_size=0, batch=1).encode_style([style])
    totals = []
    tuner = Tuner(loaded, tuning=Tuning(rate=1e-4, batch=2, crops=4))  # a batch, one held out
    tuner(style, code, 3, lambda step, losses: totals.append(losses["total"]))
    assert totals[0] > totals[1] > totals[2]


def test_one_style_at_a_time_and_a_step_at_least(tuner, style, code):
    two = jax.tree.map(lambda x: np.concatenate([x, x]), code)
    with pytest.raises(UserError, match="one style at a time"):
        tuner(style, two, 1)
    with pytest.raises(UserError, match="at least one step"):
        tuner(style, code, 0)


def test_what_one_style_does_not_have_is_left_out_of_the_loss():
    loss = dataclasses.replace(TINY.loss, contrast_weight=5.0, style_weight=7.0)
    found = loss_of(dataclasses.replace(TINY, loss=loss))
    assert (found.contrast_weight, found.style_weight) == (0, 7)
    assert loss_of(TINY, 3.0).style_weight == 3


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_style_weight_is_a_number_from_zero_on(loaded, weight):
    with pytest.raises(UserError, match="style weight must be 0 or more"):
        Tuner(loaded, style_weight=weight, tuning=QUICK)
