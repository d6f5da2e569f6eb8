"""Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".

The pixels themselves are found, by L-BFGS, as the least of

    L = a L_content + b sum_l w_l E_l                                            (eqs. 5 and 7)
    L_content = 1/2 mean (F_l - P_l)^2,   E_l = 1/(4 N_l^2) sum (G_l - A_l)^2     (eqs. 1 and 4)

with Gram matrices G = F F^T / M over the M positions, so that content and style may differ in size,
and w_l = 1 / (number of style layers). Here the mean over features stands where eq. 1 has the sum,
so that a / b means the same at every size. The VGG-19 files of the other methods end at relu4_1:
style is relu1_1 to relu4_1 where the paper has relu5_1 too, content relu4_1 where it has relu4_2;
max pooling as in the other methods, where the paper liked average pooling better.
"""

import dataclasses

import jax
import numpy as np
from jax import Array

from din_jax.config import STYLE_LAYERS
from din_jax.evaluation.rivals.networks import Networks
from din_jax.evaluation.rivals.optimization import Minimizer
from din_jax.losses import content_loss, gram_loss, gram_matrices


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a picture is looked for; the start is the content (the paper's figure 6: so or noise)."""

    steps: int = 60
    content_layer: str = "relu4_1"
    style_layers: tuple[str, ...] = STYLE_LAYERS
    style_weight: float = 30.0  # b / a; chosen by eye among 10, 30 and 100, see docs/RESULTS.md
    noise: bool = False  # start from white noise
    seed: int = 0


def loss(settings: Settings, given: tuple, image: Array) -> Array:
    """L / a of images [1, H, W, 3]; `given` is (networks, content features, style's Grams)."""
    networks, content, style = given
    features = networks.encode(image, sorted({settings.content_layer, *settings.style_layers}))
    own = content_loss(features, content, (settings.content_layer,))
    grams = gram_loss(gram_matrices(features, settings.style_layers), style)
    # The shared Gram matrix is divided by the N channels too: N^2 / 4 of its mean of squares.
    parts = [style[name].shape[-1] ** 2 / 4 * grams[name] for name in settings.style_layers]
    return own[settings.content_layer] / 2 + settings.style_weight * sum(parts) / len(parts)


class Gatys:
    """Paints by optimization; programs are compiled once for each pair of sizes."""

    def __init__(self, settings: Settings = Settings()):
        self.settings = settings
        self._content = jax.jit(lambda networks, x: networks.encode(x, (settings.content_layer,)))
        self._style = jax.jit(
            lambda networks, x: gram_matrices(
                networks.encode(x, settings.style_layers), settings.style_layers
            )
        )
        self._minimize = Minimizer(lambda given, x: loss(settings, given, x), settings.steps)

    def __call__(self, networks: Networks, content: Array, style: Array) -> Array:
        """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1]; the painted one, not clipped."""
        return self.found(networks, content, style)[0]

    def found(self, networks: Networks, content: Array, style: Array) -> tuple[Array, np.ndarray]:
        """The painted image, and L / a before each step."""
        given = networks, self._content(networks, content), self._style(networks, style)
        start = content
        if self.settings.noise:
            rng = np.random.default_rng(self.settings.seed)
            start = rng.uniform(0, 1, content.shape).astype(np.float32)
        return self._minimize(given, jax.numpy.asarray(start))
