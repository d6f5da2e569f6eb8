"""AdaIN (Huang & Belongie 2017, "Arbitrary Style Transfer in Real-time with AdaIN").

    t = sigma(f(s)) (f(c) - mu(f(c))) / sigma(f(c)) + mu(f(s)),   T(c, s) = g((1 - a) f(c) + a t)

(eqs. 8, 9 and 14), f VGG-19 to relu4_1, g the decoder that they trained and published. Here it is
the styled layer: instance norm behind which a depthwise 1x1 dynamic convolution takes the style's
deviations for its kernel and the means for its bias.
"""

from jax import Array

from din_jax.evaluation.rivals.networks import Networks
from din_jax.layers.codes import statistics_code
from din_jax.layers.normalizers import Instance
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform

LAYER = "relu4_1"
STYLED = StyledLayer(Instance(), KernelTransform())


def paint(networks: Networks, content: Array, style: Array, *, strength: float = 1.0) -> Array:
    """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1], sides multiples of 8; not clipped.

    Args:
      networks: with a decoder of relu4_1.
      content, style: the pair.
      strength: a, from 0 to 1.

    Returns:
      [1, H, W, 3].
    """
    own, other = (networks.encode(x, (LAYER,))[LAYER] for x in (content, style))
    styled = STYLED(own, statistics_code(other))
    return networks.decode((1 - strength) * own + strength * styled, LAYER)
