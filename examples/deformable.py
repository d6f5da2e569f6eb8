"""Deformable convolution in a Flax network of your own, on a task that shows what it adds.

    python -m examples.deformable

Dots move 3 pixels to the right in one half of the picture (upper or lower), else to the left; a
second channel tells which half. One 3x3 convolution reaches 1 pixel and moves every place alike.
A deformable one learns from the picture where each tap reads: Dai et al. 2017, with the modulation
of Zhu et al. 2019. Takes a few seconds on a CPU.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from din_jax.ops import deformable_conv

SIZE, SHIFT, BATCH = 16, 3, 16


class DeformableConv(nnx.Module):
    """y = sum over taps of kernel * mask * x(point + tap + offset) + bias, size kept.

    One convolution predicts offsets (pixels) and mask (0 to 2) from the map. It starts at zero, so
    that the layer starts as an ordinary convolution with zeros outside the map.

    Shapes: [B, H, W, inputs] -> [B, H, W, outputs].
    """

    def __init__(self, inputs: int, outputs: int, side: int = 3, groups: int = 1, *, rngs):
        self.points = groups * side * side
        zero = nnx.initializers.zeros
        self.where = nnx.Conv(inputs, 3 * self.points, (3, 3), kernel_init=zero, rngs=rngs)
        spread = (side * side * inputs) ** -0.5
        self.kernel = nnx.Param(
            spread * jax.random.normal(rngs.params(), (side, side, inputs, outputs))
        )
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x):
        raw = self.where(x)
        offsets, raw_mask = raw[..., : 2 * self.points], raw[..., 2 * self.points :]
        mask = 2 * jax.nn.sigmoid(raw_mask)
        return deformable_conv(x, offsets, self.kernel[...], self.bias[...], mask=mask)


def pictures(generator):
    """Dots and the half that each pixel belongs to, [B, H, W, 2], and the moved dots."""
    dots = generator.normal(size=(BATCH, SIZE, SIZE)).astype(np.float32)
    sign = np.where(np.arange(SIZE) < SIZE // 2, 1, -1) * generator.choice([-1, 1], (BATCH, 1))
    sign = np.broadcast_to(sign[:, :, None], dots.shape).astype(np.float32)
    moved = np.where(sign > 0, np.roll(dots, SHIFT, 2), np.roll(dots, -SHIFT, 2))
    return np.stack([dots, sign], -1), moved[..., None]


def error(model, x, target):
    """Mean squared error away from the borders, where what moves in cannot be known."""
    return jnp.mean((model(x) - target)[:, :, SHIFT:-SHIFT] ** 2)


def train(model, steps: int) -> float:
    """The error on new pictures after so many steps of Adam."""
    graph, state = nnx.split(model)
    params = nnx.to_pure_dict(state)
    optimizer = optax.adam(0.03)

    def loss(params, x, target):
        return error(nnx.merge(graph, params), x, target)

    @jax.jit
    def update(params, state, x, target):
        gradients = jax.grad(loss)(params, x, target)
        changes, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, changes), state

    generator = np.random.default_rng(0)
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = update(params, state, *pictures(generator))
    return float(jax.jit(loss)(params, *pictures(generator)))


def main(steps: int = 300) -> tuple[float, float]:
    results = []
    for name, kind in (("ordinary", nnx.Conv), ("deformable", DeformableConv)):
        side = (3, 3) if kind is nnx.Conv else 3
        results.append(train(kind(2, 1, side, rngs=nnx.Rngs(0)), steps))
        print(f"{name} 3x3 convolution: mean squared error {results[-1]:.3f} of 1")
    return tuple(results)


if __name__ == "__main__":
    main()
