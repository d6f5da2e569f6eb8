"""Instance normalization and AdaIN."""

from jax import Array, lax

from din_jax.ops.statistics import EPSILON, mean_and_std, mean_and_variance


def instance_norm(x: Array, epsilon: float = EPSILON) -> Array:
    """y = (x - mu) / sqrt(var + epsilon), per image and channel (Ulyanov et al. 2016, eq. 3).

    Args:
      x: [B, H, W, C]; statistics are float32, the result has the type of x.
      epsilon: inside the root.

    Returns:
      [B, H, W, C], mean 0 and variance var / (var + epsilon) in each channel.
    """
    mean, variance = mean_and_variance(x)
    scale = lax.rsqrt(variance + epsilon)
    return ((x - mean[:, None, None]) * scale[:, None, None]).astype(x.dtype)


def adain(content: Array, style: Array, epsilon: float = EPSILON) -> Array:
    """y = sigma(style) * instance_norm(content) + mu(style) (Huang & Belongie 2017, eq. 8).

    Args:
      content: [B, H, W, C].
      style: [B, H', W', C], any size.
      epsilon: inside both roots.

    Returns:
      [B, H, W, C] with the channel means and standard deviations of the style.
    """
    mean, std = mean_and_std(style, epsilon)
    y = instance_norm(content, epsilon) * std[:, None, None] + mean[:, None, None]
    return y.astype(content.dtype)
