"""What a VGG wants done to an RGB image before its first convolution."""

import dataclasses

import jax.numpy as jnp
from jax import Array


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """y = (x * scale - mean) / std in RGB order, then the channels reversed if `bgr`.

    Attributes:
      scale: factor on an image in [0, 1]; 255 for networks trained on bytes.
      mean: per-channel mean in RGB order, in units of the scaled image.
      std: per-channel standard deviation in RGB order, same units.
      bgr: whether the network reads blue first (Caffe's order).
    """

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False

    def __call__(self, images: Array) -> Array:
        """Images [B, H, W, 3], RGB in [0, 1], to the network's input of the same shape."""
        mean = jnp.asarray(self.mean, images.dtype)[None, None, None]
        std = jnp.asarray(self.std, images.dtype)[None, None, None]
        y = (images * self.scale - mean) / std
        return y[..., ::-1] if self.bgr else y


# torchvision: RGB in [0, 1], ImageNet statistics.
TORCHVISION = Preprocessing(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), bgr=False)
# Caffe, Keras, AdaIN's and WCT's normalized network: BGR bytes minus the ImageNet mean.
CAFFE = Preprocessing(255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True)
