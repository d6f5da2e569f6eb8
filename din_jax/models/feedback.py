"""Codes corrected by what they paint: nets look at their pictures and add what is missing.

With f the style statistics that the nets read, g the content network and r a few kept pictures,

    D_0 = 0,    c_t = nets(f(s), D_t),    D_{t+1} = D_t + f(s) - mean over r of f(g(r; c_t))

and the code of style s is c_T. D sums up what earlier codes lacked, as the integral part of a
controller does. No gradient runs through it: each round takes the last one's pictures as given.
Encoders of GANs that see their own reconstruction work so (Alaluf et al. 2021, "ReStyle", section
3); here what is seen is a vector of statistics, so that a linear layer reads it.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from din_jax.data.drawn.synthetic import SCENES
from din_jax.layers.codes import StyleCode
from din_jax.layers.nets import beside

SIDE = 64  # px, of the pictures that are painted to look at
KINDS = 4  # one each of the first scenes


class Feedback(nnx.Module):
    """The rounds of a model, and the pictures that it paints in them.

    Args:
      rounds: T, at least 1.

    Attributes:
      pictures: [R, 64, 64, 3], RGB in [0, 1]; drawn scenes, kept with the model's arrays, so that a
        model reads styles alike wherever it is loaded.
    """

    def __init__(self, rounds: int):
        self.rounds = rounds
        self.pictures = nnx.BatchStat(jnp.asarray(_scenes()))

    def __call__(self, model, features: Array) -> StyleCode:
        """The code of styles whose statistics are `features`, [B, 1, 1, I]."""
        still = at_rest(model)
        read = jax.lax.stop_gradient(features)
        missing = jnp.zeros_like(read)
        for _ in range(self.rounds):
            code = jax.lax.stop_gradient(still.code_of(beside(read, missing)))
            missing += read - jax.lax.stop_gradient(self._seen(still, code))
        return model.code_of(beside(features, missing))

    def _seen(self, model, code: StyleCode) -> Array:
        """f of what each code of a batch paints, [B, 1, 1, I], the mean over the pictures."""
        pictures = self.pictures[...]
        # The number of styles may be a symbol, in a program for any: shapes, and no `len`.
        styles, count = jax.tree.leaves(code)[0].shape[0], pictures.shape[0]

        def pairs(x: Array) -> Array:  # [B or 1, R or 1, ...] to [B R, ...]
            shape = x.shape[2:]
            return jnp.broadcast_to(x, (styles, count, *shape)).reshape(styles * count, *shape)

        contents = pairs(pictures[None])
        each = jax.tree.map(lambda x: pairs(x[:, None]), code)
        painted = jnp.clip(model.stylize(contents, each), 0, 1)
        found = model.style_features(painted)
        return found.reshape(styles, count, *found.shape[1:]).mean(1)


def at_rest(model: nnx.Module) -> nnx.Module:
    """The same arrays in eval mode, so that a pass moves no running statistic."""
    still = nnx.merge(*nnx.split(model))
    still.eval()
    return still


@functools.cache
def _scenes() -> np.ndarray:
    """Float32 [R, 64, 64, 3]: the same for all."""
    scenes = enumerate(SCENES[:KINDS])
    drawn = [draw(np.random.default_rng([2021, kind]), SIDE) for kind, draw in scenes]
    return np.stack(drawn).astype(np.float32) / 255
