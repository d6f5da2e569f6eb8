"""The style decorator of Avatar-Net (Sheng et al. 2018, "Avatar-Net: Multi-scale Zero-shot ...").

    z_c, z_s = whitened features of content and style
    z_cs = style swap of z_c by z_s,    f_cs = cov_s^(1/2) z_cs + mu_s       (section 3.1)

AdaIN and WCT keep where the content's features lie and change their statistics, style swap keeps
the style's patches and finds none for what looks otherwise; whitened, both maps have one
distribution, and every patch has its like. Their decoder is an hourglass that takes the style's
features of shallower layers in by AdaIN, and is trained so; here the picture is made by the
decoder that the other methods have, so that the decorator is what compares.
"""

from jax import Array

from din_jax.evaluation.rivals.networks import Networks
from din_jax.layers.codes import covariance_code
from din_jax.layers.normalizers import NoNorm, Whitening
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform
from din_jax.ops.swapping import style_swap

LAYER = "relu4_1"
PATCH = 3  # pixels of the map
COLORED = StyledLayer(NoNorm(), KernelTransform())


def paint(networks: Networks, content: Array, style: Array, *, strength: float = 1.0) -> Array:
    """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1], sides multiples of 8; not clipped.

    Args:
      networks: with a decoder of relu4_1.
      content, style: the pair; at least 24 pixels a side.
      strength: 0 to 1, a mixture with the content's own features.

    Returns:
      [1, H, W, 3].
    """
    own, other = (networks.encode(x, (LAYER,))[LAYER] for x in (content, style))
    white = Whitening()
    white_own, white_other = (white.affine(white.statistics(x))(x) for x in (own, other))
    swapped = style_swap(white_own, white_other, PATCH)
    styled = COLORED(swapped, covariance_code(other))
    return networks.decode((1 - strength) * own + strength * styled, LAYER)
