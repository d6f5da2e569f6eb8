"""The output of every module by its path, on either side."""

import contextlib
from collections.abc import Iterator

import jax
import torch
from flax import nnx

from din_jax.weights.torch_names import our_name


@contextlib.contextmanager
def jax_modules(model: nnx.Module) -> Iterator[dict[str, jax.Array]]:
    """Fills a dict with what modules give inside the block, under `encoder.conv.norm`.

    Only Python runs are seen: trace inside the block, and return the dict from a jitted function.
    A module that runs twice is `path` and `path (2)`.
    """
    paths = {id(module): ".".join(map(str, path)) for path, module in nnx.iter_modules(model)}
    classes = {type(module) for _, module in nnx.iter_modules(model)} - {type(model)}
    originals = {c: vars(c)["__call__"] for c in classes if "__call__" in vars(c)}
    seen: dict[str, jax.Array] = {}

    def recording(original):
        def call(self, *args, **kwargs):
            y = original(self, *args, **kwargs)
            if id(self) in paths:
                _note(seen, paths[id(self)], y, jax.Array)
            return y

        return call

    try:
        for c, original in originals.items():
            c.__call__ = recording(original)
        yield seen
    finally:
        for c, original in originals.items():
            c.__call__ = original


@contextlib.contextmanager
def torch_modules(model: torch.nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """The same of a PyTorch model, under our paths."""
    seen: dict[str, torch.Tensor] = {}

    def hook(path):
        return lambda module, inputs, output: _note(seen, path, output, torch.Tensor)

    handles = []
    for path, module in model.named_modules():
        if path:
            ours = our_name(f"{path}.bias").removeprefix("params.").removesuffix(".bias")
            handles.append(module.register_forward_hook(hook(ours)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _note(seen: dict, path: str, value, kind: type) -> None:
    if isinstance(value, kind):
        times = sum(name.split(" (")[0] == path for name in seen)
        seen[path if not times else f"{path} ({times + 1})"] = value
