"""The cases of `din_jax.tools.bench` in PyTorch, as its users write them."""

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from parity.reference.dynamic import deformable_conv


def forms() -> Callable[[Any], dict[str, Callable]]:
    """forms()(case) gives a function without arguments per form.

    "torch" is eager. "compiled" is `torch.compile` of the same, left out where it does not work
    (it needs a C++ compiler). Deformable cases are torchvision's, or without it `grid_sample`'s.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def runner(layer: Callable, inputs: list, both: bool) -> Callable:
        inputs = [x.clone().requires_grad_(both) for x in inputs]

        def run():
            with torch.set_grad_enabled(both):
                y = layer(*inputs)
                if both:
                    torch.autograd.grad(y, inputs, y.detach())
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    def of_case(case) -> dict[str, Callable]:
        layer = layer_of(case)
        inputs, both = converted(case, device), case.direction == "both"
        runs = {"torch": runner(layer, inputs, both)}
        try:
            torch.compiler.reset()  # else the shapes of all cases become one dynamic program
            compiled = runner(torch.compile(layer, dynamic=False), inputs, both)
            compiled()
            runs["compiled"] = compiled
        except Exception as error:  # whatever the compiler lacks: the eager form stands alone
            reason = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            print(f"torch.compile left out: {reason}", file=sys.stderr, flush=True)
        return runs

    return of_case


def layer_output(case) -> Any:
    """The eager result of a case as an array, [B, C, H, W]."""
    return layer_of(case)(*converted(case, "cpu")).numpy()


def converted(case, device: str) -> list:
    """A case's inputs as tensors: maps NCHW, kernels [B, O, I / groups, K, K]."""
    arrays = case.inputs()
    for name, x in arrays.items():
        if name == "kernel" and x.ndim == 5:
            arrays[name] = x.transpose(0, 4, 3, 1, 2)
        elif x.ndim == 4:
            arrays[name] = x.transpose(0, 3, 1, 2)
    return [torch.from_numpy(x.copy()).to(device) for x in arrays.values()]


def layer_of(case) -> Callable:
    """Instance norm and the case's convolution on NCHW tensors."""

    def standard(side: int, groups: int) -> Callable:
        pad = side // 2

        def layer(x, kernel, bias):
            b, c, h, w = x.shape
            x = (
                F.pad(F.instance_norm(x, eps=1e-5), (pad,) * 4, mode="reflect")
                if pad
                else (F.instance_norm(x, eps=1e-5))
            )
            y = F.conv2d(
                x.reshape(1, b * c, h + 2 * pad, w + 2 * pad),
                kernel.reshape(b * c, c // groups, side, side),
                bias.reshape(-1),
                groups=b * groups,
            )
            return y.reshape(b, c, h, w)

        return layer

    def spatial(x, kernel, bias):
        def resize(values):
            return F.interpolate(values, x.shape[2:], mode="bilinear", antialias=True)

        return F.instance_norm(x, eps=1e-5) * resize(kernel) + resize(bias)

    def sampled(x, kernel, bias, offsets):
        return deformable_conv(F.instance_norm(x, eps=1e-5), offsets, kernel, bias)

    def deformable(x, kernel, bias, offsets):
        from torchvision.ops import deform_conv2d

        x = F.instance_norm(x, eps=1e-5)
        # One call per image: torchvision's kernel is shared by the batch.
        images = [
            deform_conv2d(x[i : i + 1], offsets[i : i + 1], kernel[i], bias[i], padding=1)
            for i in range(len(x))
        ]
        return torch.cat(images)

    v = case.what
    if v.kind == "spatial":
        return spatial
    if v.kind == "deformable":
        return deformable if _torchvision_works() else sampled
    return standard(v.side, v.groups_of(case.channels))


def _torchvision_works() -> bool:
    try:
        import torchvision.ops  # noqa: F401
    except Exception:  # built for another torch, it raises RuntimeError
        return False
    return True
