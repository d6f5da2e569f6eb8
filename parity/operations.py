"""Single operations: the same arrays through both, and the gradient to every array."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from flax import nnx
from torch import Tensor

from din_jax.layers.norms import BatchNorm
from din_jax.ops import convolution, deformable, dynamic, normalization, padding, resizing, spatial
from din_jax.ops.preprocessing import CAFFE, TORCHVISION
from din_jax.ops.statistics import gram_matrix, log_statistics, mean_and_std
from parity.measure import Row, compare
from parity.reference import dynamic as reference
from parity.reference import losses, networks, vgg

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Case:
    """One operation on both sides, over arrays in our layout (NHWC, HWIO).

    Attributes:
      name: what the report calls it.
      ours, theirs: functions of as many arrays as there are shapes, results in our layout.
      shapes: of the arrays, drawn from N(0, 1).
    """

    name: str
    ours: Callable
    theirs: Callable
    shapes: tuple[Shape, ...]


def compare_operations(dtype: str, seed: int = 0) -> Iterator[Row]:
    """Rows of all operations; call it inside `measure.precision(dtype)`."""
    rng = np.random.default_rng(seed)
    inputs, cotangents, theirs = [], [], []
    for case in CASES:
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in case.shapes]
        y, pull = _torch_gradient(case, arrays)
        cotangent = rng.standard_normal(y.shape).astype(dtype)
        inputs.append(arrays)
        cotangents.append(cotangent)
        theirs.append([y, *pull(cotangent)])
    ours = _jax_gradients(inputs, cotangents)
    for case, mine, other in zip(CASES, ours, theirs, strict=True):
        for i, (a, b) in enumerate(zip(mine, other, strict=True)):
            name = f"{case.name}, gradient {i}" if i else case.name
            yield compare(f"operations, {dtype}", name, a, b, "operation", dtype)


@jax.jit
def _jax_gradients(inputs: list, cotangents: list) -> list:
    """Result and gradients of every case, as one program: it compiles in a third of the time."""
    found = []
    for case, arrays, cotangent in zip(CASES, inputs, cotangents, strict=True):
        y, pull = jax.vjp(case.ours, *arrays)
        found.append([y, *pull(cotangent)])
    return found


def _torch_gradient(case: Case, arrays: list[np.ndarray]):
    tensors = [torch.from_numpy(x).requires_grad_() for x in arrays]
    y = case.theirs(*tensors)

    def pull(cotangent: np.ndarray) -> list[np.ndarray]:
        y.backward(torch.from_numpy(cotangent))
        return [x.grad.numpy() for x in tensors]

    return y.detach().numpy(), pull


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def oihw(kernel: Tensor) -> Tensor:
    return kernel.permute(*range(kernel.ndim - 4), -1, -2, -4, -3)


def _conv(stride: int, depthwise: bool = False) -> Callable:
    def run(x, kernel):
        pad = kernel.shape[0] // 2
        x = nchw(x)
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        groups = x.shape[1] if depthwise else 1
        return nhwc(F.conv2d(x, oihw(kernel), stride=stride, groups=groups))

    return run


def _on_map(function: Callable) -> Callable:
    """A function of NCHW maps as one of NHWC maps."""
    return lambda *maps: nhwc(function(*map(nchw, maps)))


def _dynamic(dilation: int = 1) -> Callable:
    def run(x, kernel, bias):
        return nhwc(reference.dynamic_instance_norm(nchw(x), oihw(kernel), bias, dilation))

    return run


def _deformable(stride: int = 1, dilation: int = 1) -> tuple[Callable, Callable]:
    # Offsets spread by two pixels, so that points leave the map too; factors may be negative.
    def ours(x, offsets, mask, kernel, bias):
        return deformable.deformable_conv(
            x, 2 * offsets, kernel, bias, mask=mask, stride=stride, dilation=dilation
        )

    def theirs(x, offsets, mask, kernel, bias):
        return nhwc(
            reference.deformable_conv(
                nchw(x),
                2 * nchw(offsets),
                oihw(kernel),
                bias,
                nchw(mask),
                stride=stride,
                dilation=dilation,
            )
        )

    return ours, theirs


def _batch_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    norm = BatchNorm(x.shape[-1])
    norm.scale, norm.bias = nnx.Param(scale), nnx.Param(bias)
    norm.mean, norm.var = nnx.BatchStat(0 * bias), nnx.BatchStat(0 * bias + 1)
    return norm(x)


def _moments(x: jax.Array) -> jax.Array:
    return jnp.concatenate(mean_and_std(x), -1)


def _preprocess(p) -> Callable:
    def run(x):
        mean, std = (x.new_tensor(v) for v in (p.mean, p.std))
        y = (x * p.scale - mean) / std
        return y.flip(-1) if p.bgr else y

    return run


def _cases() -> Iterator[Case]:
    even, odd = (2, 8, 10, 6), (2, 7, 9, 6)
    for form in ("shift", "conv"):

        def conv(x, k, stride=1, form=form):
            return convolution.conv2d(x, k, stride, form)

        def depthwise(x, k, stride=1, form=form):
            return convolution.depthwise_conv2d(x, k, stride, form)

        for side, x, kernel in (
            (1, odd, (1, 1, 6, 4)),
            (3, odd, (3, 3, 6, 4)),
            (9, (2, 11, 9, 3), (9, 9, 3, 4)),
            (3, (1, 63, 66, 64), (3, 3, 64, 128)),
        ):
            title = f"convolution {side}x{side} {kernel[2]}-{kernel[3]}, {form}"
            yield Case(title, conv, _conv(1), (x, kernel))
        for x in (even, odd):
            size = f"{x[1]}x{x[2]}"
            yield Case(
                f"convolution 3x3 / 2 of {size}, {form}",
                lambda x, k, conv=conv: conv(x, k, 2),
                _conv(2),
                (x, (3, 3, 6, 4)),
            )
            yield Case(
                f"depthwise 3x3 / 2 of {size}, {form}",
                lambda x, k, depthwise=depthwise: depthwise(x, k, 2),
                _conv(2, True),
                (x, (3, 3, 1, 6)),
            )
        yield Case(f"depthwise 3x3, {form}", depthwise, _conv(1, True), (odd, (3, 3, 1, 6)))

    kinds = {
        "dense 1x1": (1, 6, 5, 1),
        "dense 3x3": (3, 6, 5, 1),
        "dense 3x3 dilated": (3, 6, 5, 2),
        "groups of 2, 3x3": (3, 2, 9, 1),
        "depthwise 1x1": (1, 1, 6, 1),
        "depthwise 5x5": (5, 1, 6, 1),
    }
    for kind, (side, per_group, out, dilation) in kinds.items():
        for form in ("matmul", "vmap"):

            def ours(x, k, b, form=form, dilation=dilation):
                return dynamic.dynamic_instance_norm(x, k, b, form, dilation=dilation)

            shapes = (odd, (2, side, side, per_group, out), (2, out))
            yield Case(f"DIN {kind}, {form}", ours, _dynamic(dilation), shapes)
    for name, settings, size in (
        ("3x3", {}, (7, 9)),
        ("3x3 dilated", {"dilation": 2}, (7, 9)),
        ("3x3 / 2", {"stride": 2}, (4, 5)),
    ):
        points = ((2, *size, 2 * 9 * 2), (2, *size, 2 * 9))
        yield Case(
            f"deformable {name}, modulated", *_deformable(**settings),
            (odd, *points, (2, 3, 3, 3, 4), (2, 4)),
        )  # fmt: skip
    for name, grid in (("enlarged", (3, 4)), ("reduced", (16, 16))):
        yield Case(
            f"spatial DIN, maps {name}",
            spatial.spatial_instance_norm,
            _on_map(reference.spatial_instance_norm),
            (odd, (2, *grid, 6), (2, *grid, 6)),
        )

    norm = _on_map(lambda x: F.instance_norm(x, eps=1e-5))
    yield Case("instance norm", normalization.instance_norm, norm, (odd,))
    yield Case("AdaIN", normalization.adain, _on_map(reference.adain), (odd, (2, 5, 4, 6)))
    yield Case(
        "batch norm",
        _batch_norm,
        lambda x, s, b: nhwc(F.batch_norm(nchw(x), None, None, s, b, training=True)),
        (odd, (6,), (6,)),
    )

    yield Case(
        "reflect padding", lambda x: padding.reflect_pad(x, 3, 4),
        _on_map(lambda x: F.pad(x, (4, 4, 3, 3), mode="reflect")), (odd,),
    )  # fmt: skip
    yield Case(
        "bilinear x2", resizing.upsample_bilinear,
        _on_map(lambda x: networks.upsample(x, (14, 18))), (odd,),
    )  # fmt: skip
    nearest = _on_map(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"))
    yield Case("nearest x2", resizing.upsample_nearest, nearest, (odd,))
    for x in (even, odd):
        pool = _on_map(lambda x: F.max_pool2d(x, 2))
        yield Case(f"max pool of {x[1]}x{x[2]}", resizing.max_pool, pool, (x,))
    for side in (1, 4, 12):
        yield Case(
            f"adaptive pool of 7x9 to {side}",
            lambda x, side=side: resizing.adaptive_average_pool(x, side),
            _on_map(lambda x, side=side: F.adaptive_avg_pool2d(x, side)),
            (odd,),
        )

    yield Case(
        "mean and deviation", _moments,
        lambda x: torch.cat(reference.mean_and_std(nchw(x)), -1), (odd,),
    )  # fmt: skip
    yield Case(
        "log statistics",
        lambda x, y: log_statistics([x * x, y * y]),
        lambda x, y: vgg.log_statistics([nchw(x) ** 2, nchw(y) ** 2]),
        (odd, even),
    )
    yield Case("Gram matrix", gram_matrix, lambda x: losses.gram(nchw(x)), (odd,))
    for name, p in (("torchvision's", TORCHVISION), ("Caffe's", CAFFE)):
        yield Case(f"{name} preprocessing", p, _preprocess(p), ((2, 7, 9, 3),))


CASES = tuple(_cases())
