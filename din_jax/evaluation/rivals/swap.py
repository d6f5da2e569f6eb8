"""Chen & Schmidt 2016, "Fast Patch-based Style Transfer of Arbitrary Style".

    Phi_ss = style swap of Phi(C) by Phi(S)      (section 3, `ops.swapping`; Phi is relu3_1)
    I = argmin ||Phi(I) - Phi_ss||^2 + lambda TV(I)  (section 3),  or  inverse_net(Phi_ss)

`paint` takes the inverse network, here a decoder trained to give pictures back (their section 4
trains theirs with swapped features too); `Optimized` finds the pixels and needs no training.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.evaluation.rivals.networks import Networks
from din_jax.evaluation.rivals.optimization import Minimizer
from din_jax.ops.swapping import style_swap

LAYER = "relu3_1"
PATCH = 3  # pixels of the map


def swapped(networks: Networks, content: Array, style: Array) -> Array:
    """Phi_ss of images in [0, 1]: [1, H / 4, W / 4, 256]."""
    own, other = (networks.encode(x, (LAYER,))[LAYER] for x in (content, style))
    return style_swap(own, other, PATCH)


def paint(networks: Networks, content: Array, style: Array) -> Array:
    """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1], sides multiples of 4; not clipped."""
    return networks.decode(swapped(networks, content, style), LAYER)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the search for pixels.

    The weight of the total variation is on the mean of squares, as that of the features is: their
    lambda is on sums.
    """

    steps: int = 60
    variation_weight: float = 1.0


def loss(settings: Settings, given: tuple[Networks, Array], image: Array) -> Array:
    """What is minimized, of an image, both terms as means; `given` is (networks, Phi_ss)."""
    networks, target = given
    found = networks.encode(image, (LAYER,))[LAYER]
    down, across = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]
    variation = jnp.square(down).mean() + jnp.square(across).mean()
    return jnp.square(found - target).mean() + settings.variation_weight * variation


class Optimized:
    """Paints by optimization towards the swapped features.

    It starts from one color, the style's mean. From the content, flat areas keep the content's own
    colors, which relu3_1 hardly sees: after 60 steps a meadow was green where the swapped features
    are of a beige sky, and the loss 0.775 where it is 0.695 from the mean.
    """

    def __init__(self, settings: Settings = Settings()):
        self.settings = settings
        self._target = jax.jit(swapped)
        self._minimize = Minimizer(lambda given, x: loss(settings, given, x), settings.steps)

    def __call__(self, networks: Networks, content: Array, style: Array) -> Array:
        """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1]; the painted one, not clipped."""
        target = self._target(networks, content, style)
        mean = jnp.asarray(style).mean((1, 2), keepdims=True)
        return self._minimize((networks, target), jnp.broadcast_to(mean, content.shape))[0]
