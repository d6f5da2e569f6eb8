"""The cases that `din_jax.tools.bench` times, and their forms in JAX."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.ops.deformable import deformable_conv
from din_jax.ops.dynamic import dynamic_conv, dynamic_instance_norm
from din_jax.ops.normalization import instance_norm
from din_jax.ops.spatial import spatial_instance_norm


@dataclasses.dataclass(frozen=True)
class Variant:
    """A dynamic convolution: kernel side, groups (0: one per channel) and kind."""

    side: int = 1
    groups: int = 1
    kind: str = "standard"  # "standard", "deformable" or "spatial"

    def groups_of(self, channels: int) -> int:
        return self.groups or channels

    def multiply_adds(self, batch: int, size: int, channels: int) -> int:
        """Of the product alone, without norm, bias and (deformable) interpolation."""
        per_group = 1 if self.kind == "spatial" else channels // self.groups_of(channels)
        return batch * size * size * channels * per_group * self.side**2


VARIANTS = {
    "1x1": Variant(),
    "3x3": Variant(3),
    "5x5": Variant(5),
    "group 3x3": Variant(3, 8),
    "depthwise 3x3": Variant(3, 0),
    "deformable 3x3": Variant(3, 0, "deformable"),
    "spatial": Variant(kind="spatial"),
}
GRID = 16  # side of the spatial variant's maps


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed together: one variant on one map, in one direction."""

    variant: str
    size: int
    batch: int
    direction: str  # "forward" or "both": with the gradients to map, kernel and bias
    dtype: str = "float32"  # of the map; gradients have its type too

    @property
    def channels(self) -> int:
        return max(32, min(128, 32 * 512 // self.size))

    @property
    def what(self) -> Variant:
        return VARIANTS[self.variant]

    def inputs(self) -> dict[str, np.ndarray]:
        """Arrays by name, NHWC, in the order that the forms take them."""
        rng = np.random.default_rng(0)
        c, v = self.channels, self.what
        shapes = {"x": (self.batch, self.size, self.size, c)}
        if v.kind == "spatial":
            shapes |= {name: (self.batch, GRID, GRID, c) for name in ("kernel", "bias")}
        else:
            shapes["kernel"] = (self.batch, v.side, v.side, c // v.groups_of(c), c)
            shapes["bias"] = (self.batch, c)
        if v.kind == "deformable":
            shapes["offsets"] = (self.batch, self.size, self.size, 2 * v.side**2)
        return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def jax_forms(case: Case) -> dict[str, Callable]:
    """Form name to a function of the case's inputs."""
    v = case.what
    if v.kind == "spatial":
        return {"fast": spatial_instance_norm}
    if v.kind == "deformable":

        def deformable(form):
            return lambda x, kernel, bias, offsets: deformable_conv(
                instance_norm(x), offsets, kernel, bias, form=form
            )

        return {"fast": deformable("taps"), "im2col": deformable("im2col")}
    forms = {
        "vmap": lambda x, kernel, bias: dynamic_instance_norm(x, kernel, bias, "vmap"),
        "fast": lambda x, kernel, bias: dynamic_conv(instance_norm(x), kernel, bias),
    }
    return forms | ({"folded": dynamic_instance_norm} if v.side == 1 else {})


@dataclasses.dataclass(frozen=True)
class Program:
    """Something that runs, and what its compiler says it costs."""

    run: Callable[[], Any]
    flops: float | None = None  # XLA's count
    bytes: float | None = None  # XLA's count of bytes accessed
    start: Callable[[], Any] | None = None  # as `run`, but does not wait for the device
    compile_seconds: float | None = None  # tracing included
    memory: int | None = None  # bytes that arguments, results and temporaries take together


def named_forms(case: Case) -> dict[str, Callable]:
    """The forms that `din_jax.ops` has for a case, by the names that it has for them."""
    v = case.what
    if v.kind != "standard":
        named = {"fast": "taps"} if v.kind == "deformable" else {"fast": "the only one"}
        return {named.get(name, name): form for name, form in jax_forms(case).items()}
    names = ["matmul", "vmap"]
    if v.side in (3, 5) and v.groups_of(case.channels) < case.channels and case.dtype == "float32":
        names.append("winograd")
    return {
        name: lambda x, kernel, bias, name=name: dynamic_instance_norm(x, kernel, bias, name)
        for name in names
    }


def jax_programs(case: Case) -> dict[str, Program]:
    """Each form compiled for the case."""
    inputs = device_inputs(case)
    forms = jax_forms(case).items()
    return {name: compile_program(in_direction(case, form), *inputs) for name, form in forms}


def device_inputs(case: Case) -> list[jax.Array]:
    """The case's inputs; offsets are float32 whatever the type of the map."""
    return [
        jnp.asarray(x, jnp.float32 if name == "offsets" else case.dtype)
        for name, x in case.inputs().items()
    ]


def in_direction(case: Case, form: Callable) -> Callable:
    """A form with its gradients, if the case has them."""
    return _with_gradients(form) if case.direction == "both" else form


def compile_program(function: Callable, *inputs: Any) -> Program:
    """The function compiled for these inputs, which it is run on."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*inputs).compile()
    seconds = time.perf_counter() - start
    cost = compiled.cost_analysis() or {}
    memory = compiled.memory_analysis()
    return Program(
        lambda: jax.block_until_ready(compiled(*inputs)),
        cost.get("flops"),
        cost.get("bytes accessed"),
        lambda: compiled(*inputs),
        seconds,
        memory
        and memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes,
    )


def _with_gradients(function: Callable) -> Callable:
    def value_and_gradients(*inputs):
        y, pull = jax.vjp(function, *inputs)
        return y, pull(y)

    return value_and_gradients
