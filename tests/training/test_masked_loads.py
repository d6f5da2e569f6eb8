"""What an update and a picture run holds no masked load (docs/SLOW_STATE.md)."""

import functools
import re

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from din_jax.inference.fold import for_inference
from din_jax.inference.frames import pieces, reflected
from din_jax.inference.programs import encode, stylize
from din_jax.models.style_encoders import MAP_CHANNELS, MobileNetFeatures
from din_jax.tools.masked_loads import masked_loads
from din_jax.training.optimizer import make_optimizer
from din_jax.training.step import make_train_step

PORTABLE = {
    "widths": (8, 16, 32),
    "separable": True,
    "style_feature": "statistics",
    "decoder_norm": "batch",
    "net_pool": 1,
}


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """The forms that users get, in the place of the other tests' choice."""


@pytest.fixture(scope="module", autouse=True)
def small_style_encoder():
    """Two of the style encoder's five blocks: the others are of the same two kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MobileNetFeatures, "CHANNELS", (32, 64, MAP_CHANNELS))
        patch.setattr(MobileNetFeatures, "STRIDES", (2, 1, 2))
        yield


@pytest.fixture(scope="module")
def portable(make_parts, changed, tiny):
    return make_parts(changed(tiny, model=PORTABLE))


def of_each_kind(params) -> dict:
    """"moves" at one parameter of each kind (block, layer and name), else "stands"."""
    seen = set()

    def label(path, _):
        kind = re.sub(r"\d", "", jax.tree_util.keystr(path[-3:]))
        return "stands" if kind in seen or seen.add(kind) else "moves"

    return jax.tree_util.tree_map_with_path(label, params)


@pytest.mark.slow
def test_an_update_has_none(portable):
    """All of the gradient; of Adam, whose kernels are a third of all, one of each kind."""
    params = portable.state.params
    whole = make_optimizer(portable.config.optim, 100)
    optimizer = optax.multi_transform(
        {"moves": whole, "stands": optax.set_to_zero()}, of_each_kind(params)
    )
    step = make_train_step(portable.network, portable.objective, optimizer, portable.config)
    state = portable.state.replace(opt_state=jax.eval_shape(optimizer.init, params))
    assert masked_loads(step, state, portable.batch, portable.vgg, {}) == {}


@pytest.mark.slow
@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_a_picture_has_none(portable, products):
    model = portable.network.module(
        portable.state.params, portable.state.batch_stats, {}, training=False
    )
    graph, state = nnx.split(for_inference(model, products))
    state = nnx.to_pure_dict(state)
    frame = reflected(np.zeros((48, 40, 3), np.uint8), 1, 32)
    cut = pieces([frame], [frame.whole()], frame.shape, exact=True)
    images, rest = cut.images, cut._replace(images=None)
    assert masked_loads(lambda *args: encode(graph, *args), state, images) == {}
    code = jax.eval_shape(lambda *args: encode(graph, *args), state, images)
    painted = functools.partial(stylize, graph, "float32", False)
    assert masked_loads(painted, images, rest, state, code) == {}
    cut = pieces([frame], [frame.whole()], frame.shape)
    held = cut._replace(images=None)
    assert masked_loads(painted, images, held, state, code) == {}
