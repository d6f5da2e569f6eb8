"""WCT, coarse to fine (Li et al. 2017, "Universal Style Transfer via Feature Transforms").

At each layer X, from the deepest on, with the last level's picture in the content's place:

    f_c' = E D^(-1/2) E^T (f_c - m_c),   f_cs = E_s D_s^(1/2) E_s^T f_c' + m_s   (eqs. 2 and 3)
    I <- decode_X(a f_cs + (1 - a) f_c)                                          (eq. 4)

Their levels are relu5_1 to relu1_1 (`FIVE`), which asks for a VGG-19 file and a decoder that go so
deep; `LAYERS` are the four from relu4_1 on, to where the other methods' files reach. Their decoders
are trained to give back a picture from its features; relu4_1's may be AdaIN's, which was trained to
paint. Each level is the styled layer: whitening behind which a dense 1x1 dynamic convolution takes
the root of the style's covariance for its kernel. Epsilon is added to eigenvalues, where their
program leaves out directions whose eigenvalue is below it.
"""

from collections.abc import Sequence

from jax import Array

from din_jax.evaluation.rivals.networks import Networks
from din_jax.layers.codes import covariance_code
from din_jax.layers.normalizers import Whitening
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform

LAYERS = ("relu4_1", "relu3_1", "relu2_1", "relu1_1")
FIVE = ("relu5_1", *LAYERS)
STYLED = StyledLayer(Whitening(), KernelTransform())


def paint(
    networks: Networks,
    content: Array,
    style: Array,
    *,
    strength: float = 1.0,
    layers: Sequence[str] = LAYERS,
) -> Array:
    """Images [1, H, W, 3] and [1, H', W', 3], RGB in [0, 1]; not clipped.

    Sides are multiples of what the deepest layer is smaller by: 8 for relu4_1, 16 for relu5_1.

    Args:
      networks: with a decoder of each layer.
      content, style: the pair.
      strength: a, from 0 to 1; their program's default is 0.6.
      layers: the levels, in order.

    Returns:
      [1, H, W, 3].
    """
    styles = networks.encode(style, layers)
    for layer in layers:
        own = networks.encode(content, (layer,))[layer]
        styled = STYLED(own, covariance_code(styles[layer]))
        content = networks.decode((1 - strength) * own + strength * styled, layer)
    return content
