"""A tile cut out with its halo gives what the whole map gives there, in every form.

The whole map's result is XLA's plain convolution of the map that NumPy has padded.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from din_jax import ops
from din_jax.ops.cpu import convolution
from din_jax.ops.normalization import Affine

SIZE = (9, 11)
ROWS, COLUMNS = (2, 7), (4, 11)  # of the tile: odd sizes, even beginnings
# (side, inputs, outputs, stride): one for every form that the CPU takes.
STATIC = [(1, 3, 2, 1), (3, 16, 3, 1), (3, 3, 16, 1), (7, 3, 2, 1), (3, 3, 2, 1), (5, 3, 2, 2)]
# (side, inputs, inputs of a group, outputs, dilation)
DYNAMIC = [(1, 4, 4, 2, 1), (3, 4, 4, 2, 1), (3, 4, 2, 4, 2), (5, 3, 3, 2, 1), (3, 4, 1, 4, 2)]


def plain(x, kernel, reach, stride=1, dilation=1):
    """[B, H, W, I] by [K, K, I / groups, O], reflected by `reach`."""
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return lax.conv_general_dilated(
        padded,
        kernel,
        (stride, stride),
        "VALID",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[-2],
        precision=lax.Precision.HIGHEST,
    )


def with_halo(x, reach):
    """The tile of a map and the pixels around it."""
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    (top, bottom), (left, right) = ROWS, COLUMNS
    return padded[:, top : bottom + 2 * reach, left : right + 2 * reach]


def inside(y, stride=1):
    """The tile of a result: every stride-th pixel of it."""
    rows, columns = (slice(a // stride, -(-b // stride)) for a, b in (ROWS, COLUMNS))
    return y[:, rows, columns]


def test_static_convolutions(rng, monkeypatch):
    monkeypatch.setattr(convolution, "_is_wide", lambda x, kernel: kernel.shape[3] == 5)
    cases = [(ops.conv2d, case, case[1]) for case in [*STATIC, (3, 6, 5, 1)]]
    cases += [(ops.depthwise_conv2d, (side, 3, 3, stride), 1) for side, stride in ((3, 1), (5, 2))]
    arrays = []
    for _, (side, inputs, outputs, _), per_group in cases:
        x = rng.normal(size=(2, *SIZE, inputs)).astype(np.float32)
        arrays.append((x, rng.normal(size=(side, side, per_group, outputs)).astype(np.float32)))

    @jax.jit
    def every(arrays):
        found = []
        for (function, case, _), (tile, kernel) in zip(cases, arrays, strict=True):
            forms = ("conv", "shift")
            found.append([function(tile, kernel, case[-1], form, halo=True) for form in forms])
        return found

    tiles = [(with_halo(x, len(kernel) // 2), kernel) for x, kernel in arrays]
    for case, (x, kernel), forms in zip(cases, arrays, every(tiles), strict=True):
        stride = case[1][3]
        expected = inside(plain(x, kernel, len(kernel) // 2, stride), stride)
        for y in forms:
            np.testing.assert_allclose(
                y, expected, atol=1e-5 * np.abs(expected).max(), err_msg=case
            )


def test_dynamic_convolutions_and_given_statistics(rng):
    arrays = []
    for side, inputs, per_group, outputs, _ in DYNAMIC:
        x = rng.normal(1, 2, (2, *SIZE, inputs)).astype(np.float32)
        kernel = rng.normal(size=(2, side, side, per_group, outputs)).astype(np.float32)
        mean, scale = rng.normal(size=(2, 1, inputs)).astype(np.float32)
        matrix = rng.normal(size=(1, inputs, inputs)).astype(np.float32)
        arrays.append((x, kernel, Affine(mean, scale, matrix)))
    reaches = [dilation * (side // 2) for side, _, _, _, dilation in DYNAMIC]

    @jax.jit
    def every(arrays):
        found = []
        for case, (tile, kernel, affine) in zip(DYNAMIC, arrays, strict=True):
            for form in ("auto", "vmap", "matmul", "winograd"):
                shared = {"form": form, "dilation": case[-1], "halo": True}
                found.append(ops.normalized_dynamic_conv(tile, affine, kernel, **shared))
        return found

    tiles = [(with_halo(x, n), *rest) for n, (x, *rest) in zip(reaches, arrays, strict=True)]
    results = iter(every(tiles))
    for reach, case, (x, kernel, affine) in zip(reaches, DYNAMIC, arrays, strict=True):
        normalized = ((x - affine.mean[:, None]) * affine.scale[:, None]) @ affine.matrix[0]
        parts = [(normalized[b : b + 1], kernel[b], reach) for b in range(2)]
        whole = [plain(*part, dilation=case[-1]) for part in parts]
        expected = inside(np.concatenate(whole))
        atol = 1e-5 * np.abs(expected).max()
        for _ in range(4):
            np.testing.assert_allclose(next(results), expected, atol=atol, err_msg=str(case))


def test_upsampling_and_its_gradient(rng):
    x = jnp.asarray(rng.normal(size=(2, *SIZE, 3)), jnp.float32)
    tile = x[:, ROWS[0] - 1 : ROWS[1] + 1, COLUMNS[0] - 2 : COLUMNS[1]]

    @jax.jit
    def run(x, tile, gradient):
        y, pull = jax.vjp(lambda t: ops.upsample_bilinear(t, halo=True), tile)
        return ops.upsample_bilinear(x), y, *pull(gradient)

    gradient = rng.normal(size=(2, 10, 14, 3)).astype(np.float32)
    whole, y, to_tile = run(x, tile, gradient)
    np.testing.assert_allclose(
        y, whole[:, 2 * ROWS[0] : 2 * ROWS[1], 2 * COLUMNS[0] - 2 : 2 * COLUMNS[1] - 2], atol=1e-6
    )
    # Upsampling is linear: its gradient is its transpose.
    np.testing.assert_allclose((to_tile * tile).sum(), (gradient * y).sum(), rtol=1e-4)
    other = rng.normal(size=tile.shape).astype(np.float32)
    _, up, _ = run(x, other, gradient)
    np.testing.assert_allclose((to_tile * other).sum(), (gradient * up).sum(), rtol=1e-4)


def test_several_layers_are_exact_on_a_tile_cut_larger(rng):
    """By reflection alone: what it spoils is cut off, and at the picture's edge it is right."""
    first, filters, last = (
        rng.normal(size=(3, 3, *channels)).astype(np.float32)
        for channels in ((2, 3), (1, 3), (3, 2))
    )

    @jax.jit
    def stage(x):
        y = ops.depthwise_conv2d(jax.nn.relu(ops.conv2d(x, first)), filters, 2)
        return ops.conv2d(jax.nn.relu(y), last)

    x = rng.normal(size=(1, 20, 7, 2)).astype(np.float32)
    whole, reach = stage(x), 4  # 1 + 1 pixels, and one of twice the size
    for top, bottom in ((8, 13), (14, 20)):
        start, stop = top - reach, min(bottom + reach, 20)
        y = stage(x[:, start:stop])[:, reach // 2 :][:, : -(-(bottom - top) // 2)]
        expected = whole[:, top // 2 : -(-bottom // 2)]
        np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "function,kernel",
    [
        (ops.conv2d, (5, 5, 2, 3)),
        (ops.depthwise_conv2d, (5, 5, 1, 2)),
        (ops.dynamic_conv, (1, 5, 5, 2, 3)),
    ],
)
def test_a_map_that_is_all_halo_is_refused(function, kernel):
    x, kernel = (jax.ShapeDtypeStruct(v, jnp.float32) for v in ((1, 9, 4, 2), kernel))
    with pytest.raises(ValueError, match="halo of 2 .* larger than 4 x 4, not 9 x 4"):
        jax.eval_shape(lambda x, kernel: function(x, kernel, halo=True), x, kernel)
