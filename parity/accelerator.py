"""`din_jax.tools.accelerator` with PyTorch's times beside its own, in turn in the same processes.

    python -m parity.accelerator --out FOLDER [--minutes 9] [--rehearse]

"torch" is eager, maps as they come; "torch, channels_last" the same in that layout; "torch.compile"
chooses layouts by itself, and "compile s" is then that of its first call. float32 is with TF32
products where the card has them, as JAX's default is; "exact" is without; in bfloat16 the whole
model is. cuDNN looks for its fastest algorithms (`torch.backends.cudnn.benchmark`), as XLA does.
"""

import functools
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from din_jax.errors import exit_status
from parity.__main__ import require_torch


def contenders() -> Mapping[str, Callable[[Any], Any]]:
    """By name, a function of a case that gives PyTorch's `Contender`."""
    import torch

    from din_jax.tools.accelerator_cases import Contender, Stylization, array_type
    from din_jax.tools.accelerator_plan import CHANNELS_LAST, COMPILED, RIVALS

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True

    def wait(_: Any) -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def peak() -> int | None:
        return torch.cuda.max_memory_allocated() if device == "cuda" else None

    def contender(case: Any, name: str) -> Contender:
        torch.compiler.reset()  # else the shapes of all cases become one dynamic program
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        exact = case.dtype == "exact"
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact
        dtype = getattr(torch, array_type(case.dtype))
        about: dict[str, Any] = {}
        compiled = functools.partial(torch.compile, dynamic=False)
        way = compiled if name == COMPILED else lambda function: function
        if isinstance(case, Stylization):
            layout = torch.channels_last if name == CHANNELS_LAST else torch.contiguous_format
            start, array = stylizing(case, device, dtype, layout, way), first_image
        else:
            start, array = operating(case, device, dtype, way), None
        if name == COMPILED:
            begin = time.perf_counter()
            wait(start())
            about["compile_s"] = time.perf_counter() - begin
        return Contender(start, wait, array, about, peak)

    return {name: functools.partial(contender, name=name) for name in RIVALS}


def stylizing(case: Any, device: str, dtype: Any, layout: Any, way: Callable) -> Callable:
    """A call of the reference's `stylize`, with the parameters and pictures of the case."""
    import torch

    from din_jax.weights.torch_names import to_torch
    from parity.pair import load
    from parity.reference.stylizer import Stylizer

    model = Stylizer(case.model, None)
    load(model, to_torch(case.variables()))
    content, style = (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in case.images())
    with torch.inference_mode():
        one = model.eval().encode_style(style)
        code = {
            name: tuple(x.repeat_interleave(case.batch, 0).to(device, dtype) for x in parts)
            for name, parts in one.items()
        }
    model = model.to(device, dtype).to(memory_format=layout)
    content = content.to(device, dtype).repeat_interleave(case.batch, 0)
    content = content.contiguous(memory_format=layout)
    stylize = way(model.stylize)

    def start() -> Any:
        with torch.inference_mode():
            return stylize(content, code)

    return start


def operating(case: Any, device: str, dtype: Any, way: Callable) -> Callable:
    """A call of instance norm and the case's convolution, with its gradients if it has them."""
    import torch

    from parity.bench_cases import converted, layer_of

    both = case.direction == "both"
    inputs = [x.to(dtype).requires_grad_(both) for x in converted(case, device)]
    layer = way(layer_of(case))

    def start() -> Any:
        with torch.set_grad_enabled(both):
            y = layer(*inputs)
            return (y, torch.autograd.grad(y, inputs, y.detach())) if both else y

    return start


def first_image(y: Any) -> Any:
    """[B, C, H, W] to an array [H, W, C]."""
    return y[0].float().permute(1, 2, 0).cpu().numpy()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""

    def command() -> int:
        require_torch()
        from din_jax.tools import accelerator

        return accelerator.main(arguments, module="parity.accelerator", rivals=contenders)

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
