"""Pure functions on arrays: no Flax, no state, no files."""

from din_jax.ops.deformable import deformable_conv as deformable_conv
from din_jax.ops.sampling import bilinear_sample as bilinear_sample
