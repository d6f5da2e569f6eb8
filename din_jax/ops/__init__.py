"""Pure functions on arrays: no Flax, no state, no files; JAX and NumPy are all that they import.

Maps are [batch, height, width, channels]. docs/OPERATIONS.md tells what each computes, its shapes,
gradients and forms.
"""

from din_jax.ops.convolution import conv2d, depthwise_conv2d
from din_jax.ops.deformable import deformable_conv
from din_jax.ops.dynamic import dynamic_conv, dynamic_instance_norm, normalized_dynamic_conv
from din_jax.ops.forms import default_form
from din_jax.ops.normalization import Affine, adain, instance_affine, instance_norm
from din_jax.ops.padding import reflect_pad
from din_jax.ops.resizing import (
    adaptive_average_pool,
    max_pool,
    upsample_bilinear,
    upsample_nearest,
)
from din_jax.ops.sampling import bilinear_sample
from din_jax.ops.spatial import resize_map, spatial_affine, spatial_instance_norm
from din_jax.ops.statistics import (
    gram_matrix,
    mean_and_covariance,
    mean_and_std,
    mean_and_variance,
)
from din_jax.ops.swapping import style_swap
from din_jax.ops.whitening import covariance_root, inverse_covariance_root, wct

__all__ = [
    # Convolutions.
    "conv2d",
    "deformable_conv",
    "depthwise_conv2d",
    "dynamic_conv",
    "dynamic_instance_norm",
    "normalized_dynamic_conv",
    "default_form",
    # Normalization and statistics.
    "Affine",
    "adain",
    "covariance_root",
    "gram_matrix",
    "instance_affine",
    "instance_norm",
    "inverse_covariance_root",
    "mean_and_covariance",
    "mean_and_std",
    "mean_and_variance",
    "spatial_affine",
    "spatial_instance_norm",
    "style_swap",
    "wct",
    # Sampling, resizing, borders.
    "adaptive_average_pool",
    "bilinear_sample",
    "max_pool",
    "reflect_pad",
    "resize_map",
    "upsample_bilinear",
    "upsample_nearest",
]
